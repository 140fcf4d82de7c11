"""The root command."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from faas_blueprint.errors import FaaSError, MissingPrerequisite
from faas_cli import accounts, demo, devnet, dispute, image, job, machine, operator, quote, run, snapshot, up
from faas_cli.console import end_interrupted, report_error
from faas_verifier.audit_command import audit
from faas_verifier.command import verify
from faas_verifier.proof_command import verify_proof

app = typer.Typer(
    name="faas",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("run")(run.run)
app.command("verify")(verify)
app.command("dispute")(dispute.dispute)
app.command("audit")(audit)
app.command("verify-proof")(verify_proof)
app.add_typer(job.app, name="job")
app.add_typer(quote.app, name="quote")
app.add_typer(operator.app, name="operator")
app.add_typer(accounts.accounts, name="accounts")
app.add_typer(accounts.keys, name="keys")
app.command("devnet")(devnet.devnet)
app.add_typer(image.app, name="image")
app.add_typer(machine.app, name="machine")
app.add_typer(snapshot.app, name="snapshot")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"faas {version('tangle-faas')}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Verified execution: run jobs in a deterministic microVM, serve them on Tangle, check the results."""


def main() -> None:
    """Entry point."""
    guarded(app)


def guarded(command: Callable[[], object]) -> None:
    """Run a command: errors are one line with what to do, Ctrl-C is exit code 130."""
    _collect_rarely()
    try:
        command()
    except FaaSError as error:
        if os.environ.get("FAAS_TRACEBACK"):
            raise
        report_error(error, "--json" in sys.argv)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("faas_") and error.name != "faas_sdk":
            raise
        missing = MissingPrerequisite(
            f"this command needs {error.name}, which the bare installation leaves out: "
            "pip install 'tangle-faas[api]' tangle-faas-sdk"
        )
        report_error(missing, "--json" in sys.argv)
        sys.exit(1)
    except KeyboardInterrupt:
        end_interrupted()


def _collect_rarely() -> None:
    """Modules are never garbage, and most of what there is: looking through them again and again would be a
    tenth of a node's start, and at the end, when all goes anyway, as long as a command needs to start."""
    gc.set_threshold(20_000, 50, 100)
    atexit.register(gc.freeze)


if __name__ == "__main__":
    main()
