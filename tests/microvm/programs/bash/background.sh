# Jobs that append to one file.
for name in a b c d e f; do (for n in {1..30}; do echo -n "$name$n " >> /tmp/log; for ((k = 0; k < n * 7; k++)); do :; done; done) & done
wait; cat /tmp/log; jobs -l; echo $! $EPOCHREALTIME
