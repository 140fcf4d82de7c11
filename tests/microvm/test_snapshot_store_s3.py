"""The snapshot store against a real S3 server on loopback. Skipped unless scripts/setup-versitygw ran."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import FatalError, InsufficientResources, NotFound, TransientError
from faas_blueprint.merkle import PAGE_SIZE, ZERO_PAGE
from faas_microvm.memory import hash_pages
from faas_microvm.snapshot_record import NewSnapshot
from faas_microvm.snapshot_store import SnapshotNeeded, SnapshotStore

CHECKOUT = Path(__file__).resolve().parents[2]
SERVER = CHECKOUT / ".cache/tools/bin/versitygw"
BASE = sha256(b"base")
ACCESS, SECRET = "test-access", "test-secret-of-this-test-only"

pytestmark = pytest.mark.skipif(
    not SERVER.is_file(), reason="no S3 server: scripts/setup-versitygw builds it, with Go 1.25 or later"
)


@dataclass(frozen=True)
class Server:
    """A running S3 server; `folder` holds its buckets."""

    endpoint: str
    folder: Path

    @property
    def options(self) -> dict[str, str]:
        return {
            "endpoint": self.endpoint,
            "access_key_id": ACCESS,
            "secret_access_key": SECRET,
            "region": "us-east-1",
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_listening(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        assert process.poll() is None, "the S3 server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the S3 server does not listen")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the module. Metadata lies beside the objects, so any file system will do."""
    folder = tmp_path_factory.mktemp("s3")
    for name in ("buckets", "metadata"):
        (folder / name).mkdir()
    port = free_port()
    command = [str(SERVER), "--quiet", "--port", f"127.0.0.1:{port}", "--access", ACCESS, "--secret", SECRET]
    command += ["posix", "--sidecar", str(folder / "metadata"), str(folder / "buckets")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            await_listening(process, port)
            yield Server(f"http://127.0.0.1:{port}", folder / "buckets")
        finally:
            process.terminate()


@pytest.fixture
def bucket(server: Server, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    name = "bucket-" + sha256(request.node.name.encode()).hex()[:12]
    (server.folder / name).mkdir()
    return name


def pages_of(count: int, seed: int) -> dict[int, bytes]:
    chance = Random(seed)
    return {n: chance.randbytes(PAGE_SIZE // 2) + bytes(PAGE_SIZE // 2) for n in range(count)}


def new(pages: Mapping[int, bytes], parent: Digest = BASE, devices: bytes = b"devices") -> NewSnapshot:
    root = sha256(b"".join(pages.values()))
    profile = sha256(b"profile")
    return NewSnapshot(parent, BASE, profile, root, devices, 1, "checkpoint", pages, hash_pages(pages))


async def open_store(
    server: Server, bucket: str, folder: Path, quota_bytes: int | None = None, index: str = "index.db"
) -> SnapshotStore:
    return await SnapshotStore.open(f"s3://{bucket}/some/prefix", folder / index, quota_bytes, server.options)


async def test_a_tree_in_a_bucket(server: Server, bucket: str, tmp_path: Path):
    pages = {**pages_of(1500, 1), 2000: ZERO_PAGE}
    async with await open_store(server, bucket, tmp_path) as store:
        assert await store.list() == []
        first = await store.put(new(pages))
        second = await store.put(new({5: pages[6], 3000: pages[7]}, first.measurement))
        assert second.stored_bytes < PAGE_SIZE
        await store.set_branch("main", second.measurement)
    async with await open_store(server, bucket, tmp_path, index="another.db") as store:
        assert await store.list() == [first, second]
        loaded = await store.load(second.measurement)
        assert loaded.pages == {**pages, 5: pages[6], 3000: pages[7]}
        assert loaded.devices == b"devices"
        with pytest.raises(SnapshotNeeded) as refused:
            await store.delete(first.measurement)
        assert refused.value.details["children"] == [to_hex(second.measurement)]
        assert await store.list_branches() == {"main": second.measurement}
        await store.delete_branch("main")
        assert await store.delete(first.measurement, cascade=True) == [second.measurement, first.measurement]
        assert await store.collect_garbage() == 0
        assert await store.collect_garbage(0) > 1500 * PAGE_SIZE // 2
        assert (await store.usage()).objects == 0
        with pytest.raises(NotFound):
            await store.load(first.measurement)


@pytest.mark.parametrize("kind", ["snapshots", "tables", "packs"])
async def test_a_flipped_bit_in_a_bucket(server: Server, bucket: str, tmp_path: Path, kind: str):
    async with await open_store(server, bucket, tmp_path) as store:
        record = await store.put(new(pages_of(30, 1)))
    (path,) = (server.folder / bucket / "some/prefix" / kind).iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    with path.open("r+b") as file:
        file.write(content)
    async with await open_store(server, bucket, tmp_path) as store:
        with pytest.raises(FatalError, match=f"snapshot {to_hex(record.measurement)} is damaged"):
            await store.load(record.measurement)


async def test_quota_and_dedup_of_two_hosts(server: Server, bucket: str, tmp_path: Path):
    """Two hosts have an index each; a rebuilt one finds what the other stored."""
    pages = pages_of(100, 1)
    async with (
        await open_store(server, bucket, tmp_path, 400_000, "one.db") as one,
        await open_store(server, bucket, tmp_path, 400_000, "two.db") as two,
    ):
        await one.put(new(pages))
        with pytest.raises(InsufficientResources, match="400000 allowed"):
            await two.put(new(pages_of(100, 2)))
        assert (await two.usage()).objects == 3
        await two.rebuild_index()
        assert (await two.put(new(pages, devices=b"other"))).stored_bytes < PAGE_SIZE


async def test_settings_come_from_the_environment(
    server: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.options.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    async with await SnapshotStore.open(f"s3://{bucket}", tmp_path / "index.db") as store:
        record = await store.put(new(pages_of(5, 1)))
        assert (await store.load(record.measurement)).pages == pages_of(5, 1)


async def test_a_wrong_key_or_no_bucket_or_no_server_says_so(server: Server, bucket: str, tmp_path: Path):
    wrong = {**server.options, "secret_access_key": "wrong"}
    with pytest.raises(FatalError, match="check its credentials"):
        await SnapshotStore.open(f"s3://{bucket}", tmp_path / "a.db", options=wrong)
    with pytest.raises(FatalError, match="check that the folder or bucket exists"):
        await open_store(server, "no-such-bucket", tmp_path)
    nowhere = {**server.options, "endpoint": f"http://127.0.0.1:{free_port()}"}
    with pytest.raises(TransientError, match="failed listing"):
        await SnapshotStore.open(f"s3://{bucket}", tmp_path / "b.db", options=nowhere)
    with pytest.raises(FatalError, match="cannot be opened"):
        await SnapshotStore.open("gopher://x", tmp_path / "c.db")
