"""Fixtures that several roles' tests share: the local chain, a PostgreSQL server."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import gc
import hashlib
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from hypothesis import HealthCheck, settings

from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.abi import Function
from faas_operator import keystore
from faas_operator.chain.discovery import active_services
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionReceipt, TransactionSender
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet

# no test fails for how long it takes: hosts are busy
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

CHECKOUT = Path(__file__).resolve().parent.parent

LONGEST = (
    "microvm/test_determinism.py", "e2e/test_demo.py", "e2e/test_operator_crash.py",
    "microvm/test_hostile_kept.py", "substrate/test_failover.py", "e2e/test_sdks.py",
    "e2e/test_chain_jobs.py", "operator/test_departure.py", "verifier/test_dispute.py", "e2e/test_dispute.py",
    "e2e/test_up.py", "api/test_contract.py", "microvm/test_interactive.py", "microvm/test_toolchains.py",
    "operator/test_court.py", "microvm/test_hostile.py", "api/test_platform_requests.py",
    "api/test_authorization.py", "api/test_request_limits.py", "microvm/test_snapshot_store.py",
    "cli/test_commands.py", "cli/test_database.py",
)  # fmt: skip
"""Files that take a minute or more, and those that do among the fast tests: they come first, so that no
processor is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {CHECKOUT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """What collecting made stays to the end: it is not looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


@functools.cache
def stored_key(path: str, password: str) -> LocalAccount:
    """A keystore's account; decrypting takes a second, so it is done once."""
    return keystore.load(Path(path), password)


_QUOTE_FIELDS = (
    ("uint64", "serviceId"),
    ("uint8", "jobIndex"),
    ("uint256", "price"),
    ("uint64", "timestamp"),
    ("uint64", "expiry"),
)
"""Of a job's quote in the recorded deployment's ABI epoch."""

SUBMIT_JOB_FROM_QUOTE = Function(
    "submitJobFromQuote",
    ("uint64", "uint8", "bytes", f"(({','.join(kind for kind, _ in _QUOTE_FIELDS)}),bytes,address)[]"),
    ("uint64",),
)

_quotes = itertools.count()
"""Makes each quote another: Tangle takes none twice."""


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

    async def submit_quoted(self, inputs: bytes, price: int) -> CallReference:
        """Submit a job for what the operator has quoted for it."""
        deployment, now = self.deployment, int(time.time())
        terms = (deployment.service_id, 0, price, now - 60, now + 600 + next(_quotes))
        signed = self.operator().sign_typed_data(
            {
                "name": "TangleQuote",
                "version": "1",
                "chainId": deployment.chain_id,
                "verifyingContract": deployment.tangle,
            },
            {"JobQuoteDetails": [{"name": name, "type": kind} for kind, name in _QUOTE_FIELDS]},
            {name: value for (_, name), value in zip(_QUOTE_FIELDS, terms, strict=True)},
        )
        quote = (terms, bytes(signed.signature), deployment.operator)
        call = SUBMIT_JOB_FROM_QUOTE.encode(deployment.service_id, 0, inputs, [quote])
        receipt = await self.send(call, price)
        job = next(
            protocol.decode_job_submitted(log)
            for log in receipt.logs
            if protocol.JOB_SUBMITTED_FROM_QUOTE.matches(log)
        )
        return CallReference(deployment.chain_id, deployment.tangle, job.service_id, job.call_id)

    async def end_other_services(self) -> None:
        """Those that a test has made of the blueprint: the tests after it would find them."""
        deployment = self.deployment
        for item in await active_services(self.rpc, deployment.tangle, deployment.blueprint_id):
            if item.service_id != deployment.service_id and item.service.owner == deployment.customer:
                await self.send(protocol.TERMINATE_SERVICE.encode(item.service_id))

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
        made = Chain(devnet, rpc)
        yield made
        await made.end_other_services()


@pytest.fixture
async def fresh_chain(faas_home: Path) -> AsyncIterator[Chain]:
    """A devnet of the test's own."""
    async with Devnet(faas_home) as deployment, Rpc(deployment.rpc_url) as rpc:
        yield Chain(deployment, rpc)


class PostgresqlServer:
    """A server in a folder, reached by its socket there; where this is root, Debian's `postgres` runs it."""

    def __init__(self, folder: Path) -> None:
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        if not installed:
            pytest.skip("PostgreSQL is not installed: run scripts/setup-test-programs")
        self._programs = installed[-1]
        self.folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        # not the order of bytes: whoever relies on that is found out
        locale = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
        data = ("-D", str(folder / "data"), "-U", "faas", "--auth=trust", "--no-sync")
        subprocess.run(self._command("initdb", *data, *locale), check=True, capture_output=True, timeout=120)
        self.start()

    def start(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",  # tests stop servers, never hosts
            "max_connections": "200",
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        with log:
            self._server = subprocess.Popen(
                self._command("postgres", "-D", str(self.folder / "data"), *given),
                stdout=log,
                stderr=log,
                cwd="/",
            )
        ready = self._command("pg_isready", "-q", "-h", str(self.folder), "-t", "1")
        for _ in range(300):
            if subprocess.run(ready, timeout=20).returncode == 0:
                return
            subprocess.run(["sleep", "0.1"], check=True)
        raise AssertionError("the server does not start: " + Path(log.name).read_text()[-2000:])

    def stop(self) -> None:
        """At once, as when its host fails."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(60)
            self._server = None

    def url(self, database: str) -> str:
        return f"postgresql://faas@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """A database of `new_database`, whoever is still connected."""
        name = urlsplit(url).path.removeprefix("/")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _command(self, program: str, *arguments: str) -> list[str]:
        unprivileged = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        return [*(unprivileged if os.getuid() == 0 else ()), str(self._programs / program), *arguments]


def _started_server() -> Iterator[PostgresqlServer]:
    # in memory if it can be; not below pytest's own folder, which is root's alone, and short, for the socket
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faas-pg-", dir=place, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        inner = Path(folder) / "server"
        inner.mkdir()
        server = PostgresqlServer(inner)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A server for the whole session."""
    yield from _started_server()


@pytest.fixture
def own_postgresql() -> Iterator[PostgresqlServer]:
    """A server of the test's own, to be stopped and started."""
    yield from _started_server()


DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))


@pytest.fixture(params=DATABASES)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """The URL of the database of a name, which begins empty; the same for the same name."""
    if request.param == "sqlite":
        yield lambda name: f"sqlite:///{tmp_path / name}.sqlite"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    made: list[str] = []

    @functools.cache
    def make(_name: str) -> str:
        made.append(server.new_database())
        return made[-1]

    yield make
    for url in made:
        server.drop(url)


@pytest.fixture
def database(new_database: Callable[[str], str]) -> str:
    """The URL of an empty database; tests that ask for it run on SQLite and on PostgreSQL."""
    return new_database("store")


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


def _digest_of_typescript(package: Path) -> str:
    """Of all that the package and its tests are compiled from."""
    folders = (package / "src", package / "tests", package / "scripts")
    sources = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    digest = hashlib.sha256()
    for path in (CHECKOUT / "api/openapi.json", *sorted(package.glob("*.json")), *sources):
        if path.name != "schema.ts":  # made of the description
            digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def compiled(typescript_sdk: Path) -> Iterator[Path]:
    """The folder of the package's tests, compiled, after the package was built, unless both were made of the
    same sources already; others may read it meanwhile, and nobody changes it."""
    stamp, folder = typescript_sdk / "node_modules/.test.sources", typescript_sdk / ".build"
    built = typescript_sdk / "dist/.sources"
    digest = _digest_of_typescript(typescript_sdk)
    with (typescript_sdk / "node_modules/.test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = (stamp, built, folder / "scenario.js")
        if not (all(path.is_file() for path in made) and stamp.read_text() == digest + built.read_text()):
            command = ["node", "scripts/compile-tests.mjs"]
            done = subprocess.run(command, cwd=typescript_sdk, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stdout + done.stderr
            stamp.write_text(digest + built.read_text())
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder
