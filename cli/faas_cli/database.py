"""`faas operator database`: the store's tables, looked at or brought up to date."""

from __future__ import annotations

from typing import Annotated

import typer

from faas_cli.console import print_json


def database(
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Make the tables, or bring them up to this version's.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show where the store is and how its tables compare with this version's.

    The node upgrades them by itself when it starts; --upgrade does it beforehand. There is no way back but
    the backup.
    """
    from faas_operator import migrations, schema
    from faas_operator.database import connect, let_go, place_of
    from faas_operator.settings import Secrets, Settings, database_url

    engine = connect(database_url(Settings(), Secrets()))
    try:
        if upgrade:
            schema.bring_up_to_date(engine)
        found = schema.state(engine)
        report: dict[str, object] = {
            "kind": engine.dialect.name,
            "place": place_of(engine),
            "standing": str(found.standing),
            "revision": found.revision,
            "newest": migrations.NEWEST,
        }
    finally:
        let_go(engine)
    if as_json:
        print_json(report)
    else:
        for name, value in report.items():
            print(f"{name:20} {'none' if value is None else value}")
