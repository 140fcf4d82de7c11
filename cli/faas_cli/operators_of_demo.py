"""The operators of `faas demo --operators N`: nodes with an API each, which know one another as peers."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.receipt import Address
from faas_cli.lying_operator_double import (
    FlippedMemoryEngineDouble,
    LyingEngineDouble,
    two_faced_api_double,
)
from faas_cli.running import attend_court, running_node
from faas_microvm.engine import Engine
from faas_operator.devnet.deployment import Deployment
from faas_operator.node import Node
from faas_operator.service import Operator
from faas_operator.settings import Secrets


@dataclass(frozen=True)
class OperatorOfDemo:
    """One of them: what it does, to be started when its turn comes."""

    node: Node
    engine: Engine | LyingEngineDouble | FlippedMemoryEngineDouble
    app: FastAPI
    listener: socket.socket

    @property
    def address(self) -> Address:
        """Its account."""
        return self.node.signer.address

    @property
    def lies(self) -> bool:
        """Whether it is the double."""
        return self.engine is not self.node.engine

    async def answer(self) -> None:
        """Follow the chain and answer."""
        node = self.node
        await Operator(
            chain=node.chain,
            engine=self.engine,
            signer=node.signer,
            store=node.store,
            settings=node.settings,
            deployment=node.deployment,
        ).run()

    def judge(self) -> Coroutine[Any, Any, None]:
        """Take part in disagreements."""
        return attend_court(self.node)

    async def show(self) -> None:
        """Serve the API."""
        await serve(self.app, self.listener)


@asynccontextmanager
async def operators_of_demo(
    shares: Sequence[Deployment], engine: Engine, *, liar: bool, same_lie: bool
) -> AsyncIterator[list[OperatorOfDemo]]:
    """One for each share of the service; the last one lies, if one is to."""
    async with AsyncExitStack() as stack:
        listeners = [stack.enter_context(listen("127.0.0.1", 0)) for _ in shares]
        origins = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
        operators = []
        for number, (share, listener) in enumerate(zip(shares, listeners, strict=True)):
            peers = tuple(origin for origin in origins if origin != origins[number])
            own = {"service_id": share.service_id, "blob_peers": peers, "billing": False, "x402_token": None}
            node = await stack.enter_async_context(running_node(share, engine, **own))
            lies = liar and number == len(shares) - 1
            if lies and not same_lie:
                lying = LyingEngineDouble(engine)
                operators.append(OperatorOfDemo(node, lying, two_faced_api_double(node, lying), listener))
                continue
            executions = await stack.enter_async_context(node.executions())
            app = create_app(executions, node.settings, Secrets.with_api_keys())
            answering = FlippedMemoryEngineDouble(engine) if lies else engine
            operators.append(OperatorOfDemo(node, answering, app, listener))
        yield operators
