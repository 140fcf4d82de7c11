"""What the pipeline needs of a chain, whatever the protocol and ABI epoch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from faas_blueprint.receipt import Address, CallReference


@dataclass(frozen=True, slots=True)
class Block:
    """A block as seen when it was read."""

    number: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """A job call found in the logs."""

    call: CallReference
    job_index: int
    caller: str
    """Who submitted it: an address on an EVM chain, `0x` and the 32 bytes of an account id on Substrate."""
    inputs: bytes
    block: Block
    transaction_hash: str
    quoted_operators: tuple[Address, ...] | None
    """None for a plain job; for a job from quotes, who may answer."""
    price: int = 0
    """What the customer has paid for this call, in the smallest unit of what its service is paid in; 0 where
    calls are not paid one by one."""


class CallStanding(StrEnum):
    """Where a job call stands for one operator."""

    OPEN = "open"
    ANSWERED = "answered"
    """This operator's result is on-chain."""
    COMPLETED = "completed"
    """Complete without this operator's result; another would revert."""
    CHALLENGEABLE = "challengeable"
    """Complete without this operator's result, and its receipt still counts with the service manager."""
    CLOSED = "closed"
    """The service is terminated or expired, or this operator does not serve it."""


@dataclass(frozen=True, slots=True)
class PostedResult:
    """A result transaction that is in a block."""

    transaction_hash: str
    block: Block


class ChainAdapter(Protocol):
    """One chain, one Tangle deployment, one operator account. Raises ChainUnavailable when no RPC answers."""

    async def head(self) -> Block:
        """The newest block."""
        ...

    async def block_hash(self, number: int) -> str | None:
        """The hash of a block by number, None when there is none."""
        ...

    async def submitted_jobs(self, first_block: int, last_block: int) -> list[SubmittedJob]:
        """All job calls (plain and from quotes) in the range, in chain order, of those of this blueprint's
        services that this operator served when they were submitted."""
        ...

    async def standing(self, call: CallReference) -> CallStanding:
        """Where the call stands for this operator at the newest block."""
        ...

    async def post_result(self, call: CallReference, payload: bytes) -> PostedResult:
        """Post a result and wait until it is in a block.

        Raises ResultRefused when the protocol's answer is final (someone else completed it, the
        service ended, …), ChainUnavailable when it cannot be known whether it was included.
        """
        ...

    async def operator_addresses(self, service_id: int, first_block: int) -> list[str]:
        """What the other operators of a service have registered as addresses of their APIs: whatever they
        wrote. Registrations are looked for from `first_block` on where they are in logs only."""
        ...

    async def balance(self) -> int:
        """What the operator's account holds, in the native token's smallest unit."""
        ...

    async def posted_result(self, call: CallReference, first_block: int) -> PostedResult | None:
        """This operator's result for the call, if it is on-chain."""
        ...
