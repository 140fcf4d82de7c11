"""Where the machines that a call works on come from, as far as the chain tells.

A machine that jobs have left is registered nowhere, and whoever publishes it may have made it up. It is as
good as the call that left it, which is believed here when operators agree on it: the service manager has that
answer as final, and two operators at the least have given it. What that call worked on is asked for in the
same way, back to machines that no such call has left: the roots. With all roots registered, or the verifier's
own, a machine rests on the agreement of the service's operators about every call on the way; with any other
root on one stranger's word. Who would rather not rely on operators verifies those calls, oldest first, and
needs none of this.

The way back is the same on every chain; what a Substrate chain tells of it `substrate_provenance` reads.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Protocol

from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.errors import FatalError, InvalidRequest
from faas_blueprint.operation import Operation, snapshots_of
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.receipt import Address, CallReference, Receipt, address
from faas_blueprint.result import decode_result
from faas_blueprint.tangle import protocol, service_manager
from faas_blueprint.tangle.abi import word
from faas_verifier.chain import LOG_WINDOW, manager_of, read_call, registered
from faas_verifier.evidence import PostedResult, Provenance, Root
from faas_verifier.rpc import Refused, Rpc

AGREEING = 2
"""Operators that must have given an answer, for it to be relied on."""

_MOST_CALLS = 256
"""On the way back; beyond them a machine is taken for a root."""


async def provenance(rpc: Rpc, posted: PostedResult) -> Provenance | None:
    """The way back from what a result's call works on; None when the chain cannot say. Raises
    ChainUnavailable."""
    try:
        receipt = decode_result(posted.payload).receipt(posted.call, posted.operator)
        operation = operation_of_call(posted.job_index, posted.inputs)
        manager = await manager_of(rpc, posted.call)
        if manager is None:
            return None
        history = _ManagedHistory(rpc, posted.call, manager, receipt)
        return await way_back(history, posted.call.call_id, starts_of(receipt, operation))
    except (Refused, InvalidRequest, FatalError):
        return None


async def with_origin(rpc: Rpc, posted: PostedResult) -> PostedResult:
    """A result with what the chain says of where its machines come from, for who fetches them. Raises
    likewise."""
    return replace(posted, registered=await registered(rpc, posted), provenance=await provenance(rpc, posted))


def starts_of(receipt: Receipt, operation: Operation) -> tuple[Digest, ...]:
    """All machines that a call works on, each once; where a call names none it is the receipt's, the base."""
    named = [snapshot or receipt.snapshot for snapshot in snapshots_of(operation)]
    return tuple(dict.fromkeys([receipt.snapshot, *named]))


class CallHistory(Protocol):
    """What a chain tells of a service's calls, for a receipt in question."""

    async def is_registered(self, machine: Digest) -> bool | None:
        """Whether a machine is registered, with profile and toolchain of the receipt; None where the chain
        registers none."""
        ...

    async def answers(self, machine: Digest) -> list[Receipt]:
        """Every answer to a call of the service that has left this machine, by call."""
        ...

    async def is_agreed(self, receipt: Receipt) -> bool:
        """Whether enough operators agree on that answer, and any compiler is a registered one."""
        ...

    async def starts(self, receipt: Receipt) -> tuple[Digest, ...]:
        """What an answered call worked on."""
        ...


async def way_back(history: CallHistory, call_id: int, starts: tuple[Digest, ...]) -> Provenance:
    """From what a call works on back to machines that no call has left on which operators agree. Only calls
    before it count, so that there is an end."""
    waiting = [(start, call_id) for start in starts]
    calls: set[int] = set()
    roots: dict[Digest, Root] = {}
    while waiting:
        machine, later = waiting.pop()
        if machine in roots:
            continue
        root = Root(machine, await history.is_registered(machine))
        if not root.registered and len(calls) < _MOST_CALLS:
            left_by = [receipt for receipt in await history.answers(machine) if receipt.call_id < later]
            agreed = [receipt for receipt in left_by if await history.is_agreed(receipt)]
            if agreed:
                if agreed[0].call_id not in calls:
                    calls.add(agreed[0].call_id)
                    waiting += [(start, agreed[0].call_id) for start in await history.starts(agreed[0])]
                continue
            root = replace(root, left_by=left_by[0].call_id if left_by else None)
        roots[machine] = root
    return Provenance(tuple(sorted(calls)), tuple(roots.values()))


class _ManagedHistory:
    """Of a chain with a service manager."""

    def __init__(self, rpc: Rpc, call: CallReference, manager: Address, receipt: Receipt) -> None:
        self._rpc = rpc
        self._call = call
        self._manager = manager
        self._receipt = receipt
        self._left: dict[Digest, list[Receipt]] | None = None

    async def is_registered(self, machine: Digest) -> bool | None:
        started_there = replace(self._receipt, snapshot=machine)
        return await self._rpc.read(self._manager, service_manager.is_registered(started_there))

    async def is_agreed(self, receipt: Receipt) -> bool:
        """It is the call's final answer, by two operators at the least."""
        if not await self._rpc.read(self._manager, service_manager.is_established(receipt)):
            return False
        managed = service_manager.call_of(receipt.service_id, receipt.call_id)
        if (await self._rpc.read(self._manager, managed)).votes < AGREEING:
            return False
        if receipt.toolchain == ZERO_DIGEST:
            return True
        return await self._rpc.read(self._manager, service_manager.is_toolchain(receipt.toolchain))

    async def starts(self, receipt: Receipt) -> tuple[Digest, ...]:
        found = await read_call(self._rpc, self._call.tangle, receipt.service_id, receipt.call_id)
        return starts_of(receipt, operation_of_call(found.job.job_index, found.job.inputs))

    async def answers(self, machine: Digest) -> list[Receipt]:
        if self._left is None:
            self._left = await self._read_answers()
        return sorted(self._left.get(machine, ()), key=lambda receipt: receipt.call_id)

    async def _read_answers(self) -> dict[Digest, list[Receipt]]:
        tangle, service_id = self._call.tangle, self._call.service_id
        service = await self._rpc.read(tangle, protocol.service(service_id))
        head = await self._rpc.number("eth_blockNumber")
        start = await self._rpc.block_at(service.created_at, head)
        topics = (bytes(protocol.JOB_RESULT_SUBMITTED.topic), word(service_id))
        left: defaultdict[Digest, list[Receipt]] = defaultdict(list)
        for first in range(start, head + 1, LOG_WINDOW):
            for placed in await self._rpc.logs(tangle, topics, first, min(first + LOG_WINDOW - 1, head)):
                posted = protocol.decode_job_result_submitted(placed.log)
                call = replace(self._call, call_id=posted.call_id)
                try:
                    receipt = decode_result(posted.output).receipt(call, address(posted.operator))
                except InvalidRequest:
                    continue  # that operator's failure
                left[receipt.state_root].append(receipt)
        return left
