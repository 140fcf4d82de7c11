import ctypes, math, struct

values = [0.1 * n - 3 for n in range(60)] + [1e300, -1e-300, 5e-324, math.inf, -math.inf, math.nan]
for name in ("sin", "cos", "tan", "exp", "log1p", "atan", "sinh", "erf", "gamma", "cbrt", "expm1"):
    out = []
    for value in values:
        try: out.append(struct.pack("<d", getattr(math, name)(value)).hex())
        except (ValueError, OverflowError) as error: out.append(type(error).__name__)
    print(name, *out)
nan = struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0]
print(struct.pack("<d", nan + 1).hex(), struct.pack("<d", math.inf - math.inf).hex(), struct.pack("<d", -nan).hex())
libm = ctypes.CDLL("libm.so.6")
for mode in (0, 0x400, 0x800, 0xC00):
    libm.fesetround(mode)
    print(struct.pack("<d", 1 / 3).hex(), struct.pack("<d", 2.0**0.5).hex(), round(2.5), repr(0.1 + 0.2))
