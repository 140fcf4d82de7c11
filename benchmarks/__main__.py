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

from benchmarks import (
    answering,
    api,
    compiling,
    cpu,
    everyday,
    fork,
    hashing,
    jobs,
    keeping,
    ledger,
    machine,
    tracing,
)
from benchmarks.figures import Figure, flat, table
from benchmarks.native import versions
from benchmarks.plot import percentile_plot
from benchmarks.setting import Setting, restored
from faas_blueprint.errors import FaaSError
from faas_microvm.base import open_base_snapshot
from faas_microvm.engine import Engine
from faas_microvm.profile import emulator_version

DEFAULT_RUNS = 50
PLOTTED = (
    *("restore_ms", "hello_python_ms", "hello_python_cold_ms", "hello_javascript_ms"),
    *("hello_javascript_cold_ms", "hello_rust_ms", "hello_go_ms", "checkpoint_ms", "fork_ms"),
)
"""What the plot of latencies shows, as far as it was measured."""


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
    KEEP = "keep"
    TRACE = "trace"
    LEDGER = "ledger"
    OPERATOR = "operator"
    API = "api"
    MEMORY = "memory"
    FORK = "fork"
    EVERYDAY = "everyday"
    PAGES = "pages"
    GROWTH = "growth"
    DRIFT = "drift"
    FORK_DRIFT = "fork-drift"


GROUPS: dict[Group, Callable[[Setting], Awaitable[list[Figure]]]] = {
    Group.BOOT: machine.boot,
    Group.SNAPSHOT: machine.snapshot,
    Group.RESTORE: machine.restore,
    Group.HELLO: jobs.hello,
    Group.THROUGHPUT: jobs.throughput,
    Group.HASH: hashing.hashing,
    Group.CPU: cpu.cpu,
    Group.COMPILE: compiling.compiling,
    Group.KEEP: keeping.keeping,
    Group.TRACE: tracing.trace,
    Group.LEDGER: ledger.ledger,
    Group.OPERATOR: answering.answering,
    Group.API: api.api,
    Group.MEMORY: machine.memory,
    Group.FORK: fork.fork,
    Group.EVERYDAY: everyday.everyday,
    Group.PAGES: machine.pages,
    Group.GROWTH: keeping.growth,
    Group.DRIFT: jobs.drift,
    Group.FORK_DRIFT: fork.drift,
}
LONG = {Group.GROWTH, Group.DRIFT, Group.FORK_DRIFT}
"""Thousands of jobs, which take minutes: only when asked for."""


def bench(
    only: Annotated[list[Group] | None, typer.Option("--only", help="A group; can be repeated.")] = None,
    runs: Annotated[
        int, typer.Option(min=1, help="Measurements of what is given with a p95.")
    ] = DEFAULT_RUNS,
    everything: Annotated[
        bool, typer.Option("--all", help="The long groups too: growth, drift and fork-drift.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One flat object of named figures on stdout.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw latency by percentile into this SVG file.")
    ] = None,
) -> None:
    """Measure what the machine costs on this host. Without --only: all but the long groups."""
    people = Console(stderr=as_json, highlight=False)
    groups = only or [group for group in Group if everything or group not in LONG]
    figures = asyncio.run(_measure(groups, runs, Console(stderr=True, highlight=False)))
    people.print(table(_host(), figures))
    if plot is not None:
        plot.write_text(percentile_plot([figure for figure in figures if figure.name in PLOTTED]))
    if as_json:
        print(json.dumps(flat(figures)))


async def _measure(groups: list[Group], runs: int, console: Console) -> list[Figure]:
    def note(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False)

    figures: list[Figure] = []
    async with await Engine.open(progress=note, settings=restored()) as engine:
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
