# Faults in the middle of work: where they are noticed, and what they leave.
import ctypes, faulthandler, mmap, os, signal, sys, time, traceback

def deep(n): return deep(n + 1) + 1
try: deep(0)
except RecursionError as error: print(error, len(traceback.extract_tb(error.__traceback__)))
for name, act in {
    "null": lambda: ctypes.string_at(0), "wild": lambda: ctypes.memset(0x7FFF00000000, 1, 9), "abort": os.abort,
    "read only": lambda: ctypes.memset(ctypes.addressof(ctypes.c_char.in_dll(ctypes.CDLL(None), "printf")), 0, 1),
    "behind the end": lambda: (lambda file: mmap.mmap(file.fileno(), 4096)[5000:])(open("/tmp/short", "w+b")) ,
    "sent": lambda: os.kill(os.getpid(), signal.SIGSEGV),
}.items():
    child = os.fork()
    if child == 0:
        faulthandler.enable(sys.stdout)
        try: act()
        except BaseException as error: print(name, type(error).__name__, error, flush=True)
        os._exit(1)
    ended = os.wait4(child, 0)
    print(name, ended[1], ended[2].ru_minflt, ended[2].ru_stime, time.monotonic_ns(), flush=True)
