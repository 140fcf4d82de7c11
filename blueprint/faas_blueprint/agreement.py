"""What operators agree on: the part of a receipt that is a function of snapshot and job.

Receipts of one call differ by operator and signature by their nature, so contracts compare this digest.
"""

from __future__ import annotations

from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256
from faas_blueprint.receipt import Receipt

Claim = tuple[Digest, Digest, Digest, Digest, Digest, Digest, int]
"""Profile, snapshot, toolchain, job digest, outcome digest, state root, virtual nanoseconds."""


def claim(receipt: Receipt) -> Claim:
    """What a receipt says happened, as contracts take it."""
    return (
        receipt.profile_id,
        receipt.snapshot,
        receipt.toolchain,
        receipt.job_digest,
        receipt.outcome_digest,
        receipt.state_root,
        receipt.virtual_ns,
    )


def agreement_digest(receipt: Receipt) -> Digest:
    """Keccak-256 of the claim's seven words; equal when two operators agree."""
    *digests, virtual_ns = claim(receipt)
    return keccak256(b"".join(digests) + virtual_ns.to_bytes(32, "big"))


def contradict(left: Receipt, right: Receipt) -> bool:
    """Whether one of them must be false: they start from the same and end differently.

    A failed outcome, whose state root is zero, contradicts nothing: it says that no machine could be had.
    """
    if ZERO_DIGEST in (left.state_root, right.state_root):
        return False
    return claim(left)[:4] == claim(right)[:4] and claim(left) != claim(right)
