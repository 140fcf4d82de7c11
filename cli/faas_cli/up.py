"""`faas up`: chain, operator and API on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from typing import Annotated

import typer

from faas_cli.console import EngineOption, Steps, console, note, print_json, run_async
from faas_microvm.emulator import EmulatorChoice


def up(
    api_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the API; 0 takes a free one.")
    ] = 8080,
    chain_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the chain; 0 takes a free one.")
    ] = 8545,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="FAAS_API_KEY", help="Key that the API accepts, an administrator's; default: a new one."
        ),
    ] = None,
    emulator: EngineOption = EmulatorChoice.AUTOMATIC,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No log lines.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout once it runs.")] = False,
) -> None:
    """Start a local chain, its operator and the REST API; stop all of it with Ctrl-C."""
    from faas_operator.logs import configure_logging

    configure_logging(sys.stderr, logging.WARNING if quiet else logging.INFO)
    run_async(_up(api_port, chain_port, api_key, emulator, as_json))


async def _up(
    api_port: int, chain_port: int, api_key: str | None, emulator: EmulatorChoice, as_json: bool
) -> None:
    from faas_api.app import create_app
    from faas_api.serve import listen, serve
    from faas_cli.running import (
        attend_court,
        in_background,
        new_api_key,
        require_free,
        running_devnet,
        running_node,
        settling,
        unless_ended,
    )
    from faas_microvm.engine import Engine, EngineSettings
    from faas_operator.settings import Secrets

    require_free(api_port, "--api-port")
    require_free(chain_port, "--chain-port")
    key = api_key or new_api_key()
    steps = Steps()
    # snapshots of accounts that end with the chain end with it too
    with tempfile.TemporaryDirectory(prefix="faas-") as store, listen("127.0.0.1", api_port) as listener:
        with steps.step("machine", "preparing the machine") as done:
            settings = EngineSettings(waiting=2, emulator=emulator, store=store, trace_bytes=1 << 30)
            engine = await Engine.open(progress=note, settings=settings)
            done("the machine is ready")
        async with (
            engine,
            running_devnet(note, port=chain_port, engine=engine) as deployment,
            running_node(deployment, engine) as node,
            node.executions() as executions,
        ):
            endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            public = node.settings.model_copy(update={"api_public_url": endpoint})
            payments = await node.pay_per_request(executions)
            app = create_app(
                executions,
                public,
                Secrets.with_api_keys(admin=[key]),
                payments=payments,
                quoting=node.quoting(),
            )
            async with (
                in_background(node.operator().run()) as operator,
                in_background(node.bookkeeping().run()) as books,
                in_background(attend_court(node)) as court,
                in_background(settling(payments)) as paid,
                in_background(serve(app, listener, public.api_message_bytes)) as api,
            ):
                facts = {
                    "rpc_url": deployment.rpc_url,
                    "tangle": deployment.tangle,
                    "blueprint_id": deployment.blueprint_id,
                    "service_id": deployment.service_id,
                    "operator": deployment.operator,
                    "endpoint": endpoint,
                    "api_key": key,
                }
                _announce(facts, as_json)
                await unless_ended(asyncio.Event().wait(), operator, books, court, paid, api)


def _announce(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        console.print(f"  {name:13} {value}", markup=False)
    console.print("\ntry, in another terminal:")
    console.print("  faas job submit --language python --code 'print(6 * 7)' --wait", markup=False)
    curl = (
        f"  curl -s {facts['endpoint']}/api/v1/execute -H 'X-API-Key: {facts['api_key']}'"
        " -H 'Content-Type: application/json'"
        """ -d '{"language": "javascript", "code": "console.log(6 * 7)"}'"""
    )
    console.print(curl, markup=False, soft_wrap=True)
    console.print(f"\nor sign in with the key in a browser: {facts['endpoint']}/console/", soft_wrap=True)
    console.print("\nCtrl-C stops everything.")
