# Every source of randomness there is.
import ctypes, os, random, secrets, uuid

libc = ctypes.CDLL(None)
print(os.urandom(32).hex(), os.getrandom(32).hex(), os.getrandom(32, os.GRND_RANDOM).hex())
for name in ("/dev/random", "/dev/urandom", "/dev/hwrng"):
    try: print(name, open(name, "rb", 0).read(16).hex())
    except OSError as error: print(name, error.strerror)
for name in ("uuid", "boot_id", "entropy_avail", "poolsize"): print(open("/proc/sys/kernel/random/" + name).read())
print(random.random(), random.SystemRandom().random(), secrets.token_hex(16), uuid.uuid4(), uuid.uuid1())
libc.srandom(1)
print([libc.rand() for _ in range(4)])
libc.getauxval.restype = ctypes.c_void_p
print(ctypes.string_at(libc.getauxval(25), 16).hex())
if os.fork() == 0:
    print(os.urandom(8).hex(), random.random(), flush=True)
    os._exit(0)
os.wait()
print(os.urandom(8).hex(), hash("text"), hash(b"bytes"), hash(1.5))
