"""The waiting Python interpreter: it has imported the common library, and answers in milliseconds.

It runs as the job's user. Descriptor 3 brings a job's arguments, environment and code, which runs as
`python3 main.py` would run it; descriptor 4 takes the exit code, and the agent stops the machine.
Where the machine is kept, the next job's code goes on in the same `__main__`.

In a fresh machine every instruction is slow the first time and fast from then on. So what a plain
job does not need is not done for it, and what can be done before the snapshot is.
"""

import atexit
import gc
import importlib
import linecache
import logging
import multiprocessing.util
import os
import random
import struct
import sys
import tempfile
import threading
import types

LIBRARY = """
argparse array ast asyncio base64 bisect calendar cmath cmd code codeop collections.abc colorsys
concurrent.futures.process concurrent.futures.thread configparser contextlib copy csv ctypes.util
curses.ascii curses.panel curses.textpad dataclasses datetime decimal difflib encodings.ascii
encodings.cp1252 encodings.latin_1 encodings.utf_16 encodings.utf_8_sig enum faulthandler filecmp fileinput
fractions functools getopt getpass glob graphlib grp gzip hashlib heapq hmac html.parser http.server
importlib.resources inspect io itertools json logging.handlers lzma math mimetypes mmap multiprocessing.pool
multiprocessing.popen_fork multiprocessing.shared_memory numbers numpy operator pathlib pickle platform pprint pty
pwd queue random re resource runpy sched secrets select shelve shlex shutil signal socket socketserver
sqlite3 statistics string struct subprocess syslog tarfile tempfile textwrap threading time timeit tomllib
traceback tty typing unicodedata unittest.mock urllib.parse urllib.request uuid warnings wave weakref
xml.etree.ElementTree zipfile zlib zoneinfo
""".split()
"""What programs commonly import; ready in the snapshot, so that no job spends its time on it."""

REQUEST = 3
ANSWER = 4
KEEP, DRAW, STDIN, ON_TERMINAL = 1, 2, 4, 8
"""Flags of a job: see mailbox.h."""
HEADER = struct.Struct("<III")
NOTHING_GIVEN = b"0\0"
"""The context of a job without arguments or variables."""
LEAVES, STAYS = ([word + bytes((code,)) for code in range(256)] for word in (b"X", b"E"))
"""The answers, by exit code."""
ENTRY = "/work/main.py"
INPUT = "/run/inputs/python"
TERMINAL = "/dev/pts/0"
OWN_PID = os.getpid()
USUAL_CALLBACKS = atexit._ncallbacks()
"""What importing registers."""

WARM_UP = """
import json, re, sys
class Warm:
    def __init__(self, value): self.value = value
    def __repr__(self): return f"<{self.value!r:>4}>"
def work(n): return sum(i * i for i in range(n)) + len({str(i): i for i in range(n)})
print("warm", Warm(work(9)), json.loads(json.dumps({"a": [1, 2.5, None]})), re.sub("a+", "b", "caat"))
print("warm", file=sys.stderr)
try: raise ValueError("warm")
except ValueError as error: print(error)
for line in sorted({"b": 1, "a": 2}.items()): print("%s=%d" % line)
"""


def new_program():
    """An empty `__main__`; kept machines go on with theirs."""
    module = types.ModuleType("__main__")
    module.__file__ = ENTRY
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    return module


def execute(source, module):
    """Run a program as `__main__`; returns its exit code."""
    sys.modules["__main__"] = module
    code = 0
    try:
        exec(compile(source, ENTRY, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as stop:
        code = exit_code(stop.code)
    except BaseException as error:
        shown = error.with_traceback(error.__traceback__.tb_next)  # without this function's frame
        sys.excepthook(type(shown), shown, shown.__traceback__)
        code = 1
    return code


def exit_code(value):
    """What `sys.exit(value)` means to a shell."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    print(value, file=sys.stderr)
    return 1


def read_exactly(size):
    data = os.read(REQUEST, size)
    while len(data) < size:
        part = os.read(REQUEST, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


def receive():
    """The job's flags and code, once its arguments and environment are in place: see mailbox.h."""
    flags, context_size, code_size = HEADER.unpack(read_exactly(HEADER.size))
    context = read_exactly(context_size)
    if context != NOTHING_GIVEN:
        count, *texts = context.decode().split("\0")[:-1]
        split = int(count)
        sys.argv += texts[:split]
        os.environ.update(zip(texts[split::2], texts[split + 1 :: 2]))
    return flags, read_exactly(code_size) if code_size else read_file(ENTRY)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def renew_input():
    """Standard input of a job that is not the first."""
    descriptor = os.open(INPUT, os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)


def take_terminal():
    """Standard streams as an interpreter has them that was started on it; opening it makes it this session's."""
    descriptor = os.open(TERMINAL, os.O_RDWR)
    for standard in range(3):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    os.environ.setdefault("TERM", "xterm-256color")
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def renew_randomness():
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    tempfile._name_sequence = None


def flush(code):
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            code = code or 120
    if os.getpid() != OWN_PID:  # a fork of the job's
        os._exit(code)
    return code


def end_library():
    """What an interpreter does at its end, unless the program has used nothing that needs it."""
    if len(threading._active) > 1:
        threading._shutdown()
    if atexit._ncallbacks() > USUAL_CALLBACKS or len(logging._handlerList) > 1 or uses_processes():
        atexit._run_exitfuncs()


def uses_processes():
    return multiprocessing.util._finalizer_registry or multiprocessing.process._children


def finish(code):
    """Leave as an interpreter does, but for taking the process apart."""
    end_library()
    vars(sys.modules["__main__"]).clear()
    os.write(ANSWER, LEAVES[flush(code)])
    os.read(REQUEST, 1)
    os._exit(code)


def warm_up():
    for name in LIBRARY:
        importlib.import_module(name)
    sys.stdout.reconfigure(line_buffering=True)
    execute(WARM_UP, new_program())
    linecache.clearcache()
    gc.collect()
    gc.freeze()


def main():
    if os.environ.pop("FAAS_AGAIN", None):
        sys.stdout.reconfigure(line_buffering=True)
    else:
        warm_up()
    sys.path.insert(0, "/work")
    program = new_program()
    for descriptor in (REQUEST, ANSWER):
        os.set_inheritable(descriptor, False)
    os.write(ANSWER, b"R")
    while True:
        sys.argv[:] = ["main.py"]
        flags, source = receive()
        if flags & STDIN:
            renew_input()
        if flags & ON_TERMINAL:
            take_terminal()
        if flags & DRAW:
            renew_randomness()
        code = execute(source, program)
        if not flags & KEEP:
            finish(code)
        os.write(ANSWER, STAYS[flush(code)])


main()
