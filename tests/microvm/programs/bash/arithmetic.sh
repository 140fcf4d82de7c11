# Numbers at their limits.
echo $((2 ** 63 - 1)) $((2 ** 63)) $((-2 ** 63 / -1 )) $((-7 / 2)) $((-7 % 3)) $((1 << 64)) $((0x7fffffffffffffff + 1)) $((RANDOM * SRANDOM))
printf '%.30g %a %e %d %x\n' 0.1 1e-320 1e308 -1 -1 2>&1; mawk 'BEGIN { printf "%.17g %.17g %.17g %s\n", sin(1e9), exp(1), atan2(1, 3), log(-1); print 2^1023 * 2, -log(0) }'
numfmt --to=iec 123456789; seq 0 0.1 1 | tr '\n' ' '; factor 600851475143; expr 7 \* 9; echo $((EPOCHSECONDS % 1000)) $EPOCHREALTIME
