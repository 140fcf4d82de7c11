"""Code that changes under the translator's feet gives on our build what it gives on stock QEMU.

Our build looks for the next block of translated code by itself (`microvm/qemu/jump-cache.patch`), in a
cache that outlives changes of the address space, and links blocks of different pages (`page-links.patch`),
and of two pages (`spanning.patch`).
So each program of the first half jumps, calls and returns between pages while something forbids the block
that was there before: new bytes, another page at the address, the same in another process, a page that may
not run any more, a breakpoint, a single step, an interrupt.

A pause does not leave the loop (`pause.patch`): timers and other threads must come in where they did.

Pushes and pops that follow one another look their page up once (`runs.patch`). So each program of the second
half makes a later one of them differ from the first: another page, one that is missing or may only be read,
the code that is being executed, an address that is watched. All know themselves what must come out.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from faas_blueprint.job import make_job
from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings

pytestmark = [pytest.mark.machine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

CODE = """
import ctypes, mmap, os, signal, struct, threading, time
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

TRACEME, POKEUSER, CONTINUE, STEP, GETREGS, GETSIGINFO = 0, 6, 7, 9, 12, 0x4202
DEBUG_REGISTERS = 848  # in struct user

def registers(child):
    found = (ctypes.c_ulong * 27)()
    assert libc.ptrace(GETREGS, child, None, found) == 0
    return found[16] - start, found[19]  # where it is in the code, and rsp
"""

PAGES = """
file = os.memfd_create('code')
for number in range(8):
    os.pwrite(file, b'\\xb8' + struct.pack('<I', number) + b'\\xc3', number * 4096)
put(0, b'\\xe9', 4096)
jump = function(0)
"""

TWO_PAGES = """
memory = mmap.mmap(-1, 12288, prot=7)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
file = os.memfd_create('code')
for number in range(8):
    os.pwrite(file, bytes([number, 0, 0, 0xc3]), number * 4096)
assert libc.mmap(start + 8192, 4096, 5, 0x12, file, 0) == start + 8192
put(0, b'\\xe9', 8190)
put(4096, b'\\xe9', 8190)
put(4112, b'\\x48\\x8d\\x05', 8190, b'\\xff\\xe0')  # by a register
put(8190, b'\\xb8\\0')  # mov eax, ...: the rest of it is on the page that changes
ways = [function(at) for at in (0, 4096, 4112, 8190)]
"""

STACK = """
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
stack = mmap.mmap(-1, 8192)
bottom = ctypes.addressof(ctypes.c_char.from_buffer(stack))
enter = b'\\x49\\x89\\xe3\\x48\\x89\\xfc'  # mov r11, rsp; mov rsp, rdi
leave = b'\\x4c\\x89\\xdc\\xc3'  # mov rsp, r11; ret
# 1 to 6 into eax, ecx, edx, esi, r8d, r9d
load = b''.join(code + bytes([number, 0, 0, 0]) for number, code in enumerate(
    (b'\\xb8', b'\\xb9', b'\\xba', b'\\xbe', b'\\x41\\xb8', b'\\x41\\xb9'), 1))
push, pop = b'\\x50\\x51\\x52\\x56\\x41\\x50\\x41\\x51', b'\\x58\\x59\\x5a\\x5e\\x41\\x58\\x41\\x59'
digits = b''.join(b'\\x6b\\xc0\\x0a' + add for add in (
    b'\\x01\\xc8', b'\\x01\\xd0', b'\\x01\\xf0', b'\\x44\\x01\\xc0', b'\\x44\\x01\\xc8'))
put(0, enter, load, push, pop, digits, leave)
put(256, b'\\x6b\\xc9\\x0a\\x6b\\xd2\\x64\\x01\\xc8\\x01\\xd0', leave)  # eax + 10 ecx + 100 edx
put(512, enter, b'\\x58\\x59\\x5a\\xc3')  # returns to what is on that stack
put(768, enter, pop, leave)
both, into, pops = [ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_ulong)(start + at) for at in (0, 512, 768)]

def traced(call, address, prepare):
    child = os.fork()
    if child == 0:
        libc.ptrace(TRACEME, 0, None, None)
        prepare()
        os.kill(os.getpid(), signal.SIGSTOP)
        call(address)
        os._exit(0)
    assert os.WSTOPSIG(os.waitpid(child, 0)[1]) == signal.SIGSTOP
    return child
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
put(256, b'\\xe9', 4094)
writers = [function(0), function(64), function(128)]
calls, across = function(192), [function(4094), function(256)]
value = 1
for _ in range(400):
    value = (value * 1103515245 + 12345) & 0x7fffffff
    assert [write(value) for write in writers] == [value] * 3
    memory[4095:4099] = memory[4096 + 193:4096 + 197] = struct.pack('<I', value >> 1)
    assert [call(0) for call in across] == [value >> 1] * 2 and calls(0) == value >> 1 << 1
print(value)
""",
        b"882003441\n",
    ),
    "pages": (
        PAGES
        + """
for n in range(400):
    number = n * n % 8
    assert libc.mmap(start + 4096, 4096, 5, 0x12, file, number * 4096) == start + 4096
    assert jump(0) == number
print('as mapped')
""",
        b"as mapped\n",
    ),
    "two pages": (
        TWO_PAGES
        + """
for n in range(400):
    number = n * n % 8
    assert libc.mmap(start + 8192, 4096, 5, 0x12, file, number * 4096) == start + 8192
    for way in ways:
        assert way(0) == number << 8 and way(0) == number << 8
print('as mapped')
""",
        b"as mapped\n",
    ),
    "no second page": (
        TWO_PAGES
        + """
for way in ways:
    for _ in range(20):
        assert way(0) == 0
    child = os.fork()
    if child == 0:
        libc.ptrace(TRACEME, 0, None, None)
        way(0)
        libc.mprotect(ctypes.c_void_p(start + 8192), 4096, 0)
        way(0)
    status = os.waitpid(child, 0)[1]
    about = (ctypes.c_ulong * 16)()
    assert os.WSTOPSIG(status) == signal.SIGSEGV and libc.ptrace(GETSIGINFO, child, None, about) == 0
    print(registers(child)[0], about[2] - start)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
""",
        4 * b"8190 8192\n",
    ),
    "breakpoints on two pages": (
        TWO_PAGES
        + """
child = os.fork()
if child == 0:
    libc.ptrace(TRACEME, 0, None, None)
    for _ in range(4):
        os.kill(os.getpid(), signal.SIGSTOP)
        for _ in range(10):
            for way in ways: way(0)
    os._exit(7)
traps = []
for address, count in ((8190, 40), (8192, 0), (8195, 40), (4096, 10)):
    assert os.WSTOPSIG(os.waitpid(child, 0)[1]) == signal.SIGSTOP
    assert libc.ptrace(POKEUSER, child, DEBUG_REGISTERS, start + address) == 0
    assert libc.ptrace(POKEUSER, child, DEBUG_REGISTERS + 7 * 8, 1) == 0
    for _ in range(count):
        libc.ptrace(CONTINUE, child, None, None)
        assert os.WSTOPSIG(os.waitpid(child, 0)[1]) == signal.SIGTRAP
        traps.append(registers(child)[0])
        libc.ptrace(STEP, child, None, None)
        assert os.WSTOPSIG(os.waitpid(child, 0)[1]) == signal.SIGTRAP
        traps.append(registers(child)[0])
    libc.ptrace(CONTINUE, child, None, None)
print(traps == 40 * [8190, 8195] + 40 * [8195, traps[81]] + 10 * [4096, 8190], traps[81] not in (8190, 8195))
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
""",
        b"True True\n7\n",
    ),
    "processes": (
        PAGES
        + """
ways = os.pipe(), os.pipe()
child = os.fork()
mine = child == 0
for n in range(140):
    number = (n // 7 + 3 * mine) % 8
    if n % 7 == 0:
        assert libc.mmap(start + 4096, 4096, 5, 0x12, file, number * 4096) == start + 4096
    if mine:
        os.read(ways[0][0], 1)
    assert jump(0) == number and jump(0) == number
    os.write(ways[1 if mine else 0][1], b'.')
    if not mine:
        os.read(ways[1][0], 1)
if mine:
    os._exit(7)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
""",
        b"7\n",
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
    "pauses": (
        """
put(0, b'\\x89\\xf9\\xf3\\x90\\xff\\xc9\\x75\\xfa\\x89\\xf8\\xc3')  # so many times pause
wait, moments = function(0), []
signal.signal(signal.SIGALRM, lambda *_: moments.append(time.monotonic_ns()))
signal.setitimer(signal.ITIMER_REAL, 0.0004, 0.0004)
other = threading.Thread(target=lambda: [moments.append(wait(n)) for n in range(1, 200)])
other.start()
while len(moments) < 300:
    assert wait(997) == 997
other.join()
print(len(moments) >= 300)
print(moments)
""",
        b"True\n",
    ),
    "pushes over two pages": (
        STACK
        + """
wanted = struct.pack('<6Q', 6, 5, 4, 3, 2, 1)
for place in range(4096 - 100, 4096 + 100):
    stack[place - 48:place] = bytes(48)
    assert both(bottom + place) == 654321 and stack[place - 48:place] == wanted
    stack[place - 8:place] = struct.pack('<Q', start + 256)
    stack[place - 32:place - 8] = struct.pack('<3Q', 7, 8, 9)
    assert into(bottom + place - 32) == 7 + 80 + 900
print('in order')
""",
        b"in order\n",
    ),
    "pushes and pops that fault": (
        STACK
        + """
for name, call, step, page, protection in (
    ('no page', both, 8, 0, 0),
    ('read only', both, 8, 0, 1),
    ('pop', pops, -8, 4096, 0),
):
    for count in range(7):
        place = 4096 + step * count  # so many accesses are on the page that is there
        child = traced(call, bottom + place, lambda: libc.mprotect(bottom + page, 4096, protection))
        libc.ptrace(CONTINUE, child, None, None)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            print(name, count, 'none')
            continue
        assert os.WSTOPSIG(status) == signal.SIGSEGV
        rip, rsp = registers(child)
        print(name, count, rip, rsp - bottom - place)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
""",
        b"no page 0 38 0\nno page 1 39 -8\nno page 2 40 -16\nno page 3 41 -24\nno page 4 42 -32\n"
        b"no page 5 44 -40\nno page 6 none\nread only 0 38 0\n",
    ),
    "pushes and pops that are watched": (
        STACK
        + """
for on in (1 | 1 << 16 | 2 << 18, 1 | 3 << 16 | 2 << 18):
    for slot in range(6):
        child = traced(both, bottom + 4096 + 16, lambda: None)
        assert libc.ptrace(POKEUSER, child, DEBUG_REGISTERS, bottom + 4096 + 16 - 8 * (slot + 1)) == 0
        assert libc.ptrace(POKEUSER, child, DEBUG_REGISTERS + 7 * 8, on) == 0
        traps = []
        while True:
            libc.ptrace(CONTINUE, child, None, None)
            status = os.waitpid(child, 0)[1]
            if os.WIFEXITED(status):
                break
            assert os.WSTOPSIG(status) == signal.SIGTRAP
            traps.append(registers(child)[0])
        print(slot, traps)
""",
        b"0 [39]\n1 [40]\n2 [41]\n3 [42]\n4 [44]\n5 [46]\n0 [39, ",
    ),
    "pushes onto code": (
        STACK
        + """
after = leave + 4 * b'\\x90'
push = enter + b'\\x48\\xb8' + after + b'\\x50\\x56'  # rax, which is what comes after, then rsi
put(1024, push, 8 * b'\\x90', after)
written = start + 1024 + len(push)
call = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_ulong, ctypes.c_ulong)(start + 1024)
value = 1
for _ in range(300):
    value = (value * 1103515245 + 12345) & 0x7fffffff
    move = int.from_bytes(b'\\xb8' + struct.pack('<I', value) + 3 * b'\\x90', 'little')
    assert call(written + 16, move) == value
print(value)
""",
        b"423999701\n",
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
