"""Every error in one shape: `{"error": {"code", "message", "details"}}`.

What is the caller's to mend is told in full; what is ours is logged in full and told in a sentence.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from faas_blueprint.errors import FaaSError, InsufficientResources, RequestError, TransientError

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
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FaaSError)
    if isinstance(error, RequestError):
        headers = {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else {}
        return error_response(error.http_status, error.code, error.message, error.details, headers)
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(error.http_status, error.code, _told(error))


def _told(error: FaaSError) -> str:
    if isinstance(error, InsufficientResources):
        return "the host lacks resources for this run; try again later"
    if isinstance(error, TransientError):
        return "the run failed on this host; try again"
    return "internal error"


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        {"field": ".".join(map(str, problem["loc"][1:])) or "body", "problem": problem["msg"]}
        for problem in error.errors()
    ]
    first = problems[0]
    message = f"{first['field']}: {first['problem']}"
    return error_response(400, "INVALID_REQUEST", message, {"field": first["field"], "problems": problems})


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    fallback = "INVALID_REQUEST" if error.status_code < 500 else "INTERNAL_ERROR"
    code = _CODES.get(error.status_code, fallback)
    return error_response(error.status_code, code, str(error.detail), headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(500, "INTERNAL_ERROR", "internal error")
