# Every clock, its resolution, and what the process is said to have used.
import os, resource, time

for name in sorted(name for name in dir(time) if name.startswith("CLOCK_")):
    number = getattr(time, name)
    try: print(name, time.clock_gettime_ns(number), time.clock_getres(number))
    except OSError as error: print(name, error.strerror)
for _ in range(5):
    print(time.time_ns(), time.monotonic_ns(), time.perf_counter_ns(), time.process_time_ns(), time.thread_time_ns())
    time.sleep(0.0123)
print(time.ctime(), time.localtime(), time.tzname, os.times())
print(resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
started = time.perf_counter_ns()
steps = 0
while time.perf_counter_ns() - started < 3_000_000: steps += 1
print(steps)
