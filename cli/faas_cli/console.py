"""What commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from faas_blueprint.errors import FaaSError
from faas_microvm.emulator import EmulatorChoice

Result = TypeVar("Result")

EngineOption = Annotated[
    EmulatorChoice,
    typer.Option(
        "--engine",
        envvar="FAAS_ENGINE",
        help="stock: the host's QEMU; fork: our own build of it (`faas machine build`), with warm machines "
        "that are forked for each job; restore: the same without forking; auto: the best that is there. "
        "The outcome is the same.",
    ),
]

console = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value), flush=True)


def note(text: str) -> None:
    """A line of progress."""
    console.print(f"  {text}", style="dim", markup=False)


class Steps:
    """Numbered lines with timings; what happens within a step shows below it."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._number = 0

    @contextlib.contextmanager
    def step(self, name: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Run a step; call what is given with the line that says what came of it."""
        started = time.perf_counter()
        lines: list[str] = []
        with console.status(doing) if console.is_terminal else contextlib.nullcontext():
            yield lines.append
        self.timings[name] = round(time.perf_counter() - started, 3)
        self._number += 1
        text = lines[-1] if lines else doing
        console.print(f"{self._number}. {text} [dim]({self.timings[name]:.1f} s)[/dim]")


def run_async(work: Awaitable[Result]) -> Result:
    """Run until done; SIGTERM and Ctrl-C cancel it, so that everything it started is stopped.

    Then it says so and exits with code 130: Typer would do that without a word.
    """

    async def main() -> Result:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            return await task
        except Exception as error:
            current = asyncio.current_task()
            if current and current.cancelling():  # Ctrl-C also reaches the programs that it was waiting for
                raise asyncio.CancelledError from error
            raise

    try:
        return asyncio.run(main())
    except (asyncio.CancelledError, KeyboardInterrupt):
        end_interrupted()


def end_interrupted() -> NoReturn:
    """Say that all is stopped, and exit as after Ctrl-C."""
    console.print("interrupted; everything that was started has been stopped")
    sys.exit(130)


def report_error(error: FaaSError, as_json: bool) -> None:
    """What went wrong, on stderr, or as the API would say it on stdout."""
    if as_json:
        details: dict[str, Any] = {key: _plain(value) for key, value in error.details.items()}
        print_json({"error": {"code": error.code, "message": error.message, "details": details}})
        return
    console.print(f"[red]error:[/red] {escape(error.message)}")
    for key, value in error.details.items():
        if value not in (None, ""):
            console.print(f"  {key}: {value}", markup=False)


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
