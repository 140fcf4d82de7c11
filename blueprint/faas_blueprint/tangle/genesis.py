"""How a Substrate chain is named where receipts name a chain and a contract: by the hash of its first block.

Its Services pallet is no contract and the chain has no number of its own, so both fields are taken from the
genesis hash. See docs/adr/0011-substrate-receipts.md.
"""

from __future__ import annotations

from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address

SUBSTRATE_BIT = 1 << 62
"""Set in the chain ids of Substrate chains, and of no EVM chain in use."""


def place_of(genesis: Digest) -> tuple[int, Address]:
    """The chain id: that bit and the first 62 bits of the hash; and the address: its last 20 bytes."""
    number = int.from_bytes(genesis[:8], "big") >> 2
    return SUBSTRATE_BIT | number, Address("0x" + genesis[-20:].hex())


def is_substrate(chain_id: int) -> bool:
    """Whether a receipt's chain id is that of a Substrate chain."""
    return bool(chain_id & SUBSTRATE_BIT)
