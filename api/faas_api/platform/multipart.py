"""Requests whose files come as they are, as parts of a form, beside the JSON that says what to do.

    curl -F 'request={"language": "python", "code": "…"}' -F 'files=@table.csv;filename=data/table.csv' …

Part `request` is the JSON form; each part `files` is a file, whose file name is its path for the job.
What a route sees is the JSON form with these files in it, so both forms are one from there on.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine

from fastapi import Request, Response
from starlette.datastructures import FormData, Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from faas_api.json_bodies import JsonRoute, parse_json
from faas_blueprint.errors import InvalidRequest

CONTENT_TYPE = "multipart/form-data"
MOST_FILES = 1_000
REQUEST_BYTES = 32 << 20
"""Of the part `request`; the whole body has a limit of its own."""

DOCUMENTED_BODY = {
    "requestBody": {
        "content": {
            CONTENT_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["request"],
                    "additionalProperties": False,
                    "properties": {
                        "request": {"type": "string", "description": "The JSON form, without these files"},
                        "files": {
                            "type": "array",
                            "maxItems": MOST_FILES,
                            "items": {"type": "string", "format": "binary"},
                            "description": "A part's file name is the file's path, relative and maybe nested",
                        },
                    },
                }
            }
        }
    }
}
"""For `openapi_extra` of a route with `MultipartRoute`."""


class MultipartRoute(JsonRoute):
    """A route with a JSON body that takes the multipart form too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """The route's handler behind the translation."""
        handle = super().get_route_handler()

        async def handle_either(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            return await handle(await _as_json(request) if kind == CONTENT_TYPE else request)

        return handle_either


async def _as_json(request: Request) -> Request:
    limits = {"max_files": MOST_FILES, "max_fields": 1, "max_part_size": REQUEST_BYTES}
    try:
        async with request.form(**limits) as form:
            return _with_body(request, json.dumps(await _whole(form)).encode())
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise InvalidRequest(f"the multipart body: {error.detail}", {"field": "body"}) from error


async def _whole(form: FormData) -> dict[str, object]:
    """The JSON form with the files in it."""
    body = _stated(form)
    files = body.setdefault("files", {})
    if not isinstance(files, dict):
        raise InvalidRequest("files must be a map of paths to content", {"field": "files"})
    for name, part in form.multi_items():
        if name == "request":
            continue
        if name != "files":
            raise InvalidRequest(f"there is no part {name!r}, only 'request' and 'files'", {"field": name})
        if not isinstance(part, UploadFile) or not part.filename:
            raise InvalidRequest("each part 'files' needs a file name, its path", {"field": "files"})
        if part.filename in files:
            path = part.filename
            raise InvalidRequest(f"file {path!r} is given twice", {"field": f"files.{path}"})
        files[part.filename] = base64.b64encode(await part.read()).decode()
    return body


def _stated(form: FormData) -> dict[str, object]:
    stated = form.get("request")
    if not isinstance(stated, str):
        raise InvalidRequest("the part 'request' must be there, as text: the JSON form", {"field": "request"})
    try:
        body = parse_json(stated, "request")
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the part 'request' is not JSON: {error}", {"field": "request"}) from error
    if not isinstance(body, dict):
        raise InvalidRequest("the part 'request' must be a JSON object", {"field": "request"})
    return body


def _with_body(request: Request, body: bytes) -> Request:
    """The same request with another body; that its caller goes away is still seen."""
    headers = MutableHeaders(raw=list(Headers(scope=request.scope).raw))
    headers["content-type"] = "application/json"
    headers["content-length"] = str(len(body))
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return await request.receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({**request.scope, "headers": headers.raw}, receive, request._send)
