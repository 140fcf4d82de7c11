# Local sockets: datagrams, streams, passed descriptors, credentials, loopback, the network that is not there.
import array, os, socket, struct, threading, time

left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
def send(name):
    for n in range(20):
        left.send(b"%d.%d" % (name, n))
        if n % 4 == name % 4: time.sleep(0.0001)
threads = [threading.Thread(target=send, args=(n,)) for n in range(5)]
for thread in threads: thread.start()
print([right.recv(100).decode() for _ in range(100)])
for thread in threads: thread.join()
left, right = socket.socketpair()
socket.send_fds(left, [b"x"], list(os.pipe()))
print(socket.recv_fds(right, 10, 5), left.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("")
print(abstract.getsockname(), left.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):
    try:
        with socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_STREAM) as made: print(family, made.fileno())
    except OSError as error: print(family, error.strerror)
for target in (("127.0.0.1", 80), ("192.0.2.1", 80)):
    try: socket.create_connection(target, 0.5)
    except OSError as error: print(target, error)
server = socket.create_server(("127.0.0.1", 0), backlog=2)
def serve():
    for _ in range(4):
        peer, address = server.accept()
        with peer:
            while data := peer.recv(3000): peer.sendall(data.swapcase())
        log.append((address, time.monotonic_ns()))
def ask(name):
    with socket.create_connection(server.getsockname()) as client:
        sent = bytes(65 + (n + name) % 50 for n in range(40_000))
        threading.Thread(target=client.sendall, args=(sent,)).start()
        answer = b""
        while len(answer) < len(sent): answer += client.recv(1 << 16)
        log.append((name, answer == sent.swapcase(), client.getsockname(), client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 92)))
log = []
threads = [threading.Thread(target=serve), *(threading.Thread(target=ask, args=(n,)) for n in range(4))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*log, sep="\n")
one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
one.bind(("localhost", 0))
for n in range(5): other.sendto(b"%d" % n, one.getsockname())
print([one.recvfrom(10) for _ in range(5)])
print(socket.gethostname(), socket.if_nameindex(), open("/proc/net/unix").read(), time.monotonic_ns())
