# Programs started beside each other: their numbers, times and order of output.
import multiprocessing, os, subprocess, time

processes = [subprocess.Popen(["bash", "-c", f"sleep 0.00{n}; echo {n} $$ $PPID $RANDOM $EPOCHREALTIME"], stdout=subprocess.PIPE) for n in (3, 1, 2)]
print([process.communicate()[0] for process in processes], [process.pid for process in processes])
def work(n):
    total = sum(k * k for k in range(n * 500))
    return n, total, os.getpid(), time.monotonic_ns()
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        for row in pool.imap_unordered(work, range(12)): print(row)
print(subprocess.run("ps; ls -lai /proc/self/fd; cat /proc/self/stat; times", shell=True, capture_output=True))
