# Sine, cosine and tangent of the old floating-point unit: the emulator asks the host's libm for them.
import ctypes, hashlib, mmap, random

CODE = {
    "sine": "dbe3dd07d9fedb3ec3",  # fninit; fld qword ptr [rdi]; fsin; fstp tbyte ptr [rsi]; ret
    "cosine": "dbe3dd07d9ffdb3ec3",  # fninit; fld qword ptr [rdi]; fcos; fstp tbyte ptr [rsi]; ret
    "both": "dbe3dd07d9fbdec1db3ec3",  # fninit; fld qword ptr [rdi]; fsincos; faddp; fstp tbyte ptr [rsi]; ret
    "tangent": "dbe3dd07d9f2dec1db3ec3",  # fninit; fld qword ptr [rdi]; fptan; faddp; fstp tbyte ptr [rsi]; ret
}
page = mmap.mmap(-1, 4096, prot=7)
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
generator = random.Random(4)
values = [generator.uniform(-1000, 1000) for _ in range(2000)] + [1e18, 2.0**62, 5e-324, float("inf"), float("nan")]
for name, code in CODE.items():
    page.seek(0)
    page.write(bytes.fromhex(code))
    state = hashlib.sha256()
    for value in values:
        result = (ctypes.c_uint8 * 16)()
        call(ctypes.byref(ctypes.c_double(value)), result)
        state.update(bytes(result))
    print(name, state.hexdigest())
