"""Which methods a path takes: of several routes with one path, a router's own 405 tells of the first."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from fastapi import FastAPI
from starlette.routing import compile_path

Methods = frozenset[str]


def allowed_methods(app: FastAPI, path: str) -> str | None:
    """The value of `Allow`, or None for a path that the API's description does not have.

    A path that is described as it stands is no other one's with a parameter.
    """
    plain, patterns = _described(app)
    found = plain.get(path) or next((methods for form, methods in patterns if form.fullmatch(path)), None)
    return None if found is None else ", ".join(sorted(found))


@functools.lru_cache(maxsize=1)
def _described(app: FastAPI) -> tuple[Mapping[str, Methods], list[tuple[re.Pattern[str], Methods]]]:
    """From the description, which the application makes once."""
    paths = {path: frozenset(map(str.upper, item)) for path, item in app.openapi()["paths"].items()}
    return paths, [(compile_path(path)[0], methods) for path, methods in paths.items()]
