# Ends of all kinds, and what is said of them.
for signal in {1..15}; do case $signal in 17|18|19|20|21|22|23|28) ;; *) bash -c "kill -$signal \$\$" 2>&1; echo "$signal $? $EPOCHREALTIME";; esac; done
(ulimit -v 20000; bash -c 'x=$(head -c 40000000 /dev/zero | tr "\0" x)') 2>&1; echo $?; (ulimit -f 1; seq 100000 > /tmp/big) 2>&1; echo $?; (ulimit -n 5; exec 7< /dev/null) 2>&1; bash -c 'f() { ((n++ < 500)) && f; }; f; caller; exit $n'; echo $?
