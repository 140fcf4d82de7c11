"""The REST API as plans: what is sent, and what is made of the answers."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from faas_sdk.effects import Plan, Request, Response
from faas_sdk.errors import ConnectionFailed, api_error
from faas_sdk.execution import Execution, Health, execution_from_json, health_from_json
from faas_sdk.retry import send_with_retries

DEFAULT_ENDPOINT = "http://127.0.0.1:8080"
"""Where `faas up` listens."""

API_PREFIX = "/api/v1"

Content = bytes | str
"""Of a file or stdin; text is encoded as UTF-8."""


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
        return cls(
            url.removesuffix(API_PREFIX), api_key or os.environ.get("FAAS_API_KEY") or None, max_retries
        )

    def execute(
        self,
        code: str,
        language: str,
        mode: str,
        resources: Mapping[str, int] | None,
        env_vars: Mapping[str, str] | None,
        files: Mapping[str, Content] | None,
        stdin: Content | None,
        arguments: Sequence[str] | None,
        seed: int | None,
        epoch: int | None,
    ) -> Plan[Execution]:
        """`POST /execute`."""
        body: dict[str, object] = {"code": code, "language": language, "mode": mode}
        optional = {
            "resources": None if resources is None else dict(resources),
            "env_vars": None if env_vars is None else dict(env_vars),
            "files": None if files is None else {name: _base64(data) for name, data in files.items()},
            "stdin": None if stdin is None else _text(stdin),
            "arguments": None if arguments is None else list(arguments),
            "seed": seed,
            "epoch": epoch,
        }
        body.update((name, value) for name, value in optional.items() if value is not None)
        answer = yield from self._call("POST", f"{API_PREFIX}/execute", body)
        return execution_from_json(answer)

    def receipt_file(self, execution_id: str) -> Plan[dict[str, object]]:
        """`GET /executions/{id}/receipt`."""
        answer = yield from self._call(
            "GET", f"{API_PREFIX}/executions/{quote(execution_id, safe='')}/receipt"
        )
        if not isinstance(answer, dict):
            raise ConnectionFailed("the answer is not a receipt file")
        return answer

    def output_file(self, execution_id: str, path: str) -> Plan[bytes]:
        """`GET /executions/{id}/files/{path}`."""
        place = f"{API_PREFIX}/executions/{quote(execution_id, safe='')}/files/{quote(path)}"
        request = Request("GET", self.endpoint + place, self._headers("application/octet-stream"))
        return (yield from self._content(request))

    def blob(self, sha256: bytes) -> Plan[bytes]:
        """`GET /blobs/{sha256}`: output of a result that was posted by hash."""
        return (yield from self._content(Request("GET", f"{self.endpoint}{API_PREFIX}/blobs/{sha256.hex()}")))

    def health(self) -> Plan[Health]:
        """`GET /health`."""
        answer = yield from self._call("GET", "/health")
        return health_from_json(answer)

    def _call(self, method: str, path: str, body: object = None) -> Plan[object]:
        headers = self._headers("application/json")
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        request = Request(method, self.endpoint + path, headers, content)
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


def _base64(data: Content) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()
