# Timers that interrupt work: how far the work had come shows when each fired.
import select, signal, threading, time

count, fired = 0, []
def note(number, frame): fired.append((number, count, time.monotonic_ns()))
for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF): signal.signal(number, note)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.0017)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.002, 0.0031)
signal.setitimer(signal.ITIMER_PROF, 0.004, 0.0047)
while len(fired) < 24: count += 1
for kind in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF): print(signal.setitimer(kind, 0))
print(*fired)
late = []
for delay in (5, 1, 3, 2, 4):
    threading.Timer(delay / 1000, lambda delay=delay: late.append((delay, time.monotonic_ns()))).start()
while len(late) < 5: select.select([], [], [], 0.0007)
print(late)
