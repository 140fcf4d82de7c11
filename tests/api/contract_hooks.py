"""What Schemathesis asks about: half of the ids are of things that are there, and programs do something.

`FAAS_TEST_THINGS` names them: a JSON object of path parameters. Without this nearly all answers would be 404.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis

THINGS: dict[str, str] = json.loads(os.environ["FAAS_TEST_THINGS"])
PROGRAMS = (
    "print('hello')",
    "open('output/a.txt', 'w').write('a'); print('written')",
    "raise SystemExit(3)",
    "while True: pass",
)
MOST_MS = 200
"""Of virtual time, so that endless programs end soon."""


def _chance(value: object, of: int) -> int:
    return zlib.crc32(repr(value).encode()) % of


@schemathesis.hook
def map_path_parameters(context: Any, values: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is there is not deleted, and the caller's own account is not changed."""
    operation = context.operation
    if values and operation.method.upper() not in ("DELETE", "PATCH") and _chance(values, 2):
        return values | {name: THINGS[name] for name in values if name in THINGS}
    return values


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """A program where there is some text, in a language that is not compiled for seconds."""
    if not context.operation.path.endswith("/execute") or not isinstance(body, dict):
        return body
    resources = body.get("resources")
    endless_may_be = isinstance(resources, dict) and type(resources.get("timeout_ms")) is int
    if endless_may_be and resources["timeout_ms"] > MOST_MS:
        body["resources"] = resources | {"timeout_ms": MOST_MS}
    if body.get("language") in ("rust", "go"):
        body["language"] = "python"
    if isinstance(body.get("code"), str) and (choice := _chance(body, 6)) < 3 + endless_may_be:
        body["code"] = PROGRAMS[choice]
    return body


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Closing the account that asks, or giving it few requests, would end the test. A payment beside a key
    would be refused."""
    kwargs.get("headers", {}).pop("PAYMENT-SIGNATURE", None)
    if case.headers:
        case.headers.pop("PAYMENT-SIGNATURE", None)
    if case.method == "PATCH" and case.path_parameters.get("account_id") == THINGS["own_account"]:
        case.path_parameters["account_id"] = THINGS["account_id"]
