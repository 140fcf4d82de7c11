"""Named byte strings in a local folder or in any S3-compatible store, whole or not at all.

A thin face over `obstore`: errors become ours, and a name that is not there is `None`. Settings of
S3 come from the environment (`AWS_ENDPOINT`, `AWS_ACCESS_KEY_ID`, …) unless given. What the names
mean is not known here. Nothing is flushed to the disk: after a power cut a fresh object may be
short, which every reader notices by its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, from_url

from faas_blueprint.errors import FaaSError, FatalError, InsufficientResources, TransientError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

CONCURRENT = 32
"""Requests that are under way at once."""

_DELETED_AT_ONCE = 1000
_RETRIES: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
_TIMEOUTS: ClientConfig = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(seconds=120)}
_REFUSALS = (PermissionDeniedError, UnauthenticatedError, PermissionError)
_REFUSED_STATUS = ("status code: 401", "status code: 403")
"""What a listing says instead of raising one of these."""
_MISSING_STATUS = "status code: 404"
_DISK_FULL = "os error 28"
_ENDPOINT_OPTIONS = ("endpoint", "aws_endpoint", "endpoint_url", "aws_endpoint_url")
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class DamagedObject(Exception):
    """A stored object is missing, or is not what its name promises. Says which and how."""


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One line of a listing."""

    name: str
    size: int
    modified: float
    """Unix seconds, by the store's clock."""
    version: str
    """Changes when the object is written anew."""


class Objects:
    """A store of objects by name, such as `packs/3f…`. Safe to share between processes and hosts."""

    def __init__(self, store: ObjectStore, location: str, folder: Path | None) -> None:
        self._store = store
        self._folder = folder
        self._requests = asyncio.Semaphore(CONCURRENT)
        self.location = location

    @classmethod
    def open(cls, location: str | Path, options: Mapping[str, str] | None = None) -> Objects:
        """A folder (made when missing), or `s3://bucket/prefix`. `options` overrule the environment."""
        folder = _local_folder(location)
        try:
            if folder is not None:
                return cls(LocalStore(folder, mkdir=True), str(folder), folder)
            return cls(_remote(str(location), dict(options or {})), str(location).rstrip("/"), None)
        except (BaseError, ValueError, OSError) as error:
            raise FatalError(
                f"the snapshot store {location} cannot be opened: {_first_line(error)}"
            ) from error

    async def read(self, name: str) -> bytes | None:
        """The whole object, or None when there is none."""
        try:
            async with self._requests:
                with self._translated(f"reading {name}"):
                    result = await obstore.get_async(self._store, name)
                    return bytes(await result.bytes_async())
        except FileNotFoundError:
            return None

    async def write(self, name: str, content: bytes) -> None:
        """Put an object in place of any that is there, atomically."""
        async with self._requests:
            with self._translated(f"writing {name}", anything_missing=True):
                await obstore.put_async(self._store, name, content, use_multipart=False)

    async def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone already do not matter."""
        for start in range(0, len(names), _DELETED_AT_ONCE):
            await self._remove_some(names[start : start + _DELETED_AT_ONCE])

    async def _remove_some(self, names: Sequence[str]) -> None:
        if self._folder is None:
            with self._translated("deleting"):
                await obstore.delete_async(self._store, names)
            return
        for name in names:
            with self._translated(f"deleting {name}"), contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, name)

    async def entries(self, folder: str) -> list[ObjectEntry]:
        """All objects of a folder, in no order."""
        with self._translated(f"listing {folder}", anything_missing=True):
            found = await obstore.list(self._store, folder, chunk_size=1000).collect_async()
        return [
            ObjectEntry(
                entry["path"], entry["size"], entry["last_modified"].timestamp(), entry["e_tag"] or ""
            )
            for entry in found
        ]

    def remove_unfinished(self, minimum_age: float) -> int:
        """Remove what writers that were killed left in a local folder; returns bytes. S3 hides its own."""
        freed = 0
        for path in self._folder.glob("*/*#*") if self._folder else ():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if time.time() - status.st_mtime >= minimum_age:
                    path.unlink()
                    freed += status.st_size
        return freed

    @contextmanager
    def _translated(self, action: str, *, anything_missing: bool = False) -> Iterator[None]:
        """Turns the library's errors into ours; FileNotFoundError passes unless nothing may be missing."""
        try:
            yield
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError) and not anything_missing:
                raise
            raise _error_of(error, f"the snapshot store {self.location} failed {action}") from error


def _error_of(error: BaseError | OSError, what: str) -> FaaSError:
    message = f"{what}: {_first_line(error)}"
    if isinstance(error, _REFUSALS) or any(status in message for status in _REFUSED_STATUS):
        return FatalError(f"{message}; check its credentials and permissions")
    if isinstance(error, FileNotFoundError) or _MISSING_STATUS in message:
        return FatalError(f"{message}; check that the folder or bucket exists")
    return (InsufficientResources if _DISK_FULL in message else TransientError)(message)


def _local_folder(location: str | Path) -> Path | None:
    if isinstance(location, str) and "://" in location:
        parts = urlsplit(location)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None
    return Path(location).expanduser().absolute()


def _remote(url: str, options: dict[str, str]) -> ObjectStore:
    client = _TIMEOUTS.copy()
    if _is_plain_loopback(_endpoint(options)):
        client["allow_http"] = True
    return from_url(url, config=cast("S3Config", options), client_options=client, retry_config=_RETRIES)


def _endpoint(options: Mapping[str, str]) -> str:
    given = [options[name] for name in _ENDPOINT_OPTIONS if name in options]
    given += [os.environ[name] for name in _ENDPOINT_VARIABLES if name in os.environ]
    return given[0] if given else ""


def _is_plain_loopback(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
