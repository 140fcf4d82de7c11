"""Terminals of interactive jobs: their size, and what happens on one, event by event.

The standard input of a job with a terminal is a text of one JSON array for each event, in the letters of
asciicast files: `["i", "ls\\r"]` is typed all at once, and `["r", "120x40"]` is its size from then on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from faas_blueprint.errors import InvalidRequest

MAX_CELLS = 1000
"""Of a terminal, in each direction."""

_SIZE = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """In characters."""

    columns: int = 80
    rows: int = 24

    def __post_init__(self) -> None:
        for name, value in (("columns", self.columns), ("rows", self.rows)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_CELLS:
                raise InvalidRequest(
                    f"a terminal has 1 to {MAX_CELLS} {name}, not {value!r}", {"field": "terminal"}
                )


Event = bytes | TerminalSize
"""What was typed all at once, or the size from then on."""


def encode_events(events: Iterable[Event]) -> bytes:
    """The job's standard input; what is typed need not be UTF-8. Nothing typed is no event."""
    return b"".join(json.dumps(_to_json(event)).encode() + b"\n" for event in events if event)


def decode_events(data: bytes) -> list[Event]:
    """Raises InvalidRequest unless `encode_events` could have made it."""
    try:
        events = [_from_json(json.loads(line)) for line in data.splitlines()]
    except (ValueError, RecursionError):
        events = None
    if events is None or encode_events(events) != data:
        raise InvalidRequest(
            'stdin of a job with a terminal has a line ["i", "what is typed"] or ["r", "80x24"] per event',
            {"field": "stdin"},
        )
    return events


def _to_json(event: Event) -> list[str]:
    if isinstance(event, TerminalSize):
        return ["r", f"{event.columns}x{event.rows}"]
    return ["i", event.decode(errors="surrogateescape")]


def _from_json(value: object) -> Event:
    match value:
        case ["i", str(text)] if text:
            return text.encode(errors="surrogateescape")
        case ["r", str(text)] if size := _SIZE.fullmatch(text):
            return TerminalSize(int(size[1]), int(size[2]))
    raise ValueError(value)
