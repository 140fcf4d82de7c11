# Instructions that the processor has not, or that are not for programs: how each of them ends.
import ctypes, mmap, os, time

CODE = {
    "rdrand": "480fc7f0c3",  # rdrand rax; ret
    "rdseed": "480fc7f8c3",  # rdseed rax; ret
    "avx": "c5f558c2c3",  # vaddpd ymm0, ymm1, ymm2; ret
    "avx2": "c5f5fec2c3",  # vpaddd ymm0, ymm1, ymm2; ret
    "fma": "c4e2f1a9c2c3",  # vfmadd213sd xmm0, xmm1, xmm2; ret
    "avx512": "62f1f54858c2c3",  # vaddpd zmm0, zmm1, zmm2; ret
    "xgetbv": "31c90f01d0c3",  # xor ecx, ecx; xgetbv; ret
    "xsave": "0faea42400f8ffffc3",  # xsave [rsp-2048]; ret
    "tzcnt": "b808000000f30fbcc0c3",  # mov eax, 8; tzcnt eax, eax; ret
    "lzcnt": "b808000000f30fbdc0c3",  # mov eax, 8; lzcnt eax, eax; ret
    "andn": "c4e270f2c2c3",  # andn eax, ecx, edx; ret
    "pdep": "c4e273f5c2c3",  # pdep eax, ecx, edx; ret
    "movbe": "0f38f00424c3",  # movbe eax, [rsp]; ret
    "sha": "0f38cbc1c3",  # sha256rnds2 xmm0, xmm1, xmm0; ret
    "aes": "660fefc0660fefc9660f38dcc1660f7ec0c3",  # pxor xmm0, xmm0; pxor xmm1, xmm1; aesenc xmm0, xmm1; movd eax, xmm0; ret
    "carryless": "660f76c0660f3a44c000660f7ec0c3",  # pcmpeqd xmm0, xmm0; pclmulqdq xmm0, xmm0, 0; movd eax, xmm0; ret
    "rdpid": "f30fc7f8c3",  # rdpid rax; ret
    "rdfsbase": "f3480faec0c3",  # rdfsbase rax; ret
    "rdtscp": "0f01f94889c8c3",  # rdtscp; mov rax, rcx; ret
    "rdpmc": "31c90f33c3",  # xor ecx, ecx; rdpmc; ret
    "rdmsr": "b9100000000f32c3",  # mov ecx, 0x10; rdmsr; ret
    "crc": "b801000000f20f38f1c0c3",  # mov eax, 1; crc32 eax, eax; ret
    "popcnt": "b87f000000f30fb8c0c3",  # mov eax, 0x7f; popcnt eax, eax; ret
    "prefetchw": "0f0d0c24c3",  # prefetchw [rsp]; ret
    "clflush": "0fae3c24b801000000c3",  # clflush [rsp]; mov eax, 1; ret
    "clwb": "660fae3424c3",  # clwb [rsp]; ret
    "monitor": "0f01c8c3",  # monitor; ret
    "umonitor": "f30faef0c3",  # umonitor rax; ret
    "serialize": "0f01e8c3",  # serialize; ret
    "xbegin": "c7f800000000c3",  # xbegin 1f; 1: ret
    "xtest": "0f01d6c3",  # xtest; ret
    "enclave": "0f01d7c3",  # enclu; ret
    "vmcall": "0f01c1c3",  # vmcall; ret
    "vmmcall": "0f01d9c3",  # vmmcall; ret
    "endbr": "f30f1efab802000000c3",  # endbr64; mov eax, 2; ret
    "hlt": "f4c3",  # hlt; ret
    "cli": "fac3",  # cli; ret
    "in": "66ba0505ecc3",  # mov dx, 0x505; in al, dx; ret
    "out": "66ba0505b001eec3",  # mov dx, 0x505; mov al, 1; out dx, al; ret
    "outs": "66ba05054889e6b901000000f36ec3",  # mov dx, 0x505; mov rsi, rsp; mov ecx, 1; rep outsb; ret
    "cr": "0f20c0c3",  # mov rax, cr0; ret
    "dr": "0f21f8c3",  # mov rax, dr7; ret
    "smsw": "480f01e0c3",  # smsw rax; ret
    "sgdt": "0f014424f0488b4424f2c3",  # sgdt [rsp-16]; mov rax, [rsp-14]; ret
    "sidt": "0f014c24f0488b4424f2c3",  # sidt [rsp-16]; mov rax, [rsp-14]; ret
    "sldt": "0f00c0c3",  # sldt rax; ret
    "str": "0f00c8c3",  # str rax; ret
    "lsl": "b97b000000480f03c1c3",  # mov ecx, 0x7b; lsl rax, rcx; ret
    "lar": "b933000000480f02c1c3",  # mov ecx, 0x33; lar rax, rcx; ret
    "invd": "0f08c3",  # invd; ret
    "swapgs": "0f01f8c3",  # swapgs; ret
    "sysret": "480f07c3",  # sysretq; ret
    "undefined": "0f0bc3",  # ud2; ret
    "breakpoint": "ccc3",  # int3; ret
    "debug": "f1c3",  # .byte 0xf1; ret
    "interrupt": "cd81c3",  # int 0x81; ret
    "old_system_call": "b814000000cd80c3",  # mov eax, 20; int 0x80; ret
    "old_entry": "b8140000000f34c3",  # mov eax, 20; sysenter; ret
    "far": "ff1c24c3",  # lcall [rsp]; ret
    "trap_flag": "9c810c24000100009d9090c3",  # pushfq; or dword ptr [rsp], 0x100; popfq; nop; nop; ret
    "alignment": "9c810c24000004009d488b442401c3",  # pushfq; or dword ptr [rsp], 0x40000; popfq; mov rax, [rsp+1]; ret
    "divide": "31c9b801000000f7f1c3",  # xor ecx, ecx; mov eax, 1; div ecx; ret
    "noncanonical": "48b80000000000000080488b00c3",  # mov rax, 0x8000000000000000; mov rax, [rax]; ret
    "long_prefixes": "66666666666666666666666666666690c3",  # .byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90; ret
    "wrong_lock": "f090c3",  # .byte 0xf0, 0x90; ret
    "three_d_now": "0f0fc19ec3",  # .byte 0x0f, 0x0f, 0xc1, 0x9e; ret
    "load_all": "0f05c3",  # .byte 0x0f, 0x05; ret
    "segments": "66b82b008ee064488b042500000000c3",  # mov ax, 0x2b; mov fs, ax; mov rax, fs:[0]; ret
}
page = mmap.mmap(-1, 4096, prot=7)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
for name, code in CODE.items():
    page.seek(0)
    page.write(bytes.fromhex(code))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"%d" % ctypes.CFUNCTYPE(ctypes.c_uint64)(address)())
        os._exit(0)
    os.close(write)
    status = os.waitpid(child, 0)[1]
    print(name, os.waitstatus_to_exitcode(status), os.read(read, 100), time.monotonic_ns())
    os.close(read)
