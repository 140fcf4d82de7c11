"""Blobs: brought with a key, read by whoever knows the hash, bounded and not for ever."""

from __future__ import annotations

import httpx
import pytest
from sqlmodel import Session, select

from faas_api.app import create_app
from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.errors import InsufficientResources, NotFound
from faas_blueprint.job import MAX_INPUT_BYTES
from faas_operator.blob_store import BlobStore
from faas_operator.blob_tables import UploadedBlobRow
from faas_operator.database import open_database
from faas_operator.settings import Secrets, Settings

KEY = "key-of-a-customer"
BLOB = b"\0\xffbytes that are no text"
PATH = f"/api/v1/blobs/{to_hex(sha256(BLOB))}"


async def test_a_blob_is_brought_and_read_by_anyone(client):
    answer = await client.put(PATH, content=BLOB)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["sha256"], told["size"]) == (to_hex(sha256(BLOB)), len(BLOB))
    assert told["expires_at"].endswith("Z")
    found = await client.get(PATH, headers={"X-API-Key": ""})
    assert (found.status_code, found.content) == (200, BLOB)
    assert (await client.put(PATH, content=BLOB)).status_code == 200, "again, to hold it for longer"
    empty = f"/api/v1/blobs/{sha256(b'').hex()}"
    assert (await client.put(empty, content=b"")).json()["size"] == 0
    assert (await client.get(empty)).content == b""


async def test_other_bytes_are_refused_and_leave_nothing(client):
    answer = await client.put(PATH, content=BLOB[:-1])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["details"]["sha256"]) == ("INVALID_REQUEST", to_hex(sha256(BLOB[:-1])))
    assert (await client.get(PATH)).status_code == 404
    assert (await client.put("/api/v1/blobs/0x12", content=b"")).status_code == 400


async def test_a_blob_is_no_larger_than_all_inputs_may_be(app_service, tmp_path):
    app = create_app(app_service, Settings(home=tmp_path), Secrets.with_api_keys(KEY))
    large = bytes(MAX_INPUT_BYTES + 1)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        path, headers = f"/api/v1/blobs/{sha256(large).hex()}", {"X-API-Key": KEY}
        answer = await http.put(path, content=large, headers=headers)
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"limit": MAX_INPUT_BYTES})


@pytest.fixture
def blobs(tmp_path):
    """A store whose clock is set by hand, and its engine."""
    engine = open_database(f"sqlite:///{tmp_path / 'blobs.sqlite'}")
    clock = [1000.0]
    yield BlobStore(engine, lambda: clock[0]), clock, engine
    engine.dispose()


def test_uploads_count_against_their_account_until_they_expire(blobs):
    store, clock, engine = blobs
    store.upload("a", b"12345", 8, 60)
    with pytest.raises(InsufficientResources, match="holds 5 bytes of uploads, 8 at the most"):
        store.upload("a", b"6789", 8, 60)
    store.upload("a", b"12345", 8, 100)
    store.upload("b", b"6789", 8, 60)
    clock[0] += 99
    assert store.read(sha256(b"12345")) == b"12345", "the second upload holds it for longer"
    with pytest.raises(NotFound):
        store.read(sha256(b"6789"))
    clock[0] += 2
    store.upload("a", b"6789", 8, 60)
    with Session(engine) as session:
        (left,) = session.exec(select(UploadedBlobRow)).all()
    assert (left.account, left.content) == ("a", b"6789"), "what has expired is deleted"


def test_what_belongs_to_a_run_stays(blobs):
    store, clock, _ = blobs
    store.upload("a", b"input", 8, 60)
    store.keep(b"input")
    clock[0] += 61
    store.upload("a", b"other", 8, 60)
    assert store.read(sha256(b"input")) == b"input"
