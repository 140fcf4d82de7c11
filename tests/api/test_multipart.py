"""Files as parts of a form: the same run as their base64 in the JSON form."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

import pytest

from faas_blueprint.errors import MachineFailure

HELLO = {"language": "python", "code": "print('hello')", "seed": 1, "epoch": 1_780_000_000}


def parts(*files: tuple[str, bytes]):
    return [("files", (path, content, "application/octet-stream")) for path, content in files]


async def send(client, stated, files, path="/api/v1/execute", **options):
    return await client.post(path, data={"request": json.dumps(stated)}, files=files, **options)


async def test_both_forms_are_one_job(client, faulty_engine):
    faulty_engine.error = MachineFailure("no machine here")
    files = {"empty": b"", "a/b/täbel.bin": bytes(range(256)), "text.txt": b"a\r\nb"}
    encoded = {path: base64.b64encode(content).decode() for path, content in files.items()}
    await client.post("/api/v1/execute", json={**HELLO, "files": encoded})
    await send(client, HELLO, parts(*files.items()))
    await send(client, {**HELLO, "files": {"empty": ""}}, parts(*list(files.items())[1:]))
    first, *others = faulty_engine.jobs
    assert len(others) == 2
    assert all(job == first for job in others)
    assert {file.path: file.content for file in first.files} == files


@pytest.mark.parametrize(
    ("data", "files", "field"),
    [
        ({}, parts(("a", b"")), "request"),
        ({"request": "{"}, parts(("a", b"")), "request"),
        ({"request": "[1]"}, parts(("a", b"")), "request"),
        ({"request": "[" * 100_000}, parts(("a", b"")), "request"),
        ({"request": "1" * 5_000}, parts(("a", b"")), "request"),
        ({"request": json.dumps(HELLO)[:-1] + ', "code": ""}'}, parts(("a", b"")), "request"),
        ({"request": json.dumps(HELLO)}, parts(("a", b"1"), ("a", b"2")), "files.a"),
        ({"request": json.dumps(HELLO)}, [("file", ("a", b""))], "file"),
        ({"request": json.dumps(HELLO)}, parts(("../a", b"")), "files"),
        ({"request": json.dumps(HELLO), "files": "no file"}, parts(("a", b"")), "body"),
        ({"request": json.dumps({**HELLO, "files": []})}, parts(("a", b"")), "files"),
        ({"request": json.dumps({**HELLO, "surplus": 1})}, parts(("a", b"")), "surplus"),
        ({"request": json.dumps(HELLO)}, parts(*((str(n), b"") for n in range(1_001))), "body"),
    ],
)
async def test_what_is_wrong_is_named(client, faulty_engine, data, files, field):
    response = await client.post("/api/v1/execute", data=data, files=files)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["code"] == "INVALID_REQUEST"
    assert error["details"]["field"].startswith(field)
    assert faulty_engine.jobs == []


async def test_a_body_that_is_no_form(client, faulty_engine):
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        response = await client.post(
            "/api/v1/execute", content=b"--y\r\nno form", headers={"Content-Type": content_type}
        )
        assert response.status_code == 400, response.text
    assert faulty_engine.jobs == []


async def test_too_much_is_refused(client, faulty_engine):
    response = await send(client, HELLO, parts(("large", bytes(2 << 20))))
    assert response.status_code == 413
    assert faulty_engine.jobs == []


async def test_a_caller_who_goes_away_cancels_the_run(client, faulty_engine):
    task = asyncio.create_task(send(client, HELLO, parts(("a", b"1"))))
    await asyncio.wait_for(faulty_engine.started.wait(), 60)
    task.cancel()
    await asyncio.wait_for(faulty_engine.cancelled.wait(), 60)


@pytest.mark.machine
async def test_ten_megabytes_reach_the_program(real_client):
    code = "import hashlib; print(hashlib.sha256(open('data/large.bin', 'rb').read()).hexdigest())"
    content = bytes(range(250)) * 40_000
    response = await send(
        real_client, {"language": "python", "code": code}, parts(("data/large.bin", content)), "/execute"
    )
    assert response.status_code == 200, response.text
    assert response.json()["stdout"].strip() == hashlib.sha256(content).hexdigest()
