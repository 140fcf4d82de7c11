# Local sockets: datagrams, streams, passed descriptors, credentials, the network that is not there.
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
server = socket.socket()
try:
    server.bind(("127.0.0.1", 0))
    print(server.getsockname())
except OSError as error: print(error)
print(socket.gethostname(), socket.if_nameindex(), open("/proc/net/unix").read(), time.monotonic_ns())
