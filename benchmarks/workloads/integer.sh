total=0
for ((i = 0; i < 40000; i++)); do total=$(((total * 31 + i) & 0xFFFFFFFF)); done
echo "$total"
