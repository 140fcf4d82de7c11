"""A devnet from start to stop.

The first start replays the recorded deployment and provisions it, then keeps anvil's state in the
cache; later starts load that. The cache is keyed by everything that the state depends on.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gzip
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from faas_blueprint.definition import BlueprintDefinition, faas_blueprint_definition
from faas_blueprint.errors import FatalError
from faas_operator.chain.rpc import Rpc
from faas_operator.devnet import deployment as deployments
from faas_operator.devnet.anvil import Anvil, anvil_version, find_anvil
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.fixture import PINNED_SHA256, Fixture, load_fixture, pinned_fixture
from faas_operator.devnet.provision import BaseSnapshot, Contracts, provision
from faas_operator.devnet.replay import replay

Progress = Callable[[str], None]

CHAIN_ID = 31337
_LAYOUT = "5"
"""Of a cache entry and of what `provision` puts on the chain; raise it when either changes."""


class Devnet:
    """An anvil with everything on it. `home` holds the cache, `fixture` replaces the pinned broadcast,
    `base_snapshot` is registered with the service manager.

    Use it as `async with Devnet(home) as deployment`, or with `start` and `stop`. `stop` needs no
    event loop and may be called at any time, any number of times.
    """

    def __init__(
        self,
        home: Path,
        *,
        fixture: Path | None = None,
        port: int = 0,
        chain_id: int = CHAIN_ID,
        definition: BlueprintDefinition | None = None,
        base_snapshot: BaseSnapshot | None = None,
        progress: Progress = lambda line: None,
    ) -> None:
        self._home = home
        self._fixture = fixture
        self._port = port
        self._chain_id = chain_id
        self._definition = definition or faas_blueprint_definition()
        self._base_snapshot = base_snapshot
        self._progress = progress
        self.anvil: Anvil | None = None

    async def __aenter__(self) -> Deployment:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def start(self) -> Deployment:
        """Start the chain and bring everything onto it.

        Raises MissingPrerequisite when anvil or the recorded deployment is missing, Divergence when
        the replay does not come out as recorded.
        """
        if self.anvil is not None:
            raise FatalError("this devnet runs already")
        binary = find_anvil()
        path = self._fixture or pinned_fixture(self._home)
        fixture = load_fixture(path, None if self._fixture else PINNED_SHA256)
        contracts = Contracts.load()
        entry = self._home / "devnet" / self._key(fixture, contracts, anvil_version(binary))
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            async with _lock(entry.with_suffix(".lock")):
                if (entry / "deployment.json").exists():
                    return self._restore(binary, entry)
                return await self._create(binary, entry, fixture, contracts)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the chain; what happened on it is gone."""
        if self.anvil is not None:
            self.anvil.stop()
            self.anvil = None

    def _restore(self, binary: Path, entry: Path) -> Deployment:
        stored = deployments.read(entry / "deployment.json")
        self.anvil = Anvil(binary, chain_id=self._chain_id, port=self._port, state=entry / "state.json")
        self._progress("loaded the chain's state from the cache")
        return replace(stored, rpc_url=self.anvil.url, operator_keystore=str(entry / "operator.json"))

    async def _create(self, binary: Path, entry: Path, fixture: Fixture, contracts: Contracts) -> Deployment:
        self.anvil = Anvil(binary, chain_id=self._chain_id, port=self._port)
        async with Rpc(self.anvil.url, timeout=60, attempts=2) as rpc:
            return await self._fill(rpc, entry, fixture, contracts)

    async def _fill(self, rpc: Rpc, entry: Path, fixture: Fixture, contracts: Contracts) -> Deployment:
        await replay(rpc, fixture, self._progress)
        with tempfile.TemporaryDirectory(dir=entry.parent, prefix="new-") as directory:
            new = Path(directory)
            keystore_path = new / "operator.json"
            made = await provision(
                rpc,
                fixture,
                contracts,
                self._definition,
                keystore_path,
                self._progress,
                self._base_snapshot,
            )
            dump = str(await rpc.request("anvil_dumpState"))
            (new / "state.json").write_bytes(gzip.decompress(bytes.fromhex(dump.removeprefix("0x"))))
            (new / "deployment.json").write_text(deployments.to_json(made))
            shutil.rmtree(entry, ignore_errors=True)
            os.mkdir(entry)
            for name in ("operator.json", "state.json", "deployment.json"):  # the last one makes it count
                os.rename(new / name, entry / name)
        return replace(made, operator_keystore=str(entry / "operator.json"))

    def _key(self, fixture: Fixture, contracts: Contracts, version: str) -> str:
        digests = tuple(artifact.digest.hex() for artifact in contracts.artifacts())
        given = (repr(self._definition), repr(self._base_snapshot), str(self._chain_id))
        parts = (_LAYOUT, fixture.sha256, *digests, version, *given)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextlib.asynccontextmanager
async def _lock(path: Path) -> AsyncIterator[None]:
    """Held by one process at a time, so that two first starts do not both fill the cache."""
    with path.open("w") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
