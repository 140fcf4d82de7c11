# /proc: whatever can be read is printed, by its hash where it is long.
import hashlib, os

def show(path):
    try:
        with open(path, "rb") as file: data = file.read(1 << 20)
    except OSError as error:
        print(path, error.strerror)
        return
    print(path, len(data), hashlib.sha256(data).hexdigest()[:16], data[:60])
for name in sorted(os.listdir("/proc")):
    path = "/proc/" + name
    if os.path.isfile(path) and name not in ("kmsg", "kcore", "kpagecount", "kpageflags", "kpagecgroup"): show(path)
for name in sorted(os.listdir("/proc/self")):
    path = "/proc/self/" + name
    if os.path.isfile(path) and name not in ("mem", "pagemap", "clear_refs"): show(path)
for folder, folders, names in os.walk("/proc/sys"):
    folders.sort()
    for name in sorted(names): show(f"{folder}/{name}")
