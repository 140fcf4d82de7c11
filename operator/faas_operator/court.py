"""What the node does when operators disagree: challenges, settles, and proves what can be proven.

A call is contested once a result is proposed that can be challenged, or answers differ. Then this operator's
own receipt, which `answering` has signed, is held against what the service manager keeps:

    proposed, and we say otherwise      our receipt is brought, as a challenge
    disputed, and we have not spoken    our receipt is brought, to decide it
    the window is over                  the call is settled, by the operators in turn
    ended, and answers differ           the operators' receipts are looked at: on-chain, and as they show them
                                        to who asks; two that contradict each other are proven to the manager,
                                        which proposes the slash
    final, and we are of those who      who was outvoted is refuted, see `refuting`
    agreed

All of it can be done again after any interruption: what is contested is on the docket, what was done is
on the chain, what was signed is in the store. Being outvoted alone is not slashed, see docs/contracts.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from faas_blueprint.agreement import agreement_digest
from faas_blueprint.digests import ZERO_DIGEST, Digest, to_hex
from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable
from faas_blueprint.receipt import Address, Receipt
from faas_blueprint.statement import Statement, equivocation
from faas_blueprint.tangle import evidence, service_manager
from faas_blueprint.tangle.service_manager import ManagedCall, Standing
from faas_operator.backoff import Backoff, repeat
from faas_operator.chain.court import CourtChain
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.interface import Block
from faas_operator.chain.reading import LogReader
from faas_operator.docket import ContestedCall, Docket, Place
from faas_operator.job_record import JobRecord
from faas_operator.logs import about
from faas_operator.peer_receipts import peer_receipts
from faas_operator.refuting import Known, Refuter
from faas_operator.settings import Settings
from faas_operator.store import Store

log = logging.getLogger(__name__)

TURN_SECONDS = 60
"""After a window's end each operator waits so long for the one before it, so that one pays for settling."""

LOOK_SECONDS = 10
"""Between two looks for evidence of one call; at first less, a sixth of the time since it was contested."""

FIRST_LOOK_SECONDS = 1

EVIDENCE_SECONDS = 3600
"""After which no more is looked for."""


class Court:
    """One operator's part in its services' disagreements. `run` it once."""

    def __init__(
        self,
        chain: CourtChain,
        store: Store,
        docket: Docket,
        refuter: Refuter,
        settings: Settings,
        clock: Callable[[], float],
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_duty`: whether this process is the one that uses the operator's key."""
        self._chain = chain
        self._store = store
        self._docket = docket
        self._refuter = refuter
        self._settings = settings
        self._clock = clock
        self._on_duty = on_duty
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._next_look: dict[Place, float] = {}
        self._reader = LogReader(chain, settings, docket.cursor, docket.rewind, self._take)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await repeat(self.once, self._settings.poll_seconds, self._backoff, _tell)
        finally:
            await self._refuter.close()

    async def once(self) -> None:
        """Whatever is due. Raises ChainUnavailable, DatabaseUnavailable."""
        if not await asyncio.to_thread(self._on_duty):
            return
        head = await self._chain.head()
        await self._reader.read_to(head.block)
        now = max(float(head.timestamp), self._clock())
        for contested in await asyncio.to_thread(self._docket.calls):
            if now >= self._next_look.get(contested.place, 0.0):
                await self._look_at(contested, now)

    async def _take(self, first: int, last: int, block: Block) -> None:
        places = await self._chain.contested(first, last)
        await asyncio.to_thread(self._docket.enter, places, block)
        for place in places:
            self._next_look.pop(place, None)

    async def _look_at(self, contested: ContestedCall, now: float) -> None:
        place = contested.place
        managed = await self._chain.managed(place)
        record = await asyncio.to_thread(self._store.job_of_call, self._chain.call(place))
        try:
            match managed.standing:
                case Standing.PROPOSED | Standing.DISPUTED if now < managed.deadline:
                    await self._challenge(place, managed, record)
                case Standing.PROPOSED | Standing.DISPUTED:
                    await self._settle(place, managed, now)
                case Standing.FINAL | Standing.UNDECIDED:
                    await self._examine(contested, managed, record, now)
                case _:  # an earlier block's events, gone with it
                    await self._close(place)
        except Reverted as error:  # such as: another operator was quicker; the next look shows it
            log.info("the service manager refuses", extra=about(self._chain.call(place), error=error.error))

    async def _challenge(self, place: Place, managed: ManagedCall, record: JobRecord | None) -> None:
        own = _own_answer(record)
        if own is None or record is None:
            return  # not run yet, or not to be run
        agrees = agreement_digest(own.receipt) == managed.agreement
        if managed.standing is Standing.PROPOSED and agrees:
            self._next_look[place] = managed.deadline
            return
        if self._chain.operator in await self._chain.answers(place):
            self._next_look[place] = managed.deadline
            return
        transaction = await self._chain.send(service_manager.bring_receipt(own.receipt, own.signature))
        log.warning(
            "receipt brought", extra=about(record.call, tx=transaction, standing=managed.standing.name)
        )

    async def _settle(self, place: Place, managed: ManagedCall, now: float) -> None:
        due = managed.deadline + TURN_SECONDS * await self._chain.turn(place)
        if now < due:
            self._next_look[place] = due
            return
        transaction = await self._chain.send(service_manager.settle(*place))
        log.info("call settled", extra=about(self._chain.call(place), tx=transaction))

    async def _examine(
        self, contested: ContestedCall, managed: ManagedCall, record: JobRecord | None, now: float
    ) -> None:
        place = contested.place
        answers = await self._chain.answers(place)
        waited = (self._clock() - contested.opened_at) / 6
        self._next_look[place] = now + min(LOOK_SECONDS, max(FIRST_LOOK_SECONDS, waited))
        if managed.standing is Standing.FINAL and _outvoted(managed, answers, self._chain.operator):
            established = to_hex(managed.agreement)
            log.error(
                "outvoted: check this host", extra=about(self._chain.call(place), established=established)
            )
        is_settled = len(set(answers.values())) < 2
        if not is_settled:
            known = await self._known(contested, managed, answers, record)
            is_settled = await self._prove(place, known.said)
            own = _own_answer(record)
            if record is not None and own is not None and _has_agreed(managed, answers, own.receipt):
                is_settled = await self._refuter.refute(record, known)
        if is_settled or self._clock() >= contested.opened_at + EVIDENCE_SECONDS:
            await self._close(place)

    async def _known(
        self,
        contested: ContestedCall,
        managed: ManagedCall,
        answers: dict[Address, Digest],
        record: JobRecord | None,
    ) -> Known:
        """What operators have said of a call, on-chain and to who asks."""
        place, call = contested.place, self._chain.call(contested.place)
        first = 0 if record is None else record.submitted.block.number
        said = [*await self._chain.posted(place, first), *await self._chain.brought(place, first)]
        shown = await peer_receipts(self._settings.blob_peers, call)
        genuine = [statement for statement in said if statement.is_genuine(call)]
        genuine += [Statement(bundle.receipt, bundle.signature) for bundle in shown]
        return Known(managed, answers, genuine, shown, contested.opened_at)

    async def _prove(self, place: Place, said: Sequence[Statement]) -> bool:
        """Whether an operator was proven, by us or by another, to have said two things."""
        found = equivocation(said)
        if found is None:
            return False
        left, right = found
        if not await self._chain.is_proposed(place, left.receipt.operator):
            await self._send_proof(left, right)
        return True

    async def _send_proof(self, left: Statement, right: Statement) -> None:
        proof = evidence.prove_equivocation(left.receipt, left.signature, right.receipt, right.signature)
        transaction = await self._chain.send(proof)
        liar = left.receipt.operator
        call = self._chain.call((left.receipt.service_id, left.receipt.call_id))
        log.warning("equivocation proven, slash proposed", extra=about(call, operator=liar, tx=transaction))

    async def _close(self, place: Place) -> None:
        await asyncio.to_thread(self._docket.close, place)
        self._next_look.pop(place, None)


def _tell(error: ChainUnavailable | DatabaseUnavailable) -> None:
    log.warning("contested calls cannot be looked at", extra=about(error=error))


def _own_answer(record: JobRecord | None) -> Statement | None:
    """What this operator has signed, if it says how the job ended: a failure contradicts nothing."""
    if record is None or record.signed is None or record.signed.receipt.state_root == ZERO_DIGEST:
        return None
    return record.signed.statement


def _has_agreed(managed: ManagedCall, answers: dict[Address, Digest], own: Receipt) -> bool:
    """Whether this operator has given the established answer, and stands by it."""
    if managed.standing is not Standing.FINAL:
        return False
    return managed.agreement == agreement_digest(own) == answers.get(own.operator)


def _outvoted(managed: ManagedCall, answers: dict[Address, Digest], operator: Address) -> bool:
    return operator in answers and answers[operator] != managed.agreement
