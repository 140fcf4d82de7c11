"""The lines that somebody types for an interactive run, or that another program writes into a pipe."""

from __future__ import annotations

import asyncio
import os

from faas_blueprint.errors import InvalidRequest
from faas_microvm.interactive import MAX_TYPED_BYTES, TypedLines

_CHUNK_BYTES = 1 << 16


class DescriptorLines(TypedLines):
    """Lines of a file descriptor, which is read only when the run asks for one, however long it takes.

    What is `known` already comes first. The end of the file, Ctrl-D on a terminal, is the input's.
    """

    def __init__(self, descriptor: int, known: bytes = b"", most: int = MAX_TYPED_BYTES) -> None:
        super().__init__(known, most=most)
        self._descriptor = descriptor

    async def next(self) -> bytes:
        """The next line with its line feed; without one at the end; nothing after that.

        Raises InvalidRequest when there is too much, or when it cannot be read.
        """
        while not self.ready:
            if data := await self._read():
                self.put(data)
            else:
                self.end()
        return self.take()

    async def _read(self) -> bytes:
        """Some of it, or nothing at its end. Nobody else reads there, so that it does not block."""
        try:
            await self._await_readable()
            return os.read(self._descriptor, _CHUNK_BYTES)
        except OSError as error:
            raise InvalidRequest(f"cannot read the input: {error.strerror}") from error

    async def _await_readable(self) -> None:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(self._descriptor, readable.set)
        except PermissionError:
            return  # a plain file, which is not waited for
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._descriptor)
