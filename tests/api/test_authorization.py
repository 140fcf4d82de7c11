"""Every route of the application, crossed with every kind of caller.

The routes are taken from the application itself, so a new one fails here until it has a case.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from faas_api.app import create_app
from faas_api.platform import stream_socket
from faas_blueprint.digests import sha256
from faas_blueprint.job import Mode, make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference
from faas_microvm.execution import Execution
from faas_microvm.snapshot_record import SnapshotRecord
from faas_operator.account_record import CUSTOMER_SCOPES, Scope
from faas_operator.execution_store import ExecutionStatus
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.snapshot_catalog import SnapshotOrigin
from faas_operator.store import Store

UPLOAD = "a blob"
UPLOADED = b'"a blob"'
"""As JSON."""
RUN = {"code": "1", "language": "python", "async": True}


@dataclass(frozen=True)
class Case:
    """What a route needs. `path` and `body` may name objects: `{execution}` is one of the account `owner`."""

    scope: Scope | None
    """None: it is open to everyone."""
    path: str
    body: object = None
    owned: bool = False
    """It names an object that other accounts must not find."""


def read(path, **fields):
    return Case(Scope.READ, path, **fields)


def execute(path, **fields):
    return Case(Scope.EXECUTE, path, **fields)


def keep(path, **fields):
    return Case(Scope.SNAPSHOTS, path, **fields)


EXECUTION, SNAPSHOT, BRANCH = "/executions/{execution}", "/snapshots/{snapshot}", "/branches/{branch}"
ACCOUNT = "/admin/accounts/{account}"
NO_MACHINE, NO_CALL = f"/machines/{'0' * 64}", "/calls/1/1/receipt"

CASES = {
    ("GET", "/api/v1/health"): Case(None, "/health"),
    ("GET", "/blobs/{sha256}"): Case(None, "/blobs/{blob}"),
    ("GET", "/machines/{measurement}"): Case(None, NO_MACHINE),
    ("GET", "/calls/{service_id}/{call_id}/receipt"): Case(None, NO_CALL),
    ("GET", "/calls/{service_id}/{call_id}/refutations"): Case(None, "/calls/1/1/refutations"),
    ("POST", "/quotes/jobs"): Case(
        None, "/quotes/jobs", {"requester": "0x" + "1" * 40, "service_id": 1, "job_index": 0, "inputs": "0x"}
    ),
    ("POST", "/quotes/services"): Case(
        None, "/quotes/services", {"requester": "0x" + "1" * 40, "ttl_seconds": 3600}
    ),
    ("PUT", "/blobs/{sha256}"): execute(f"/blobs/{sha256(UPLOADED).hex()}", body=UPLOAD),
    ("POST", "/sign-in/challenges"): Case(
        None, "/sign-in/challenges", {"scheme": "ethereum", "address": "0x" + "1" * 40}
    ),
    ("POST", "/sign-in"): Case(None, "/sign-in", {"nonce": "none", "signature": "0x" + "0" * 130}),
    ("POST", "/execute"): execute("/execute", body=RUN),
    ("GET", "/executions"): read("/executions"),
    ("GET", "/executions/{execution_id}"): read(EXECUTION, owned=True),
    ("POST", "/executions/{execution_id}/cancel"): execute(EXECUTION + "/cancel", owned=True),
    ("POST", "/executions/{execution_id}/input"): execute(
        EXECUTION + "/input", body={"data": "x"}, owned=True
    ),
    ("POST", "/executions/{execution_id}/resize"): execute(
        EXECUTION + "/resize", body={"cols": 80, "rows": 24}, owned=True
    ),
    ("DELETE", "/executions/{execution_id}"): execute(EXECUTION, owned=True),
    ("GET", "/executions/{execution_id}/logs"): read(EXECUTION + "/logs", owned=True),
    ("GET", "/executions/{execution_id}/receipt"): read(EXECUTION + "/receipt", owned=True),
    ("GET", "/executions/{execution_id}/files"): read(EXECUTION + "/files", owned=True),
    ("GET", "/executions/{execution_id}/artifacts"): read(EXECUTION + "/artifacts", owned=True),
    ("GET", "/executions/{execution_id}/files/{path:path}"): read(EXECUTION + "/files/a", owned=True),
    ("GET", "/executions/{execution_id}/artifacts/{path:path}"): read(EXECUTION + "/artifacts/a", owned=True),
    ("GET", "/executions/{execution_id}/stream"): read(EXECUTION + "/stream", owned=True),
    ("GET", "/stream/{execution_id}"): read("/stream/{execution}", owned=True),
    ("POST", "/snapshots"): keep("/snapshots", body={"execution_id": "{execution}"}, owned=True),
    ("GET", "/snapshots"): read("/snapshots"),
    ("GET", "/snapshots/{snapshot_id}"): read(SNAPSHOT, owned=True),
    ("POST", "/snapshots/{snapshot_id}/restore"): keep(SNAPSHOT + "/restore", owned=True),
    ("DELETE", "/snapshots/{snapshot_id}"): keep(SNAPSHOT, owned=True),
    ("GET", "/snapshots/{snapshot_id}/diff"): read(SNAPSHOT + "/diff", owned=True),
    ("GET", "/snapshots/{snapshot_id}/proof"): read(SNAPSHOT + "/proof?page=0", owned=True),
    ("POST", "/branches"): keep("/branches", body={"snapshot_id": "{snapshot}"}, owned=True),
    ("GET", "/branches"): read("/branches"),
    ("POST", "/branches/merge"): keep(
        "/branches/merge", body={"branch_ids": ["{branch}", "{other_branch}"]}, owned=True
    ),
    ("GET", "/branches/{branch_id}"): read(BRANCH, owned=True),
    ("DELETE", "/branches/{branch_id}"): keep(BRANCH, owned=True),
    ("POST", "/branches/{branch_id}/execute"): execute(BRANCH + "/execute", body=RUN, owned=True),
    ("GET", "/sessions"): read("/sessions"),
    ("DELETE", "/sessions/{session_id}"): execute("/sessions/{session}", owned=True),
    ("GET", "/usage"): read("/usage"),
    ("GET", "/usage/current"): read("/usage/current"),
    ("GET", "/usage/executions"): read("/usage/executions"),
    ("GET", "/usage/ledger"): read("/usage/ledger"),
    ("GET", "/credits"): read("/credits"),
    ("POST", "/credits/limits"): Case(
        Scope.KEYS,
        "/credits/limits",
        {
            "payer": "0x" + "1" * 40,
            "series": 0,
            "total": "1",
            "expiry": 2_000_000_000,
            "signature": "0x" + "0" * 130,
        },
    ),
    ("GET", "/pricing"): Case(None, "/pricing"),
    ("GET", "/account"): read("/account"),
    ("POST", "/account/addresses"): Case(
        Scope.KEYS, "/account/addresses", {"nonce": "none", "signature": "0x" + "0" * 130}
    ),
    ("GET", "/keys"): Case(Scope.KEYS, "/keys"),
    ("POST", "/keys"): Case(Scope.KEYS, "/keys", {"scopes": ["keys"]}),
    ("DELETE", "/keys/{key_id}"): Case(Scope.KEYS, "/keys/{key}", owned=True),
    ("GET", "/admin/accounts"): Case(Scope.ADMIN, "/admin/accounts"),
    ("POST", "/admin/accounts"): Case(Scope.ADMIN, "/admin/accounts", {}),
    ("GET", "/admin/accounts/{account_id}"): Case(Scope.ADMIN, ACCOUNT),
    ("PATCH", "/admin/accounts/{account_id}"): Case(Scope.ADMIN, ACCOUNT, {"name": "new"}),
    ("GET", "/admin/accounts/{account_id}/keys"): Case(Scope.ADMIN, ACCOUNT + "/keys"),
    ("POST", "/admin/accounts/{account_id}/keys"): Case(Scope.ADMIN, ACCOUNT + "/keys", {}),
    ("DELETE", "/admin/accounts/{account_id}/keys/{key_id}"): Case(Scope.ADMIN, ACCOUNT + "/keys/{key}"),
    ("GET", "/admin/audit"): Case(Scope.ADMIN, "/admin/audit"),
}
"""Of all routes below `/api/v1`, by method and template."""

NOTHING_THERE = {NO_MACHINE, NO_CALL, "/quotes/jobs", "/quotes/services"}
"""Open to everyone, and this node has none."""

SOCKETS = {
    "/stream/{execution_id}": read("/stream/{execution}", owned=True),
    "/execute/{execution_id}/stream": read("/execute/{execution}/stream", owned=True),
    "/execute/stream": read("/execute/stream", owned=True),
}

OUTSIDE = {"/health", "/ready", "/metrics", "/openapi.json", "/", "/console"}
"""Open, and about nobody."""

BODIES = {
    "execute on a snapshot": execute(
        "/execute", body={**RUN, "mode": "branched", "snapshot_id": "{snapshot}"}
    ),
    "execute in a branch": execute("/execute", body={**RUN, "mode": "branched", "branch_id": "{branch}"}),
    "execute from": execute("/execute", body={**RUN, "mode": "branched", "branch_from": "{branch}"}),
    "branch of a branch": keep("/branches", body={"parent_branch": "{branch}"}),
    "diff against": read("/snapshots/base/diff?against={snapshot}"),
    "proof": read("/snapshots/{snapshot}/proof?path=a"),
}
"""Further ways to name an object, in a body or a query, on routes that stand above already."""

PROTECTED = {name: case for name, case in CASES.items() if case.scope is not None}
OWNED = {**{name: case for name, case in CASES.items() if case.owned}, **BODIES}
CUSTOMER = {name: case for name, case in PROTECTED.items() if case.scope is not Scope.ADMIN}


def named(cases):
    ids = [name if isinstance(name, str) else " ".join(name) for name in cases]
    return pytest.mark.parametrize("case", cases.values(), ids=ids)


def test_every_route_has_a_case(app):
    found, sockets = set(), set()
    for context in iter_route_contexts(app.routes):
        if context.path in OUTSIDE:
            continue
        methods = getattr(context, "methods", None)
        if not methods:
            sockets.add(context.path.removeprefix("/api/v1"))
            continue
        template = context.path if context.path == "/api/v1/health" else context.path.removeprefix("/api/v1")
        found |= {(method, template) for method in methods if method != "HEAD"}
    assert found == set(CASES)
    assert sockets == set(SOCKETS)


# -- callers


class Callers:
    """The account `owner` with objects, the account `other` with none, and keys of all kinds."""

    def __init__(self, store):
        self.store = store
        self.owner = store.accounts.create("test", "owner").id
        self.other = store.accounts.create("test", "other").id
        self.objects = {"account": self.owner, **objects_of(store, self.owner)}

    def key(self, account, scopes, **fields):
        return self.store.keys.create(account, "test", scopes, **fields)

    def expired(self):
        made = self.key(self.owner, Scope, lifetime_seconds=1e-6)
        time.sleep(0.001)
        return made.secret

    def revoked(self):
        made = self.key(self.owner, Scope)
        self.store.keys.revoke(self.owner, made.key.id, "test")
        return made.secret

    def closed(self):
        account = self.store.accounts.create("test").id
        made = self.key(account, Scope)
        self.store.accounts.change(account, "test", closed=True)
        return made.secret

    @cached_property
    def _right(self):
        """One for all cases: an account has 100 valid keys at the most."""
        return self.key(self.owner, Scope).secret

    def wrong(self):
        return self._right[:-4] + ("AAAA" if self._right[-4:] != "AAAA" else "BBBB")


def objects_of(store, account):
    """One of everything, stored."""
    record = SnapshotRecord(
        measurement=sha256(b"kept"), parent=sha256(b"base"), base=sha256(b"base"), profile_id=sha256(b"p"),
        ram_root=sha256(b"r"), device_hash=sha256(b"d"), virtual_ns=1, kind="checkpoint", changed_pages=1,
        stored_bytes=1, logical_bytes=4096, created_at=0.0, label=None, origin={}, table=sha256(b"t"),
    )  # fmt: skip
    outcome = Outcome(
        Status.EXITED,
        0,
        0,
        5,
        Stream(b"mine\n"),
        Stream(),
        sha256(b"root"),
        (OutputFile("a", b"mine"),),
        False,
    )
    number = store.executions.begin("exec_owned", account, make_job("python", "1"))
    execution = Execution(outcome, sha256(b"p"), sha256(b"base"), 1.0)
    receipt, signature = Signer(b"\x01" * 32).attest(
        profile_id=execution.profile_id, snapshot=execution.measurement, job_digest=sha256(b""),
        outcome=outcome, call=CallReference(0, ZERO_ADDRESS, 0, number),
    )  # fmt: skip
    store.executions.finish(number, ExecutionStatus.COMPLETED, execution, receipt, signature)
    snapshot = store.snapshots.add(account, record, SnapshotOrigin(Mode.CHECKPOINTED, "base"), {}).id
    store.snapshots.use_session(account, "kitchen", None)
    return {
        "execution": "exec_owned",
        "blob": sha256(b"mine").hex(),
        "snapshot": snapshot,
        "branch": store.snapshots.add_branch(account, snapshot, None, {}).id,
        "other_branch": store.snapshots.add_branch(account, snapshot, None, {}).id,
        "session": "kitchen",
        "key": store.keys.create(account, "test", {Scope.READ}).key.id,
    }


SECRETS = Secrets.with_api_keys("settled", admin=["boss"])


def app_over(engine, store, home):
    service = ExecutionService(engine, Signer(b"\x01" * 32), store)
    settings = Settings(
        home=home, chain_id=31337, credits="0x" + "2" * 40, requests_per_minute=10**6, requests_per_hour=10**6
    )
    return service, create_app(service, settings, SECRETS)


@dataclass
class Served:
    """An application with the callers' keys in its store."""

    app: FastAPI
    callers: Callers
    store: Store
    engine: object

    async def ask(self, case, key, method=None):
        """Makes a case's request with a key; gives the response."""
        method = method or next(name[0] for name, known in CASES.items() if known == case)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        filled = fill(case, self.callers.objects)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as http:
            return await http.request(method, filled.path, json=filled.body, headers=headers)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory, make_faulty_engine):
    """One for all requests that are refused, and so change nothing."""
    folder = tmp_path_factory.mktemp("refusing")
    engine = make_faulty_engine()
    with closing(Store.open(f"sqlite:///{folder / 'store.sqlite'}")) as store:
        _, app = app_over(engine, store, folder)
        yield Served(app, Callers(store), store, engine)
        assert engine.jobs == []


@pytest.fixture
async def serving(faulty_engine, store, tmp_path):
    """One for a request that may change things."""
    service, app = app_over(faulty_engine, store, tmp_path)
    yield Served(app, Callers(store), store, faulty_engine)
    await service.close()


def fill(case, objects):
    def text_of(value):
        for name, known in objects.items():
            value = value.replace("{" + name + "}", known)
        return value

    body = None if case.body is None else json.loads(text_of(json.dumps(case.body)))
    return replace(case, path=text_of(case.path), body=body)


def method_of(case):
    return "GET" if case.scope is Scope.READ else "POST"


def assert_refused(response, status, code):
    assert response.status_code == status, response.text
    assert response.json()["error"]["code"] == code


# -- who is not admitted


@named(CASES)
async def test_without_a_valid_key(refusing, case):
    callers = refusing.callers
    keys = {kind: getattr(callers, kind)() for kind in ("wrong", "expired", "revoked", "closed")}
    before = refusing.store.audit.page(1, 0)[1]
    for kind, key in {"none": None, **keys}.items():
        response = await refusing.ask(case, key)
        if case.scope is None:
            if case.path in NOTHING_THERE:
                assert_refused(response, 404, "NOT_FOUND")
            else:
                assert response.status_code in (200, 201) or case.path == "/sign-in", kind
            continue
        assert_refused(response, 401, "UNAUTHORIZED")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        if kind != "none":
            assert response.json()["error"] == {
                "code": "UNAUTHORIZED", "message": "the API key is not valid", "details": {},
            }  # fmt: skip
    assert refusing.store.audit.page(1, 0)[1] == before


@named(PROTECTED)
async def test_without_the_scope(refusing, case):
    key = refusing.callers.key(refusing.callers.owner, set(Scope) - {case.scope}).secret
    before = refusing.store.audit.page(1, 0)[1]
    response = await refusing.ask(case, key)
    assert_refused(response, 403, "FORBIDDEN")
    assert response.json()["error"]["details"] == {"scope": case.scope}
    assert refusing.store.audit.page(1, 0)[1] == before


@named(OWNED)
async def test_of_another_account(refusing, case):
    method = None if case in CASES.values() else method_of(case)
    for scopes in (CUSTOMER_SCOPES, set(Scope)):
        key = refusing.callers.key(refusing.callers.other, scopes).secret
        assert_refused(await refusing.ask(case, key, method), 404, "NOT_FOUND")


@named({name: case for name, case in CUSTOMER.items() if name[0] == "GET" and not case.owned})
async def test_lists_show_nothing_of_another_account(refusing, case):
    key = refusing.callers.key(refusing.callers.other, set(Scope)).secret
    response = await refusing.ask(case, key)
    assert response.status_code == 200
    for name in refusing.callers.objects.values():
        assert name not in response.text


async def test_an_admin_cannot_reach_a_key_through_another_account(serving):
    serving.callers.objects["account"] = serving.callers.other
    case = CASES["DELETE", "/admin/accounts/{account_id}/keys/{key_id}"]
    assert_refused(await serving.ask(case, "boss"), 404, "NOT_FOUND")


# -- who is


@named(PROTECTED)
async def test_with_the_scope_alone(serving, case):
    """Also of an object: it is found. What this engine cannot do is not asked here."""
    response = await serving.ask(case, serving.callers.key(serving.callers.owner, {case.scope}).secret)
    if case.path == "/account/addresses":
        assert response.json()["error"]["message"].startswith("the challenge is not known")
    else:
        assert response.status_code not in (401, 403, 404, 405, 429), response.text


@named({name: case for name, case in CASES.items() if case.scope is Scope.ADMIN})
async def test_an_administrator_of_the_settings(serving, case):
    assert (await serving.ask(case, "boss")).status_code in (200, 201)
    assert_refused(await serving.ask(case, "settled"), 403, "FORBIDDEN")


async def test_a_key_hands_on_no_scope_that_it_has_not(serving):
    case = CASES["POST", "/keys"]
    key = serving.callers.key(serving.callers.owner, {Scope.KEYS, Scope.READ}).secret
    for scopes in (["execute"], ["read", "admin"]):
        asked = replace(case, body={"scopes": scopes})
        refused = await serving.ask(asked, key, "POST")
        assert_refused(refused, 403, "FORBIDDEN")
        assert refused.json()["error"]["message"] == f"this key has no scope '{min(scopes)}' to hand on"
    made = await serving.ask(replace(case, body={"scopes": ["read"]}), key, "POST")
    assert made.json()["account_id"] == serving.callers.owner


# -- WebSockets


async def first_answer(app, path, key, **said):
    """The status that an upgrade is refused with, or the first message after it, to what is `said`."""
    headers = [] if key is None else [(b"x-api-key", key.encode())]
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws",
        "path": "/api/v1" + path, "raw_path": b"", "query_string": b"", "root_path": "", "headers": headers,
        "client": ("test", 1), "server": ("test", 80), "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    message = json.dumps({"type": "subscribe", "execution_id": "exec_owned", **said})
    to_hear = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": message}]
    answers = asyncio.Queue()

    async def receive():
        return to_hear.pop(0) if to_hear else await asyncio.Event().wait()

    serving = asyncio.create_task(app(scope, receive, answers.put))
    try:
        async with asyncio.timeout(60):
            while True:
                answer = await answers.get()
                if answer["type"] == "websocket.http.response.start":
                    return answer["status"]
                if answer["type"] == "websocket.send":
                    return json.loads(answer["text"])
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@named(SOCKETS)
async def test_sockets_without_a_valid_key(refusing, case):
    callers = refusing.callers
    path = fill(case, callers.objects).path
    for kind in ("wrong", "expired", "revoked", "closed"):
        assert await first_answer(refusing.app, path, getattr(callers, kind)()) == 401
    assert await first_answer(refusing.app, path, None) == 401
    scopeless = callers.key(callers.owner, set(Scope) - {Scope.READ}).secret
    assert await first_answer(refusing.app, path, scopeless) == 403


@named(SOCKETS)
async def test_sockets_show_the_owner_and_nobody_else(refusing, case, monkeypatch):
    monkeypatch.setattr(stream_socket, "PATIENCE_SECONDS", 0.0)
    callers, path = refusing.callers, fill(case, refusing.callers.objects).path
    mine = await first_answer(refusing.app, path, callers.key(callers.owner, {Scope.READ}).secret)
    assert (mine["type"], mine["data"]) == ("output", "mine\n")
    theirs = await first_answer(refusing.app, path, callers.key(callers.other, set(Scope)).secret)
    assert (theirs["type"], theirs["code"]) == ("error", "NOT_FOUND")


@pytest.mark.parametrize("said", [{"type": "input", "data": "x"}, {"type": "resize", "cols": 80, "rows": 24}])
async def test_input_takes_the_scope_that_runs_take(refusing, said):
    callers = refusing.callers
    reads = callers.key(callers.owner, {Scope.READ}).secret
    answer = await first_answer(refusing.app, "/execute/stream", reads, **said)
    assert (answer["type"], "execute" in answer["error"]) == ("error", True)
    runs = callers.key(callers.owner, {Scope.READ, Scope.EXECUTE}).secret
    answer = await first_answer(refusing.app, "/execute/stream", runs, **said)
    assert "is over" in answer["error"]
    theirs = callers.key(callers.other, {Scope.READ, Scope.EXECUTE}).secret
    answer = await first_answer(refusing.app, "/execute/stream", theirs, **said)
    assert "no execution" in answer["error"]
