"""Random jobs: the host's emulator, restored afresh, and forked machines of ours give equal outcomes.

`FAAS_TEST_RANDOM_JOBS=1000` runs the long form. Each job follows from its number alone.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from faas_blueprint.errors import MachineFailure
from faas_blueprint.job import Job, Limits, make_job

pytestmark = [pytest.mark.machine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

COUNT = int(os.environ.get("FAAS_TEST_RANDOM_JOBS", "40"))

PARTS = {
    "python": (
        "import sys; print(sys.argv[1:], sys.stdin.read()[:{n}])",
        "import os; print(sorted(os.environ.items()), os.urandom({n} % 64 + 1).hex())",
        "import random; print(random.random(), random.sample(range(1000), 5))",
        "import time; a = time.monotonic_ns(); time.sleep({n} / 1e5); print(time.monotonic_ns() - a)",
        "import json; print(json.dumps({{str(k): [k] * 3 for k in range({n})}}, indent=1)[:{n}])",
        "import re, hashlib; print(re.sub(r'(\\d)', r'<\\1>', str({n} ** 20)), hashlib.md5(b'x').digest())",
        "open('made{n}', 'wb').write(bytes(range(256)) * ({n} % 90))",
        "import os; print({{name: open(name, 'rb').read()[:20] for name in sorted(os.listdir('.'))}})",
        "class C:\n    def __init__(self, n): self.n = n\n"
        "    def __repr__(self): return f'C{{self.n}}'\nprint([C(k) for k in range({n} % 50)])",
        "import threading\nfound = []\n"
        "ts = [threading.Thread(target=lambda k=k: found.append(sum(range(k * {n})))) for k in range(4)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]; print(found)",
        "import subprocess; print(subprocess.run(['sh', '-c', 'echo $0; exit 3', '{n}'], stdout=-1))",
        "import math, decimal; print(math.sin({n}), math.exp(1 / {n}), decimal.Decimal({n}).sqrt())",
        "print(sum(k * k % 7 for k in range({n} * 50)), id(object()), hash('a{n}'))",
        "import sys; sys.stderr.write('e' * {n}); print('x' * {n} * 9)",
        "try:\n    [][{n}]\nexcept IndexError as error:\n    print(repr(error))",
        "raise ValueError({n})",
        "import sys; sys.exit({n} % 256)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM if {n} % 2 else signal.SIGSEGV)",
        "while {n}: pass",
        "x = [bytearray(1 << 20) for _ in range({n})]; print(len(x))",
    ),
    "javascript": (
        "console.log(process.argv.slice(2), Date.now(), Math.random())",
        "console.log(Object.entries(process.env).sort())",
        "let t = 0; for (let i = 0; i < {n} * 500; i++) t = (t * 31 + i) | 0; console.log(t)",
        "console.log(JSON.stringify([...Array({n}).keys()].map(k => ({{k, s: String(k)}}))).length)",
        "class A {{ #x = {n}; get x() {{ return this.#x }} }}; console.log(new A().x, new Map([[1, {n}]]))",
        "setTimeout(() => console.log('later', performance.now()), {n} % 40)",
        "require('fs').writeFileSync('made', 'y'.repeat({n})); console.log(require('fs').readdirSync('.'))",
        "console.log(require('crypto').createHash('sha256').update('{n}').digest('hex'))",
        "console.error('x'.repeat({n})); process.exitCode = {n} % 100",
        "throw new TypeError('{n}')",
        "Promise.all([1, 2, 3].map(async k => k * {n})).then(v => console.log(v))",
        "while (true) {{}}",
    ),
    "bash": (
        'echo "$@" $RANDOM $$; cat',
        "env | sort; date +%s%N",
        "for i in $(seq 1 $(({n} % 9))); do echo $((i * {n})) | sed s/1/x/; done",
        "ls -la; wc -c * 2>/dev/null",
        "printf '%{n}d' 7 > made; md5sum made",
        "sleep 0.0{n}; echo done",
        "exit $(({n} % 256))",
        "kill -9 $$",
    ),
}


def random_job(number: int) -> Job:
    """The job of a number; most end by themselves, some run into a limit."""
    choose = random.Random(number)
    language = choose.choices(list(PARTS), (6, 3, 1))[0]
    parts = choose.sample(PARTS[language], choose.randint(1, 4))
    code = "\n".join(part.format(n=choose.randint(1, 400)) for part in parts)
    limits = Limits(
        timeout_ms=choose.choice((40, 300, 300)),
        memory_mb=choose.choice((64, 128, 512)),
        output_bytes=choose.choice((0, 100, 5000, 1 << 20)),
        processes=choose.choice((8, 64)),
        cpu_millicores=choose.choice((250, 1000, 1000, 1000)),
    )
    return make_job(
        language,
        code,
        stdin=choose.randbytes(choose.choice((0, 10, 3000))).hex().encode(),
        arguments=tuple(f"argument {choose.random()}" for _ in range(choose.randint(0, 3))),
        environment={f"NAME{k}": f"{choose.random()}" for k in range(choose.randint(0, 3))},
        files={
            f"input{k}": choose.randbytes(choose.choice((0, 5, 5000))) for k in range(choose.randint(0, 3))
        },
        seed=choose.getrandbits(64),
        epoch=choose.randint(1, 4_000_000_000),
        limits=limits,
    )


async def result(engine, job):
    """The outcome, or what is said where there is none: that has to be the same too."""
    try:
        return (await engine.run(job)).outcome
    except MachineFailure as error:
        return error.message


async def results(engine):
    return [await result(engine, random_job(number)) for number in range(COUNT)]


@pytest.mark.timeout(300 + 5 * COUNT)
async def test_random_jobs_give_equal_outcomes(stock, forking, assert_as_on_stock):
    """Streams, files, status, virtual time and state root: all that an outcome has."""
    expected, found = await asyncio.gather(results(stock), results(forking))
    for number, pair in enumerate(zip(expected, found, strict=True)):
        if len({*pair}) > 1:
            await assert_as_on_stock(pair[1], lambda number=number: result(stock, random_job(number)))
    assert len({getattr(outcome, "status", outcome) for outcome in expected}) >= 2
