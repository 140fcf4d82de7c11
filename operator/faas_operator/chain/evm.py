"""The chain adapter for Tangle on an EVM chain, whatever the ABI epoch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from eth_account.signers.local import LocalAccount

from faas_blueprint.definition import Pricing
from faas_blueprint.errors import ChainUnavailable, FatalError, ResultRefused
from faas_blueprint.receipt import ZERO_ADDRESS, Address, CallReference
from faas_blueprint.tangle import membership, protocol, service_manager
from faas_blueprint.tangle.abi import address_word, word
from faas_blueprint.tangle.epoch import TangleEpoch
from faas_blueprint.tangle.membership import ServiceOperator
from faas_blueprint.tangle.reverts import FINAL_FOR_RESULT
from faas_blueprint.tangle.service_manager import Standing
from faas_blueprint.tangle.values import JobCall, JobSubmitted, Service
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.interface import Block, CallStanding, ChainAdapter, PostedResult, SubmittedJob
from faas_operator.chain.rpc import LOG_RANGE, LogEntry, Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.chain.served import ServedServices

Found = tuple[JobSubmitted, LogEntry]

PRICES_AT_ONCE = 16
"""Calls whose prices are asked for at the same time."""


class EvmAdapter(ChainAdapter):
    """See `ChainAdapter`. Made by `connect`; to be closed."""

    def __init__(
        self,
        rpc: Rpc,
        sender: TransactionSender,
        epoch: TangleEpoch,
        chain_id: int,
        tangle: Address,
        blueprint_id: int,
        service_id: int | None = None,
    ) -> None:
        self.rpc = rpc
        self.epoch = epoch
        self.chain_id = chain_id
        self.tangle = tangle
        self.blueprint_id = blueprint_id
        self._service_id = service_id
        self.operator = sender.address
        self.sender = sender
        """The only owner of the operator's nonce."""
        self.served = ServedServices(rpc, tangle, blueprint_id, self.operator)
        """The blueprint's services that this operator serves; what asks shares what is known of them."""
        self._services: dict[int, Service] = {}
        self._manager: Address | None = None
        self._addresses: dict[Address, str] = {}
        """What operators have registered, up to a block."""
        self._addresses_to = -1
        self._settled = False
        """Whether no transaction can be under way that this adapter does not wait for."""

    @classmethod
    async def connect(
        cls,
        rpc_url: str,
        tangle: Address,
        blueprint_id: int,
        account: LocalAccount,
        *,
        chain_id: int | None = None,
        service_id: int | None = None,
        attempts: int = 4,
        patience: float = 45.0,
    ) -> Self:
        """Connect and find out the epoch. With `service_id`, jobs of other services are not seen.

        Raises ChainUnavailable, and FatalError when the chain is not `chain_id` or the address no
        Tangle that we can speak to.
        """
        rpc = Rpc(rpc_url, attempts=attempts)
        try:
            actual = await rpc.chain_id()
            if chain_id is not None and actual != chain_id:
                raise FatalError(f"the node serves chain {actual}, not {chain_id}")
            epoch = await probe_epoch(rpc, tangle)
        except BaseException:
            await rpc.close()
            raise
        sender = TransactionSender(rpc, account, actual, patience=patience)
        return cls(rpc, sender, epoch, actual, tangle, blueprint_id, service_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.rpc.close()

    async def head(self) -> Block:
        """See `ChainAdapter`."""
        return (await self.rpc.head()).block

    async def block_hash(self, number: int) -> str | None:
        """See `ChainAdapter`."""
        header = await self.rpc.header(number)
        return None if header is None else header.block.block_hash

    async def submitted_jobs(self, first_block: int, last_block: int) -> list[SubmittedJob]:
        """See `ChainAdapter`."""
        events = (protocol.JOB_SUBMITTED.topic, protocol.JOB_SUBMITTED_FROM_QUOTE.topic)
        entries = await self.rpc.logs(self.tangle, (events,), first_block, last_block)
        found = [(protocol.decode_job_submitted(entry.log), entry) for entry in entries]
        ours = [(job, entry) for job, entry in found if await self._is_ours(job.service_id)]
        ours = await self._while_served(ours)
        prices = await self._prices([job for job, _ in ours])
        return [
            self._submitted_job(job, entry, price) for (job, entry), price in zip(ours, prices, strict=True)
        ]

    async def standing(self, call: CallReference) -> CallStanding:
        """See `ChainAdapter`."""
        job = await self._job_call(call)
        if job is None:
            return CallStanding.CLOSED
        if job.result_count and await self._find_result(call, job):
            return CallStanding.ANSWERED
        if job.completed:
            return await self._standing_of_completed(call)
        return CallStanding.OPEN if await self._may_answer(call, job) else CallStanding.CLOSED

    async def post_result(self, call: CallReference, payload: bytes) -> PostedResult:
        """See `ChainAdapter`. Looks for an earlier post first, so a repeated call posts nothing twice."""
        if not self._settled:
            await self.sender.settled()
            self._settled = True
        job = await self._job_call(call)
        if job is not None and job.result_count:
            posted = await self._find_result(call, job)
            if posted is not None:
                return posted
        data = protocol.submit_result(call.service_id, call.call_id, payload)
        try:
            receipt = await self.sender.send(self.tangle, data)
        except Reverted as error:
            return await self._refused(call, error)
        except ChainUnavailable:
            self._settled = False
            raise
        return PostedResult(receipt.transaction_hash, receipt.block)

    async def operator_addresses(self, service_id: int, first_block: int) -> list[str]:
        """See `ChainAdapter`. Some ABI epochs tell addresses in events only, which are read once each."""
        await self._read_addresses(first_block)
        found = []
        for operator in await self.rpc.read(self.tangle, protocol.service_operators(service_id)):
            if operator == self.operator:
                continue
            with contextlib.suppress(Reverted, UnicodeDecodeError):  # who writes what is no text is not asked
                view = protocol.operator_address(self.blueprint_id, operator)
                found.append(await self.rpc.read(self.tangle, view) or self._addresses.get(operator, ""))
        return [address for address in found if address]

    async def _read_addresses(self, first_block: int) -> None:
        head = (await self.head()).number
        events = (protocol.OPERATOR_REGISTERED.topic, protocol.OPERATOR_PREFERENCES_UPDATED.topic)
        topics = (events, word(self.blueprint_id))
        for first in range(max(first_block, self._addresses_to + 1), head + 1, LOG_RANGE):
            last = min(first + LOG_RANGE - 1, head)
            for entry in await self.rpc.logs(self.tangle, topics, first, last):
                with contextlib.suppress(ChainUnavailable):  # likewise
                    registered = protocol.decode_operator_address(entry.log)
                    self._addresses[registered.operator] = registered.rpc_address
            self._addresses_to = last

    async def balance(self) -> int:
        """See `ChainAdapter`."""
        return int(str(await self.rpc.request("eth_getBalance", self.operator, "latest")), 16)

    async def posted_result(self, call: CallReference, first_block: int) -> PostedResult | None:
        """See `ChainAdapter`."""
        self._check(call)
        topics = (
            protocol.JOB_RESULT_SUBMITTED.topic,
            word(call.service_id),
            word(call.call_id),
            address_word(self.operator),
        )
        head = await self.head()
        entries = await self.rpc.logs(self.tangle, topics, first_block, head.number)
        return PostedResult(entries[0].transaction_hash, entries[0].block) if entries else None

    async def manager(self) -> Address:
        """The blueprint's service manager; the zero address when there is none."""
        if self._manager is None:
            blueprint = await self.rpc.read(self.tangle, self.epoch.blueprint(self.blueprint_id))
            self._manager = blueprint.manager
        return self._manager

    async def _standing_of_completed(self, call: CallReference) -> CallStanding:
        """With a window Tangle completes a call at its first answer, which others can still challenge."""
        manager = await self.manager()
        if manager == ZERO_ADDRESS:
            return CallStanding.COMPLETED
        try:
            managed = await self.rpc.read(manager, service_manager.call_of(call.service_id, call.call_id))
        except Reverted:  # another blueprint's manager
            return CallStanding.COMPLETED
        if managed.standing not in (Standing.PROPOSED, Standing.DISPUTED):
            return CallStanding.COMPLETED
        head = await self.rpc.head()
        return CallStanding.CHALLENGEABLE if head.timestamp < managed.deadline else CallStanding.COMPLETED

    async def _refused(self, call: CallReference, error: Reverted) -> PostedResult:
        """An own result that got in meanwhile, or the refusal raised as what it is."""
        job = await self._job_call(call)
        posted = await self._find_result(call, job) if job is not None and job.result_count else None
        if posted is not None:
            return posted
        details = {"reason": error.error.name, "arguments": list(error.error.arguments)}
        if error.error.name in FINAL_FOR_RESULT:
            raise ResultRefused(f"Tangle does not take the result: {error}", details) from error
        raise ChainUnavailable(f"posting the result reverted: {error}", details) from error

    async def _job_call(self, call: CallReference) -> JobCall | None:
        self._check(call)
        try:
            job = await self.rpc.read(self.tangle, self.epoch.job_call(call.service_id, call.call_id))
        except Reverted:
            return None
        return job if job.created_at else None

    async def _find_result(self, call: CallReference, job: JobCall) -> PostedResult | None:
        return await self.posted_result(call, await self.rpc.block_at(job.created_at))

    async def _may_answer(self, call: CallReference, job: JobCall) -> bool:
        service = await self.rpc.read(self.tangle, protocol.service(call.service_id))
        if not service.is_open((await self.rpc.head()).timestamp):
            return False
        serves = protocol.is_service_operator(call.service_id, self.operator)
        if not await self.rpc.read(self.tangle, serves):
            return False
        if not job.is_rfq:
            return True
        quoted = protocol.quoted_operators(call.service_id, call.call_id)
        return self.operator in await self.rpc.read(self.tangle, quoted)

    async def _is_ours(self, service_id: int) -> bool:
        if self._service_id not in (None, service_id):
            return False
        if service_id not in self._services:
            self._services[service_id] = await self.rpc.read(self.tangle, protocol.service(service_id))
        return self._services[service_id].blueprint_id == self.blueprint_id

    async def _while_served(self, found: list[Found]) -> list[Found]:
        """Those that were submitted while this operator served their service. Which it serves is asked for
        each time: a reorganisation has the blocks read again, and may have changed it."""
        places: dict[int, ServiceOperator] = {}
        for service_id in {job.service_id for job, _ in found}:
            place = membership.service_operator(service_id, self.operator)
            places[service_id] = await self.rpc.read(self.tangle, place)
        joined = [(job, entry) for job, entry in found if places[job.service_id].joined_at]
        times = {
            number: await self._time_of(number) for number in {entry.block.number for _, entry in joined}
        }
        return [
            (job, entry)
            for job, entry in joined
            if places[job.service_id].served_at(times[entry.block.number])
        ]

    async def _time_of(self, block_number: int) -> int:
        header = await self.rpc.header(block_number)
        if header is None:
            raise ChainUnavailable(f"block {block_number} has gone meanwhile")
        return header.timestamp

    async def _prices(self, jobs: Sequence[JobSubmitted]) -> list[int]:
        """What was paid for each. Tangle keeps it with the call; a log says it of a job from quotes only."""
        turns = asyncio.Semaphore(PRICES_AT_ONCE)

        async def price(job: JobSubmitted) -> int:
            if self._services[job.service_id].pricing != Pricing.EVENT_DRIVEN:
                return 0
            if job.total_price is not None:
                return job.total_price
            async with turns:
                try:
                    stored = await self.rpc.read(
                        self.tangle, self.epoch.job_call(job.service_id, job.call_id)
                    )
                except Reverted:
                    return 0  # its block has vanished meanwhile
                return stored.payment

        return await asyncio.gather(*map(price, jobs))

    def _submitted_job(self, job: JobSubmitted, entry: LogEntry, price: int) -> SubmittedJob:
        call = CallReference(self.chain_id, self.tangle, job.service_id, job.call_id)
        return SubmittedJob(
            call,
            job.job_index,
            job.caller,
            job.inputs,
            entry.block,
            entry.transaction_hash,
            job.quoted_operators,
            price,
        )

    def _check(self, call: CallReference) -> None:
        if (call.chain_id, call.tangle) != (self.chain_id, self.tangle):
            raise FatalError("a call of another chain or deployment was handed to this adapter")
