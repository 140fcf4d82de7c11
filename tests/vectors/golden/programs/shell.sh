echo "$RANDOM $RANDOM $SRANDOM $$ $PPID $EPOCHREALTIME $BASH_VERSION"
date -u; uptime 2>&1; ls -lai /work /tmp; df /work; id; umask; ulimit -a
for n in 1 2 3 4 5; do (sleep "0.00$((n * 7 % 5))"; echo "child $n") & done; wait
seq 1000 | sort -R --random-source=/dev/urandom | head -3; seq 2000 | sha256sum
find /etc /faas -type f | sort | xargs sha256sum; mktemp -u; read -r line; echo "got $line"
awk 'BEGIN { srand(); print rand(), systime() }' 2>&1; cat /proc/self/stat; false
