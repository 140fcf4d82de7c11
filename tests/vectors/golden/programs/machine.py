import os, platform

for name in ("cpuinfo", "meminfo", "interrupts", "version", "cmdline", "loadavg", "vmstat", "self/stat", "self/status", "buddyinfo"):
    try: print(name, open("/proc/" + name).read())
    except OSError as error: print(name, error)
print(os.uname(), platform.platform(), os.sysconf("SC_NPROCESSORS_ONLN"), os.statvfs("/work"), sorted(os.environ.items()))
for folder, folders, files in os.walk("/sys/devices/system"):
    print(folder, sorted(folders), sorted(files))
