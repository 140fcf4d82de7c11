"""The command: which groups, how often, as a table or as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import compiling, fork, hashing, jobs, machine
from benchmarks.figures import Figure, flat, table
from benchmarks.native import versions
from benchmarks.setting import Setting
from faas_blueprint.errors import FaaSError
from faas_microvm.base import open_base_snapshot
from faas_microvm.engine import Engine
from faas_microvm.profile import emulator_version

DEFAULT_RUNS = 50


class Group(StrEnum):
    """What can be measured, in the order in which it is."""

    BOOT = "boot"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    HELLO = "hello"
    THROUGHPUT = "throughput"
    HASH = "hash"
    CPU = "cpu"
    COMPILE = "compile"
    MEMORY = "memory"
    FORK = "fork"
    PAGES = "pages"


GROUPS: dict[Group, Callable[[Setting], Awaitable[list[Figure]]]] = {
    Group.BOOT: machine.boot,
    Group.SNAPSHOT: machine.snapshot,
    Group.RESTORE: machine.restore,
    Group.HELLO: jobs.hello,
    Group.THROUGHPUT: jobs.throughput,
    Group.HASH: hashing.hashing,
    Group.CPU: jobs.cpu,
    Group.COMPILE: compiling.compiling,
    Group.MEMORY: machine.memory,
    Group.FORK: fork.fork,
    Group.PAGES: machine.pages,
}


def bench(
    only: Annotated[list[Group] | None, typer.Option("--only", help="A group; can be repeated.")] = None,
    runs: Annotated[
        int, typer.Option(min=1, help="Measurements of what is given with a p95.")
    ] = DEFAULT_RUNS,
    as_json: Annotated[
        bool, typer.Option("--json", help="One flat object of named figures on stdout.")
    ] = False,
) -> None:
    """Measure what the machine costs on this host. Without --only: everything, one boot included."""
    people = Console(stderr=as_json, highlight=False)
    figures = asyncio.run(_measure(only or list(Group), runs, Console(stderr=True, highlight=False)))
    people.print(table(_host(), figures))
    if as_json:
        print(json.dumps(flat(figures)))


async def _measure(groups: list[Group], runs: int, console: Console) -> list[Figure]:
    def note(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False)

    figures: list[Figure] = []
    async with await Engine.open(progress=note) as engine:
        with await open_base_snapshot(None, note) as snapshot:
            setting = Setting(snapshot, engine, runs, note)
            for group in (group for group in GROUPS if group in groups):
                started = time.perf_counter()
                with console.status(f"measuring {group}"):
                    figures += await GROUPS[group](setting)
                note(f"{group}: {time.perf_counter() - started:.1f} s")
    return figures


def _host() -> str:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    model = models[0].partition(": ")[2] if models else "unknown processor"
    return f"{os.cpu_count()} × {model}; {emulator_version()}; native: {versions()}"


def main() -> None:
    """Entry point: errors are one line, Ctrl-C is exit code 130."""
    try:
        typer.run(bench)
    except FaaSError as error:
        raise SystemExit(f"error: {error.message}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
