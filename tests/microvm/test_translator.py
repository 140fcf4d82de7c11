"""Code that changes under the translator's feet gives on our build what it gives on stock QEMU.

Our build looks for the next block of translated code by itself (`microvm/qemu/jump-cache.patch`). So each
program here jumps, calls and returns between pages while something forbids the block that was there before:
new bytes, another page at the address, a page that may not run any more, a breakpoint, a single step, an
interrupt. Each also knows itself what must come out.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from faas_blueprint.job import make_job
from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings

pytestmark = [pytest.mark.machine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

CODE = """
import ctypes, mmap, os, signal, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
memory = mmap.mmap(-1, 8192, prot=7)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
RETURN = b'\\xb8\\0\\0\\0\\0\\xc3'  # mov eax, 0; ret

def put(offset, *parts):
    # bytes, or a target to which the four bytes here are relative
    for part in parts:
        data = part if isinstance(part, bytes) else struct.pack('<i', part - offset - 4)
        memory[offset:offset + len(data)] = data
        offset += len(data)

def function(offset):
    return ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_uint)(start + offset)
"""

PROGRAMS = {
    "bytes": (
        """
put(4096 + 64, RETURN)
put(4096 + 128, RETURN)
put(4096 + 192, RETURN)
put(4094, RETURN)  # lies on both pages
put(0, b'\\x89\\x3d', 4096 + 65, b'\\xe9', 4096 + 64)  # write into the other page, jump there
put(64, b'\\x89\\x3d\\x01\\0\\0\\0', RETURN)  # write into the next instruction
put(128, b'\\x89\\x3d', 4096 + 129, b'\\x48\\x8d\\x05', 4096 + 128, b'\\xff\\xe0')  # the first, by a register
put(192, b'\\xe8', 4096 + 192, b'\\x50\\xe8', 4096 + 192, b'\\x59\\x01\\xc8\\xc3')  # call twice and add
writers = [function(0), function(64), function(128)]
calls, across = function(192), function(4094)
value = 1
for _ in range(400):
    value = (value * 1103515245 + 12345) & 0x7fffffff
    assert [write(value) for write in writers] == [value] * 3
    memory[4095:4099] = memory[4096 + 193:4096 + 197] = struct.pack('<I', value >> 1)
    assert across(0) == value >> 1 and calls(0) == value >> 1 << 1
print(value)
""",
        b"882003441\n",
    ),
    "pages": (
        """
file = os.memfd_create('code')
for number in range(8):
    os.pwrite(file, b'\\xb8' + struct.pack('<I', number) + b'\\xc3', number * 4096)
put(0, b'\\xe9', 4096)
jump, seen = function(0), []
for n in range(400):
    number = n * n % 8
    assert libc.mmap(start + 4096, 4096, 5, 0x12, file, number * 4096) == start + 4096
    assert jump(0) == number
print('as mapped')
""",
        b"as mapped\n",
    ),
    "protection": (
        """
put(0, b'\\xe9', 4096)
put(4096, RETURN)
jump, ends = function(0), []
for n in range(20):
    assert jump(0) == 0
    child = os.fork()
    if child == 0:
        jump(0)
        libc.mprotect(ctypes.c_void_p(start + 4096), 4096, 1 if n % 2 else 5)
        os._exit(jump(0))
    ends.append(os.WTERMSIG(os.waitpid(child, 0)[1]))
print(ends == [0, signal.SIGSEGV] * 10)
""",
        b"True\n",
    ),
    "breakpoints": (
        """
TRACEME, POKEUSER, CONTINUE, STEP = 0, 6, 7, 9
DEBUG_REGISTERS = 848  # in struct user
put(0, b'\\xe8', 4096, b'\\xc3')
put(4096, RETURN)
call = function(0)
for _ in range(50): call(0)
child = os.fork()
if child == 0:
    libc.ptrace(TRACEME, 0, None, None)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGSTOP)
        for _ in range(50): call(0)
    os._exit(7)
traps = []
for address, on in ((4096, 1), (0, 1), (0, 0)):
    assert os.WSTOPSIG(os.waitpid(child, 0)[1]) == signal.SIGSTOP
    assert libc.ptrace(POKEUSER, child, DEBUG_REGISTERS, start + address) == 0
    assert libc.ptrace(POKEUSER, child, DEBUG_REGISTERS + 7 * 8, on) == 0
    count = 0
    for _ in range(50 * on):
        libc.ptrace(CONTINUE, child, None, None)
        count += os.WSTOPSIG(os.waitpid(child, 0)[1]) == signal.SIGTRAP
    traps.append(count)
    for _ in range(300 * on):
        libc.ptrace(STEP, child, None, None)
        assert os.WIFSTOPPED(os.waitpid(child, 0)[1])
    libc.ptrace(CONTINUE, child, None, None)
print(traps, os.WEXITSTATUS(os.waitpid(child, 0)[1]))
""",
        b"[50, 50, 0] 7\n",
    ),
    "interrupts": (
        """
put(0, b'\\xe8', 4096, b'\\xc3')
put(4096, RETURN)
call, moments, n = function(0), [], 0
signal.signal(signal.SIGALRM, lambda *_: moments.append(n))
signal.setitimer(signal.ITIMER_REAL, 0.0004, 0.0004)
while len(moments) < 100:
    n += 1
    call(0)
print(moments == sorted(moments), moments[-1] > 100)
print(moments)
""",
        b"True True\n",
    ),
}


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=[EmulatorChoice.RESTORE, EmulatorChoice.FORK]
)
async def ours(faas_home, own_build, request):
    """Our build."""
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=request.param)) as engine:
        yield engine


@pytest.mark.parametrize("name", PROGRAMS)
async def test_same_as_stock(stock, ours, assert_as_on_stock, name):
    code, said = PROGRAMS[name]
    job = make_job("python", CODE + code)

    async def outcome_of(engine):
        return (await engine.run(job)).outcome

    found = await outcome_of(ours)
    assert found.exit_code == 0, found.stderr.content
    assert found.stdout.content.startswith(said)
    await assert_as_on_stock(found, lambda: outcome_of(stock))
    assert await outcome_of(ours) == found
