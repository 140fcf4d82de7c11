"""Asking other operators' APIs: those that the settings name, those that a service's operators registered.

What peers answer is to be checked. A registered address is a stranger's word besides: only an origin at a
public address is asked, within bounds of time, bytes and number, and never where it points on to. Else a node
would knock at doors of its own network for anyone who registers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from faas_blueprint.errors import ChainUnavailable
from faas_operator.logs import about
from faas_operator.settings import Settings

REGISTERED_AT_MOST = 8
"""Registered addresses that are asked for one thing; drawn from a service's operators anew each time."""

REGISTERED_MOST_BYTES = 32 << 20
REGISTERED_SECONDS = 30.0
NAMED_SECONDS = 60.0
READ_SECONDS = 10.0
"""For reading what is registered; where that takes longer, the next look goes on from there."""
REFRESH_SECONDS = 600.0
"""How long what a service's operators registered is remembered."""

_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?/?")

_CARRIES_IPV4 = [ipaddress.IPv6Network(text) for text in ("::ffff:0:0/96", "64:ff9b::/96", "2002::/16")]
"""Where an address of another network may be behind a public one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Peer:
    """An operator's API."""

    origin: str
    is_named: bool
    """By this node's settings, and thus trusted as to where it is."""
    may_be_private: bool = False
    """Whether a registered address may be of this host or its network."""


class RegisteredAddresses(Protocol):
    """Tells what is registered on-chain."""

    async def operator_addresses(self, service_id: int, first_block: int) -> list[str]:
        """See `ChainAdapter`. Raises ChainUnavailable."""
        ...


class Peers:
    """Whom a node asks. Knows a service's operators for a while."""

    def __init__(self, settings: Settings, chain: RegisteredAddresses) -> None:
        self._named = tuple(Peer(origin, True) for origin in settings.blob_peers)
        self._settings = settings
        self._chain = chain
        self._registered: dict[int, tuple[float, list[str]]] = {}

    async def of_service(self, service_id: int) -> tuple[Peer, ...]:
        """Those of the settings first, then some that are registered."""
        if not self._settings.registered_peers:
            return self._named
        named = {peer.origin for peer in self._named}
        found = [origin for origin in await self._origins(service_id) if origin not in named]
        drawn = secrets.SystemRandom().sample(found, min(len(found), REGISTERED_AT_MOST))
        private = self._settings.private_peers
        return (*self._named, *(Peer(origin, False, private) for origin in drawn))

    async def _origins(self, service_id: int) -> list[str]:
        known = self._registered.get(service_id)
        if known is not None and time.monotonic() - known[0] < REFRESH_SECONDS:
            return known[1]
        try:
            async with asyncio.timeout(READ_SECONDS):
                addresses = await self._chain.operator_addresses(service_id, self._settings.start_block)
        except (ChainUnavailable, TimeoutError) as error:
            log.warning("registered addresses cannot be read", extra=about(service=service_id, error=error))
            return [] if known is None else known[1]
        origins = sorted({address.rstrip("/") for address in addresses if _ORIGIN.fullmatch(address)})
        self._registered[service_id] = time.monotonic(), origins
        return origins


async def ask_peer(peer: Peer, path: str, most_bytes: int) -> bytes | None:
    """What a peer gives at `/api/v1` and a path, cut off once it is more than there should be; None when it
    gives nothing."""
    seconds = NAMED_SECONDS if peer.is_named else REGISTERED_SECONDS
    most = most_bytes if peer.is_named else min(most_bytes, REGISTERED_MOST_BYTES)
    content = bytearray()
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(
                connector=_connector(peer),
                auto_decompress=False,  # few bytes may become many
                headers={"Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=10, sock_read=10),
            ) as http,
            http.get(f"{peer.origin}/api/v1{path}", allow_redirects=False) as response,
        ):
            if response.status != 200:
                return None
            async for part in response.content.iter_any():
                content += part
                if len(content) > most:
                    break
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        log.warning("a peer does not answer", extra=about(peer=peer.origin, error=error))
        return None
    return bytes(content)


def is_public(host: str) -> bool:
    """Whether an IP address is one of the open Internet, and of no network behind it."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _CARRIES_IPV4):
        return False
    return address.is_global and not address.is_multicast


def _connector(peer: Peer) -> aiohttp.TCPConnector:
    """Raises OSError for an address that is not to be asked."""
    if peer.is_named or peer.may_be_private:
        return aiohttp.TCPConnector(resolver=ThreadedResolver())
    host = peer.origin.partition("://")[2]
    host = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    try:
        public = is_public(host)  # names are looked at as they are resolved, addresses never are
    except ValueError:
        public = True
    if not public:
        raise OSError(f"{host} is not a public address")
    return aiohttp.TCPConnector(resolver=_PublicResolver())


class _PublicResolver(AbstractResolver):
    """Resolves names of which all addresses are public; the connection is made to what was looked at."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(item["host"]) for item in found):
            raise OSError(f"{host} is not at a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()
