# Flags and registers that the processor's manual leaves undefined.
import ctypes, hashlib, mmap, random

# uint64_t f(uint64_t left, uint64_t right, uint64_t *result): the flags
CODE = {
    "bsf": "48c7c0341200004885ff480fbcc74889029c58c3",  # mov rax, 0x1234; test rdi, rdi; bsf rax, rdi; mov [rdx], rax; pushfq; pop rax; ret
    "bsr": "48c7c0341200000fbdc64889029c58c3",  # mov rax, 0x1234; bsr eax, esi; mov [rdx], rax; pushfq; pop rax; ret
    "mul": "4989d04889f848f7e64989109c58c3",  # mov r8, rdx; mov rax, rdi; mul rsi; mov [r8], rdx; pushfq; pop rax; ret
    "imul": "4889f8480fafc64889029c58c3",  # mov rax, rdi; imul rax, rsi; mov [rdx], rax; pushfq; pop rax; ret
    "div": "4989d031d24889f84889f14883c9014839f748f7f14989109c58c3",  # mov r8, rdx; xor edx, edx; mov rax, rdi; mov rcx, rsi; or rcx, 1; cmp rdi, rsi; div rcx; mov [r8], rdx; pushfq; pop rax; ret
    "idiv": "4989d04889f848c1e80248994889f148c1e9034883c9014801f748f7f94989109c58c3",  # mov r8, rdx; mov rax, rdi; shr rax, 2; cqo; mov rcx, rsi; shr rcx, 3; or rcx, 1; add rdi, rsi; idiv rcx; mov [r8], rdx; pushfq; pop rax; ret
    "shl": "4889f14889f84839f748d3e04889029c58c3",  # mov rcx, rsi; mov rax, rdi; cmp rdi, rsi; shl rax, cl; mov [rdx], rax; pushfq; pop rax; ret
    "sar": "4889f14889f84829f7d3f84889029c58c3",  # mov rcx, rsi; mov rax, rdi; sub rdi, rsi; sar eax, cl; mov [rdx], rax; pushfq; pop rax; ret
    "rcl": "4889f14889f84801f766d3d04889029c58c3",  # mov rcx, rsi; mov rax, rdi; add rdi, rsi; rcl ax, cl; mov [rdx], rax; pushfq; pop rax; ret
    "ror": "4889f14889f84839fed2c84889029c58c3",  # mov rcx, rsi; mov rax, rdi; cmp rsi, rdi; ror al, cl; mov [rdx], rax; pushfq; pop rax; ret
    "shld": "4889f14889f84839fe660fa5f04889029c58c3",  # mov rcx, rsi; mov rax, rdi; cmp rsi, rdi; shld ax, si, cl; mov [rdx], rax; pushfq; pop rax; ret
    "shrd": "4889f14889f8480fadf04889029c58c3",  # mov rcx, rsi; mov rax, rdi; shrd rax, rsi, cl; mov [rdx], rax; pushfq; pop rax; ret
    "and": "4889f84839f74821f04889029c58c3",  # mov rax, rdi; cmp rdi, rsi; and rax, rsi; mov [rdx], rax; pushfq; pop rax; ret
    "bt": "4839f7480fa3f748893a9c58c3",  # cmp rdi, rsi; bt rdi, rsi; mov [rdx], rdi; pushfq; pop rax; ret
    "bswap": "4889f8660fc84889029c58c3",  # mov rax, rdi; .byte 0x66, 0x0f, 0xc8; mov [rdx], rax; pushfq; pop rax; ret
    "cmpxchg": "4889f048893af0480fb1329c58c3",  # mov rax, rsi; mov [rdx], rdi; lock cmpxchg [rdx], rsi; pushfq; pop rax; ret
    "xadd": "48893af0480fc1329c58c3",  # mov [rdx], rdi; lock xadd [rdx], rsi; pushfq; pop rax; ret
    "adc": "4889f84839f74010f04819f04889029c58c3",  # mov rax, rdi; cmp rdi, rsi; adc al, sil; sbb rax, rsi; mov [rdx], rax; pushfq; pop rax; ret
    "ptest": "66480f6ec766480f6ece4839f7660f3817c19c58488902c3",  # movq xmm0, rdi; movq xmm1, rsi; cmp rdi, rsi; ptest xmm0, xmm1; pushfq; pop rax; mov [rdx], rax; ret
    "pcmpistri": "4989d066480f6ec766480f6ece660f3a63c10c4989089c58c3",  # mov r8, rdx; movq xmm0, rdi; movq xmm1, rsi; pcmpistri xmm0, xmm1, 0x0c; mov [r8], rcx; pushfq; pop rax; ret
}
page = mmap.mmap(-1, 4096, prot=7)
call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
generator = random.Random(7)
values = [(generator.getrandbits(64), generator.getrandbits(64)) for _ in range(200)] + [(0, 0), (0, 1), (1 << 63, 2), (5, 0)]
for name, code in CODE.items():
    page.seek(0)
    page.write(bytes.fromhex(code))
    state = hashlib.sha256()
    for left, right in values:
        result = ctypes.c_uint64()
        flags = call(left, right, ctypes.byref(result))
        state.update(b"%d %d " % (flags, result.value))
    print(name, state.hexdigest(), hex(flags), hex(result.value))
