# Limits, and what happens at them.
ulimit -a; ulimit -Ha | sha256sum; for n in {1..20}; do sleep 1 & done; kill $(jobs -p) 2> /dev/null; cat /sys/fs/cgroup/jobs/bash/{memory.max,pids.max,memory.current,memory.stat,cpu.stat,memory.events,pids.current} 2>&1; nproc; getconf -a | sha256sum; echo $EPOCHREALTIME
