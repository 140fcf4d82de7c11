"""The waiting Python interpreter: it has imported the common library, and answers in milliseconds.

It runs as the job's user. Descriptor 3 brings, once, the job's arguments and environment; then it
is closed and the code in main.py runs as `python3 main.py` would run it.
"""

import atexit
import gc
import linecache
import os
import random
import struct
import sys
import threading
import types

CONTROL = 3
ENTRY = "/work/main.py"

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


def execute(source, path):
    """Run a program as `__main__`; returns its exit code."""
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    code = 0
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
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
    """The job's arguments and environment."""
    (size,) = struct.unpack("<I", read_exactly(4))
    body = memoryview(read_exactly(size))
    position = 0

    def number():
        nonlocal position
        position += 4
        return int.from_bytes(body[position - 4 : position], "little")

    def text():
        nonlocal position
        size = number()
        position += size
        return str(body[position - size : position], "utf-8")

    arguments = [text() for _ in range(number())]
    return arguments, [(text(), text()) for _ in range(number())]


def read_exactly(size):
    data = b""
    while len(data) < size:
        part = os.read(CONTROL, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


def finish(code):
    """Leave as an interpreter does, but for tearing down the modules of the library."""
    threading._shutdown()
    atexit._run_exitfuncs()
    vars(sys.modules["__main__"]).clear()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            code = code or 120
    os._exit(code)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    execute(WARM_UP, ENTRY)
    linecache.clearcache()
    sys.path.insert(0, "/work")
    gc.collect()
    gc.freeze()
    os.write(CONTROL, b"R")
    arguments, variables = receive()
    os.close(CONTROL)
    os.environ.update(variables)
    sys.argv[:] = ["main.py", *arguments]
    random.seed()
    with open(ENTRY, "rb") as file:
        source = file.read()
    finish(execute(source, ENTRY))


main()
