"""Calls and views of slash proposals; the event is `protocol.SLASH_PROPOSED`.

A stored proposal has two layouts, by epoch, which their lengths tell apart: the older one ends in a text. The
older epoch has no `getSlashConfig` either, and asks for no bond.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Function, Log, Read, Value
from faas_blueprint.tangle.protocol import SLASH_PROPOSED

PROPOSE_SLASH = Function("proposeSlash", ("uint64", "address", "uint16", "bytes32"), ("uint64",))
DISPUTE_SLASH = Function("disputeSlash", ("uint64", "string"))
GET_SLASH_CONFIG = Function("getSlashConfig", (), ("(uint64,bool,uint16,uint64,uint256,uint16)",))
GET_SLASH_PROPOSAL = Function(
    "getSlashProposal",
    ("uint64",),
    ("(uint64,address,address,uint16,uint16,bytes32,uint64,uint8,address,uint256,uint64)",),
)
_PROPOSAL_BYTES = 11 * 32
_EARLIER_PROPOSAL = Function(
    "getSlashProposal",
    ("uint64",),
    ("(uint64,address,address,uint16,uint16,bytes32,uint64,uint64,uint8,string)",),
)


class SlashStatus(IntEnum):
    """Where a proposal stands."""

    PENDING = 0
    DISPUTED = 1
    EXECUTED = 2
    CANCELLED = 3


@dataclass(frozen=True, slots=True)
class SlashProposal:
    """What somebody wants taken from an operator."""

    slash_id: int
    service_id: int
    operator: Address
    proposer: Address
    slash_bps: int
    """Hundredths of a percent, as proposed."""
    effective_bps: int
    """Of the operator's stake, with its exposure in the service."""
    evidence: bytes
    execute_after: int
    """Unix seconds, by the chain's clock."""


def decode_slash_proposed(log: Log) -> SlashProposal:
    """Raises ChainUnavailable for any other log."""
    return SlashProposal(
        *cast("tuple[int, int, Address, Address, int, int, bytes, int]", SLASH_PROPOSED.decode(log))
    )


def dispute_slash(slash_id: int, reason: str) -> bytes:
    """Call data; the operator sends exactly `dispute_bond` along."""
    return DISPUTE_SLASH.encode(slash_id, reason)


def dispute_bond() -> Read[int]:
    """In wei; lost unless the proposal is cancelled."""
    return GET_SLASH_CONFIG.read(lambda values: cast("tuple[tuple[int, ...]]", values)[0][4])


def slash_status(proposal: SlashProposal) -> Read[SlashStatus | None]:
    """Where it stands; None when this id is another proposal's now, after a reorganisation."""

    def status(data: bytes) -> SlashStatus | None:
        is_earlier = len(data) != _PROPOSAL_BYTES
        layout = _EARLIER_PROPOSAL if is_earlier else GET_SLASH_PROPOSAL
        found = cast("tuple[tuple[Value, ...]]", layout.decode_outputs(data))[0]
        if (found[0], found[1], found[5]) != (proposal.service_id, proposal.operator, proposal.evidence):
            return None
        number = found[8 if is_earlier else 7]
        if number not in SlashStatus._value2member_map_:
            raise ChainUnavailable(f"slash status {number!r} is unknown")
        return SlashStatus(cast(int, number))

    return Read(GET_SLASH_PROPOSAL.encode(proposal.slash_id), status)
