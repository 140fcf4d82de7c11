"""Spot checks: a random sample of a service's finished jobs is run again, each as a whole.

Which jobs are drawn is this host's secret until it runs them, so an operator that lies in one of a hundred
cannot know where it is safe to. Every result of a drawn job is checked as `faas verify` does.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from faas_blueprint.receipt import Address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.abi import word
from faas_verifier.chain import LOG_WINDOW
from faas_verifier.rerun import Machine, OpenMachine
from faas_verifier.rpc import Rpc
from faas_verifier.verdict import Conclusion, Verdict, combine

Judge = Callable[[int], Awaitable[Sequence[Verdict]]]
"""The verdicts on the results of a call, at least one."""


@dataclass(frozen=True, slots=True)
class AuditedCall:
    """A drawn job."""

    call_id: int
    verdicts: tuple[Verdict, ...]

    @property
    def decisive(self) -> Verdict:
        """The worst of them."""
        return combine(self.verdicts)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    finished: int
    """Jobs of the service that have a result."""
    drawn: tuple[AuditedCall, ...]
    """In order of their calls."""

    @property
    def conclusion(self) -> Conclusion:
        """The worst of the drawn; unchecked when there was nothing to draw from."""
        if not self.drawn:
            return Conclusion.UNCHECKED
        return combine([audited.decisive for audited in self.drawn]).conclusion


async def answered_calls(rpc: Rpc, tangle: Address, service_id: int, first_block: int) -> list[int]:
    """The calls of a service that have a result. Raises ChainUnavailable."""
    head = await rpc.number("eth_blockNumber")
    topics = (bytes(protocol.JOB_RESULT_SUBMITTED.topic), word(service_id))
    found = set()
    for first in range(first_block, head + 1, LOG_WINDOW):
        logs = await rpc.logs(tangle, topics, first, min(first + LOG_WINDOW - 1, head))
        found |= {int.from_bytes(placed.log.topics[2], "big") for placed in logs}
    return sorted(found)


async def audit_calls(
    calls: Sequence[int], jobs: int, judge: Judge, draw: random.Random | None = None
) -> Audit:
    """Draw so many of the calls, at the most, and judge them one after the other."""
    drawn = sorted((draw or random.SystemRandom()).sample(calls, min(jobs, len(calls))))
    audited = [AuditedCall(call_id, tuple(await judge(call_id))) for call_id in drawn]
    return Audit(len(calls), tuple(audited))


@asynccontextmanager
async def opened_once(open_machine: OpenMachine) -> AsyncIterator[OpenMachine]:
    """Opens a machine when it is first asked for, and gives the same one until the block ends."""
    async with AsyncExitStack() as stack:
        machines: list[Machine] = []

        @asynccontextmanager
        async def open_shared() -> AsyncIterator[Machine]:
            if not machines:
                machines.append(await stack.enter_async_context(open_machine()))
            yield machines[0]

        yield open_shared
