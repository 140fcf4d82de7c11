total = 0
for i in range(1_000_000):
    total = (total * 31 + i) & 0xFFFFFFFF
print(total)
