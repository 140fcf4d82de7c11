# Processes in the place of files.
diff <(seq 1 30; echo $EPOCHREALTIME) <(seq 2 31; echo $EPOCHREALTIME)
paste <(for n in 1 2 3; do sleep 0.001; date +%N; done) <(for n in 1 2 3; do echo $RANDOM; done)
tee >(sha256sum) >(wc -c) < /bin/ls > /dev/null; sleep 0.05; echo <(:) $BASHPID
