"""Fixtures that several roles' tests share: the local chain."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.tangle import protocol
from faas_operator import keystore
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionReceipt, TransactionSender
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet

CHECKOUT = Path(__file__).resolve().parent.parent


@functools.cache
def stored_key(path: str, password: str) -> LocalAccount:
    """A keystore's account; decrypting takes a second, so it is done once."""
    return keystore.load(Path(path), password)


@dataclass
class Chain:
    """A devnet as its customer sees it."""

    deployment: Deployment
    rpc: Rpc

    def account(self, key: str | None = None) -> LocalAccount:
        """The customer's account, or another key's."""
        account: LocalAccount = Account.from_key(key or self.deployment.customer_key)
        return account

    def operator(self) -> LocalAccount:
        """The operator's account."""
        return stored_key(self.deployment.operator_keystore, self.deployment.operator_password)

    def sender(self, account: LocalAccount | None = None) -> TransactionSender:
        """Sends for the customer, or another account."""
        return TransactionSender(self.rpc, account or self.account(), self.deployment.chain_id)

    async def send(
        self, data: bytes, value: int = 0, *, account: LocalAccount | None = None, to: Address | None = None
    ) -> TransactionReceipt:
        """A transaction to Tangle, or to another contract."""
        return await self.sender(account).send(to or self.deployment.tangle, data, value)

    async def submit(self, inputs: bytes, value: int | None = None, job_index: int = 0) -> CallReference:
        """Submit a job as the customer, for its price unless told otherwise."""
        price = self.deployment.event_rate_wei if value is None else value
        receipt = await self.send(protocol.submit_job(self.deployment.service_id, job_index, inputs), price)
        job = next(
            protocol.decode_job_submitted(log) for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)
        )
        deployment = self.deployment
        return CallReference(deployment.chain_id, deployment.tangle, job.service_id, job.call_id)

    async def adapter(self, account: LocalAccount | None = None, *, attempts: int = 2) -> EvmAdapter:
        """The adapter of the devnet's operator, or of another account; to be closed."""
        deployment = self.deployment
        operator = account or self.operator()
        return await EvmAdapter.connect(
            deployment.rpc_url, deployment.tangle, deployment.blueprint_id, operator, attempts=attempts
        )


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A store of the tests' own for kept snapshots, also for the commands that they run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAAS_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="session")
def faas_home() -> Path:
    """Where caches are: $FAAS_HOME, else `.cache/faas` of the checkout."""
    return Path(os.environ.get("FAAS_HOME", CHECKOUT / ".cache/faas"))


@pytest.fixture(scope="session")
def devnet(faas_home: Path) -> Iterator[Deployment]:
    """One devnet for the whole session. What a test does to it stays."""
    running = Devnet(faas_home)
    deployment = asyncio.run(running.start())
    yield deployment
    running.stop()


@pytest.fixture
async def chain(devnet: Deployment) -> AsyncIterator[Chain]:
    """The session's devnet."""
    async with Rpc(devnet.rpc_url) as rpc:
        yield Chain(devnet, rpc)


@pytest.fixture
async def fresh_chain(faas_home: Path) -> AsyncIterator[Chain]:
    """A devnet of the test's own."""
    async with Devnet(faas_home) as deployment, Rpc(deployment.rpc_url) as rpc:
        yield Chain(deployment, rpc)


TYPESCRIPT_SDK = CHECKOUT / "sdk/typescript"
OLDEST_NODE = 18


@pytest.fixture(scope="session")
def typescript_sdk() -> Path:
    """The package's folder, its packages installed. Skips where Node.js is older than the package takes."""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0] or 0) < OLDEST_NODE:
        pytest.skip(f"the TypeScript SDK takes Node.js {OLDEST_NODE} or newer, this is {version or 'none'}")
    assert (TYPESCRIPT_SDK / "node_modules").is_dir(), "run scripts/setup-typescript"
    return TYPESCRIPT_SDK


@pytest.fixture(scope="session")
def compiled(typescript_sdk: Path) -> Path:
    """The folder of the package's tests, compiled, after the package was built."""
    command = ["node", "scripts/compile-tests.mjs"]
    done = subprocess.run(command, cwd=typescript_sdk, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return typescript_sdk / ".build"
