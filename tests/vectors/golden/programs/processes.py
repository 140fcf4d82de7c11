import multiprocessing, os, select, signal, subprocess, time

print(subprocess.run("echo $$; ls -la /work; date; ps 2>&1 | head -3", shell=True, capture_output=True, text=True))
with multiprocessing.Pool(4) as pool:
    print(pool.map(abs, range(-20, 0)), os.getpid())
ends = [os.pipe() for _ in range(5)]
for n, (_, write) in enumerate(ends):
    if os.fork() == 0:
        time.sleep(0.001 * (n * 7 % 5))
        os.write(write, str(n).encode())
        os._exit(n)
seen = []
while len(seen) < 5:
    for ready in select.select([read for read, _ in ends if read not in seen], [], [])[0]:
        seen.append(ready)
        print(os.read(ready, 9), time.monotonic_ns())
print(sorted(os.waitpid(-1, 0)[1] for _ in range(5)))
hits = []
signal.signal(signal.SIGALRM, lambda *_: hits.append(time.monotonic_ns()))
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
while len(hits) < 5: pass
print(hits)
