# Writers and readers on pipes.
{ for n in {1..200}; do echo "a $n $EPOCHREALTIME"; done & for n in {1..200}; do echo "b $n"; done; wait; } | cat | sha256sum
mkfifo /tmp/pipe
for name in x y z; do (for n in {1..20}; do echo "$name$n"; done > /tmp/pipe) & done
head -n 60 <> /tmp/pipe; wait
yes | head -c 100000 | wc; seq 2000 | sort -R | head -3; echo "${PIPESTATUS[@]}" $EPOCHREALTIME
