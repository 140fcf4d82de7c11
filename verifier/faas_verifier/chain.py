"""What a chain holds of a job call: the job that was asked for, and every answer to it.

1. The call's time is in Tangle's storage; the block before it starts the search.
2. `JobSubmitted` (or `JobSubmittedFromQuote`) of the call holds the inputs.
3. `JobResultSubmitted` logs of the call, up to the one that completes it, hold the results.
4. Whether each operator served the service is asked at the block of its result, where the endpoint
   still knows that state; otherwise now, when only a yes is an answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faas_blueprint.errors import ChainUnavailable, FatalError, InvalidRequest, NotFound
from faas_blueprint.operation import JobKind
from faas_blueprint.receipt import ZERO_ADDRESS, Address, CallReference, address
from faas_blueprint.result import decode_result
from faas_blueprint.tangle import protocol, service_manager
from faas_blueprint.tangle.abi import Event, Function, word
from faas_blueprint.tangle.probe import PROBED_SELECTORS, choose_epoch
from faas_blueprint.tangle.values import JobSubmitted
from faas_verifier.evidence import PostedResult
from faas_verifier.rpc import PlacedLog, Refused, Rpc

DEVNET_TANGLE = address("0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9")
"""Where Tangle stands on the local chain of `faas devnet`."""

LOG_WINDOW = 2_000
"""Blocks in one question for logs; many endpoints refuse more."""

_CALL_TIME = Function("getJobCall", ("uint64", "uint64"), ("uint8", "address", "uint64"))
"""The tuple's first three parts, which are the same in every ABI epoch."""


@dataclass(frozen=True, slots=True)
class CallOnChain:
    """A job call with its results, in chain order."""

    call: CallReference
    job: JobSubmitted
    results: tuple[PostedResult, ...]


async def read_call(rpc: Rpc, tangle: Address, service_id: int, call_id: int) -> CallOnChain:
    """The call. Raises NotFound, and ChainUnavailable when the endpoint cannot say."""
    chain_id = await rpc.number("eth_chainId")
    if await rpc.request("eth_getCode", tangle, "latest") in ("0x", b"", None):
        raise ChainUnavailable(f"there is no contract at {tangle} on chain {chain_id}")
    head = await rpc.number("eth_blockNumber")
    start = await _first_block(rpc, tangle, service_id, call_id, head)
    logs = await _call_logs(rpc, tangle, service_id, call_id, start, head)
    submitted = _of(logs, protocol.JOB_SUBMITTED) + _of(logs, protocol.JOB_SUBMITTED_FROM_QUOTE)
    if not submitted:
        raise ChainUnavailable(f"the endpoint has no log of call {call_id} of service {service_id}")
    job = protocol.decode_job_submitted(submitted[0].log)
    if job.job_index not in JobKind._value2member_map_:
        raise NotFound(f"call {call_id} is for job {job.job_index}, which this blueprint does not have")
    call = CallReference(chain_id, tangle, service_id, call_id)
    results = [
        await _posted(rpc, call, job, submitted[0], placed)
        for placed in _of(logs, protocol.JOB_RESULT_SUBMITTED)
    ]
    return CallOnChain(call, job, tuple(results))


async def registered(rpc: Rpc, posted: PostedResult) -> bool | None:
    """Whether the service manager has registered all that a result starts from; None when none can say."""
    try:
        receipt = decode_result(posted.payload).receipt(posted.call, posted.operator)
        manager = await manager_of(rpc, posted.call)
        if manager is None:
            return None
        return await rpc.read(manager, service_manager.is_registered(receipt))
    except (Refused, InvalidRequest, FatalError):
        return None


async def manager_of(rpc: Rpc, call: CallReference) -> Address | None:
    """The service manager contract of a call's blueprint, if it has one. Raises Refused, FatalError."""
    facets = {
        selector: await rpc.read(call.tangle, protocol.facet_for_selector(selector))
        for selector in PROBED_SELECTORS
    }
    service = await rpc.read(call.tangle, protocol.service(call.service_id))
    blueprint = await rpc.read(call.tangle, choose_epoch(facets).blueprint(service.blueprint_id))
    return None if blueprint.manager == ZERO_ADDRESS else blueprint.manager


async def _first_block(rpc: Rpc, tangle: Address, service_id: int, call_id: int, head: int) -> int:
    """1. The block before the call's time."""
    view = _CALL_TIME.read(lambda values: values[2], service_id, call_id)
    try:
        created_at = await rpc.read(tangle, view)
    except Refused as error:
        raise NotFound(f"service {service_id} has no call {call_id} at {tangle} ({error.message})") from error
    if not isinstance(created_at, int) or created_at == 0:
        raise NotFound(f"service {service_id} has no call {call_id} at {tangle}")
    return await rpc.block_at(created_at, head)


async def _call_logs(
    rpc: Rpc, tangle: Address, service_id: int, call_id: int, start: int, head: int
) -> list[PlacedLog]:
    """2 and 3. All logs of the call until the block that completes it."""
    events = (
        protocol.JOB_SUBMITTED,
        protocol.JOB_SUBMITTED_FROM_QUOTE,
        protocol.JOB_RESULT_SUBMITTED,
        protocol.JOB_COMPLETED,
    )
    topics: list[bytes | list[bytes]] = [
        [bytes(event.topic) for event in events],
        word(service_id),
        word(call_id),
    ]
    found: list[PlacedLog] = []
    for first in range(start, head + 1, LOG_WINDOW):
        found += await rpc.logs(tangle, topics, first, min(first + LOG_WINDOW - 1, head))
        if _of(found, protocol.JOB_COMPLETED):
            break
    return found


async def _posted(
    rpc: Rpc, call: CallReference, job: JobSubmitted, submitted: PlacedLog, placed: PlacedLog
) -> PostedResult:
    result = protocol.decode_job_result_submitted(placed.log)
    serves = await _serves(rpc, call, address(result.operator), placed.block)
    return PostedResult(
        call,
        job.inputs,
        result.output,
        address(result.operator),
        serves,
        submitted.transaction_hash,
        placed.transaction_hash,
        job.job_index,
    )


async def _serves(rpc: Rpc, call: CallReference, operator: Address, block: int) -> bool | None:
    """4. At the result's block; now, where the endpoint has forgotten that state."""
    view = protocol.is_service_operator(call.service_id, operator)
    try:
        return await rpc.read(call.tangle, view, hex(block))
    except Refused:
        return await rpc.read(call.tangle, view) or None


def _of(logs: Sequence[PlacedLog], event: Event) -> list[PlacedLog]:
    return [placed for placed in logs if event.matches(placed.log)]


def first_endpoint(rpc: str) -> str:
    """Of several with commas in between, as operators name them."""
    return rpc.partition(",")[0].strip()


def tangle_address(text: str | None) -> Address:
    """Tangle's address: as given, from a deployment's JSON file, or the devnet's. Raises InvalidRequest."""
    if text is None:
        return DEVNET_TANGLE
    path = Path(text)
    if text.startswith("0x") or not path.is_file():
        return address(text)
    try:
        deployment = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{text} is not a deployment's JSON file: {error}") from error
    if not isinstance(deployment, dict) or not isinstance(deployment.get("tangle"), str):
        raise InvalidRequest(f"{text} has no 'tangle' in it")
    return address(deployment["tangle"])
