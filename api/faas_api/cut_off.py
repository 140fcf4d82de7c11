"""Work that is worth doing only while the caller is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[None, None, T]) -> T:
    """What `work` answers; cancels it and raises ClientDisconnect when the caller goes away first.

    The request's body must have been read.
    """
    own = asyncio.current_task()
    assert own is not None
    left = False

    def leave(_gone: asyncio.Task[None]) -> None:
        nonlocal left
        left = own.cancel()

    gone = asyncio.create_task(_disconnected(request))
    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError as error:
        if left and own.uncancel() == 0:
            raise ClientDisconnect from error
        raise
    finally:
        gone.remove_done_callback(leave)
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
