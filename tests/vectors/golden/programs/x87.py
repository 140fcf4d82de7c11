import ctypes, hashlib, mmap, random, struct
# double f(double *in, double *out): out[0..3] = sin, cos, (sin, cos), tan of *in, by the x87 unit
CODE = bytes.fromhex(
    "dd07d9fedd1e"        # fldl (rdi); fsin;    fstpl (rsi)
    "dd07d9ffdd5e08"      # fldl (rdi); fcos;    fstpl 8(rsi)
    "dd07d9fbdd5e10dd5e18"  # fldl (rdi); fsincos; fstpl 16(rsi); fstpl 24(rsi)
    "dd07d9f2ddd8dd5e20"  # fldl (rdi); fptan;   pop the 1; fstpl 32(rsi)
    "c3")
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(CODE)
kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
call = kind(ctypes.addressof(ctypes.c_char.from_buffer(page)))
given, got = ctypes.c_double(), (ctypes.c_double * 5)()
state = hashlib.sha256()
generator = random.Random(1)
for _ in range(4000):
    given.value = generator.uniform(-1000, 1000)
    call(ctypes.addressof(given), ctypes.addressof(got))
    state.update(bytes(got))
print(state.hexdigest(), got[0], got[4])
