"""A node put together: store, key, chain and engine, opened in order and closed again.

async with Engine.open() as engine, open_node(settings, secrets, engine) as node:
    await node.operator().run()          # answer jobs from the chain
    async with node.executions() as executions:
        app = create_app(executions, settings, secrets)   # faas_api: the same over HTTP
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from eth_account import Account

from faas_blueprint.errors import MissingPrerequisite
from faas_blueprint.receipt import Address
from faas_microvm.engine import Engine
from faas_operator import keystore
from faas_operator.chain.dry import DryAdapter
from faas_operator.chain.evm import EvmAdapter
from faas_operator.executions import ExecutionService
from faas_operator.service import Operator
from faas_operator.settings import Secrets, Settings, database_url
from faas_operator.signer import Signer
from faas_operator.store import Store


@dataclass(frozen=True)
class Node:
    """What an operator and an API need, opened."""

    chain: EvmAdapter
    engine: Engine
    signer: Signer
    store: Store
    settings: Settings

    @property
    def deployment(self) -> str:
        """Names what this node follows."""
        return deployment_name(self.chain.chain_id, self.chain.tangle, self.chain.blueprint_id)

    def operator(self) -> Operator:
        """An operator of this node; one at a time."""
        return Operator(
            chain=self.chain,
            engine=self.engine,
            signer=self.signer,
            store=self.store,
            settings=self.settings,
            deployment=self.deployment,
        )

    def executions(self) -> ExecutionService:
        """Runs without the chain, with the same engine and key; to be closed before the engine."""
        return ExecutionService(self.engine, self.signer, self.store)


def deployment_name(chain_id: int, tangle: Address, blueprint_id: int) -> str:
    """The name under which a cursor is stored."""
    return f"{chain_id}/{tangle}/{blueprint_id}"


@asynccontextmanager
async def open_node(settings: Settings, secrets: Secrets, engine: Engine) -> AsyncIterator[Node]:
    """A node over an engine, which stays the caller's to close.

    Raises MissingPrerequisite when a setting is missing, FatalError when the keystore cannot be opened
    or the chain is not a Tangle, ChainUnavailable when it does not answer.
    """
    tangle, blueprint_id = _place(settings)
    if secrets.keystore_password is None:
        raise MissingPrerequisite("set FAAS_KEYSTORE_PASSWORD to the password of the operator's keystore")
    account = keystore.load(settings.keystore_path, secrets.keystore_password.get_secret_value())
    rpc_url = secrets.rpc_url.get_secret_value()
    with closing(Store.open(database_url(settings, secrets))) as store:
        async with await EvmAdapter.connect(
            rpc_url,
            tangle,
            blueprint_id,
            account,
            chain_id=settings.chain_id,
            service_id=settings.service_id,
        ) as chain:
            yield Node(chain, engine, Signer.from_account(account), store, settings)


@asynccontextmanager
async def open_dry_node(settings: Settings, secrets: Secrets, engine: Engine) -> AsyncIterator[Node]:
    """A node that runs the jobs from now on and posts nothing; its key and store are gone afterwards.

    Needs no keystore and leaves the settings' database alone. Raises as `open_node` does.
    """
    tangle, blueprint_id = _place(settings)
    account = Account.create()
    with (
        tempfile.TemporaryDirectory(prefix="faas-dry-") as folder,
        closing(Store.open(f"sqlite:///{folder}/operator.sqlite")) as store,
    ):
        async with await DryAdapter.connect(
            secrets.rpc_url.get_secret_value(),
            tangle,
            blueprint_id,
            account,
            chain_id=settings.chain_id,
            service_id=settings.service_id,
        ) as chain:
            now = settings.model_copy(update={"start_block": (await chain.head()).number + 1})
            yield Node(chain, engine, Signer.from_account(account), store, now)


def _place(settings: Settings) -> tuple[Address, int]:
    if settings.tangle is None:
        raise MissingPrerequisite("set FAAS_TANGLE to the address of the Tangle contract")
    if settings.blueprint_id is None:
        raise MissingPrerequisite("set FAAS_BLUEPRINT_ID to the id of the blueprint to serve")
    return settings.tangle, settings.blueprint_id
