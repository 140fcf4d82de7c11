# What is in /dev, and what can be opened.
ls -laU --time-style=full-iso /dev; for name in /dev/*; do (exec 3< $name) 2> /dev/null && echo -n "r:$name "; (exec 3<> $name) 2> /dev/null && echo -n "w:$name "; done
