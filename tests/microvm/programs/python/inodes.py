# Numbers, times and order of files.
import os, random

random.seed(5)
for n in range(150):
    name = f"/tmp/{random.randrange(10**6)}"
    open(name, "w").write("x" * (n % 17))
    if n % 4 == 0: os.unlink(name)
    if n % 9 == 0: os.mkdir(name + "d")
    if n % 11 == 0: os.symlink(name, name + "l")
print(os.listdir("/tmp"))
for entry in os.scandir("/tmp"): print(entry.name, entry.inode(), entry.stat(follow_symlinks=False))
for path in ("/", "/work", "/usr/bin/python3.11", "/proc", "/proc/self", "/proc/self/fd", "/sys", "/dev/null"):
    print(path, os.stat(path), os.statvfs(path))
