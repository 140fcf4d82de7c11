"""Bodies that are JSON: what is wrong with one is said, and no object in it has a key twice.

FastAPI by itself tells of errors of syntax only, and Python takes the last of two values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from faas_blueprint.errors import InvalidRequest


class JsonRoute(APIRoute):
    """A route whose body is read by `parse_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """The route's handler, given another request."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive, request._send))

        return handle_json


class _JsonRequest(Request):
    async def json(self) -> Any:
        """The body. Raises json.JSONDecodeError, InvalidRequest."""
        body = await self.body()
        try:
            text = body.decode(json.detect_encoding(body), "surrogatepass")
        except UnicodeDecodeError as error:
            raise _not_read(f"is not JSON in UTF-8: see byte {error.start}") from error
        return parse_json(text)


def parse_json(text: str, field: str = "body") -> Any:
    """What a JSON text says. Raises json.JSONDecodeError, or InvalidRequest of what Python does not take."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except _Twice as error:
        raise _not_read(f"has the key {error.key!r} twice in one object", field) from error
    except RecursionError as error:
        raise _not_read("is JSON that is nested too deeply", field) from error
    except ValueError as error:
        raise _not_read("has a number with too many digits", field) from error


class _Twice(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key[:80]


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Raises _Twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice(_first_repeated(name for name, _ in pairs))
    return made


def _first_repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            break
        seen.add(name)
    return name


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _not_read(problem: str, field: str = "body") -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", {"field": field})
