"""`faas devnet`: the real Tangle contracts on a local chain, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from faas_cli.console import console, note, run_async


def devnet(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8545,
    tangle_fixture: Annotated[
        Path | None, typer.Option(help="A recorded deployment of Tangle to replay, not the pinned one.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The deployment as one JSON object on stdout.")
    ] = False,
) -> None:
    """Start a local chain with Tangle, our blueprint, an operator and an active service on it."""
    run_async(_devnet(port, tangle_fixture, as_json))


async def _devnet(port: int, fixture: Path | None, as_json: bool) -> None:
    from faas_cli.running import require_free, running_devnet
    from faas_operator.devnet.deployment import to_json

    require_free(port, "--port")
    async with running_devnet(note, fixture=fixture, port=port) as deployment:
        if as_json:
            print(json.dumps(json.loads(to_json(deployment))), flush=True)
        else:
            for name in (
                "rpc_url",
                "chain_id",
                "tangle",
                "blueprint_id",
                "service_id",
                "operator",
                "customer",
            ):
                console.print(f"  {name:13} {getattr(deployment, name)}", markup=False)
            console.print("the chain runs; Ctrl-C stops it")
        await asyncio.Event().wait()
