# What /proc says.
for name in stat meminfo interrupts softirqs vmstat zoneinfo slabinfo buddyinfo diskstats modules cpuinfo iomem ioports timer_list sched_debug devices filesystems locks swaps version cmdline crypto key-users; do echo "== $name"; cat /proc/$name 2>&1 | head -c 3000; done
