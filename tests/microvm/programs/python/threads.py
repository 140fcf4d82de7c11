# Threads that race without a lock: who gets the processor when.
import queue, sys, threading, time

sys.setswitchinterval(1e-5)
order, total = [], 0
def race(name):
    global total
    for n in range(300):
        value = total
        if n % 13 == name: time.sleep(0)
        total = value + 1
        order.append(name)
threads = [threading.Thread(target=race, args=(n,)) for n in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(total, "".join(map(str, order)))
tasks, done = queue.Queue(), queue.Queue()
def work():
    while (item := tasks.get()) is not None: done.put((item, threading.get_native_id(), time.monotonic_ns()))
workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers: worker.start()
for n in range(40): tasks.put(n)
for _ in workers: tasks.put(None)
for worker in workers: worker.join()
print([done.get() for _ in range(40)])
