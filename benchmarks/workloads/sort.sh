awk 'BEGIN { state = 1; for (i = 0; i < 60000; i++) { state = (state * 16807) % 2147483647; print state } }' |
  LC_ALL=C sort -n | sed -n '1p;30000p;$p'
