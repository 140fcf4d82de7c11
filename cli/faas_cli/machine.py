"""`faas machine build | show`."""

from __future__ import annotations

from typing import Annotated

import typer

from faas_cli.console import console, note, print_json

app = typer.Typer(help="The emulator that machines run on.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def build(
    again: Annotated[
        bool, typer.Option("--again", help="Also if it is there: with the libraries that Debian has now.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Build our own emulator: the host's QEMU source package with our patches; about five minutes, once."""
    from faas_microvm.emulator_build import build_emulator
    from faas_microvm.home import default_home

    emulator = build_emulator(default_home(), note, again=again)
    if as_json:
        print_json({"path": str(emulator.path), "build": emulator.path.parent.name})
    else:
        console.print(f"{emulator.name}\n  in {emulator.path.parent}")


@app.command()
def show(as_json: _Json = False) -> None:
    """Show which emulator machines run on."""
    from faas_microvm.emulator import build_id, choose_emulator
    from faas_microvm.home import default_home

    emulator = choose_emulator(default_home())
    if as_json:
        print_json({"path": str(emulator.path), "forks": emulator.forks, "build": build_id()})
        return
    console.print(f"machines run on {emulator.name}\n  {emulator.path}")
    if not emulator.forks:
        console.print("`faas machine build` makes a faster one, with the same outcomes")
