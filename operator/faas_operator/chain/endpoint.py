"""One endpoint of an EVM chain over JSON-RPC: a request, once; tells a revert from an outage.

Trying again, or elsewhere, is `rpc`'s.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from web3 import AsyncHTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.tangle.reverts import ContractError, decode_revert
from faas_operator.chain.answers import is_answer
from faas_operator.happenings import RPC_ERRORS

_SHORTEST_SECRET = 8
"""Shorter parts of a URL, such as `v3`, are no keys."""

_LIMIT_EXCEEDED = frozenset({-32005, -32016, 429})


class Reverted(Exception):
    """A call would revert, or a transaction did."""

    def __init__(self, error: ContractError) -> None:
        super().__init__(str(error))
        self.error = error


class Endpoint:
    """Where a chain can be asked. Its URL may hold a provider's key, and is never told."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self._secrets = _secret_parts(url)
        self._provider = AsyncHTTPProvider(
            url,
            request_kwargs={"timeout": aiohttp.ClientTimeout(timeout)},
            exception_retry_configuration=None,
        )
        self._under_way: set[asyncio.Task[RPCResponse]] = set()

    async def close(self) -> None:
        """Close the connections, once nothing is asked any more."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._provider.disconnect()

    async def request(self, method: str, parameters: Sequence[object] = ()) -> Any:
        """The result of a method. Raises Reverted, and ChainUnavailable; its detail `retry` says whether the
        same may go well later."""
        try:
            response = await asyncio.shield(self._asked(method, parameters))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            RPC_ERRORS.labels(method).inc()
            told = self._without_secrets(str(error) or type(error).__name__)
            # not `from error`: a traceback would show the URL that it names
            raise ChainUnavailable(f"{method}: {told}", {"retry": True}) from None
        if not isinstance(response, Mapping):
            raise _no_answer(method)
        fault = response.get("error")
        if fault is None:
            result = response.get("result")
            if not is_answer(method, result):
                raise _no_answer(method)
            return result
        failure = self._failure(method, fault)
        if isinstance(failure, ChainUnavailable):
            RPC_ERRORS.labels(method).inc()
        raise failure

    def _asked(self, method: str, parameters: Sequence[object]) -> asyncio.Task[RPCResponse]:
        """A request that goes on when its caller is cancelled: the provider, cancelled while it takes its
        lock, would never give it back."""
        asked = self._provider.make_request(RPCEndpoint(method), list(parameters))
        task = asyncio.ensure_future(asked)
        self._under_way.add(task)
        task.add_done_callback(self._answered)
        return task

    def _answered(self, task: asyncio.Task[RPCResponse]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, should nobody wait any more

    def _failure(self, method: str, fault: object) -> Exception:
        if not isinstance(fault, Mapping):
            return ChainUnavailable(self._without_secrets(f"{method}: {fault}"))
        message = str(fault.get("message", ""))
        data = fault.get("data")
        if isinstance(data, Mapping):
            data = data.get("data", data.get("result"))
        if fault.get("code") == 3 or "revert" in message.lower():
            return Reverted(decode_revert(decode_hexadecimal(data) if isinstance(data, str) else b""))
        retry = fault.get("code") in _LIMIT_EXCEEDED
        told = self._without_secrets(f"{method}: {message}")
        return ChainUnavailable(told, {"retry": retry, "code": fault.get("code")})

    def _without_secrets(self, text: str) -> str:
        """A provider's key is in the URL, and errors like to repeat it."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def _no_answer(method: str) -> ChainUnavailable:
    RPC_ERRORS.labels(method).inc()
    return ChainUnavailable(f"{method}: the answer has not the form of one", {"retry": True})


def _secret_parts(url: str) -> tuple[str, ...]:
    """The URL, and every word of it that may be a key: all but the end of the host's name; longest first."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    rest = url.replace(host, "", 1)
    subdomain, dot, _ = host.partition(".")
    words = [*re.findall(r"[\w~-]+", f"{rest} {unquote(rest)}"), subdomain if dot else ""]
    return tuple(sorted({url, *(word for word in words if len(word) >= _SHORTEST_SECRET)}, key=len)[::-1])


def decode_hexadecimal(text: str) -> bytes:
    """With or without 0x. Raises ChainUnavailable."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise ChainUnavailable(f"{text[:40]!r} is not hexadecimal") from error
