# The newer floating-point unit in every rounding mode, with denormals flushed and not.
import ctypes, hashlib, mmap, random, struct

# void f(double values[2], uint32_t *control, uint8_t *result): 16 bytes of result, then the control word
CODE = {
    "add": "0fae16660f1007f20f104f08f20f58c1660f11020fae5a10c3",  # ldmxcsr [rsi]; movupd xmm0, [rdi]; movsd xmm1, [rdi+8]; addsd xmm0, xmm1; movupd [rdx], xmm0; stmxcsr [rdx+16]; ret
    "multiply": "0fae16f20f1007f20f594708660f11020fae5a10c3",  # ldmxcsr [rsi]; movsd xmm0, [rdi]; mulsd xmm0, [rdi+8]; movupd [rdx], xmm0; stmxcsr [rdx+16]; ret
    "divide": "0fae16f20f1007f20f5e4708660f11020fae5a10c3",  # ldmxcsr [rsi]; movsd xmm0, [rdi]; divsd xmm0, [rdi+8]; movupd [rdx], xmm0; stmxcsr [rdx+16]; ret
    "root": "0fae16f20f5107660f11020fae5a10c3",  # ldmxcsr [rsi]; sqrtsd xmm0, [rdi]; movupd [rdx], xmm0; stmxcsr [rdx+16]; ret
    "single": "0fae16f20f5a07f20f5a4f08f30f59c1f30f51c8660f7e02660f7e4a040fae5a10c3",  # ldmxcsr [rsi]; cvtsd2ss xmm0, [rdi]; cvtsd2ss xmm1, [rdi+8]; mulss xmm0, xmm1; sqrtss xmm1, xmm0; movd [rdx], xmm0; movd [rdx+4], xmm1; stmxcsr [rdx+16]; ret
    "approximate": "0fae16660f1007660f5ac00f53c80f52d0660fd60a660fd652080fae5a10c3",  # ldmxcsr [rsi]; movupd xmm0, [rdi]; cvtpd2ps xmm0, xmm0; rcpps xmm1, xmm0; rsqrtps xmm2, xmm0; movq [rdx], xmm1; movq [rdx+8], xmm2; stmxcsr [rdx+16]; ret
    "integer": "0fae16f2480f2d07f24c0f2c47084889024c8942080fae5a10c3",  # ldmxcsr [rsi]; cvtsd2si rax, [rdi]; cvttsd2si r8, [rdi+8]; mov [rdx], rax; mov [rdx+8], r8; stmxcsr [rdx+16]; ret
    "round": "0fae16660f3a0b0704660f3a0b4f0801660fd602660fd64a080fae5a10c3",  # ldmxcsr [rsi]; roundsd xmm0, [rdi], 4; roundsd xmm1, [rdi+8], 1; movq [rdx], xmm0; movq [rdx+8], xmm1; stmxcsr [rdx+16]; ret
    "dot": "0fae16660f1007660f59c0660f3a41c031660f11020fae5a10c3",  # ldmxcsr [rsi]; movupd xmm0, [rdi]; mulpd xmm0, xmm0; dppd xmm0, xmm0, 0x31; movupd [rdx], xmm0; stmxcsr [rdx+16]; ret
    "least": "0fae16f20f1007f20f5d4708f20f100ff20f5f4f08660fd602660fd64a080fae5a10c3",  # ldmxcsr [rsi]; movsd xmm0, [rdi]; minsd xmm0, [rdi+8]; movsd xmm1, [rdi]; maxsd xmm1, [rdi+8]; movq [rdx], xmm0; movq [rdx+8], xmm1; stmxcsr [rdx+16]; ret
    "compare": "0fae16f20f1007660f2f47089c584889020fae5a10c3",  # ldmxcsr [rsi]; movsd xmm0, [rdi]; comisd xmm0, [rdi+8]; pushfq; pop rax; mov [rdx], rax; stmxcsr [rdx+16]; ret
    "sideways": "0fae16660f1007660f7cc0660fd0c0660f11020fae5a10c3",  # ldmxcsr [rsi]; movupd xmm0, [rdi]; haddpd xmm0, xmm0; addsubpd xmm0, xmm0; movupd [rdx], xmm0; stmxcsr [rdx+16]; ret
}
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("0fae1f" "c3"))  # stmxcsr [rdi]; ret
usual = ctypes.c_uint32()
kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
call = kind(ctypes.addressof(ctypes.c_char.from_buffer(page)))
special = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 5e-324, 1e-310, 1e308, struct.unpack("<d", bytes.fromhex("010000000000f07f"))[0]]
generator = random.Random(6)
values = [(a, b) for a in special for b in special] + [(generator.uniform(-9, 9), generator.uniform(-9, 9)) for _ in range(60)]
for name, code in CODE.items():
    page.seek(0)
    page.write(bytes.fromhex(code[:-2] + "0fae11c3"))  # ldmxcsr [rcx]: the usual mode again
    four = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    for mode in (0x1F80, 0x3F80, 0x5F80, 0x7F80, 0x9FC0, 0xFFC0):
        state = hashlib.sha256()
        for pair in values:
            result = (ctypes.c_uint8 * 32)()
            four((ctypes.c_double * 2)(*pair), ctypes.byref(ctypes.c_uint32(mode)), result, ctypes.byref(ctypes.c_uint32(0x1F80)))
            state.update(bytes(result)[:20])
        print(name, hex(mode), state.hexdigest()[:24], bytes(result)[:20].hex())
