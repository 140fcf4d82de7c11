x, total = 0.5, 0.0
for _ in range(1_000_000):
    x = 3.7 * x * (1.0 - x)
    total += x
print(total)
