# Marks in page tables: clearing them behind the processor's back would show what it remembers.
import mmap
area = mmap.mmap(-1, 512 * 4096)
for offset in range(0, len(area), 4096): area[offset] = 1

def referenced():
    with open("/proc/self/smaps") as file: return sum(int(line.split()[1]) for line in file if line.startswith("Referenced"))
print(referenced() > 0)
for value in "1234":
    try:
        with open("/proc/self/clear_refs", "w") as file: file.write(value)
        print(value, "cleared")
    except OSError as error: print(value, error.strerror)
    for offset in range(0, len(area), 3 * 4096): area[offset] = 2
    print(referenced())
for name in ("comm", "oom_score_adj", "timerslack_ns", "coredump_filter"):
    try:
        with open(f"/proc/self/{name}", "w") as file: file.write("1")
        print(name, "written")
    except OSError as error: print(name, error.strerror)
with open("/dev/stdout", "w") as out: print("still open", file=out)
