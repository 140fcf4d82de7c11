# Processes that race for one file: who writes when.
import os, time

log = os.open("/tmp/log", os.O_CREAT | os.O_RDWR | os.O_APPEND)
children = []
for name in range(8):
    child = os.fork()
    if child == 0:
        for n in range(20):
            os.write(log, b"%d:%d:%d " % (name, n, time.monotonic_ns()))
            for _ in range((name * 37 + n * 11) % 900): pass
            if n % 5 == name % 5: os.sched_yield()
        os._exit(name)
    children.append(child)
print(children, [os.waitpid(-1, 0) for _ in children])
print(open("/tmp/log").read())
for depth in range(6):
    if os.fork(): break
print(depth, os.getpid(), os.getppid(), time.time_ns(), flush=True)
try: print(os.wait(), flush=True)
except ChildProcessError: pass
