"""Traces: whether roots fit their digest, and which milestone is the first to differ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.outcome import TraceDigest
from faas_verifier.output_files import Pair


def trace_pairs(claimed: TraceDigest, found: TraceDigest) -> list[Pair]:
    """Everything that the outcome says of its trace."""
    return [
        ("trace.count", claimed.count, found.count),
        ("trace.sha256", to_hex(claimed.sha256), to_hex(found.sha256)),
    ]


def first_milestone(claimed: Sequence[Digest], found: Sequence[Digest]) -> list[Pair]:
    """The first milestone, counted from 1, that is not the same in both; nothing when all are."""
    for number, (theirs, ours) in enumerate(zip_longest(claimed, found), 1):
        if theirs != ours:
            return [(f"milestone {number}", _shown(theirs), _shown(ours))]
    return []


def _shown(root: Digest | None) -> str:
    return "not there" if root is None else to_hex(root)
