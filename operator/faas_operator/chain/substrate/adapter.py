"""The chain adapter for the Services pallet of Tangle's Substrate chain.

Jobs are read from final blocks only; results count once they are in a block, and are final with it. The
pallet keeps one result per call, the newest of any operator registered for the blueprint, so whether *this*
operator has answered is read from events; storage only says that there is something to look for.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from faas_blueprint import tlv
from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.digests import digest_from_hex
from faas_blueprint.errors import ChainUnavailable, FatalError, InvalidRequest, ResultRefused
from faas_blueprint.receipt import CallReference
from faas_blueprint.tangle.fields import from_fields, to_fields
from faas_blueprint.tangle.genesis import place_of
from faas_blueprint.tangle.runtime_metadata import RuntimeEvent
from faas_operator.chain.interface import Block, CallStanding, ChainAdapter, PostedResult, SubmittedJob
from faas_operator.chain.substrate.extrinsic import compact, extrinsic_hash
from faas_operator.chain.substrate.key import AccountKey
from faas_operator.chain.substrate.rpc import SubstrateRpc
from faas_operator.chain.substrate.runtime import SubstrateRuntime
from faas_operator.chain.substrate.sender import CallFailed, ExtrinsicSender

FINAL_FOR_RESULT = frozenset(
    {
        "BadOrigin",
        "Services.InvalidJobResult",
        "Services.JobDefinitionNotFound",
        "Services.MaxFieldsExceeded",
        "Services.NotRegistered",
        "Services.ServiceNotFound",
        "Services.ServiceOrJobCallNotFound",
        "Services.TypeCheck",
    }
)
"""Errors that posting the same result again will meet again."""


class SubstrateAdapter(ChainAdapter):
    """See `ChainAdapter`. Made by `connect`; to be closed."""

    def __init__(
        self,
        runtime: SubstrateRuntime,
        sender: ExtrinsicSender,
        blueprint_id: int,
        service_id: int | None = None,
    ) -> None:
        self.runtime = runtime
        self.sender = sender
        """The only owner of the operator's nonce."""
        self.blueprint_id = blueprint_id
        self.chain_id, self.tangle = place_of(digest_from_hex(runtime.genesis))
        self._rpc = runtime.rpc
        self._service_id = service_id
        self._settled = False
        """Whether no extrinsic can be under way that this adapter does not wait for."""
        self._jobs = faas_blueprint_definition().jobs

    @classmethod
    async def connect(
        cls,
        rpc_url: str,
        blueprint_id: int,
        key: AccountKey,
        receipt_key: bytes,
        *,
        service_id: int | None = None,
        attempts: int = 4,
        patience: float = 120.0,
        poll: float = 0.5,
    ) -> Self:
        """Connect. With `service_id`, jobs of other services are not seen. `receipt_key`: 65 bytes, public.

        Raises ChainUnavailable, and FatalError when the chain is not Tangle's, or the account is registered
        with another key than the one that signs receipts: nobody could check them.
        """
        rpc = SubstrateRpc(rpc_url, attempts=attempts)
        try:
            runtime = await SubstrateRuntime.connect(rpc)
            sender = ExtrinsicSender(runtime, key, patience=patience, poll=poll)
            adapter = cls(runtime, sender, blueprint_id, service_id)
            await adapter._check_registered_key(receipt_key)
        except BaseException:
            await rpc.close()
            raise
        return adapter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._rpc.close()

    async def head(self) -> Block:
        """The newest block that is final."""
        return await self._rpc.finalised()

    async def block_hash(self, number: int) -> str | None:
        """The hash of a final block, None for one that is not final yet."""
        if number > (await self._rpc.finalised()).number:
            return None
        return await self._rpc.block_hash(number)

    async def submitted_jobs(self, first_block: int, last_block: int) -> list[SubmittedJob]:
        """See `ChainAdapter`."""
        jobs: list[SubmittedJob] = []
        for number in range(max(first_block, 0), last_block + 1):
            jobs += await self._jobs_in(await self._block(number))
        return jobs

    async def standing(self, call: CallReference) -> CallStanding:
        """See `ChainAdapter`. Never COMPLETED: each operator of the service may answer."""
        self._check(call)
        best = (await self._rpc.best()).block_hash
        if not await self.runtime.exists(best, "Services", "JobCalls", call.service_id, call.call_id):
            return CallStanding.CLOSED
        if await self._own_result(call, None) is not None:
            return CallStanding.ANSWERED
        service = await self.runtime.value(best, "Services", "Instances", call.service_id)
        return CallStanding.OPEN if self._serves(service) else CallStanding.CLOSED

    async def post_result(self, call: CallReference, payload: bytes) -> PostedResult:
        """See `ChainAdapter`. Looks for an earlier post first, so a repeated call posts nothing twice."""
        self._check(call)
        if not self._settled:
            await self.sender.settled()
            self._settled = True
        posted = await self._own_result(call, None)
        if posted is not None:
            return posted
        result = to_fields(await self._result_schema(call), payload)
        metadata = await self.runtime.metadata()
        index = metadata.call_index("Services", "submit_result")
        try:
            included = await self.sender.send(
                index + compact(call.service_id) + compact(call.call_id) + result
            )
        except CallFailed as error:
            details = {"reason": error.reason}
            if error.reason in FINAL_FOR_RESULT:
                raise ResultRefused(f"Tangle does not take the result: {error.reason}", details) from error
            raise ChainUnavailable(f"posting the result failed: {error.reason}", details) from error
        except ChainUnavailable:
            self._settled = False
            raise
        return PostedResult(included.extrinsic_hash, included.block)

    async def operator_addresses(self, service_id: int, first_block: int) -> list[str]:
        """See `ChainAdapter`."""
        final = (await self._rpc.finalised()).block_hash
        service = await self.runtime.value(final, "Services", "Instances", service_id)
        found = []
        for account, _ in () if service is None else service["operator_security_commitments"]:
            if account != self.sender.address:
                stored = await self.runtime.value(final, "Services", "Operators", self.blueprint_id, account)
                found += [] if stored is None else [str(stored["rpc_address"])]
        return found

    async def balance(self) -> int:
        """See `ChainAdapter`."""
        best = (await self._rpc.best()).block_hash
        account = await self.runtime.value(best, "System", "Account", self.sender.account)
        return 0 if account is None else int(account["data"]["free"])

    async def posted_result(self, call: CallReference, first_block: int) -> PostedResult | None:
        """See `ChainAdapter`. It may be in a block that is not final yet, and may have been overwritten."""
        self._check(call)
        return await self._own_result(call, first_block)

    async def _own_result(self, call: CallReference, first_block: int | None) -> PostedResult | None:
        """Blocks are only looked through when the call has any result at all."""
        best = await self._rpc.best()
        if not await self.runtime.exists(
            best.block_hash, "Services", "JobResults", call.service_id, call.call_id
        ):
            return None
        first = await self._first_block(call) if first_block is None else first_block
        for number in range(first, best.number + 1):
            block = await self._block(number)
            for event in await self.runtime.events(block.block_hash):
                if self._is_own_result(event, call):
                    return PostedResult(await self._extrinsic(block, event), block)
        return None

    async def _jobs_in(self, block: Block) -> list[SubmittedJob]:
        jobs = []
        for event in await self.runtime.events(block.block_hash):
            if (event.pallet, event.name) != ("Services", "JobCalled"):
                continue
            if await self._is_ours(int(event.values["service_id"]), block):
                jobs.append(await self._submitted_job(event, block))
        return jobs

    async def _submitted_job(self, event: RuntimeEvent, block: Block) -> SubmittedJob:
        service_id, call_id = int(event.values["service_id"]), int(event.values["call_id"])
        job_index = int(event.values["job"])
        return SubmittedJob(
            CallReference(self.chain_id, self.tangle, service_id, call_id),
            job_index,
            "0x" + event.raw["caller"].hex(),
            self._inputs(job_index, event.raw["args"]),
            block,
            await self._extrinsic(block, event),
            None,
        )

    def _inputs(self, job_index: int, arguments: bytes) -> bytes:
        """The canonical payload. Arguments that carry none are handed on as they are: they are no job."""
        if job_index >= len(self._jobs):
            return arguments
        try:
            return from_fields(self._jobs[job_index].parameters, arguments)
        except InvalidRequest:
            return arguments

    async def _result_schema(self, call: CallReference) -> Sequence[tlv.Field]:
        best = (await self._rpc.best()).block_hash
        stored = await self.runtime.value(best, "Services", "JobCalls", call.service_id, call.call_id)
        if stored is None or int(stored["job"]) >= len(self._jobs):
            raise ResultRefused("there is no such call to answer", {"reason": "unknown call"})
        return self._jobs[int(stored["job"])].result

    async def _first_block(self, call: CallReference) -> int:
        """The block of the call, found by halving: its entry stays in storage from then on."""
        key = (call.service_id, call.call_id)
        low, high = 0, (await self._rpc.best()).number
        while low < high:
            middle = (low + high) // 2
            block = await self._block(middle)
            if await self.runtime.exists(block.block_hash, "Services", "JobCalls", *key):
                high = middle
            else:
                low = middle + 1
        return low

    def _is_own_result(self, event: RuntimeEvent, call: CallReference) -> bool:
        return (
            (event.pallet, event.name) == ("Services", "JobResultSubmitted")
            and (event.values["service_id"], event.values["call_id"]) == (call.service_id, call.call_id)
            and "0x" + event.raw["operator"].hex() == self.sender.account
        )

    async def _is_ours(self, service_id: int, block: Block) -> bool:
        if self._service_id not in (None, service_id):
            return False
        service = await self.runtime.value(block.block_hash, "Services", "Instances", service_id)
        if service is None:
            return False  # it ended in the same block
        return int(service["blueprint"]) == self.blueprint_id and self._serves(service)

    def _serves(self, service: Any) -> bool:
        if service is None:
            return False
        accounts = (item[0] for item in service["operator_security_commitments"])
        return self.sender.address in accounts

    async def _block(self, number: int) -> Block:
        found = await self._rpc.block_hash(number)
        if found is None:
            raise ChainUnavailable(f"block {number} has gone meanwhile")
        return Block(number, found)

    async def _extrinsic(self, block: Block, event: RuntimeEvent) -> str:
        assert event.extrinsic is not None, "calls and results come from extrinsics"
        return extrinsic_hash((await self._rpc.extrinsics(block.block_hash))[event.extrinsic])

    async def _check_registered_key(self, receipt_key: bytes) -> None:
        best = (await self._rpc.best()).block_hash
        account = self.sender.account
        preferences = await self.runtime.value(best, "Services", "Operators", self.blueprint_id, account)
        if preferences is not None and preferences["key"] != "0x" + receipt_key.hex():
            raise FatalError(
                f"{self.sender.address} is registered for blueprint {self.blueprint_id} with another key "
                "than the keystore's, which signs receipts: nobody could check them"
            )

    def _check(self, call: CallReference) -> None:
        if (call.chain_id, call.tangle) != (self.chain_id, self.tangle):
            raise FatalError("a call of another chain was handed to this adapter")
