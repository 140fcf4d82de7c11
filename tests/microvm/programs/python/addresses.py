# Where things lie: code, libraries, stack, heap, objects.
import ctypes, mmap, os, sys, threading

print(open("/proc/self/maps").read())
print([hex(id(value)) for value in (None, object(), [], {}, "text", 10**30, lambda: 0, sys)])
libc = ctypes.CDLL(None)
for name in ("printf", "malloc", "environ", "stdout"):
    print(name, hex(ctypes.addressof(ctypes.c_char.in_dll(libc, name))))
for size in (4096, 1 << 16, 1 << 21, 1 << 25): print(hex(ctypes.addressof(ctypes.c_char.from_buffer(mmap.mmap(-1, size)))))
def place(): print(threading.get_ident(), hex(ctypes.addressof(ctypes.c_int())))
threads = [threading.Thread(target=place) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(open("/proc/self/auxv", "rb").read().hex(), os.getpid(), open("/proc/self/stat").read())
