"""Toolchains: programs are compiled in a machine, once, and run on the base snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from faas_blueprint.job import Job, Language, make_job
from faas_blueprint.outcome import Outcome, Status
from faas_microvm.engine import Engine
from faas_microvm.mailbox import Program, encode_request
from faas_microvm.program_cache import ProgramCache
from faas_microvm.running import run_to_outcome
from faas_microvm.snapshot import Snapshot
from faas_microvm.toolchain import Compiled, Toolchains

pytestmark = [
    pytest.mark.machine,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(1200),
]

SECONDS = 300.0

HELLO = {
    "rust": 'fn main() { println!("Hello World"); }\n',
    "go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("Hello World") }\n',
    "typescript": "const greeting: string = 'Hello World';\nconsole.log(greeting);\n",
}

PROGRAMS = {
    "rust": """
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
fn main() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in io::stdin().lock().lines() {
        for word in line.unwrap().split_whitespace() { *counts.entry(word.to_owned()).or_insert(0) += 1; }
    }
    let listed: Vec<String> = counts.iter().map(|(word, count)| format!("{word}={count}")).collect();
    println!("{}", std::thread::spawn(move || listed.join(",")).join().unwrap());
    println!("{:?}", std::env::args().skip(1).collect::<Vec<_>>());
    std::fs::write("output/result.txt", "kept").unwrap();
    io::stderr().write_all(b"words\\n").unwrap();
    std::process::exit(3);
}
""",
    "go": """
package main

import ("bufio"; "encoding/json"; "fmt"; "net/http"; "os"; "sort"; "strings"; "sync")

func main() {
	counts := map[string]int{}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		for _, word := range strings.Fields(input.Text()) { counts[word]++ }
	}
	var listed []string
	var wait sync.WaitGroup
	wait.Add(1)
	go func() {
		defer wait.Done()
		for word, count := range counts { listed = append(listed, fmt.Sprintf("%s=%d", word, count)) }
	}()
	wait.Wait()
	sort.Strings(listed)
	fmt.Println(strings.Join(listed, ","))
	arguments, _ := json.Marshal(os.Args[1:])
	fmt.Println(strings.ReplaceAll(string(arguments), ",", ", "))
	if http.StatusText(404) == "Not Found" { os.WriteFile("output/result.txt", []byte("kept"), 0o644) }
	fmt.Fprintln(os.Stderr, "words")
	os.Exit(3)
}
""",
    "typescript": """
import { readFileSync, writeFileSync } from 'node:fs';
enum Code { Good, Bad = 3 }
interface Counts { [word: string]: number }
class Counter<T extends string> {
  #counts: Counts = {};
  constructor(private readonly words: readonly T[]) {}
  list(): string {
    for (const word of this.words) this.#counts[word] = (this.#counts[word] ?? 0) + 1;
    return Object.entries(this.#counts).sort().map(([word, count]) => `${word}=${count}`).join(',');
  }
}
console.log(new Counter(readFileSync(0, 'utf8').split(/\\s+/).filter(Boolean)).list());
console.log(JSON.stringify(process.argv.slice(2)).replace(',', ', '));
await Promise.resolve();
writeFileSync('output/result.txt', 'kept');
console.error('words');
process.exit(Code.Bad as number);
""",
}

ERRORS = {
    "rust": ('fn main() {\n    let x: i32 = "a";\n}\n', 1, b"main.rs:2:18"),
    "go": ('package main\n\nfunc main() {\n\tvar x int = "a"\n}\n', 2, b"main.go:4:"),
    "typescript": ("const good = 1;\nconst x: number = ;\n", 1, b"main.ts:2:19 - error TS1109"),
}


@dataclass(frozen=True)
class Compiling:
    """An engine with toolchains beside it."""

    engine: Engine
    toolchains: Toolchains

    async def execute(self, snapshot: Snapshot, job: Job, program: Program) -> Outcome:
        async with self.engine.machine(snapshot) as machine:
            return await run_to_outcome(machine, snapshot, encode_request(job, program), SECONDS)

    async def compile(self, job: Job) -> Compiled:
        return await self.toolchains.compile(job, self.execute)

    async def run(self, job: Job) -> Outcome:
        compiled = await self.compile(job)
        assert compiled.program, compiled.outcome
        return await self.execute(self.engine.library.base, job, compiled.program)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def compiling(
    engine: Engine, faas_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Compiling]:
    """Toolchains of the usual home, with an empty cache."""
    cache = ProgramCache(tmp_path_factory.mktemp("programs") / "programs.sqlite")
    toolchains = Toolchains(faas_home, cache, print)
    yield Compiling(engine, toolchains)
    toolchains.close()


@pytest.mark.parametrize("language", sorted(HELLO))
async def test_the_second_run_of_a_source_does_not_compile(compiling: Compiling, language: str):
    job = make_job(language, HELLO[language])
    at_once = await asyncio.gather(*(compiling.compile(job) for _ in range(3)))
    (first,) = (compiled for compiled in at_once if compiled.outcome is not None)
    again = await compiling.compile(make_job(language, HELLO[language], stdin=b"other", seed=7))
    assert first.outcome
    assert again.outcome is None
    assert first.program == again.program
    assert first.toolchain == (await compiling.toolchains.open(Language(language))).measurement
    outcome = await compiling.run(job)
    assert outcome.stdout.content == b"Hello World\n"
    assert (outcome.status, outcome.exit_code) == (Status.EXITED, 0)
    assert outcome == await compiling.run(job)


@pytest.mark.parametrize("language", sorted(PROGRAMS))
async def test_a_program_gets_and_gives_what_any_job_does(compiling: Compiling, language: str):
    outcome = await compiling.run(
        make_job(language, PROGRAMS[language], stdin=b"b a\nb c\n", arguments=("one", "two"))
    )
    assert outcome.stderr.content == b"words\n"
    assert outcome.stdout.content == b'a=1,b=2,c=1\n["one", "two"]\n'
    assert outcome.exit_code == 3
    assert [(file.path, file.content) for file in outcome.files] == [("result.txt", b"kept")]


@pytest.mark.parametrize("language", sorted(ERRORS))
async def test_a_compile_error_is_an_outcome_in_the_compilers_words(compiling: Compiling, language: str):
    code, exit_code, words = ERRORS[language]
    for _ in range(2):
        compiled = await compiling.compile(make_job(language, code))
        assert compiled.program is None
        assert compiled.outcome
        assert (compiled.outcome.status, compiled.outcome.exit_code) == (Status.EXITED, exit_code)
        assert compiled.outcome.stdout.content == b""
        assert words in compiled.outcome.stderr.content
        assert not compiled.outcome.files


@pytest.mark.parametrize("language", sorted(HELLO))
async def test_compiling_is_deterministic(
    compiling: Compiling, language: str, faas_home: Path, tmp_path: Path
):
    job = make_job(language, HELLO[language])
    outcomes = []
    for name in ("one", "two"):
        toolchains = Toolchains(faas_home, ProgramCache(tmp_path / name), print)
        compiled = await toolchains.compile(job, compiling.execute)
        toolchains.close()
        outcomes.append(compiled.outcome)
    assert outcomes[0] == outcomes[1]


async def test_typescript_that_requires_becomes_commonjs(compiling: Compiling):
    code = (
        "import { join } from 'path';\nconst fs = require('fs') as any;\nconsole.log(join('a', typeof fs));\n"
    )
    outcome = await compiling.run(make_job("typescript", code))
    assert outcome.stdout.content == b"a/object\n", outcome.stderr


async def test_a_rust_panic_is_told_with_its_place(compiling: Compiling):
    outcome = await compiling.run(make_job("rust", 'fn main() {\n    panic!("boom");\n}\n'))
    assert outcome.exit_code == 101
    assert b"panicked at 'boom', main.rs:2:5" in outcome.stderr.content


async def test_a_source_cannot_read_its_way_out_of_the_machine(compiling: Compiling):
    code = 'fn main() { println!("{}", include_str!("/proc/1/environ")); }\n'
    compiled = await compiling.compile(make_job("rust", code))
    assert compiled.outcome
    assert compiled.outcome.exit_code == 1
