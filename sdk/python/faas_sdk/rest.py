"""The REST API as plans: what is sent, and what is made of the answers."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from faas_sdk.effects import Plan, Request, Response
from faas_sdk.errors import ConnectionFailed, api_error
from faas_sdk.execution import (
    Begun,
    Execution,
    ExecutionLine,
    Health,
    begun_from_json,
    execution_from_json,
    execution_line_from_json,
    health_from_json,
)
from faas_sdk.inputs import LIMIT_RANGES
from faas_sdk.payload import LIMITS
from faas_sdk.request_parts import header_value, id_part, path_parts
from faas_sdk.retry import send_with_retries
from faas_sdk.signing_in import EthereumSigner
from faas_sdk.snapshot import (
    Branch,
    Page,
    Restored,
    Snapshot,
    branch_from_json,
    page_from_json,
    restored_from_json,
    snapshot_from_json,
)
from faas_sdk.terminal import TerminalSize

DEFAULT_ENDPOINT = "http://127.0.0.1:8080"
"""Where `faas up` listens."""

API_PREFIX = "/api/v1"

DEFAULT_TIMEOUT = 30.0
"""Seconds to wait for an answer, beside the time that a run takes."""

WALL_SECONDS = 10
"""To wait for each virtual second that a run may take: on a busy host it takes several."""

Content = bytes | str
"""Of a file or stdin; text is encoded as UTF-8."""

Metadata = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a run is asked for with."""

    code: str
    language: str
    mode: str | None = None
    resources: Mapping[str, int] | None = None
    env_vars: Mapping[str, str] | None = None
    files: Mapping[str, Content] | None = None
    stdin: Content | None = None
    arguments: Sequence[str] | None = None
    seed: int | None = None
    epoch: int | None = None
    snapshot_id: str | None = None
    branch_id: str | None = None
    session: str | None = None
    idempotency_key: str | None = None
    interactive: bool = False
    terminal: TerminalSize | None = None

    def body(self) -> dict[str, object]:
        """The request's, without what is left open. Raises ValueError for what none can be made of."""
        fields: dict[str, object] = {
            "code": self.code,
            "language": self.language,
            "mode": self.mode or ("ephemeral" if self.session is None else "persistent"),
            "resources": None if self.resources is None else dict(self.resources),
            "env_vars": None if self.env_vars is None else dict(self.env_vars),
            "files": None
            if self.files is None
            else {name: _base64(data, f"files.{name}") for name, data in self.files.items()},
            "stdin": None if self.stdin is None else _text(self.stdin),
            "arguments": None if self.arguments is None else list(self.arguments),
            "seed": self.seed,
            "epoch": self.epoch,
            "snapshot_id": self.snapshot_id,
            "branch_id": self.branch_id,
            "session": self.session,
            "interactive": self.interactive or None,
            "terminal": None if self.terminal is None else self.terminal.to_json(),
        }
        return _given(fields)

    def patience(self) -> float:
        """Seconds to wait for its end, by its own limit of virtual time."""
        low, high = LIMIT_RANGES["timeout_ms"]
        limit: object = (self.resources or {}).get("timeout_ms")
        milliseconds = limit if isinstance(limit, int) else LIMITS["timeout_ms"]
        return DEFAULT_TIMEOUT + WALL_SECONDS * min(max(milliseconds, low), high) / 1000


@dataclass(frozen=True, slots=True)
class RestApi:
    """One service, one key. Holds no connection."""

    endpoint: str
    """Without the `/api/v1` that all routes but `/health` stand under."""
    api_key: str | None = field(repr=False)
    max_retries: int

    @classmethod
    def at(cls, endpoint: str | None, api_key: str | None, max_retries: int) -> RestApi:
        """With `FAAS_ENDPOINT` and `FAAS_API_KEY` for what is None. Raises ValueError."""
        url = (endpoint or os.environ.get("FAAS_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"endpoint must start with http:// or https://, got {url!r}")
        if max_retries < 0:
            raise ValueError("max_retries must not be negative")
        key = api_key or os.environ.get("FAAS_API_KEY") or None
        if key is not None:
            key = header_value(key, "api_key")
        return cls(url.removesuffix(API_PREFIX), key, max_retries)

    # -- executions

    def execute(self, ask: Ask, timeout: float | None) -> Plan[Execution]:
        """`POST /execute`, to its end; `timeout` in seconds, or else as long as such a run may take."""
        wait = ask.patience() if timeout is None else timeout
        return execution_from_json((yield from self._execute(ask, {}, wait)))

    def start(self, ask: Ask) -> Plan[Begun]:
        """`POST /execute`, answered at once."""
        return begun_from_json((yield from self._execute(ask, {"async": True})))

    def execution(self, execution_id: str) -> Plan[Execution]:
        """`GET /executions/{id}`."""
        return execution_from_json((yield from self._call("GET", _execution(execution_id))))

    def executions(
        self, limit: int, offset: int, filters: Mapping[str, str | None]
    ) -> Plan[Page[ExecutionLine]]:
        """`GET /executions`."""
        answer = yield from self._call("GET", _list("executions", limit, offset, filters))
        return page_from_json(answer, "executions", execution_line_from_json)

    def cancel(self, execution_id: str) -> Plan[Execution]:
        """`POST /executions/{id}/cancel`."""
        return execution_from_json((yield from self._call("POST", _execution(execution_id) + "/cancel")))

    def send_input(self, execution_id: str, data: Content, end: bool) -> Plan[None]:
        """`POST /executions/{id}/input`."""
        body = {"data": _text(data), "end": end}
        yield from self._call("POST", _execution(execution_id) + "/input", body)

    def resize(self, execution_id: str, size: TerminalSize) -> Plan[None]:
        """`POST /executions/{id}/resize`."""
        yield from self._call("POST", _execution(execution_id) + "/resize", size.to_json())

    def logs(self, execution_id: str) -> Plan[dict[str, object]]:
        """`GET /executions/{id}/logs`."""
        return (yield from self._object("GET", _execution(execution_id) + "/logs"))

    def receipt_file(self, execution_id: str) -> Plan[dict[str, object]]:
        """`GET /executions/{id}/receipt`."""
        return (yield from self._object("GET", _execution(execution_id) + "/receipt"))

    def output_file(self, execution_id: str, path: str) -> Plan[bytes]:
        """`GET /executions/{id}/files/{path}`."""
        place = f"{API_PREFIX}{_execution(execution_id)}/files/{path_parts(path)}"
        request = Request("GET", self.endpoint + place, self._headers("application/octet-stream"))
        return (yield from self._content(request))

    def stream_request(self, execution_id: str) -> Request:
        """`GET /executions/{id}/stream`."""
        place = f"{API_PREFIX}{_execution(execution_id)}/stream"
        return Request("GET", self.endpoint + place, self._headers("text/event-stream"))

    # -- snapshots

    def create_snapshot(
        self, execution_id: str, metadata: Metadata | None, virtual_ms: int | None
    ) -> Plan[Snapshot]:
        """`POST /snapshots`."""
        body = _given({"execution_id": execution_id, "metadata": metadata, "virtual_ms": virtual_ms})
        return snapshot_from_json((yield from self._call("POST", "/snapshots", body)))

    def snapshot(self, snapshot_id: str) -> Plan[Snapshot]:
        """`GET /snapshots/{id}`."""
        return snapshot_from_json((yield from self._call("GET", _snapshot(snapshot_id))))

    def snapshots(self, limit: int, offset: int, filters: Mapping[str, str | None]) -> Plan[Page[Snapshot]]:
        """`GET /snapshots`."""
        answer = yield from self._call("GET", _list("snapshots", limit, offset, filters))
        return page_from_json(answer, "snapshots", snapshot_from_json)

    def restore_snapshot(self, snapshot_id: str) -> Plan[Restored]:
        """`POST /snapshots/{id}/restore`."""
        return restored_from_json((yield from self._call("POST", _snapshot(snapshot_id) + "/restore")))

    def delete_snapshot(self, snapshot_id: str, cascade: bool) -> Plan[None]:
        """`DELETE /snapshots/{id}`."""
        query = "?cascade=true" if cascade else ""
        yield from self._call("DELETE", _snapshot(snapshot_id) + query)

    def diff_snapshot(self, snapshot_id: str, against: str | None) -> Plan[dict[str, object]]:
        """`GET /snapshots/{id}/diff`."""
        query = "" if against is None else "?" + urlencode({"against": against})
        return (yield from self._object("GET", f"{_snapshot(snapshot_id)}/diff{query}"))

    def prove_snapshot(self, snapshot_id: str, path: str, content: bool) -> Plan[dict[str, object]]:
        """`GET /snapshots/{id}/proof`."""
        query = urlencode({"path": path, "content": str(content).lower()})
        return (yield from self._object("GET", f"{_snapshot(snapshot_id)}/proof?{query}"))

    # -- branches

    def create_branch(
        self, snapshot_id: str | None, parent_branch: str | None, metadata: Metadata | None
    ) -> Plan[Branch]:
        """`POST /branches`."""
        fields = {"snapshot_id": snapshot_id, "parent_branch": parent_branch, "metadata": metadata}
        return branch_from_json((yield from self._call("POST", "/branches", _given(fields))))

    def branch(self, branch_id: str) -> Plan[Branch]:
        """`GET /branches/{id}`."""
        return branch_from_json((yield from self._call("GET", _branch(branch_id))))

    def branches(self, limit: int, offset: int, filters: Mapping[str, str | None]) -> Plan[Page[Branch]]:
        """`GET /branches`."""
        answer = yield from self._call("GET", _list("branches", limit, offset, filters))
        return page_from_json(answer, "branches", branch_from_json)

    def merge_branches(
        self, branch_ids: Sequence[str], strategy: str, metadata: Metadata | None
    ) -> Plan[Snapshot]:
        """`POST /branches/merge`."""
        fields = {"branch_ids": list(branch_ids), "strategy": strategy, "metadata": metadata}
        return snapshot_from_json((yield from self._call("POST", "/branches/merge", _given(fields))))

    def delete_branch(self, branch_id: str) -> Plan[None]:
        """`DELETE /branches/{id}`."""
        yield from self._call("DELETE", _branch(branch_id))

    def end_session(self, session: str) -> Plan[None]:
        """`DELETE /sessions/{id}`."""
        yield from self._call("DELETE", f"/sessions/{id_part(session)}")

    def get(self, path: str) -> Plan[dict[str, object]]:
        """`GET` of a path below `/api/v1` that answers one object."""
        return (yield from self._object("GET", path))

    def post(self, path: str, body: Mapping[str, object]) -> Plan[dict[str, object]]:
        """`POST` likewise."""
        return (yield from self._object("POST", path, body))

    # -- account

    def account(self) -> Plan[dict[str, object]]:
        """`GET /account`."""
        return (yield from self._object("GET", "/account"))

    def keys(self, limit: int, offset: int) -> Plan[dict[str, object]]:
        """`GET /keys`."""
        return (yield from self._object("GET", _list("keys", limit, offset, {})))

    def create_key(
        self, name: str, scopes: Sequence[str] | None, expires_in_seconds: int | None
    ) -> Plan[dict[str, object]]:
        """`POST /keys`."""
        fields = {"name": name, "scopes": _list_or_none(scopes), "expires_in_seconds": expires_in_seconds}
        return (yield from self._object("POST", "/keys", _given(fields)))

    def revoke_key(self, key_id: str) -> Plan[dict[str, object]]:
        """`DELETE /keys/{id}`."""
        return (yield from self._object("DELETE", f"/keys/{id_part(key_id)}"))

    def sign_in(
        self, private_key: str, name: str, scopes: Sequence[str] | None, expires_in_seconds: int | None
    ) -> Plan[dict[str, object]]:
        """`POST /sign-in/challenges`, then `POST /sign-in`, as the Ethereum account of a private key."""
        signer = EthereumSigner(private_key)
        wanted = {"scheme": "ethereum", "address": signer.address}
        challenge = yield from self._object("POST", "/sign-in/challenges", wanted)
        fields = {
            **signer.answer(challenge, self.endpoint),
            "name": name,
            "scopes": _list_or_none(scopes),
            "expires_in_seconds": expires_in_seconds,
        }
        return (yield from self._object("POST", "/sign-in", _given(fields)))

    # -- what needs no key

    def blob(self, sha256: bytes) -> Plan[bytes]:
        """`GET /blobs/{sha256}`: what a job or result on-chain names by its hash."""
        return (yield from self._content(Request("GET", f"{self.endpoint}{API_PREFIX}/blobs/{sha256.hex()}")))

    def upload_blob(self, sha256: bytes, content: bytes) -> Plan[None]:
        """`PUT /blobs/{sha256}`: a part of a job that is about to name it. It takes a key."""
        headers = {**self._headers("application/json"), "Content-Type": "application/octet-stream"}
        url = f"{self.endpoint}{API_PREFIX}/blobs/{sha256.hex()}"
        _answer((yield from send_with_retries(Request("PUT", url, headers, content), self.max_retries)))

    def health(self) -> Plan[Health]:
        """`GET /health`."""
        answer = yield from self._call("GET", "/health", prefix="")
        return health_from_json(answer)

    # -- parts

    def _execute(self, ask: Ask, more: Mapping[str, object], timeout: float | None = None) -> Plan[object]:
        headers = {}
        if ask.idempotency_key is not None:
            headers["Idempotency-Key"] = header_value(ask.idempotency_key, "idempotency_key")
        return (
            yield from self._call(
                "POST", "/execute", {**ask.body(), **more}, headers=headers, timeout=timeout
            )
        )

    def _object(self, method: str, path: str, body: object = None) -> Plan[dict[str, object]]:
        answer = yield from self._call(method, path, body)
        if not isinstance(answer, dict):
            raise ConnectionFailed("the answer is not a JSON object: is this the API's address?")
        return answer

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        prefix: str = API_PREFIX,
        timeout: float | None = None,
    ) -> Plan[object]:
        sent = {**self._headers("application/json"), **(headers or {})}
        content = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            content = json.dumps(body, allow_nan=False).encode()
        request = Request(method, self.endpoint + prefix + path, sent, content, timeout)
        response = yield from send_with_retries(request, self.max_retries)
        return _answer(response)

    def _content(self, request: Request) -> Plan[bytes]:
        response = yield from send_with_retries(request, self.max_retries)
        if response.status >= 400:
            _answer(response)
        return response.content

    def _headers(self, accepted: str) -> dict[str, str]:
        key = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        return {"Accept": accepted, **key}


def _execution(execution_id: str) -> str:
    return f"/executions/{id_part(execution_id)}"


def _snapshot(snapshot_id: str) -> str:
    return f"/snapshots/{id_part(snapshot_id)}"


def _branch(branch_id: str) -> str:
    return f"/branches/{id_part(branch_id)}"


def _list(name: str, limit: int, offset: int, filters: Mapping[str, str | None]) -> str:
    return f"/{name}?" + urlencode({**_given(filters), "limit": limit, "offset": offset})


def _list_or_none(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _answer(response: Response) -> object:
    try:
        body: object = json.loads(response.content) if response.content else None
    except ValueError as error:
        if response.status < 400:
            raise ConnectionFailed("the answer is not JSON: is this the API's address?") from error
        body = None
    if response.status >= 400:
        raise api_error(response.status, body)
    return body


def _text(data: Content) -> str:
    """Raises ValueError for bytes that are not UTF-8: this API's stdin is text."""
    return data if isinstance(data, str) else data.decode()


def _base64(data: Content, what: str) -> str:
    """Raises ValueError for what is neither text nor bytes."""
    try:
        return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()
    except TypeError as error:
        raise ValueError(f"{what} must be text or bytes, not {type(data).__name__}") from error
