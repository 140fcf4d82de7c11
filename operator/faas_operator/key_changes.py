"""Whether this process has changed what API keys are good for since a moment: whoever remembers a key that it
has looked up asks this. What other processes do to keys is not told here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class KeyChanges:
    """Of one store. May be used from any thread."""

    def __init__(self) -> None:
        self.mark = object()
        """Another object after each change. What was read after one was taken is true while it is there."""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Around a transaction that changes a key or an account: however it ends, it may be committed."""
        try:
            yield
        finally:
            self.mark = object()
