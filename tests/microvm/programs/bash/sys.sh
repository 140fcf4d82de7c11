# What /sys says.
find /sys | wc; find /sys/devices/system -type f -readable | sort | head -100 | xargs tail -n 3 2>&1 | head -c 9000; echo $EPOCHREALTIME
