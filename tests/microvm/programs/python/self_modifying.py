# Code that rewrites itself: the next instruction, its own page, a loop's body, across a page's end.
import ctypes, hashlib, mmap, time

pages = mmap.mmap(-1, 3 * 4096, prot=7)
start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
CODE = {
# the operand of an addition four bytes ahead is changed before it runs, 2,000 times
    "next": "31c0b9d0070000880d010000000544332211ffc975f10f3148c1e2204809d0c3",  # xor eax, eax; mov ecx, 2000; 1: mov [rip+2f+1], cl; 2: add eax, 0x11223344; dec ecx; jnz 1b; rdtsc; shl rdx, 32; or rax, rdx; ret
# an instruction becomes another: inc (ff c0) and dec (ff c8) of eax in turn
    "turn": "31c0b9b80b000080350100000008ffc0ffc975f3c3",  # xor eax, eax; mov ecx, 3000; 1: xor byte ptr [rip+2f+1], 8; 2: inc eax; dec ecx; jnz 1b; ret
# by a string instruction that runs over itself
    "string": "57488d3d07000000b090b906000000f3aa90909090909090905f89c8c3",  # push rdi; lea rdi, [rip+1f]; mov al, 0x90; mov ecx, 6; 1: rep stosb; nop; nop; nop; nop; nop; nop; nop; nop; pop rdi; mov eax, ecx; ret
}
for place in (0, 100, 4096 - 20, 4096 - 9, 8192 - 13):
    for name, code in CODE.items():
        pages[place : place + len(code) // 2] = bytes.fromhex(code)
        call = ctypes.CFUNCTYPE(ctypes.c_uint64)(start + place)
        print(place, name, call(), hashlib.sha256(pages[:]).hexdigest()[:16], time.monotonic_ns())
total = 0
for n in range(400):  # one function after another at the same place
    pages[:6] = b"\xb8" + n.to_bytes(4, "little") + b"\xc3"
    total += ctypes.CFUNCTYPE(ctypes.c_int)(start)()
print(total, time.monotonic_ns())
