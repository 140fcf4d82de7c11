# Bits of floating-point results: NaNs, denormals, transcendental functions, text.
import cmath, ctypes, hashlib, math, random, struct

def bits(value): return struct.pack("<d", value).hex()
def real(text): return struct.unpack("<d", bytes.fromhex(text))[0]
generator, state = random.Random(2), hashlib.sha256()
functions = [name for name in dir(math) if not name.startswith("_") and callable(getattr(math, name))]
for name in functions:
    for _ in range(60):
        value = math.ldexp(generator.uniform(-1, 1), generator.randrange(-70, 70))
        try: result = getattr(math, name)(value)
        except (ValueError, OverflowError, TypeError) as error: result = type(error).__name__
        state.update(f"{name} {bits(result) if isinstance(result, float) else result}".encode())
    print(name, state.hexdigest()[:12])
quiet, signalling = real("010000000000f87f"), real("010000000000f07f")
for left in (quiet, signalling, math.inf, -0.0, 5e-324):
    for right in (signalling, quiet, -math.inf, 0.0, 1.5):
        print(bits(left + right), bits(left * right), bits(left - right), bits(min(left, right)), bits(-left))
for name in ("sin", "exp", "log", "sqrt", "atan", "acosh"):
    print(name, [repr(getattr(cmath, name)(complex(n / 7, -n / 3))) for n in range(1, 5)])
print(repr(0.1 + 0.2), f"{1e22:.0f}", float("1e-320"), float.fromhex("0x1.fffffffffffffp1023"), 5e-324 / 3)
libm = ctypes.CDLL("libm.so.6")
libm.sinl.restype = libm.powl.restype = ctypes.c_longdouble
print(libm.sinl(ctypes.c_longdouble(1.25)), libm.powl(ctypes.c_longdouble(1.1), ctypes.c_longdouble(77)))
