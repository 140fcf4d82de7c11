# Two shells that talk.
coproc other { while read -r line; do echo "$line $EPOCHREALTIME $BASHPID"; done; }
for n in {1..20}; do echo "$n" >&"${other[1]}"; read -r answer <&"${other[0]}"; echo "$answer"; done
echo "${other[@]}" $other_PID
