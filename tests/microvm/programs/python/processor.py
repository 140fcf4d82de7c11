# All that the processor says of itself, by instruction and by file.
import ctypes, mmap, os

page = mmap.mmap(-1, 4096, prot=7)
# void f(uint32_t registers[4]): cpuid with the registers' eax and ecx
CODE = {
    "cpuid": "538b078b4f080fa28907895f04894f0889570c5bc3",  # push rbx; mov eax, [rdi]; mov ecx, [rdi+8]; cpuid; mov [rdi], eax; mov [rdi+4], ebx; mov [rdi+8], ecx; mov [rdi+12], edx; pop rbx; ret
}
page.write(bytes.fromhex(CODE["cpuid"]))
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
for first in (0, 0x40000000, 0x80000000, 0xC0000000):
    for leaf in range(first, first + 0x20):
        for part in range(4 if leaf in (2, 4, 7, 11, 13, 20) else 1):
            registers = (ctypes.c_uint32 * 4)(leaf, 0, part, 0)
            call(registers)
            print(f"{leaf:08x}.{part}", *(f"{register:08x}" for register in registers))
print(open("/proc/cpuinfo").read(), os.uname(), os.cpu_count(), os.sched_getaffinity(0))
libc = ctypes.CDLL(None)
libc.getauxval.restype = ctypes.c_uint64
print([libc.getauxval(number) for number in (6, 16, 17, 23, 26, 51)])
