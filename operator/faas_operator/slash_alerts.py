"""Tells when somebody proposes to slash this operator, and lays ready what answers it. It never disputes:
that costs a bond, and whether a proposal is wrong is for a person to say.

What is laid ready is a file below the home, `slashes/CHAIN-TANGLE/ID.json`: the proposal, what this operator
has signed, and for evidence of our service manager what all operators have said of the call.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable
from faas_blueprint.receipt import ZERO_ADDRESS, Address, receipt_to_json
from faas_blueprint.statement import Statement
from faas_blueprint.tangle import evidence
from faas_blueprint.tangle.abi import address_word, word
from faas_blueprint.tangle.slashing import SlashProposal, SlashStatus
from faas_operator.backoff import Backoff, repeat
from faas_operator.chain.court import CourtChain
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.interface import Block
from faas_operator.chain.reading import LogReader
from faas_operator.chain.rpc import LogEntry
from faas_operator.chain.slashes import slashes_against, standing_of
from faas_operator.happenings import SLASHES
from faas_operator.logs import about
from faas_operator.pipeline import State
from faas_operator.settings import Settings
from faas_operator.store import Store

log = logging.getLogger(__name__)

LAST_RESULTS = 20
"""Of a service, laid ready when the evidence names no call."""


class SlashAlerts:
    """Watches for one operator. `run` it once."""

    def __init__(
        self,
        chain: EvmAdapter,
        store: Store,
        deployment: str,
        settings: Settings,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_duty`: whether this process is the one that uses the operator's key."""
        self._chain = chain
        self._store = store
        self._settings = settings
        self._on_duty = on_duty
        self._folder = answers_folder(settings.home, chain.chain_id, chain.tangle)
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._told: dict[SlashProposal, SlashStatus | None] = {}
        self._looked_at: Block | None = None
        name = f"slashes {deployment} {chain.operator}"
        self._move = partial(store.rewind, name)
        self._reader = LogReader(chain, settings, partial(store.cursor, name), self._move, self._take)

    async def run(self) -> None:
        """Until cancelled."""
        await repeat(self.once, self._settings.poll_seconds, self._backoff, _tell)

    async def once(self) -> None:
        """Whatever is due. Raises ChainUnavailable, DatabaseUnavailable."""
        if not await asyncio.to_thread(self._on_duty):
            return
        head = await self._chain.head()
        if head == self._looked_at:
            return
        deep = head.number - self._settings.confirmations + 1
        found = await self._chain.block_hash(deep) if deep >= 0 else None
        if found is not None:
            await self._reader.read_to(Block(deep, found))
        await self._look_at_all()
        self._looked_at = head

    async def _take(self, first: int, last: int, block: Block) -> None:
        rpc, tangle, operator = self._chain.rpc, self._chain.tangle, self._chain.operator
        for proposal, entry in await slashes_against(rpc, tangle, operator, first, last):
            answer = await self._answer(proposal, entry)
            await asyncio.to_thread(_write, answer_file(self._folder, proposal.slash_id), answer)
        await asyncio.to_thread(self._move, block)

    async def _look_at_all(self) -> None:
        """Of what was laid ready, what stands how."""
        waiting = {SlashStatus.PENDING: 0, SlashStatus.DISPUTED: 0}
        for proposal in await asyncio.to_thread(prepared, self._folder, self._chain.operator):
            status = await standing_of(self._chain.rpc, self._chain.tangle, proposal)
            if status in waiting:
                waiting[status] += 1
            if proposal not in self._told or self._told[proposal] is not status:
                self._told[proposal] = status
                self._tell_of(proposal, status)
        for status, count in waiting.items():
            SLASHES.labels(status.name.lower()).set(count)

    def _tell_of(self, proposal: SlashProposal, status: SlashStatus | None) -> None:
        if status is not SlashStatus.PENDING:
            told = "gone" if status is None else status.name.lower()
            log.info("slash proposal", extra=about(slash=proposal.slash_id, standing=told))
            return
        log.error(
            "a slash is proposed against this operator",
            extra=about(
                slash=proposal.slash_id,
                service=proposal.service_id,
                share_bps=proposal.effective_bps,
                proposer=proposal.proposer,
                execute_after=proposal.execute_after,
                answer=answer_file(self._folder, proposal.slash_id),
                todo=f"look at the answer; if the proposal is wrong: {command(proposal.slash_id)}",
            ),
        )

    async def _answer(self, proposal: SlashProposal, entry: LogEntry) -> dict[str, object]:
        raw = await self._chain.rpc.request("eth_getTransactionByHash", entry.transaction_hash)
        call_id = await self._call_of(proposal, entry.block.number)
        said: list[Statement] = []
        if call_id is None:
            own = await asyncio.to_thread(self._last_results, proposal.service_id)
        else:
            court, place = CourtChain(self._chain), (proposal.service_id, call_id)
            record = await asyncio.to_thread(self._store.job_of_call, court.call(place))
            own = [record.signed.statement] if record is not None and record.signed is not None else []
            first = self._settings.start_block if record is None else record.submitted.block.number
            said = [*await court.posted(place, first), *await court.brought(place, first)]
        return {
            "proposal": asdict(proposal) | {"evidence": "0x" + proposal.evidence.hex()},
            "transaction": {"hash": entry.transaction_hash, "input": str((raw or {}).get("input", "0x"))},
            "call_id": call_id,
            "own": _statements(own),
            "said_on_chain": _statements(said),
            "to_dispute": command(proposal.slash_id),
        }

    async def _call_of(self, proposal: SlashProposal, block: int) -> int | None:
        """The call that our service manager has slashed for; None when another proposes."""
        manager = await self._chain.manager()
        if manager == ZERO_ADDRESS or proposal.proposer != manager:
            return None
        events = (evidence.EQUIVOCATION_PROVEN, evidence.REFUTATION_PROVEN)
        topics = (
            tuple(event.topic for event in events),
            word(proposal.service_id),
            None,
            address_word(proposal.operator),
        )
        for entry in await self._chain.rpc.logs(manager, topics, block, block):
            event = next(event for event in events if event.matches(entry.log))
            if event.decode(entry.log)[-1] == proposal.slash_id:
                return int.from_bytes(entry.log.topics[2], "big")
        return None

    def _last_results(self, service_id: int) -> list[Statement]:
        records = self._store.jobs_in((State.POSTED, State.FINAL))
        own = [record for record in records if record.call.service_id == service_id]
        return [record.signed.statement for record in own[-LAST_RESULTS:] if record.signed is not None]


def answers_folder(home: Path, chain_id: int, tangle: Address) -> Path:
    """Where the answers of one deployment are."""
    return home / "slashes" / f"{chain_id}-{tangle}"


def answer_file(folder: Path, slash_id: int) -> Path:
    """What is laid ready for one proposal."""
    return folder / f"{slash_id}.json"


def command(slash_id: int) -> str:
    """What disputes a proposal."""
    return f"faas operator dispute-slash {slash_id} --reason TEXT"


def prepared(folder: Path, operator: Address) -> list[SlashProposal]:
    """An operator's proposals with an answer laid ready, by id. A file that is not one is passed over."""
    found = []
    for path in folder.glob("*.json"):
        try:
            item = json.loads(path.read_text())["proposal"]
            found.append(SlashProposal(**{**item, "evidence": bytes.fromhex(item["evidence"][2:])}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("not an answer to a slash proposal", extra=about(path=path, error=repr(error)))
    own = (proposal for proposal in found if proposal.operator == operator)
    return sorted(own, key=lambda proposal: proposal.slash_id)


def _write(path: Path, answer: dict[str, object]) -> None:
    """Whole or not at all. Raises DatabaseUnavailable when the disk is full, so that it is tried again."""
    unfinished = path.with_suffix(".unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(answer, indent=1) + "\n")
        unfinished.replace(path)
    except OSError as error:
        raise DatabaseUnavailable(f"the answer to a slash proposal cannot be written: {error}") from error


def _statements(statements: Sequence[Statement]) -> list[dict[str, object]]:
    return [
        {"receipt": receipt_to_json(item.receipt), "signature": "0x" + item.signature.hex()}
        for item in statements
    ]


def _tell(error: ChainUnavailable | DatabaseUnavailable) -> None:
    log.warning("slash proposals cannot be looked for", extra=about(error=error))
