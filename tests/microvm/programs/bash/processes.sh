# Numbers of processes, and what is said of them.
for n in {1..10}; do (echo -n "$BASHPID ") ; done; echo; for n in {1..5}; do sleep 1 & echo -n "$! "; done; kill %1 %3 %5; wait; jobs
cat /proc/self/{stat,status,limits,cgroup,schedstat,mountinfo}; cat /proc/[0-9]*/stat
