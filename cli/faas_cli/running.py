"""A whole deployment on one machine: chain, engine, operator and API, for `demo` and `up`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import secrets as random
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from faas_blueprint.errors import FatalError
from faas_blueprint.receipt import ZERO_ADDRESS
from faas_microvm.engine import Engine
from faas_microvm.home import default_home
from faas_operator.approver import Approver
from faas_operator.chain.rpc import Rpc
from faas_operator.devnet import deployment as deployments
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet
from faas_operator.devnet.provision import BaseSnapshot
from faas_operator.devnet.shared_service import register_snapshot
from faas_operator.exits import Exits
from faas_operator.heartbeats import Heartbeats
from faas_operator.node import Node, open_node
from faas_operator.payments import PayPerRequest
from faas_operator.settings import Secrets, Settings
from faas_operator.slash_alerts import SlashAlerts

Progress = Callable[[str], None]
Result = TypeVar("Result")

DEVNET_FILE = "devnet.json"

STARTING_CREDITS = 1_000
"""What every account of a local deployment has to begin with: more than a year of runs one after another."""


def require_free(port: int, option: str) -> None:
    """Refuse a port that is in use, before any work. Raises FatalError, which names `option`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                said = f"port {port} is in use: stop the other `faas up`, or give {option} 0"
            else:
                said = f"cannot listen on port {port}: {error.strerror}; give another as {option}"
            raise FatalError(said) from error


@asynccontextmanager
async def running_devnet(
    progress: Progress,
    *,
    fixture: Path | None = None,
    port: int = 0,
    advertised: bool = True,
    engine: Engine | None = None,
) -> AsyncIterator[Deployment]:
    """A local chain; while it runs, `devnet.json` in the home tells other commands where it is.

    That of another one which runs is left alone. The service manager knows the engine's base snapshot.
    """
    home = default_home()
    async with Devnet(home, fixture=fixture, port=port, progress=progress) as deployment:
        if engine is not None:
            async with Rpc(deployment.rpc_url) as rpc:
                await register_snapshot(rpc, deployment, BaseSnapshot(engine.profile_id, engine.measurement))
        with _advertised(home, deployment, progress) if advertised else contextlib.nullcontext():
            yield deployment


@contextmanager
def _advertised(home: Path, deployment: Deployment, progress: Progress) -> Iterator[None]:
    """Write `devnet.json`, unless a process that lives holds its lock, and remove it at the end."""
    advert = home / DEVNET_FILE
    with (home / f".{DEVNET_FILE}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(
                "another local chain runs, which commands go on to use: for this one give them --rpc "
                f"{deployment.rpc_url} --tangle {deployment.tangle} --blueprint {deployment.blueprint_id}"
            )
            yield
            return
        advert.write_text(deployments.to_json(deployment))
        try:
            yield
        finally:
            advert.unlink(missing_ok=True)


@asynccontextmanager
async def running_node(deployment: Deployment, engine: Engine, **more: object) -> AsyncIterator[Node]:
    """The devnet's operator, opened; its store is gone afterwards, as the chain is. `more` are settings."""
    with tempfile.TemporaryDirectory(prefix="faas-") as folder:
        settings = Settings(
            keystore=Path(deployment.operator_keystore),
            tangle=deployment.tangle,
            chain_id=deployment.chain_id,
            blueprint_id=deployment.blueprint_id,
            start_block=deployment.first_block,
            poll_seconds=0.1,
            billing=True,
            starting_credits=STARTING_CREDITS,
            credits=deployment.credits,
            credit_rates={ZERO_ADDRESS: 10**15, deployment.payment_token: 10**6},
            x402_token=deployment.payment_token,
        ).model_copy(update=more)
        secrets = Secrets(
            keystore_password=SecretStr(deployment.operator_password),
            rpc_url=SecretStr(deployment.rpc_url),
            x402_key=None if settings.x402_token is None else SecretStr(deployment.gas_key),
            database_url=SecretStr(f"sqlite:///{folder}/operator.sqlite"),
        )
        async with open_node(settings, secrets, engine) as node:
            yield node


async def attend_court(node: Node) -> None:
    """Take the operator's part in disagreements, until cancelled."""
    court = node.court()
    await (asyncio.Event().wait() if court is None else court.run())


async def attend(duty: Approver | Exits | Heartbeats | SlashAlerts | None) -> None:
    """Do one of the node's duties, if it has it, until cancelled."""
    await (asyncio.Event().wait() if duty is None else duty.run())


@asynccontextmanager
async def in_background(work: Awaitable[None]) -> AsyncIterator[asyncio.Task[None]]:
    """Something that runs until the block ends; its failure surfaces there."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def settling(payments: PayPerRequest | None) -> None:
    """Settle payments by request, where they are taken."""
    await (asyncio.Event().wait() if payments is None else payments.settling.run())


async def unless_ended(work: Awaitable[Result], *background: asyncio.Task[None]) -> Result:
    """The result of `work`; if a background task ends first, its error."""
    wanted = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({wanted, *background}, return_when=asyncio.FIRST_COMPLETED)
        if wanted not in done:
            for task in done:
                task.result()
        return await wanted
    finally:
        wanted.cancel()


def new_api_key() -> str:
    """A key for one run."""
    return "faas_" + random.token_urlsafe(24)
