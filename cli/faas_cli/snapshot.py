"""`faas snapshot …`: measure the base; list, fork, compare, merge, prove and delete what was kept."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from faas_blueprint.digests import Digest, digest_from_hex, to_hex
from faas_blueprint.errors import Divergence, InvalidRequest
from faas_cli.console import console, note, print_json, run_async
from faas_cli.snapshots import base_named, find_snapshot, find_stored, opened_store, size_text, table_of

if TYPE_CHECKING:
    from faas_microvm.engine import Engine
    from faas_microvm.merge import Conflict

Result = TypeVar("Result")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Name = Annotated[str, typer.Argument(help="First digits of a snapshot, a branch, or base.")]
Stored = Annotated[str, typer.Argument(help="First digits of a snapshot, or a branch.")]
Label = Annotated[str | None, typer.Option(help="A name for people.")]

app = typer.Typer(help="Measured machines that jobs start from.", no_args_is_help=True)


def _with_engine(work: Callable[[Engine], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        from faas_microvm.engine import Engine

        async with await Engine.open(progress=note) as engine:
            return await work(engine)

    return run_async(run())


@app.command()
def measure(
    name: Annotated[str, typer.Argument(help="base, rust, go or typescript.")] = "base",
    compare: Annotated[
        str | None, typer.Option(metavar="ID", help="A measurement that this one must equal.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Boot an image from power-on and print its measurement.

    Anyone who boots the same image on the same machine profile gets the same one: with --compare two
    strangers see whether they have the same machine.
    """
    from faas_microvm import base

    expected = None if compare is None else _measurement(compare)
    started = time.perf_counter()
    measured = run_async(base.measure(name, None, note))
    seconds = round(time.perf_counter() - started, 1)
    if expected is not None and expected != measured.measurement:
        raise Divergence(
            "this machine is another: its profile or its image differs",
            {"expected": compare, **measured.to_json()},
        )
    if as_json:
        print_json({**measured.to_json(), "equal": compare is not None, "seconds": seconds})
        return
    for part, value in measured.to_json().items():
        print(f"{part:12} {value}")
    console.print(f"booted and measured in {seconds} s" + ("; it is the same machine" if compare else ""))


def _measurement(text: str) -> Digest:
    """Of `--compare`, with or without 0x. Raises InvalidRequest."""
    try:
        return digest_from_hex("0x" + text.lower().removeprefix("0x"))
    except ValueError:
        raise InvalidRequest(f"--compare takes a measurement, 64 hexadecimal digits, got {text!r}") from None


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the tree of snapshots, and branches."""

    async def run() -> None:
        async with opened_store() as store:
            records, branches = await store.list(), await store.list_branches()
            usage = await store.usage()
        if as_json:
            heads = {name: to_hex(head) for name, head in branches.items()}
            print_json({"snapshots": [r.to_json() for r in records], "branches": heads})
            return
        if records:
            console.print(table_of(records, branches))
        allowed = f" of {size_text(usage.quota_bytes)}" if usage.quota_bytes else ""
        console.print(f"{len(records)} snapshots, {size_text(usage.used_bytes)}{allowed}")

    run_async(run())


@app.command()
def show(name: Name) -> None:
    """Print all that is known of a snapshot."""
    base = base_named(name)

    async def run() -> dict[str, object]:
        async with opened_store() as store:
            measurement = base or await find_stored(store, name)
            children = [to_hex(child.measurement) for child in await store.children(measurement)]
            if base is not None:
                return {"measurement": to_hex(base), "kind": "base", "children": children}
            return {**(await store.get(measurement)).to_json(), "children": children}

    print(json.dumps(run_async(run()), indent=2))


@app.command()
def delete(
    name: Stored,
    cascade: Annotated[bool, typer.Option(help="With everything that was made from it.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a snapshot; refused while others were made from it or a branch points at it."""
    _refuse_base(name, "the base cannot be deleted")

    async def run() -> list[Digest]:
        async with opened_store() as store:
            return await store.delete(await find_stored(store, name), cascade=cascade)

    gone = run_async(run())
    if as_json:
        print_json({"deleted": [to_hex(measurement) for measurement in gone]})
    else:
        console.print(f"deleted {len(gone)}; `faas snapshot collect` frees their bytes after a while")


@app.command()
def collect(as_json: Json = False) -> None:
    """Free what no snapshot needs any more."""

    async def run() -> int:
        async with opened_store() as store:
            return await store.collect_garbage()

    freed = run_async(run())
    if as_json:
        print_json({"freed_bytes": freed})
    else:
        console.print(f"{size_text(freed)} freed")


@app.command()
def branch(
    name: Annotated[str, typer.Argument(help="The branch.")],
    head: Annotated[
        str | None, typer.Argument(help="First digits of the snapshot that it is to point at, or a branch.")
    ] = None,
    remove: Annotated[bool, typer.Option("--delete", help="Forget the branch; its snapshots stay.")] = False,
) -> None:
    """Point a branch at a snapshot, say where it points, or forget it."""
    if head is not None:
        _refuse_base(head, "a branch points at a snapshot that was kept, not at the base")

    async def run() -> Digest | None:
        async with opened_store() as store:
            if remove:
                await store.delete_branch(name)
                return None
            if head is not None:
                await store.set_branch(name, await find_stored(store, head))
            return await store.get_branch(name)

    points_at = run_async(run())
    if points_at is not None:
        print(to_hex(points_at))


@app.command()
def fork(
    name: Name,
    seed: Annotated[int, typer.Option(help="Of the fork's random numbers.")] = 0,
    epoch: Annotated[int, typer.Option(help="Unix seconds that its clock shows at least.")] = 0,
    identity: Annotated[str, typer.Option(metavar="TEXT", help="Up to 32 bytes.")] = "",
    label: Label = None,
    as_json: Json = False,
) -> None:
    """Make a snapshot that differs from another only by a declared record; print its measurement."""

    async def run(engine: Engine) -> None:
        start = await find_snapshot(engine, name)
        record = await engine.fork(start, seed, epoch, identity.encode(), label)
        if as_json:
            print_json(record.to_json())
        else:
            print(to_hex(record.measurement))

    _with_engine(run)


@app.command()
def resume(name: Stored, as_json: Json = False) -> None:
    """Let the job go on that is under way in a snapshot; its output is passed on."""
    from faas_cli.run import pass_on

    async def run(engine: Engine) -> int:
        execution = await engine.resume(await find_snapshot(engine, name))
        outcome = execution.outcome
        if as_json:
            print_json(
                {
                    "status": outcome.status.name.lower(),
                    "exit_code": outcome.exit_code,
                    "stdout": outcome.stdout.content.decode("utf-8", "replace"),
                    "stderr": outcome.stderr.content.decode("utf-8", "replace"),
                    "state_root": to_hex(outcome.state_root),
                }
            )
            return 0
        pass_on("stdout", outcome.stdout.content)
        pass_on("stderr", outcome.stderr.content)
        return outcome.exit_code

    raise typer.Exit(_with_engine(run))


@app.command()
def diff(before: Name, after: Name, as_json: Json = False) -> None:
    """Say how two snapshots differ: files, pages, registers, virtual time."""
    from faas_microvm.comparing import SnapshotDiff, diff_snapshots

    async def run(engine: Engine) -> SnapshotDiff:
        return await diff_snapshots(
            engine, await find_snapshot(engine, before), await find_snapshot(engine, after)
        )

    found = _with_engine(run)
    if as_json:
        print_json(found.to_json())
        return
    for entry in found.files.added:
        print(f"A {entry.path}  {entry.size} bytes")
    for entry in found.files.removed:
        print(f"D {entry.path}  {entry.size} bytes")
    for item in found.files.modified:
        print(f"M {item.path}  {item.before.size} → {item.after.size} bytes")
    if found.files.incomplete:
        note("not all files are listed")
    print(
        f"{len(found.pages)} pages differ, {len(found.registers)} registers, "
        f"{found.virtual_ns / 1e6:.3f} virtual ms"
    )


@app.command()
def merge(
    ours: Name,
    theirs: Name,
    strategy: Annotated[
        str,
        typer.Option(help="three_way, ours, theirs or union: what becomes of what both changed."),
    ] = "three_way",
    label: Label = None,
    into: Annotated[
        str | None, typer.Option("--branch", metavar="NAME", help="Point it at the result.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Merge the files of THEIRS into OURS; conflicts are listed, and then nothing is merged (exit code 1)."""
    from faas_blueprint.operation import Strategy
    from faas_microvm.comparing import Merged, merge_snapshots

    if strategy not in list(Strategy):
        raise InvalidRequest(f"--strategy is one of {', '.join(Strategy)}, got {strategy!r}")

    async def run(engine: Engine) -> Merged:
        sides = await find_snapshot(engine, ours), await find_snapshot(engine, theirs)
        merged = await merge_snapshots(engine, *sides, Strategy(strategy), label)
        if merged.record is not None and into is not None:
            await engine.library.store.set_branch(into, merged.record.measurement)
        return merged

    merged = _with_engine(run)
    if as_json:
        record = None if merged.record is None else merged.record.to_json()
        print_json({"snapshot": record, "conflicts": [_conflict(conflict) for conflict in merged.conflicts]})
    elif merged.record is not None:
        print(to_hex(merged.record.measurement))
    for conflict in () if as_json else merged.conflicts:
        console.print(f"conflict ({conflict.kind}) in {conflict.path}", markup=False)
        for side, content in (("ours", conflict.ours), ("theirs", conflict.theirs)):
            console.print(f"  {side}: {_excerpt(content)}", markup=False)
    raise typer.Exit(1 if merged.conflicts else 0)


@app.command()
def prove(
    name: Name,
    page: Annotated[int | None, typer.Option(help="Number of a page of memory.")] = None,
    path: Annotated[str | None, typer.Option(help="A path below the working directory.")] = None,
    content: Annotated[bool, typer.Option("--content", help="With the file's content.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; default: stdout.")
    ] = None,
) -> None:
    """Write a proof that a page, or a file, is part of a snapshot; `faas verify-proof` checks it anywhere.

    Of a path that is not there it is a proof of absence, which is said on stderr.
    """
    from faas_blueprint.proof_json import proof_to_json
    from faas_microvm.comparing import prove_page, prove_path

    if (page is None) == (path is None):
        raise InvalidRequest("give --page or --path")

    async def run(engine: Engine) -> str:
        snapshot = await find_snapshot(engine, name)
        if path is not None:
            proof = await prove_path(engine, snapshot, path, with_content=content)
            if proof.entry is None:
                note(f"{name} has no {path}: this is a proof of its absence")
            return json.dumps(proof_to_json(proof))
        return json.dumps(proof_to_json(await prove_page(engine, snapshot, page or 0)))

    text = _with_engine(run) + "\n"
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)


def _refuse_base(name: str, why: str) -> None:
    if base_named(name) is not None:
        raise InvalidRequest(why)


def _conflict(conflict: Conflict) -> dict[str, object]:
    def shown(content: bytes | None) -> str | None:
        return None if content is None else content.decode("utf-8", "replace")

    return {
        "path": conflict.path,
        "kind": str(conflict.kind),
        "ours": shown(conflict.ours),
        "theirs": shown(conflict.theirs),
        "base": shown(conflict.base),
    }


def _excerpt(content: bytes | None) -> str:
    return "nothing" if content is None else repr(content[:60].decode("utf-8", "replace"))
