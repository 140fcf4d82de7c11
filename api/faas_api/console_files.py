"""The web console's files at `/console/`, as they stand in the folder `console`: nothing is made on the way.

They are open and about nobody: the pages ask the API for everything, with the key of whoever looks at them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).parent / "console"

PLACE = "/console/"

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
"""Nothing from elsewhere, nothing inline, and no text becomes markup or code."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""`no-cache`: keep it, but ask whether it has changed; a new version is never mixed with an old one."""


def add_console(app: FastAPI) -> None:
    """Serve the console, and send browsers there that ask for `/` or forget the last slash."""

    async def to_console(request: Request) -> Response:
        if request.url.path == "/" and "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(404)
        return RedirectResponse(PLACE, headers={"Cache-Control": "no-cache", "Vary": "Accept"})

    for path in ("/", PLACE.rstrip("/")):
        app.add_route(path, to_console, methods=["GET"], include_in_schema=False)
    app.mount(PLACE.rstrip("/"), _Files(directory=FOLDER, html=True), name="console")


class _Files(StaticFiles):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; an upgrade finds nothing here."""
        if scope["type"] != "http":
            raise HTTPException(404)
        await super().__call__(scope, receive, send)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """A file, or that it has not changed."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response
