# Tools that make up order, seeds or buffers of their own.
seq 3000 | shuf | sort -n | sha256sum; seq 500 | sort -R | sha256sum; head -c 50000 /dev/urandom | sort -z | sha256sum; seq 300 | split -l 90 - /tmp/x; cat /tmp/xa* | wc; tsort <<< "a b b c a c d a"; ptx <<< "some words here"; seq 1000 | xargs -P 4 -n 100 sh -c 'echo $$ $#' ; paste -sd+ <(seq 50); stdbuf -oL ls / ; echo $EPOCHREALTIME
