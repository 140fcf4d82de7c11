# Numbers, times and order of files.
cd /tmp; for n in {1..60}; do echo $n > $((n * 7919 % 1009)); ((n % 3)) || rm $((n * 7919 % 1009)); done
ls -U; ls -lai --time-style=full-iso; find . -printf '%p %i %T+ %b\n'; du -a; df; stat -f /tmp; stat /work /bin/bash
