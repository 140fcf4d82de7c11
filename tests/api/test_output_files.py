"""Output files over HTTP: listed with their execution, fetched by path, and by hash like any output."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from faas_api.authentication import configured_account
from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.job import make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream, decode_manifest
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference
from faas_microvm.execution import Execution
from faas_operator.execution_store import ExecutionStatus
from faas_operator.settings import hash_api_key
from faas_operator.signer import Signer

FILES = (OutputFile("plots/a b?.svg", b"<svg/>"), OutputFile("täbel.csv", b"x,y\n\xff"))
OUTCOME = Outcome(Status.EXITED, 0, 0, 5, Stream(b"done\n"), Stream(), sha256(b"root"), FILES, True)
BASE = "/api/v1/executions/exec_1"


@pytest.fixture(autouse=True)
def _stored(store):
    """A finished run of the caller's that left files behind."""
    account = configured_account(hash_api_key(b"key-of-alice"))
    job = make_job("python", "print('done')")
    number = store.executions.begin("exec_1", account, job)
    execution = Execution(OUTCOME, sha256(b"profile"), sha256(b"snapshot"), 1.0)
    receipt, signature = Signer(b"\x01" * 32).attest(
        profile_id=execution.profile_id,
        snapshot=execution.measurement,
        job_digest=sha256(b""),
        outcome=OUTCOME,
        call=CallReference(0, ZERO_ADDRESS, 0, number),
    )
    store.executions.finish(number, ExecutionStatus.COMPLETED, execution, receipt, signature)


async def test_an_execution_lists_its_files(client):
    body = (await client.get(BASE)).json()
    assert body["files"] == [
        {"path": file.path, "size": len(file.content), "sha256": to_hex(sha256(file.content))}
        for file in FILES
    ]
    assert (body["files_truncated"], body["truncated"]) == (True, False)


async def test_a_file_is_fetched_by_its_path(client):
    for file in FILES:
        response = await client.get(f"{BASE}/files/{quote(file.path)}")
        assert (response.status_code, response.content) == (200, file.content)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize("path", ["plots", "plots/", "", "nothing", "..%2Fplots", "t%C3%A4bel"])
async def test_what_is_no_file_is_not_found(client, path):
    response = await client.get(f"{BASE}/files/{path}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "NOT_FOUND"


async def test_files_belong_to_the_account(client):
    path = f"{BASE}/files/{quote(FILES[0].path)}"
    assert (await client.get(path, headers={"X-API-Key": "key-of-bob"})).status_code == 404
    client.headers.pop("X-API-Key")
    assert (await client.get(path)).status_code == 401


async def test_files_and_manifest_are_blobs(client):
    client.headers.pop("X-API-Key")
    manifest = await client.get(f"/api/v1/blobs/{to_hex(OUTCOME.summary().files.sha256)}")
    for line, file in zip(decode_manifest(manifest.content), FILES, strict=True):
        assert (await client.get(f"/api/v1/blobs/{line.sha256.hex()}")).content == file.content


async def test_the_receipt_file_carries_them(client):
    bundle = bundle_from_json((await client.get(f"{BASE}/receipt")).json())
    assert (bundle.manifest, bundle.files) == (OUTCOME.manifest(), FILES)
    assert bundle.outcome.files.truncated
