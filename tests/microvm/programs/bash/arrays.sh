# The order of associative arrays and variables.
declare -A table; for n in {1..40}; do table[$RANDOM]=$n; done; echo "${!table[@]}"; echo "${table[@]}"; declare -p table | sha256sum; compgen -v | tr '\n' ' '; env; set | sha256sum; hash -l; ls /dev/null > /dev/null; hash
