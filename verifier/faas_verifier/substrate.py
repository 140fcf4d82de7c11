"""What a Substrate chain holds of a job call, read from final blocks; the counterpart of `chain`.

1. The call's entry in storage stays, so its block is found by halving; `JobCalled` there holds the inputs.
2. The block of the first result is found likewise; `JobResultSubmitted` from there on hold the results, up to
   the one that stands in storage.
3. A result counts when its account served the service at its block. The operator is the address of the key
   that the account was registered with there.

The pallet keeps one result per call, the newest of anyone who is registered for the blueprint: storage only
says where to look. What it takes to read a runtime comes with the extra `substrate`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.digests import digest_from_hex, keccak256
from faas_blueprint.errors import ChainUnavailable, InvalidRequest, NotFound
from faas_blueprint.operation import JobKind
from faas_blueprint.receipt import Address, CallReference, address
from faas_blueprint.tangle.fields import from_fields
from faas_blueprint.tangle.genesis import place_of
from faas_blueprint.tangle.runtime_metadata import RuntimeEvent, RuntimeMetadata, ss58_address
from faas_verifier.evidence import PostedResult
from faas_verifier.rpc import Refused, Rpc

_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class _Job:
    index: int
    inputs: bytes
    extrinsic: str


@functools.lru_cache(maxsize=4)
def _read_metadata(encoded: str) -> RuntimeMetadata:
    """Reading takes seconds."""
    return RuntimeMetadata(bytes.fromhex(encoded.removeprefix("0x")))


class SubstrateReader:
    """Reads one chain through one endpoint. Raises ChainUnavailable when that cannot say, FatalError when its
    runtime cannot be read."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._metadata_of: dict[int, RuntimeMetadata] = {}
        """By the runtime's version: blocks are read by the runtime that made them."""
        self._jobs = faas_blueprint_definition().jobs

    async def results(self, service_id: int, call_id: int) -> tuple[PostedResult, ...]:
        """All results of a call by operators of its service, in chain order. Raises NotFound."""
        key = (service_id, call_id)
        genesis = (await self._block(0)).block_hash
        call = CallReference(*place_of(digest_from_hex(genesis)), service_id, call_id)
        final = await self._final()
        if await self._stored(final, "JobCalls", *key) is None:
            raise NotFound(f"service {service_id} has no call {call_id} in a final block")
        stands = await self._stored(final, "JobResults", *key)
        if stands is None:
            return ()
        job = await self._job(await self._first_with(final, "JobCalls", *key), call)
        found: list[PostedResult] = []
        first = await self._first_with(final, "JobResults", *key)
        async for block, event in self._result_events(first, final, call):
            operator = await self._operator(block, service_id, event)
            if operator is None:
                continue
            posted_in = await self._extrinsic(block, event)
            payload = self._payload(job.index, event.raw["result"])
            found.append(
                PostedResult(call, job.inputs, payload, operator, True, job.extrinsic, posted_in, job.index)
            )
            if stands.endswith(event.raw["result"]):
                break
        return tuple(found)

    async def operators(self, service_id: int) -> frozenset[Address]:
        """All operators of a service by the final block: the addresses of their registered keys."""
        final = await self._final()
        service = await self._value(final, "Instances", service_id)
        if service is None:
            raise NotFound(f"there is no service {service_id} in a final block")
        found = [
            await self._key_address(final, int(service["blueprint"]), account)
            for account, _ in service["operator_security_commitments"]
        ]
        return frozenset(key for key in found if key is not None)

    async def answered_calls(self, service_id: int, first_block: int) -> list[int]:
        """The calls of a service that have a result, but for those that had one before `first_block`. Raises
        NotFound when there is no such service and no result of one that has ended."""
        final = await self._final()
        found = await self._answered_at(final, service_id)
        if not found and await self._value(final, "Instances", service_id) is None:
            raise NotFound(f"there is no service {service_id} in a final block")
        if first_block > 0:
            found -= await self._answered_at(await self._block(first_block - 1), service_id)
        return sorted(found)

    async def _answered_at(self, block: _Block, service_id: int) -> set[int]:
        metadata = await self._metadata(block)
        prefix = "0x" + metadata.storage_key("Services", "JobResults", service_id).hex()
        keys: list[str] = []
        while True:
            start = keys[-1] if keys else None
            page = await self._rpc.request("state_getKeysPaged", prefix, _PAGE, start, block.block_hash)
            if not isinstance(page, list):
                raise ChainUnavailable("the endpoint's storage keys cannot be read")
            keys += page
            if len(page) < _PAGE:
                return {int.from_bytes(bytes.fromhex(key[len(prefix) :]), "little") for key in keys}

    async def _job(self, block: _Block, call: CallReference) -> _Job:
        """1. What was asked for. Raises NotFound when it is none of this blueprint's jobs."""
        for event in await self._events(block):
            if (event.pallet, event.name) == ("Services", "JobCalled") and _is_of(event, call):
                index = int(event.values["job"])
                if index not in JobKind._value2member_map_:
                    raise NotFound(f"call {call.call_id} is for job {index}, which this blueprint lacks")
                inputs = event.raw["args"]
                with contextlib.suppress(InvalidRequest):  # what carries no job is handed on as it is
                    inputs = from_fields(self._jobs[index].parameters, inputs)
                return _Job(index, inputs, await self._extrinsic(block, event))
        raise ChainUnavailable(
            f"the endpoint has forgotten the state of the block of call {call.call_id}: ask an archive node"
        )

    async def _result_events(
        self, first: _Block, final: _Block, call: CallReference
    ) -> AsyncIterator[tuple[_Block, RuntimeEvent]]:
        """2. Results of the call, whoever posted them."""
        for number in range(first.number, final.number + 1):
            block = await self._block(number)
            for event in await self._events(block):
                if (event.pallet, event.name) == ("Services", "JobResultSubmitted") and _is_of(event, call):
                    yield block, event

    async def _operator(self, block: _Block, service_id: int, event: RuntimeEvent) -> Address | None:
        """3. The address of the account's registered key; None when it does not serve."""
        service = await self._value(block, "Instances", service_id)
        account = event.raw["operator"]
        if service is None or ss58_address(account) not in (
            item[0] for item in service["operator_security_commitments"]
        ):
            return None
        return await self._key_address(block, int(service["blueprint"]), "0x" + account.hex())

    async def _key_address(self, block: _Block, blueprint_id: int, account: str) -> Address | None:
        """The address of the key that an account is registered with for a blueprint."""
        preferences = await self._value(block, "Operators", blueprint_id, account)
        if preferences is None:
            return None
        return address("0x" + keccak256(bytes.fromhex(str(preferences["key"])[4:]))[-20:].hex())

    def _payload(self, job_index: int, fields: bytes) -> bytes:
        """The canonical result; Fields that carry none are handed on, and are found to be no result."""
        try:
            return from_fields(self._jobs[job_index].result, fields)
        except InvalidRequest:
            return fields

    async def _first_with(self, final: _Block, item: str, *keys: int) -> _Block:
        """The first block with an entry that stays from then on; of those whose state is not forgotten."""
        low, high = 0, final.number
        while low < high:
            middle = (low + high) // 2
            try:
                there = await self._stored(await self._block(middle), item, *keys) is not None
            except Refused:
                there = False
            low, high = (low, middle) if there else (middle + 1, high)
        return await self._block(low)

    async def _extrinsic(self, block: _Block, event: RuntimeEvent) -> str:
        """The hash of the extrinsic that an event is of."""
        answer = await self._rpc.request("chain_getBlock", block.block_hash)
        try:
            body = cast("Mapping[str, Any]", answer)["block"]["extrinsics"]
            raw = bytes.fromhex(body[event.extrinsic].removeprefix("0x"))
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise ChainUnavailable(f"the endpoint's block {block.number} cannot be read") from error
        return "0x" + hashlib.blake2b(raw, digest_size=32).hexdigest()

    async def _events(self, block: _Block) -> list[RuntimeEvent]:
        metadata = await self._metadata(block)
        data = await self._storage(metadata.storage_key("System", "Events"), block)
        try:
            return metadata.events(data or b"\0")
        except (ValueError, KeyError, StopIteration, NotImplementedError) as error:
            raise ChainUnavailable(f"the events of block {block.number} cannot be read: {error!r}") from error

    async def _value(self, block: _Block, item: str, *keys: object) -> Any:
        metadata = await self._metadata(block)
        data = await self._storage(metadata.storage_key("Services", item, *keys), block)
        return None if data is None else metadata.storage_value("Services", item, data)

    async def _stored(self, block: _Block, item: str, *keys: int) -> bytes | None:
        metadata = await self._metadata(block)
        return await self._storage(metadata.storage_key("Services", item, *keys), block)

    async def _storage(self, key: bytes, block: _Block) -> bytes | None:
        found = await self._rpc.request("state_getStorage", "0x" + key.hex(), block.block_hash)
        return None if found is None else bytes.fromhex(str(found).removeprefix("0x"))

    async def _metadata(self, block: _Block) -> RuntimeMetadata:
        """Of the runtime that a block has."""
        version = await self._rpc.request("state_getRuntimeVersion", block.block_hash)
        spec = version.get("specVersion") if isinstance(version, Mapping) else None
        if not isinstance(spec, int):
            raise ChainUnavailable("the endpoint's runtime version cannot be read")
        if spec not in self._metadata_of:
            encoded = str(await self._rpc.request("state_getMetadata", block.block_hash))
            metadata = await asyncio.to_thread(_read_metadata, encoded)
            if not metadata.has("Services"):
                raise ChainUnavailable("the chain's runtime has no Services pallet: it is not Tangle's")
            self._metadata_of[spec] = metadata
        return self._metadata_of[spec]

    async def _final(self) -> _Block:
        block_hash = str(await self._rpc.request("chain_getFinalizedHead"))
        header = await self._rpc.request("chain_getHeader", block_hash)
        if not isinstance(header, Mapping):
            raise ChainUnavailable("the endpoint does not know its newest final block")
        return _Block(int(str(header["number"]), 16), block_hash)

    async def _block(self, number: int) -> _Block:
        found = await self._rpc.request("chain_getBlockHash", number)
        if not isinstance(found, str):
            raise ChainUnavailable(f"the endpoint has no block {number}")
        return _Block(number, found)


def _is_of(event: RuntimeEvent, call: CallReference) -> bool:
    return (event.values["service_id"], event.values["call_id"]) == (call.service_id, call.call_id)
