"""What the API's description says of texts that are checked further in, where errors can say more."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import WithJsonSchema


def one_of(values: Iterable[str]) -> WithJsonSchema:
    """A text that is one of these."""
    return WithJsonSchema({"type": "string", "enum": [str(value) for value in values]})


def matching(pattern: str, **more: object) -> WithJsonSchema:
    """A text in which this regular expression is found; `more` goes into the schema as it is."""
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})
