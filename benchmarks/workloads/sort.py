state, numbers = 1, []
for _ in range(150_000):
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    numbers.append(state)
numbers.sort()
print(numbers[0], numbers[75_000], numbers[-1])
