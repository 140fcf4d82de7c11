"""Every error in one shape: `{"error": {"code", "message", "details"}}`.

What is the caller's to mend is told in full; what is ours is logged in full and told in a sentence.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from faas_api.allowed_methods import allowed_methods
from faas_blueprint.errors import FaaSError, RequestError
from faas_operator.executions import told

log = logging.getLogger(__name__)

_CODES: Mapping[int, str] = {
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "EXECUTION_TIMEOUT",
    429: "RATE_LIMIT_EXCEEDED",
    507: "INSUFFICIENT_RESOURCES",
}


_DOCUMENTED = frozenset(_CODES.values()) | {"INVALID_REQUEST", "INTERNAL_ERROR"}

_RETRY_AFTER = {"Retry-After": "1"}


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="One of " + ", ".join(sorted(_DOCUMENTED)))
    message: str
    details: dict[str, object] = Field(description="`field` names what to mend, where it is one field")


class ErrorBody(BaseModel):
    """Every answer with a status of 400 or more."""

    error: ErrorDetail


class _AsciiJson(JSONResponse):
    """Can spell whatever a caller sent, lone surrogates included."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, allow_nan=False).encode("ascii")


def error_response(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """One error."""
    error = {"code": code, "message": message, "details": dict(details or {})}
    return _AsciiJson({"error": error}, status, dict(headers or {}))


def handle_errors(app: FastAPI) -> None:
    """Give every error of this application the shape."""
    app.add_exception_handler(FaaSError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OperationalError, _no_database)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FaaSError)
    if isinstance(error, RequestError):
        return refusal(error)
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    headers = _RETRY_AFTER if error.http_status in (503, 507) else {}
    return error_response(error.http_status, error.code, told(error), headers=headers)


def refusal(error: RequestError) -> JSONResponse:
    """What the caller is told of a request that cannot be served as it stands."""
    return error_response(
        error.http_status, documented_code(error), error.message, error.details, request_headers(error)
    )


def request_headers(error: RequestError) -> Mapping[str, str]:
    """The headers that go with an error of the caller's."""
    if error.http_status == 401:
        return {"WWW-Authenticate": "Bearer"}
    wait = error.details.get("retry_after")
    return {} if wait is None else {"Retry-After": str(wait)}


def documented_code(error: FaaSError) -> str:
    """The error's code if it is one of the API's; a conflict, say, has none of its own but its status."""
    return error.code if error.code in _DOCUMENTED else "INVALID_REQUEST"


async def _no_database(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(
        503, "INTERNAL_ERROR", "the service's database does not answer; try again", headers=_RETRY_AFTER
    )


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        {"field": _field(problem, error.body), "problem": _problem(problem, request)}
        for problem in error.errors()
    ]
    first = problems[0]
    message = f"{first['field']}: {first['problem']}"
    return error_response(400, "INVALID_REQUEST", message, {"field": first["field"], "problems": problems})


def _field(problem: Mapping[str, Any], body: object) -> str:
    if problem["type"] == "json_invalid":
        return "body"  # its place is a number of characters
    where, *parts = problem["loc"]
    if where == "body":
        parts = _parts_of_body(parts, body, is_missing=problem["type"] == "missing")
    return ".".join(map(str, parts)) or "body"


def _parts_of_body(parts: list[str | int], body: Any, *, is_missing: bool) -> list[str | int]:
    """A place without what the body does not have of it: the names of the types that were tried there."""
    there: list[str | int] = []
    for part in parts:
        known = body if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ()
        if part in known:
            body = body[part]
            there.append(part)
    return [*there, parts[-1]] if is_missing and parts else there


def _problem(problem: Mapping[str, Any], request: Request) -> str:
    if problem["type"] == "json_invalid":
        return f"is not JSON: {problem['ctx']['error']} at character {problem['loc'][1]}"
    if isinstance(problem.get("input"), bytes):  # what came as another type is not parsed
        kind = request.headers.get("content-type", "none")
        return f"must be JSON, sent with 'Content-Type: application/json'; this one has {kind!r}"
    if problem["type"] == "too_long" and isinstance(problem.get("input"), str):
        return f"String should have at most {problem['ctx']['max_length']} characters"
    return str(problem["msg"]).removeprefix("Value error, ")


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, RequestError):  # how FastAPI passes on what reading a body raised
        return refusal(error.__cause__)
    headers = error.headers
    if error.status_code == 405 and (methods := allowed_methods(request.app, request.url.path)):
        headers = {"Allow": methods}
    fallback = "INVALID_REQUEST" if error.status_code < 500 else "INTERNAL_ERROR"
    code = "INVALID_REQUEST" if error.status_code == 408 else _CODES.get(error.status_code, fallback)
    return error_response(error.status_code, code, str(error.detail), headers=headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(500, "INTERNAL_ERROR", "internal error")
