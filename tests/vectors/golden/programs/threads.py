import queue, threading, time

order, lock, line = [], threading.Lock(), queue.Queue()

def work(name):
    for n in range(200):
        with lock:
            order.append(name)
        if n % 13 == 0:
            time.sleep(0)
        sum(range(n))

threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("".join(map(str, order)), threading.get_native_id())
total = 0
def add():
    global total
    for _ in range(30000): total += 1
threads = [threading.Thread(target=add) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(total)
