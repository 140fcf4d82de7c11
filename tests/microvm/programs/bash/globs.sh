# Order of names and of sorting.
cd /tmp; touch Zebra apple Äpfel éclair eclair ß ss 10 9 _ a.b A-b "a b"; echo *; echo [a-z]*; ls; ls -v; printf '%s\n' * | sort; printf '%s\n' * | LC_ALL=en_US.UTF-8 sort 2>&1; locale; sort -f <(ls); ls -t | tac; echo $EPOCHREALTIME
