# Every clock that a shell can read.
for n in 1 2 3; do echo $EPOCHREALTIME $SECONDS; date +%s.%N; sleep 0.003; done
cat /proc/uptime /proc/loadavg; date; TZ=Asia/Tokyo date
time (for ((n = 0; n < 2000; n++)); do :; done) 2>&1
times; printf '%(%c)T\n' -1; stat -c '%y %z %w' /tmp /work
