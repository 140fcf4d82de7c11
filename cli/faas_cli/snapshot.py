"""`faas snapshot measure [NAME]`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from faas_cli.console import console, note, print_json, run_async

app = typer.Typer(help="Measured machines that jobs start from.", no_args_is_help=True)


@app.command()
def measure(
    name: Annotated[str, typer.Argument(help="base, rust, go or typescript.")] = "base",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Boot an image from power-on and print its measurement.

    Anyone who boots the same image on the same machine profile gets the same one.
    """
    from faas_microvm import base

    started = time.perf_counter()
    measured = run_async(base.measure(name, None, note))
    seconds = round(time.perf_counter() - started, 1)
    if as_json:
        print_json({**measured.to_json(), "seconds": seconds})
        return
    for name, value in measured.to_json().items():
        print(f"{name:12} {value}")
    console.print(f"booted and measured in {seconds} s")
