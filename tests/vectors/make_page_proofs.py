"""Writes `page_proofs.json`: pages of a machine's memory with their proofs, for the contract's tests.

Run it to write them again; `tests/blueprint/test_proof.py` fails when what it makes and what is
committed differ.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.measurement import MachineState
from faas_blueprint.merkle import PAGE_SIZE, PageTree, hash_page
from faas_blueprint.proof import prove_pages

VECTORS = Path(__file__).parent / "page_proofs.json"
PAGE_COUNT = 1 << 18
FULL = (0, 1, 2, 3, 4, 71936, 71937, 174762, PAGE_COUNT - 1)
"""Pages that are not zero: both ends, all places in a group, the file manifest's, 2 on every level."""
EMPTY = (5, 131072)


def page(index: int) -> bytes:
    """The content of a page."""
    return hashlib.shake_256(b"page %d" % index).digest(PAGE_SIZE) if index in FULL else bytes(PAGE_SIZE)


def vectors() -> dict[str, object]:
    """The machine and one proof for each page."""
    tree = PageTree.build(PAGE_COUNT, {index: hash_page(page(index)) for index in FULL})
    state = MachineState(sha256(b"profile"), tree.root, sha256(b"devices"))
    proofs = [prove_pages(tree, state, index, page(index)) for index in (*FULL, *EMPTY)]
    return {
        "measurement": to_hex(state.measurement()),
        "profileId": to_hex(state.profile_id),
        "ramRoot": to_hex(state.ram_root),
        "deviceHash": to_hex(state.device_hash),
        "indices": [proof.index for proof in proofs],
        "pages": [to_hex(proof.pages) for proof in proofs],
        "siblings": [to_hex(b"".join(proof.siblings)) for proof in proofs],
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=1) + "\n")
