# Which of many ends first.
for n in {1..8}; do (for ((k = 0; k < (n * 37 % 11) * 100; k++)); do :; done; exit $n) & names[$!]=$n; done
for n in {1..8}; do wait -n -p ended; echo "$? ${names[$ended]} $ended $EPOCHREALTIME"; done
