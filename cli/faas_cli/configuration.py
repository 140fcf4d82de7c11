"""`faas operator show-config`: what a node would start with, without its secrets."""

from __future__ import annotations

from typing import Annotated

import typer

from faas_cli.console import print_json


def show_config(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show every setting as the node reads it; of secrets, only whether they are set."""
    from faas_operator.settings import Secrets, Settings, settings_file

    shown = Settings().model_dump(mode="json")
    secrets = Secrets().told()
    if as_json:
        print_json({"file": str(settings_file()), "settings": shown, "secrets": secrets})
        return
    print(f"{'settings file':24} {settings_file()}{'' if settings_file().is_file() else ' (not there)'}")
    for name, value in (shown | secrets).items():
        print(f"{'FAAS_' + name.upper():24} {'' if value is None else value}")
