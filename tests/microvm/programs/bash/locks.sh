# Folders and links as locks between processes.
for name in {1..4}; do (for n in {1..3}; do until mkdir /tmp/lock 2> /dev/null; do :; done; echo -n "$name:$n " >> /tmp/log; rmdir /tmp/lock; done) & done; wait; cat /tmp/log; echo $EPOCHREALTIME
