"""`faas-blueprint`: the node as Tangle's blueprint manager starts it.

The manager runs a blueprint's binary as `BINARY run [--test-mode] [--pretty] [-v…] [--dry-run]` and tells
the rest in environment variables; docs/runbook.md lists them with their source. Here they become
FAAS_… variables, which win where both are set; then it is `faas operator run`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from faas_blueprint.errors import InvalidRequest
from faas_cli.console import console
from faas_cli.main import guarded
from faas_cli.operator_run import run as operator_run

_NAMES = {
    "HTTP_RPC_URL": "FAAS_RPC_URL",
    "TANGLE_CONTRACT": "FAAS_TANGLE",
    "RESTAKING_CONTRACT": "FAAS_STAKING",
    "BLUEPRINT_ID": "FAAS_BLUEPRINT_ID",
    "SERVICE_ID": "FAAS_SERVICE_ID",
}
_PROTOCOLS = ("tangle", "tangle-evm", "tangleevm")

app = typer.Typer(name="faas-blueprint", no_args_is_help=True, add_completion=False)


@app.callback()
def root() -> None:
    """The operator node under Tangle's blueprint manager."""


@app.command()
def run(
    test_mode: Annotated[bool, typer.Option("--test-mode", help="Taken, and of no effect.")] = False,
    pretty: Annotated[bool, typer.Option("--pretty", help="Taken, and of no effect.")] = False,
    verbose: Annotated[int, typer.Option("-v", count=True, help="Taken, and of no effect.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run jobs, post nothing.")] = False,
) -> None:
    """Serve one service of one blueprint, or write the registration inputs, as the variables say."""
    if os.environ.get("REGISTRATION_MODE_ON"):
        _write_registration_inputs(os.environ)
        return
    for name, value in settings_of(os.environ).items():
        os.environ.setdefault(name, value)
    operator_run(dry=dry_run)


def settings_of(variables: Mapping[str, str]) -> dict[str, str]:
    """The manager's variables as the node's. Raises InvalidRequest for another protocol than Tangle's."""
    protocol = variables.get("PROTOCOL", "tangle").lower()
    if protocol not in _PROTOCOLS:
        raise InvalidRequest(f"this blueprint serves Tangle, not PROTOCOL={protocol}")
    settings = {ours: variables[theirs] for theirs, ours in _NAMES.items() if variables.get(theirs)}
    if folder := variables.get("DATA_DIR"):
        # images and snapshots stay in the home: all services share them
        settings["FAAS_DATABASE_URL"] = f"sqlite:///{folder}/operator.sqlite"
    return settings


def _write_registration_inputs(variables: Mapping[str, str]) -> None:
    """None: the blueprint's registration schema is empty."""
    given = variables.get("REGISTRATION_OUTPUT_PATH")
    path = Path(given or Path(variables.get("DATA_DIR", "."), "registration_inputs.bin"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    console.print(f"this blueprint asks for no registration inputs: {path} is empty", markup=False)


def main() -> None:
    """Entry point."""
    guarded(app)


if __name__ == "__main__":
    main()
