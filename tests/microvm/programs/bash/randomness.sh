# Every source of randomness.
echo $RANDOM $RANDOM $SRANDOM $SRANDOM; head -c 16 /dev/urandom | od -An -tx1; head -c 16 /dev/random | od -An -tx1
cat /proc/sys/kernel/random/{uuid,boot_id,entropy_avail}; shuf -e a b c d e f g; seq 100 | sort -R | tr '\n' ' '; (echo $RANDOM); RANDOM=1; echo $RANDOM
bash -c 'echo $RANDOM $SRANDOM'; mawk 'BEGIN { srand(); print rand(), srand() }'; shred -n 1 -z -s 10 - 2>&1 | od
