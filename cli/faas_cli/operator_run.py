"""`faas operator run`: the node, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from faas_cli.console import console, note, run_async

if TYPE_CHECKING:
    from faas_operator.settings import Secrets, Settings


def run(
    dry: Annotated[
        bool, typer.Option("--dry", help="Run the jobs that come, post nothing; needs no key.")
    ] = False,
) -> None:
    """Answer jobs and serve the API.

    SIGTERM: take no more, finish what runs within FAAS_DRAIN_SECONDS, then end; a second one ends it at
    once. Ctrl-C stops the runs and posts what is signed. Whatever is cut off is taken up at the next start.

    Settings come from FAAS_… variables and settings.toml in the home folder: FAAS_RPC_URL,
    FAAS_TANGLE, FAAS_BLUEPRINT_ID, FAAS_KEYSTORE, FAAS_KEYSTORE_PASSWORD, FAAS_API_KEYS and more; see
    `faas operator show-config`.
    """
    from faas_operator.logs import configure_logging
    from faas_operator.settings import Secrets, Settings

    settings = Settings()
    configure_logging(sys.stderr, log_format=settings.log_format)
    run_async(_run(settings, Secrets(), dry))


async def _run(settings: Settings, secrets: Secrets, dry: bool) -> None:
    from faas_api.app import create_app
    from faas_api.serve import listen, serve
    from faas_cli.running import attend, attend_court, in_background, settling, unless_ended
    from faas_microvm.engine import Engine, EngineSettings
    from faas_operator.node import open_dry_node, open_node

    engine_settings = EngineSettings(
        waiting=settings.waiting_machines,
        trace_bytes=settings.trace_bytes,
        trace_seconds=settings.trace_seconds,
    )
    opening = open_dry_node if dry else open_node
    with listen(settings.api_host, settings.api_port) as listener:
        async with (
            await Engine.open(settings.home, note, engine_settings) as engine,
            opening(settings, secrets, engine) as node,
            node.executions() as executions,
        ):
            follower = node.operator()
            # runs over HTTP would be signed with a key that nobody knows
            accepted = secrets.without_api_keys() if dry else secrets
            payments = await node.pay_per_request(executions)
            app = create_app(executions, node.settings, accepted, follower, payments, node.quoting())
            async with (
                in_background(follower.run()) as operator,
                in_background(node.bookkeeping().run()) as books,
                in_background(attend_court(node)) as court,
                in_background(attend(node.heartbeats())) as beats,
                in_background(attend(node.slash_alerts())) as alerts,
                in_background(attend(node.approver())) as approvals,
                in_background(attend(node.exits())) as exits,
                in_background(settling(payments)) as paid,
                in_background(serve(app, listener, settings.api_message_bytes)) as api,
            ):
                console.print(_announcement(node.signer.address, node.deployment, dry))
                with _terminated() as stopping:
                    duties = (court, beats, alerts, approvals, exits)
                    await unless_ended(stopping.wait(), operator, books, *duties, paid, api)
                    console.print(f"stopping: what runs has {settings.drain_seconds:g} s to end")
                    follower.stop()
                    await asyncio.gather(executions.drain(settings.drain_seconds), operator)


def _announcement(operator: str, deployment: str, dry: bool) -> str:
    if dry:
        return f"DRY RUN: follows {deployment}, runs its jobs and posts nothing; Ctrl-C stops it"
    return f"operator {operator} follows {deployment}; Ctrl-C stops it"


@contextmanager
def _terminated() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM sets; the second one cancels the task that is in this block."""
    loop, task, stopping = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None

    def terminate() -> None:
        if stopping.is_set():
            task.cancel()
        stopping.set()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        yield stopping
    finally:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
