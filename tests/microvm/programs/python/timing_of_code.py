# Whether code that runs for the first time, again, or after a detour takes another time.
import ctypes, hashlib, json, re, time

log = []
def timed(name, act, *arguments):
    started = time.perf_counter_ns()
    act(*arguments)
    log.append((name, time.perf_counter_ns() - started))
for turn in range(4):
    timed("empty", lambda: None)
    timed("sum", sum, range(10_000))
    timed("hash", hashlib.sha256, bytes(100_000))
    timed("pattern", re.findall, r"(a+)+b|\w{3,}\s", "aaab some words " * 200)
    timed("text", json.dumps, {str(n): [n] * 9 for n in range(300)})
    timed("sort", sorted, [(n * 7919) % 10007 for n in range(5000)])
    timed("files", lambda: [open("/tmp/file", "w").write(str(n)) for n in range(20)])
    timed("library", ctypes.CDLL, "libm.so.6")
    timed("exception", lambda: [n % 7 or int("7") for n in range(1000)])
    timed("sleep", time.sleep, 0.001)
print(log)
