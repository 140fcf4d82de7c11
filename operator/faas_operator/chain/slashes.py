"""Slash proposals against one operator, as the chain tells them."""

from __future__ import annotations

from faas_blueprint.receipt import Address
from faas_blueprint.tangle import protocol, slashing
from faas_blueprint.tangle.abi import address_word
from faas_blueprint.tangle.slashing import SlashProposal, SlashStatus
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.rpc import LogEntry, Rpc


async def slashes_against(
    rpc: Rpc, tangle: Address, operator: Address, first_block: int, last_block: int
) -> list[tuple[SlashProposal, LogEntry]]:
    """Those proposed in a range of blocks, oldest first, each with its log. Raises ChainUnavailable."""
    topics = (protocol.SLASH_PROPOSED.topic, None, None, address_word(operator))
    entries = await rpc.logs(tangle, topics, first_block, last_block)
    return [(slashing.decode_slash_proposed(entry.log), entry) for entry in entries]


async def standing_of(rpc: Rpc, tangle: Address, proposal: SlashProposal) -> SlashStatus | None:
    """Where a proposal stands; None when it is gone. Raises ChainUnavailable."""
    try:
        return await rpc.read(tangle, slashing.slash_status(proposal))
    except Reverted:
        return None


async def dispute_bond(rpc: Rpc, tangle: Address) -> int:
    """What disputing takes, in wei. Raises ChainUnavailable."""
    try:
        return await rpc.read(tangle, slashing.dispute_bond())
    except Reverted:  # an epoch without bonds; one with them would refuse a dispute without it
        return 0
