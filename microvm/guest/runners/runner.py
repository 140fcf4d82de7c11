"""The waiting Python interpreter: it has imported the common library, and answers in milliseconds.

It runs as the job's user. Descriptor 3 brings a job's arguments and environment; the code in main.py
runs as `python3 main.py` would run it; descriptor 4 takes the exit code, and the agent stops the
machine. Where the machine is kept, the next job's code goes on in the same `__main__`.
"""

import atexit
import gc
import importlib
import linecache
import os
import random
import sys
import tempfile
import threading
import types

LIBRARY = """
argparse array ast asyncio base64 bisect calendar cmath collections.abc concurrent.futures contextlib copy
csv ctypes dataclasses datetime decimal difflib enum fractions functools glob gzip hashlib heapq hmac html
inspect io itertools json logging math multiprocessing numbers operator pathlib pickle platform pprint queue
re secrets shutil signal socket sqlite3 statistics string struct subprocess tempfile textwrap time traceback typing
unicodedata unittest urllib.parse urllib.request uuid warnings weakref xml.etree.ElementTree zipfile zlib
""".split()
"""What programs commonly import; ready in the snapshot, so that no job spends its time on it."""

REQUEST = 3
ANSWER = 4
KEEP, FORKED, STDIN = 1, 2, 4
"""Flags of a job: see mailbox.h."""
ENTRY = "/work/main.py"
INPUT = "/run/inputs/python"
OWN_PID = os.getpid()

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


def receive():
    """The job's flags, arguments and environment: see mailbox.h."""
    data = os.read(REQUEST, 65536)
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        part = os.read(REQUEST, 65536)
        if not part:
            os._exit(0)
        data += part
    count, *texts = data[8:].decode().split("\0")[:-1]
    split = int(count)
    return data[0], texts[:split], dict(zip(texts[split::2], texts[split + 1 :: 2]))


def renew_input():
    """Standard input of a job that is not the first."""
    descriptor = os.open(INPUT, os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)


def renew_randomness():
    random.seed()
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


def finish(code):
    """Leave as an interpreter does, but for taking the process apart."""
    threading._shutdown()
    atexit._run_exitfuncs()
    vars(sys.modules["__main__"]).clear()
    answer(b"X", flush(code))
    os.read(REQUEST, 1)
    os._exit(code)


def answer(word, code):
    os.write(ANSWER, word + bytes((code,)))


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
    for descriptor in (REQUEST, ANSWER):
        os.set_inheritable(descriptor, False)
    os.write(ANSWER, b"R")
    program = None
    while True:
        flags, arguments, variables = receive()
        if variables:
            os.environ.update(variables)
        sys.argv[:] = ["main.py", *arguments]
        if flags & STDIN:
            renew_input()
        if flags & FORKED or program is None:
            renew_randomness()
        descriptor = os.open(ENTRY, os.O_RDONLY)
        source = os.read(descriptor, os.fstat(descriptor).st_size)
        os.close(descriptor)
        program = program or new_program()
        code = execute(source, program)
        if not flags & KEEP:
            finish(code)
        answer(b"E", flush(code))


main()
