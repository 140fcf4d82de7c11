# Sleeps that end in another order than they began.
for n in 5 1 4 2 3; do (sleep 0.00$n; echo $n $EPOCHREALTIME) & done
wait
timeout 0.01 sleep 1; echo $? $EPOCHREALTIME
read -t 0.005 line < <(sleep 0.1); echo $? $EPOCHREALTIME
