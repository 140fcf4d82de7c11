# Traps, and signals that come amid work.
count=0
for name in USR1 USR2 HUP TERM ALRM; do trap "echo $name \$count \$EPOCHREALTIME" $name; done
trap 'echo child $count' CHLD
for name in TERM USR1 ALRM USR2 HUP; do (sleep 0.00$((RANDOM % 5 + 1)); kill -$name $$) & done
while ((count < 4000)); do ((count++)); done
wait; wait; wait; echo $count $?
