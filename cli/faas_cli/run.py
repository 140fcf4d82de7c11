"""`faas run`: one job on this machine, without a chain."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.bundle import manifest_to_json
from faas_blueprint.digests import ZERO_DIGEST, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import DEFAULT_EPOCH, Job, Language, Limits, Mode, job_digest, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.terminal import TerminalSize, encode_events
from faas_cli import output_folder
from faas_cli.console import EngineOption, console, note, print_json, run_async
from faas_cli.snapshots import find_snapshot
from faas_microvm.emulator import EmulatorChoice

if TYPE_CHECKING:
    from faas_microvm.execution import Execution
    from faas_microvm.interactive import Input

DEFAULT_LIMITS = Limits()
LANGUAGES = f"{', '.join(list(Language)[:-1])} or {list(Language)[-1]}"
EXTENSIONS = {
    ".py": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".sh": "bash",
    ".rs": "rust",
    ".go": "go",
    ".ts": "typescript",
}


def run(
    file: Annotated[Path, typer.Argument(help="The program; - reads it from stdin.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="The program's arguments.")] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", help=f"{LANGUAGES}; default: by extension."),
    ] = None,
    stdin: Annotated[Path | None, typer.Option(help="File to give the program as standard input.")] = None,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive",
            "-i",
            help="Type its standard input while it runs: it gets a line whenever it can only go on with one, "
            "Ctrl-D ends it. What --stdin has comes first. With --json the output goes to stderr meanwhile.",
        ),
    ] = False,
    terminal: Annotated[
        bool,
        typer.Option(
            "--terminal",
            "-t",
            help="The same on a terminal: it gets every key as it is typed, Ctrl-C too, and its size; all "
            "that it writes is stdout. Ctrl-] ends the session. Where stdin is no terminal, it is typed on "
            "one of 80 by 24, or COLUMNS by LINES, and its end is Ctrl-D.",
        ),
    ] = False,
    env: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Environment variable.")] = None,
    with_file: Annotated[
        list[Path] | None, typer.Option("--file", help="File to lay into the working directory.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seeds every source of randomness.")] = 0,
    epoch: Annotated[
        int, typer.Option(help="Unix seconds that the clock shows at the start.")
    ] = DEFAULT_EPOCH,
    timeout_ms: Annotated[int, typer.Option(help="Virtual milliseconds.")] = DEFAULT_LIMITS.timeout_ms,
    memory_mb: Annotated[int, typer.Option(help="Memory in MiB.")] = DEFAULT_LIMITS.memory_mb,
    mode: Annotated[
        Mode,
        typer.Option(
            help="ephemeral: the machine is gone afterwards; cached: an earlier run's outcome will do; "
            "checkpointed: it is kept as a snapshot; branched: a fork of a snapshot runs and is kept; "
            "persistent: a session's machine goes on.",
        ),
    ] = Mode.EPHEMERAL,
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot", "-s", metavar="ID", help="Start on this snapshot; the first digits will do."
        ),
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option(
            "--branch",
            "-b",
            metavar="NAME",
            help="Start on this branch; what is kept becomes its head. In mode persistent: the session.",
        ),
    ] = None,
    identity: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Tells a fork from others of the same snapshot, with its seed."),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write what the program leaves below output/ into this folder, new or empty.",
        ),
    ] = None,
    emulator: EngineOption = EmulatorChoice.AUTOMATIC,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run a program in the deterministic microVM.

    The program's output is passed on and its exit code is this command's: 124 at the limit of virtual
    time, 137 at that of memory, 128 and its number after a signal. With --json it is 0 however the
    program ended. Where it did not run, it is 1; for wrong usage 2; after Ctrl-C 130. The same program,
    input, seed and epoch give the same output, files and state root, here and anywhere.
    """
    if interactive or terminal:
        option = "--terminal" if terminal else "--interactive"
        _require_interactive(option, file, stdin, mode, snapshot, branch)
    _require_start(mode, snapshot, branch)
    known = read_bytes(stdin) if stdin else b""
    job = make_job(
        language or read_language(file),
        read_text(file),
        stdin=encode_events([known]) if terminal else known,
        arguments=tuple(arguments or ()),
        environment=dict(_variable(text) for text in env or ()),
        files={path.name: read_bytes(path) for path in with_file or ()},
        seed=seed,
        epoch=epoch,
        limits=Limits(timeout_ms=timeout_ms, memory_mb=memory_mb),
        keep=mode.keeps,
        interactive=interactive or terminal,
        terminal=_terminal_size() if terminal else None,
    )
    if output is not None:
        output_folder.prepare(output)
    place = Place(mode, snapshot, branch, identity.encode(), emulator)
    execution = run_async(_run(job, place, as_json))
    if execution.stdin is not None:
        job = replace(job, stdin=execution.stdin)
    if output is not None:
        output_folder.write(output, execution.outcome.files)
    if as_json:
        print_json(report(job, execution))
        return
    outcome = execution.outcome
    tell_of_files(outcome, output)
    if execution.snapshot is not None:
        note(f"kept as snapshot {execution.snapshot.hex()[:16]}")
    if outcome.status is Status.TIMEOUT:
        console.print(f"stopped at its limit of {job.limits.timeout_ms} virtual milliseconds")
    elif outcome.status is Status.OUT_OF_MEMORY:
        console.print(f"stopped at its limit of {job.limits.memory_mb} MiB of memory")
    raise typer.Exit(outcome.exit_code)


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how, as the options say."""

    mode: Mode
    snapshot: str | None
    branch: str | None
    identity: bytes
    emulator: EmulatorChoice


def _require_interactive(
    option: str, file: Path, stdin: Path | None, mode: Mode, snapshot: str | None, branch: str | None
) -> None:
    """Raises InvalidRequest for what does not go with --interactive or --terminal."""
    if "-" in (str(file), str(stdin)):
        raise InvalidRequest(f"{option} reads stdin: neither the program nor --stdin can be - with it")
    if sys.stdin is None:
        raise InvalidRequest(f"{option} reads stdin, which is closed")
    if mode is not Mode.EPHEMERAL or snapshot is not None or branch is not None:
        raise InvalidRequest(f"{option} takes mode ephemeral, without --snapshot and --branch")


def _require_start(mode: Mode, snapshot: str | None, branch: str | None) -> None:
    """Raises InvalidRequest, in the words of the options, where a mode lacks what to start on."""
    if mode is Mode.PERSISTENT and (branch is None or snapshot is not None):
        raise InvalidRequest("--mode persistent takes --branch, the session's name, and no --snapshot")
    if mode is Mode.BRANCHED and branch is None and snapshot is None:
        raise InvalidRequest("--mode branched takes --snapshot or --branch, what is to be forked")


def _terminal_size() -> TerminalSize:
    from faas_cli.terminal import size_of

    return size_of(sys.stdin.fileno())


@asynccontextmanager
async def _typing(job: Job) -> AsyncGenerator[Input | None]:
    """What an interactive job gets meanwhile."""
    from faas_cli.descriptor_lines import DescriptorLines
    from faas_cli.terminal import TerminalInput
    from faas_microvm.interactive import most_typed

    if job.terminal is not None:
        typed = TerminalInput(sys.stdin.fileno(), job)
        with typed.reading():
            yield typed
    else:
        yield DescriptorLines(sys.stdin.fileno(), job.stdin, most_typed(job)) if job.interactive else None


async def _run(job: Job, place: Place, as_json: bool) -> Execution:
    from faas_microvm import modes
    from faas_microvm.engine import Engine, EngineSettings
    from faas_microvm.execution import Execution, Output

    settings = EngineSettings(emulator=place.emulator)
    async with await Engine.open(progress=note, settings=settings) as engine:
        start = await find_snapshot(engine, place.snapshot) if place.snapshot else None
        setting = modes.Setting(place.mode, start, place.branch, place.identity)
        async with _typing(job) as typed, aclosing(modes.stream(engine, job, setting, typed)) as events:
            async for event in events:
                if isinstance(event, Output) and (job.interactive or not as_json):
                    pass_on("stderr" if as_json else event.stream, event.data)
                elif isinstance(event, Execution):
                    if event.cached and not as_json:
                        pass_on("stdout", event.outcome.stdout.content)
                        pass_on("stderr", event.outcome.stderr.content)
                    return event
    raise AssertionError("a stream ends with an execution")


def tell_of_files(outcome: Outcome, folder: Path | None) -> None:
    """Say on stderr that there are output files, and where."""
    if outcome.files:
        where = "--output FOLDER writes them out" if folder is None else f"now in {folder}"
        note(f"{len(outcome.files)} output files, {where}")
    if outcome.files_truncated:
        note("not everything in the output folder could be taken")


def pass_on(stream: str, data: bytes) -> None:
    """Write to our own stdout or stderr, at once."""
    target = sys.stdout if stream == "stdout" else sys.stderr
    target.buffer.write(data)
    target.buffer.flush()


def read_language(file: Path) -> str:
    """The language that a file's extension stands for. Raises InvalidRequest."""
    try:
        return EXTENSIONS[file.suffix]
    except KeyError:
        raise InvalidRequest(f"cannot tell the language of {file}: give --language") from None


def read_text(file: Path) -> str:
    """The program. Raises InvalidRequest when it cannot be read."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"cannot read {file}: {error}") from error


def read_bytes(file: Path) -> bytes:
    """An input. Raises InvalidRequest when it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {file}: {error.strerror}") from error


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidRequest(f"--env takes NAME=VALUE, got {text!r}")
    return name, value


def report(job: Job, execution: Execution) -> dict[str, object]:
    """The object that `--json` prints."""
    outcome, size = execution.outcome, job.terminal
    return {
        "status": outcome.status.name.lower(),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        **(_text("stdin", job.stdin) if job.interactive else {}),
        **({} if size is None else {"terminal": {"cols": size.columns, "rows": size.rows}}),
        **_stream("stdout", outcome.stdout),
        **_stream("stderr", outcome.stderr),
        "files": manifest_to_json(outcome.manifest()),
        "files_truncated": outcome.files_truncated,
        "virtual_ns": outcome.virtual_ns,
        "trace": [to_hex(root) for root in outcome.trace],
        "state_root": to_hex(outcome.state_root),
        "outcome_digest": to_hex(outcome.digest()),
        "job_digest": to_hex(job_digest(job)),
        "measurement": to_hex(execution.measurement),
        "profile_id": to_hex(execution.profile_id),
        **({} if execution.toolchain == ZERO_DIGEST else {"toolchain": to_hex(execution.toolchain)}),
        "cached": execution.cached,
        "wall_ms": round(execution.wall_ms, 1),
    }


def _stream(name: str, stream: Stream) -> dict[str, object]:
    return {**_text(name, stream.content), f"{name}_truncated": stream.truncated}


def _text(name: str, content: bytes) -> dict[str, object]:
    """As text; bytes that are not UTF-8 are given as base64 besides."""
    text = content.decode("utf-8", "replace")
    if text.encode() == content:
        return {name: text}
    return {name: text, f"{name}_base64": base64.b64encode(content).decode()}
