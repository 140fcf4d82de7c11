"""What the engine hands back, finished or on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of a stream, as soon as the job has written it."""

    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job is."""

    virtual_ms: int
    """Guest time since its start."""
    wants_input: bool = False
    """Whether it stands still until it gets the next line of its input, or word of the end."""


@dataclass(frozen=True, slots=True)
class Execution:
    """A finished run."""

    outcome: Outcome
    profile_id: Digest
    measurement: Digest
    """Of the snapshot that the run started from."""
    wall_ms: float
    """From call to outcome on this host; says nothing about the job."""
    cached: bool = False
    """Whether the outcome was known already."""
    snapshot: Digest | None = None
    """The machine after the run, where it was kept."""
    toolchain: Digest = ZERO_DIGEST
    """Measurement of the snapshot that compiled the program; zero for languages that are not compiled."""
    stdin: bytes | None = None
    """What an interactive run took; with it as its standard input, the job is the one that was run."""
