# Much work in functions, subshells and strings.
fib() { (($1 < 2)) && echo $1 || echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); }
time fib 7; text=; for n in {1..2000}; do text+=$n; done; echo ${#text} "${text:1000:20}" $(echo $text | md5sum); echo $BASHPID $EPOCHREALTIME
