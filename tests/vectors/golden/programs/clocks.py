import datetime, resource, time

print(time.time_ns(), time.monotonic_ns(), time.perf_counter_ns(), time.process_time_ns(), time.thread_time_ns())
for clock in (time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC_RAW, time.CLOCK_TAI):
    print(clock, time.clock_gettime_ns(clock), time.clock_getres(clock))
time.sleep(0.0123)
print(datetime.datetime.now().isoformat(), time.get_clock_info("monotonic"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime, open("/proc/uptime").read(), open("/proc/stat").readline())
