# The old floating-point unit, but for its sine: every rounding mode and precision.
import ctypes, hashlib, mmap, random, struct

# void f(double values[2], uint16_t *control, uint8_t *result): result gets 10 bytes and the status word
CODE = {
    "add": "dbe3d92edd07dc4708db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fadd qword ptr [rdi+8]; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "subtract": "dbe3d92edd07dc6708db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fsub qword ptr [rdi+8]; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "multiply": "dbe3d92edd07dc4f08db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fmul qword ptr [rdi+8]; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "divide": "dbe3d92edd07dc7708db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fdiv qword ptr [rdi+8]; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "root": "dbe3d92edd07d9fadb3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fsqrt; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "power": "dbe3d92edd07d9f0db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; f2xm1; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "logarithm": "dbe3d92edd4708dd07d9f1db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi+8]; fld qword ptr [rdi]; fyl2x; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "logarithm1": "dbe3d92edd4708dd07d9f9db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi+8]; fld qword ptr [rdi]; fyl2xp1; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "arctangent": "dbe3d92edd07dd4708d9f3db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fld qword ptr [rdi+8]; fpatan; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "remainder": "dbe3d92edd4708dd07d9f8db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi+8]; fld qword ptr [rdi]; fprem; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "remainder1": "dbe3d92edd4708dd07d9f5db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi+8]; fld qword ptr [rdi]; fprem1; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "scale": "dbe3d92edd4708dd07d9fddb3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi+8]; fld qword ptr [rdi]; fscale; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "extract": "dbe3d92edd07d9f4dec1db3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fxtract; faddp; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "round": "dbe3d92edd07d9fcdb3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; frndint; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "decimal": "dbe3d92edd07df32dd7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fbstp [rdx]; fnstsw [rdx+10]; ret
    "integer": "dbe3d92edd07df3add7a0ac3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fistp qword ptr [rdx]; fnstsw [rdx+10]; ret
    "constants": "dbe3d92ed9ebd9e9dec1d9eadec1d9ecdec1d9eddec1db3add7a0ac3",  # fninit; fldcw [rsi]; fldpi; fldl2t; faddp; fldl2e; faddp; fldlg2; faddp; fldln2; faddp; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; ret
    "overflow": "dbe3d92ed9e8d9e8d9e8d9e8d9e8d9e8d9e8d9e8d9e8db3add7a0adbe3c3",  # fninit; fldcw [rsi]; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fstp tbyte ptr [rdx]; fnstsw [rdx+10]; fninit; ret
    "environment": "dbe3d92edd07d8c8d932dbe3c3",  # fninit; fldcw [rsi]; fld qword ptr [rdi]; fmul st(0), st(0); fnstenv [rdx]; fninit; ret
}
page = mmap.mmap(-1, 4096, prot=7)
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
special = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 5e-324, 1e308, struct.unpack("<d", bytes.fromhex("010000000000f07f"))[0]]
generator = random.Random(3)
values = [(a, b) for a in special for b in special] + [(generator.uniform(-4, 4), generator.uniform(-1, 1)) for _ in range(60)]
for name, code in CODE.items():
    page.seek(0)
    page.write(bytes.fromhex(code))
    for mode in (0x37F, 0x77F, 0xB7F, 0xF7F, 0x27F, 0x07F):
        state = hashlib.sha256()
        for pair in values:
            result = (ctypes.c_uint8 * 32)()
            call((ctypes.c_double * 2)(*pair), ctypes.byref(ctypes.c_uint16(mode)), result)
            state.update(bytes(result)[:28 if name == "environment" else 12])
        print(name, hex(mode), state.hexdigest()[:24], bytes(result)[:12].hex())
