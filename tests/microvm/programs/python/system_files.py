# /sys and /dev: every name, and every file that can be read.
import hashlib, os

names, state, count = [], hashlib.sha256(), 0
for top in ("/sys", "/dev"):
    for folder, folders, files in os.walk(top):
        names.append((folder, folders[:], files[:]))
        folders.sort()
        for name in sorted(files):
            path = f"{folder}/{name}"
            about = os.lstat(path)
            state.update(f"{path} {about.st_mode} {about.st_size} {about.st_mtime_ns} {about.st_ino}\n".encode())
            if top == "/sys" and os.path.isfile(path) and about.st_mode & 0o004 and not os.path.islink(path):
                try:
                    with open(path, "rb", 0) as file: state.update(file.read(65536))
                    count += 1
                except OSError as error: state.update(str(error.errno).encode())
        if len(names) % 200 == 0: print(len(names), count, state.hexdigest()[:16])
print(hashlib.sha256(repr(names).encode()).hexdigest(), count, state.hexdigest())
for path in ("/sys/kernel/mm/transparent_hugepage/enabled", "/sys/devices/system/clocksource/clocksource0/current_clocksource"):
    try: print(open(path).read())
    except OSError as error: print(error.strerror)
