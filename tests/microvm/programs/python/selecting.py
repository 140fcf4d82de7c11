# select, poll and epoll on descriptors that become ready from elsewhere.
import os, select, threading, time

pairs = [os.pipe() for _ in range(12)]
def feed(name):
    for n in range(10):
        time.sleep(((name * 7 + n * 3) % 11) / 10000)
        os.write(pairs[name][1], b"x" * (1 + n % 3))
threads = [threading.Thread(target=feed, args=(n,)) for n in range(12)]
for thread in threads: thread.start()
readers = {pair[0]: n for n, pair in enumerate(pairs)}
epoll, poll = select.epoll(), select.poll()
for descriptor in readers:
    epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)
    poll.register(descriptor, select.POLLIN)
got, log = 0, []
turn = 0
while got < sum(1 + n % 3 for n in range(10)) * 12:
    turn += 1
    if turn % 3 == 0: ready = [descriptor for descriptor, _ in epoll.poll(0.001)]
    elif turn % 3 == 1: ready = [descriptor for descriptor, _ in poll.poll(1)]
    else: ready = select.select(list(readers), [], [], 0.001)[0]
    for descriptor in ready:
        os.set_blocking(descriptor, False)
        try: data = os.read(descriptor, 2)
        except BlockingIOError: continue
        got += len(data)
        log.append((turn % 3, readers[descriptor], len(data), time.monotonic_ns() // 1000))
for thread in threads: thread.join()
print(turn, log)
