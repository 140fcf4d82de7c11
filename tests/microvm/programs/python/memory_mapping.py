# What the kernel says of pages: present, dirty, shared, faulted, advised.
import ctypes, mmap, os, resource

libc = ctypes.CDLL(None, use_errno=True)
area = mmap.mmap(-1, 64 * 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
def present():
    vector = (ctypes.c_ubyte * 64)()
    libc.mincore(ctypes.c_void_p(address), 64 * 4096, vector)
    return "".join(map(str, vector))
print(present(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
for n in range(0, 64, 3): area[n * 4096] = 1
print(present(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
for advice in range(26): print(advice, libc.madvise(ctypes.c_void_p(address + 4096 * 8), 4096 * 8, advice), ctypes.get_errno(), end="; ")
print(present())
with open("/proc/self/pagemap", "rb", 0) as file:
    file.seek(address // 4096 * 8)
    print(file.read(64 * 8).hex())
print(open("/proc/self/smaps_rollup").read(), open("/proc/self/statm").read(), open("/proc/self/numa_maps").read() if os.path.exists("/proc/self/numa_maps") else "")
print(open("/proc/meminfo").read(), open("/proc/vmstat").read(), open("/proc/buddyinfo").read())
if os.fork() == 0:
    area[0] = 2
    print(resource.getrusage(resource.RUSAGE_SELF), flush=True)
    os._exit(0)
os.wait()
