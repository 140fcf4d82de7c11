# The processor's own clock, by instruction, and what reading it costs.
import ctypes, mmap, time

CODE = {
    "rdtsc": "0f3148c1e2204809d0c3",  # rdtsc; shl rdx, 32; or rax, rdx; ret
    "twice": "0f314989c00f314c29c0c3",  # rdtsc; mov r8, rax; rdtsc; sub rax, r8; ret
    "fenced": "0faee8530f314989c00fa20f314c29c05bc3",  # lfence; push rbx; rdtsc; mov r8, rax; cpuid; rdtsc; sub rax, r8; pop rbx; ret
    "loop": "0f314989c0b9e8030000ffc975fc0f314c29c0c3",  # rdtsc; mov r8, rax; mov ecx, 1000; 1: dec ecx; jnz 1b; rdtsc; sub rax, r8; ret
}
page = mmap.mmap(-1, 4096, prot=7)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
for turn in range(3):
    for name, code in CODE.items():
        page.seek(0)
        page.write(bytes.fromhex(code))
        call = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
        print(name, [call() for _ in range(5)], time.monotonic_ns())
