# Many writers on one pipe, read in pieces of any size.
import fcntl, os

ends = os.pipe()
fcntl.fcntl(ends[1], 1031, 4096)
children = []
for name in range(5):
    child = os.fork()
    if child == 0:
        os.close(ends[0])
        for n in range(30):
            os.write(ends[1], bytes([65 + name]) * (1 + (n * 97 + name * 31) % 1500))
        os._exit(0)
    children.append(child)
os.close(ends[1])
sizes, runs, last = [], [], b""
while piece := os.read(ends[0], 3000):
    sizes.append(len(piece))
    for byte in piece:
        if byte != last:
            runs.append(chr(byte))
            last = byte
print(sizes, "".join(runs), [os.waitpid(-1, 0) for _ in children])
