"""Pages of other origins, in browsers: only those that the settings name may read what the API answers.

Keys are in headers, and there are no cookies: a page can do nothing with a key that it was not given.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

_SENT = ("Authorization", "Content-Type", "Idempotency-Key", "Payment-Signature", "Prefer", "X-API-Key")
_READ = (
    "Content-Disposition", "Location", "Payment-Required", "Payment-Response", "Preference-Applied",
    "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
)  # fmt: skip


def let_in(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins call the application, of any for `*`. To be added after other middleware."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("DELETE", "GET", "PATCH", "POST", "PUT"),
            allow_headers=_SENT,
            expose_headers=_READ,
        )
