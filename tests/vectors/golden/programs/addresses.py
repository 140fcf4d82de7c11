import ctypes, gc, mmap, sys

print(object(), [], id(object()), hash("text"), hash(3.5), {"red", "green", "blue", "white"})
print(ctypes.addressof(ctypes.create_string_buffer(1 << 20)), sys.getsizeof([]), len(gc.get_objects()) > 1000)
print(open("/proc/self/maps").read())
raw = ctypes.CDLL(None).malloc
raw.restype = ctypes.c_void_p
print(ctypes.string_at(raw(4096), 4096).hex()[:200])
