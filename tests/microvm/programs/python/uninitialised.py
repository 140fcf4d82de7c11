# Memory that nobody has written: from the heap, the stack and the kernel.
import ctypes, hashlib, mmap

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for size in (16, 40, 100, 1000, 5000, 40000, 500000):
    blocks = [libc.malloc(size) for _ in range(8)]
    data = b"".join(ctypes.string_at(block, size) for block in blocks)
    print(size, [hex(block) for block in blocks], hashlib.sha256(data).hexdigest(), data[:64].hex())
    for block in blocks[::2]: libc.free(ctypes.c_void_p(block))
here = ctypes.c_int(1)
stack = [line.split()[0] for line in open("/proc/self/maps") if "[stack]" in line][0]
low, high = (int(part, 16) for part in stack.split("-"))
data = ctypes.string_at(low, high - low)
print(stack, hashlib.sha256(data).hexdigest(), sum(byte != 0 for byte in data))
heap = [line.split()[0] for line in open("/proc/self/maps") if "[heap]" in line]
for part in heap:
    low, high = (int(number, 16) for number in part.split("-"))
    print(part, hashlib.sha256(ctypes.string_at(low, high - low)).hexdigest())
print(hashlib.sha256(mmap.mmap(-1, 1 << 20)[:]).hexdigest(), hex(ctypes.addressof(here)))
