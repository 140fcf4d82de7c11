"""The five modes, each really what its name says, and programs that are compiled first."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from faas_blueprint.digests import ZERO_DIGEST
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import Language, Mode, make_job
from faas_blueprint.outcome import Status
from faas_microvm import modes
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution, Output
from faas_microvm.modes import Setting

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="session")]


async def run(engine: Engine, code: str, setting: Setting, language: str = "python", **parts) -> Execution:
    return await modes.run(engine, make_job(language, code, **parts), setting)


def printed(execution: Execution) -> str:
    return execution.outcome.stdout.content.decode()


async def test_ephemeral_leaves_nothing(engine: Engine):
    before = await engine.library.store.list()
    execution = await run(engine, "x = 1", Setting())
    assert (execution.snapshot, execution.cached, execution.outcome.exit_code) == (None, False, 0)
    assert await engine.library.store.list() == before


async def test_cached_answers_at_once(engine: Engine):
    code = f"import os; print(os.urandom(8), {uuid4().int})"  # the home remembers earlier test runs
    runs = [await run(engine, code, Setting(Mode.CACHED)) for _ in range(2)]
    assert [execution.cached for execution in runs] == [False, True]
    assert runs[0].outcome == runs[1].outcome


async def test_checkpointed_goes_on_along_a_branch(engine: Engine):
    setting = Setting(Mode.CHECKPOINTED, branch="checkpointed")
    first = await run(engine, "x = 1", setting)
    second = await run(engine, "x += 1; print(x)", setting)
    assert printed(second) == "2\n"
    assert second.measurement == first.snapshot
    assert await engine.library.store.get_branch("checkpointed") == second.snapshot
    again = await run(engine, "x += 1; print(x)", Setting(Mode.CHECKPOINTED, snapshot=first.snapshot))
    assert again.snapshot == second.snapshot
    ephemeral = await run(engine, "print(x)", Setting(branch="checkpointed"))
    assert printed(ephemeral) == "2\n"


async def test_branched_machines_run_side_by_side_and_differ_by_their_record(engine: Engine):
    start = (await run(engine, "x = 40", Setting(Mode.CHECKPOINTED))).snapshot
    code = "import os; x += 2; print(x, os.urandom(4).hex())"
    runs = await asyncio.gather(
        *(run(engine, code, Setting(Mode.BRANCHED, start, identity=name)) for name in (b"a", b"b", b"a"))
    )
    assert {printed(execution).split()[0] for execution in runs} == {"42"}
    assert runs[0].outcome == runs[2].outcome
    assert printed(runs[0]) != printed(runs[1])
    assert len({start, *(execution.measurement for execution in runs)}) == 3
    record = await engine.library.store.get(runs[0].measurement)
    assert (record.kind, record.parent, record.changed_pages) == ("fork", start, 1)


async def test_persistent_stays_up(engine: Engine):
    setting = Setting(Mode.PERSISTENT, branch="upright")
    await run(engine, "x = 1", setting)
    assert "upright" in engine.sessions.names
    assert printed(await run(engine, "print(x)", setting)) == "1\n"
    await engine.sessions.checkpoint("upright")
    assert printed(await run(engine, "print(x)", setting)) == "1\n"
    await engine.sessions.checkpoint("upright")


async def test_settings_that_make_no_sense_are_refused(engine: Engine):
    with pytest.raises(InvalidRequest, match="session"):
        Setting(Mode.PERSISTENT)
    with pytest.raises(InvalidRequest, match="fork"):
        Setting(Mode.BRANCHED)
    with pytest.raises(NotFound, match="branch"):
        await run(engine, "1", Setting(branch="nowhere"))


COMPILED = {
    Language.RUST: (
        "use std::io::Read;\nfn main() { let mut s = String::new();\n"
        "std::io::stdin().read_to_string(&mut s).unwrap();\n"
        'println!("{} {:?}", s, std::env::args().nth(1)); std::fs::write("output/f", "x").unwrap(); }',
        'in Some("a")\n',
        "fn main() { let x: i32 = true; }",
        "error[E0308]",
    ),
    Language.GO: (
        'package main\nimport ("fmt"; "io"; "os")\nfunc main() { s, _ := io.ReadAll(os.Stdin)\n'
        'fmt.Println(string(s), os.Args[1]); os.WriteFile("output/f", []byte("x"), 0o644) }',
        "in a\n",
        "package main\nfunc main() { var x int = true }",
        "cannot use true",
    ),
    Language.TYPESCRIPT: (
        "import fs from 'fs';\nconst s: string = fs.readFileSync(0, 'utf8');\n"
        "console.log(s, process.argv[2]); fs.writeFileSync('output/f', 'x');",
        "in a\n",
        "const x: = 1;",
        "error TS",
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("language", COMPILED)
async def test_programs_are_compiled_in_a_machine_and_run_in_another(engine: Engine, language: Language):
    code, expected, wrong, words = COMPILED[language]
    for setting in (Setting(), Setting(Mode.CHECKPOINTED), Setting(Mode.PERSISTENT, branch="compiled")):
        execution = await run(engine, code, setting, language, stdin=b"in", arguments=("a",))
        assert execution.outcome.stderr.content == b""
        assert printed(execution) == expected
        assert [(file.path, file.content) for file in execution.outcome.files] == [("f", b"x")]
        assert execution.toolchain != ZERO_DIGEST
    events = [event async for event in engine.stream(make_job(language, wrong))]
    refused = events[-1]
    assert isinstance(refused, Execution)
    assert refused.outcome.status is Status.EXITED
    assert refused.outcome.exit_code in (1, 2)
    assert words in refused.outcome.stderr.content.decode()
    assert events[0] == Output("stderr", refused.outcome.stderr.content)
    await engine.sessions.checkpoint("compiled")
    await engine.library.store.delete_branch("compiled")
