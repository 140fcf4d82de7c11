# Names that are made up: of files, sockets, processes and threads.
import os, tempfile, threading, multiprocessing, uuid

print(tempfile.mkdtemp(), tempfile.mktemp(), [tempfile.NamedTemporaryFile().name for _ in range(5)])
with tempfile.TemporaryFile() as file: print(os.readlink(f"/proc/self/fd/{file.fileno()}"), os.fstat(file.fileno()))
print(os.readlink(f"/proc/self/fd/{os.memfd_create('name')}"), [os.readlink(f"/proc/self/fd/{fd}") for fd in os.pipe()])
print(uuid.uuid4().hex, threading.Thread().name, multiprocessing.Process().name, multiprocessing.current_process().authkey.hex())
print(tempfile.gettempdir(), tempfile.SpooledTemporaryFile(), os.ctermid())
child = os.fork()
if child == 0:
    print(next(tempfile._get_candidate_names()), tempfile.mkstemp(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(child, next(tempfile._get_candidate_names()), os.listdir("/tmp"))
