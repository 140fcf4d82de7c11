"""How an operator that was outvoted is refuted: bisect, run the leg again, sign, gather, send.

    its receipt, perhaps its trace    a report that names the first leg in which its run leaves ours
    the leg was run again here        the report is signed, and kept for whoever asks
    as many have signed it as made    the receipt and their signatures go to the service manager, which
    the call final                    proposes the slash; the witnesses take turns

Only who has given the established answer signs, and nothing that was not run again here. An operator cannot
keep others busy: of each call only the receipt counts that it has answered with, which is run again once by
its trace and once as a whole, one run at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from faas_blueprint.bisection import Report
from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import Digest
from faas_blueprint.errors import DatabaseUnavailable, FaaSError, InvalidRequest, TransientError
from faas_blueprint.operation import blobs_of
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.receipt import Address, recover_address
from faas_blueprint.statement import Statement
from faas_blueprint.tangle.evidence import prove_refuted, refutation_digest
from faas_blueprint.tangle.service_manager import ManagedCall
from faas_microvm.tracing import TO_THE_END
from faas_operator.cases import Case, case_against, is_refutable, outvoted
from faas_operator.chain.court import CourtChain
from faas_operator.job_record import JobRecord
from faas_operator.legs import Retrace
from faas_operator.logs import about
from faas_operator.peer_receipts import peer_signatures
from faas_operator.peers import Peers
from faas_operator.refutation_store import Refutation
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

log = logging.getLogger(__name__)

WITHHELD_SECONDS = 60
"""So long a trace is asked for, and witnesses to the report by it; then the runs are compared as wholes."""

TURN_SECONDS = 60
"""Each witness waits so long for the one before it, so that one pays for the proof."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a look at an ended call has shown."""

    managed: ManagedCall
    answers: Mapping[Address, Digest]
    """The agreement digest of each operator's answer."""
    said: Sequence[Statement]
    """Genuine ones, from wherever."""
    shown: Sequence[Bundle]
    """By peers, of genuine receipts."""
    opened_at: float
    """Unix seconds by this host's clock; when the call was first heard of."""


class Refuter:
    """One operator's part in refuting others. `close` it."""

    def __init__(
        self,
        chain: CourtChain,
        store: Store,
        signer: Signer,
        retrace: Retrace,
        settings: Settings,
        peers: Peers,
        clock: Callable[[], float],
    ) -> None:
        self._chain = chain
        self._store = store
        self._signer = signer
        self._retrace = retrace
        self._peers = peers
        self._most_attempts = settings.machine_attempts
        self._clock = clock
        self._attempts: dict[Digest, int] = {}
        """By report."""
        self._run: asyncio.Task[None] | None = None

    async def refute(self, record: JobRecord, known: Known) -> bool:
        """Whatever is due against those who were outvoted in a call whose established answer is this
        operator's own; whether nothing is left to be done. Raises Reverted, ChainUnavailable."""
        assert record.signed is not None
        own, is_done = record.signed.receipt, True
        for operator in outvoted(known.managed.agreement, known.answers):
            if await self._chain.is_proposed((own.service_id, own.call_id), operator):
                continue
            case = case_against(record.call, own, known.answers[operator], known.said, known.shown)
            if case is None or is_refutable(case):
                is_done = False
            if case is not None and is_refutable(case):
                await self._pursue(case, record, known)
        return is_done

    async def close(self) -> None:
        """Stop what is being run again."""
        if self._run is not None:
            self._run.cancel()
            with suppress(asyncio.CancelledError):
                await self._run

    async def _pursue(self, case: Case, record: JobRecord, known: Known) -> None:
        everything = await asyncio.to_thread(self._store.refutations.of_call, case.call)
        made = [refutation for refutation in everything if refutation.operator == case.operator]
        for refutation in made:
            if await self._prove(case, refutation, known):
                return
        own_trace = (await asyncio.to_thread(self._store.outcome, record)).trace
        report = _due(case, own_trace, made, self._clock() - (made[0].made_at if made else known.opened_at))
        is_free = self._run is None or self._run.done()
        if report is None or not is_free:
            return
        attempts = self._attempts.get(report.digest(), 0)
        if attempts < self._most_attempts:
            self._attempts[report.digest()] = attempts + 1
            self._run = asyncio.create_task(self._witness(case, record, report, own_trace))

    async def _witness(
        self, case: Case, record: JobRecord, report: Report, own_trace: tuple[Digest, ...]
    ) -> None:
        """Run the leg again, and sign the report if it ends there as we say. Raises nothing."""
        try:
            if not await self._is_confirmed(record, report, own_trace):
                self._attempts[report.digest()] = self._most_attempts
                log.error("our own run is not what we have signed: check this host", extra=about(case.call))
                return
            manager = await self._chain.manager()
            signature = self._signer.refute(manager, case.refuted.receipt, case.own, report.digest())
            await asyncio.to_thread(self._store.refutations.keep, report, signature)
        except FaaSError as error:
            if not isinstance(error, TransientError | DatabaseUnavailable):
                self._attempts[report.digest()] = self._most_attempts
            log.warning("a refuted leg cannot be run again", extra=about(case.call, error=error))
            return
        log.warning(
            "receipt refuted",
            extra=about(case.call, operator=case.operator, milestone=report.milestone),
        )

    async def _is_confirmed(self, record: JobRecord, report: Report, own_trace: tuple[Digest, ...]) -> bool:
        """Whether the leg, run again, starts and ends as the report says."""
        operation = operation_of_call(record.submitted.job_index, record.submitted.inputs)
        contents = await asyncio.to_thread(self._store.blobs.contents, blobs_of(operation))
        is_end = report.right.outcome_digest is not None
        common = own_trace[: report.milestone]
        milestone = TO_THE_END if is_end else report.milestone + 1
        ran = await self._retrace(operation, contents, common, milestone)
        return ran.end == report.right and ran.trace[: report.milestone] == common

    async def _prove(self, case: Case, refutation: Refutation, known: Known) -> bool:
        """Send the proof, if there are enough witnesses and it is our turn; whether there are enough."""
        call, refuted = case.call, case.refuted
        signed = refutation_digest(
            await self._chain.manager(), refuted.receipt, case.own, refutation.report_digest
        )
        witnesses = {self._chain.operator: refutation.signature}
        for signature in await peer_signatures(await self._peers.of_service(call.service_id), call):
            try:
                witness = recover_address(signed, signature)
            except InvalidRequest:
                continue
            if known.answers.get(witness) == known.managed.agreement:
                witnesses.setdefault(witness, signature)
        needed = max(2, known.managed.votes)
        if len(witnesses) < needed:
            return False
        turn = sorted(witnesses).index(self._chain.operator)
        if self._clock() < refutation.made_at + TURN_SECONDS * turn:
            return True
        chosen = [witnesses[witness] for witness in sorted(witnesses)[:needed]]
        proof = prove_refuted(refuted.receipt, refuted.signature, case.own, refutation.report_digest, chosen)
        transaction = await self._chain.send(proof)
        told = about(call, operator=case.operator, tx=transaction)
        log.warning("refutation proven, slash proposed", extra=told)
        return True


def _due(
    case: Case, own_trace: tuple[Digest, ...], made: Sequence[Refutation], waited: float
) -> Report | None:
    """The next report to be made: by the trace, or as a whole when there is none to be had in time, or when
    too few have signed the one by the trace."""
    by_trace, whole = case.by_trace(own_trace), case.whole_run()
    done = {refutation.report_digest for refutation in made}
    if by_trace is not None and not done:
        return by_trace
    if whole is not None and whole.digest() not in done and waited >= WITHHELD_SECONDS:
        return whole
    return None
