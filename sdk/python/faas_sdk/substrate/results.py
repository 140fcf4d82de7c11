"""Calls and results of the Services pallet, read from events of final blocks.

The pallet keeps one result per call, the newest from any operator registered for the blueprint, whether it
serves or not. So its storage only says that there is something to look for: a result counts when its account
serves the service, and its receipt is held against the key that this account is registered with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from eth_utils.crypto import keccak

from faas_sdk.effects import Plan, pause
from faas_sdk.errors import ConnectionFailed, ResultTimeout, ResultUnreadable, TangleError
from faas_sdk.operations import PARAMETERS
from faas_sdk.payload import COMPACT_RESULT, EXECUTE_JOB, RESULT, PostedOutcome, decode_posted
from faas_sdk.rest import RestApi
from faas_sdk.results import Submitted, TangleResult, make_result
from faas_sdk.substrate.account import extrinsic_hash
from faas_sdk.substrate.fields import from_fields
from faas_sdk.substrate.guard import operators_of
from faas_sdk.substrate.metadata import RuntimeEvent
from faas_sdk.substrate.node import Block, Node
from faas_sdk.transactions import Progress

SUBSTRATE_BIT = 1 << 62
"""Set in the chain ids that receipts of Substrate chains name."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A result as an operator of the service posted it."""

    operator: str
    """Address of the key that the account is registered with."""
    job_index: int
    fields: bytes
    """A Vec<Field>."""
    transaction_hash: str


def place_of(genesis: str) -> tuple[int, str]:
    """What stands for chain id and contract in receipts: parts of the hash of block 0."""
    return SUBSTRATE_BIT | int(genesis[2:18], 16) >> 2, "0x" + genesis[-40:]


def read_submitted(node: Node, service_id: int, call_id: int) -> Plan[Submitted]:
    """The call's event. Raises TangleError when there is no such call in a final block."""
    head = yield from node.finalised()
    if (yield from node.raw(head, "Services", "JobCalls", service_id, call_id)) is None:
        raise TangleError(
            f"service {service_id} has no job call {call_id} in a final block (ids count all of the chain)"
        )
    block = yield from _block_of_call(node, head, service_id, call_id)
    for event in (yield from node.events(block)):
        if event.name == "Services.JobCalled" and _is_of(event, service_id, call_id):
            inputs = inputs_of(int(event.values["job"]), event.raw["args"])
            transaction = yield from _transaction(node, block, event)
            caller = "0x" + event.raw["caller"].hex()
            return Submitted(service_id, call_id, caller, inputs, transaction, block.number)
    raise ResultUnreadable(f"block {block.number} does not tell of call {call_id}")


def inputs_of(job_index: int, arguments: bytes) -> bytes:
    """The canonical payload; arguments that carry none are handed on as they are, for they are no job."""
    try:
        return from_fields(PARAMETERS[job_index], arguments)
    except (KeyError, ValueError):
        return arguments


def wait_for_result(
    node: Node,
    call: Submitted,
    endpoint: RestApi | None,
    timeout: float,
    poll_interval: float,
    progress: Progress,
) -> Plan[TangleResult]:
    """The first result of a call. Raises ResultTimeout and ResultUnreadable."""
    deadline = time.monotonic() + timeout
    progress(f"waiting for a final result of call {call.call_id}")
    first = call.block
    while True:
        head = yield from node.finalised()
        for posted in (yield from _posted(node, call, first, head, lambda _: True)):
            progress(f"result in extrinsic {posted.transaction_hash}")
            return (yield from read_result(node, call, posted, endpoint))
        first = head.number + 1
        if time.monotonic() >= deadline:
            raise ResultTimeout(
                f"no final result of call {call.call_id} of service {call.service_id} after {timeout:g} s",
                details={"service_id": call.service_id, "call_id": call.call_id},
            )
        yield from pause(poll_interval)


def first_posted(node: Node, call: Submitted, transaction_hash: str | None) -> Plan[Posted | None]:
    """The first result, or the one in an extrinsic."""

    def wanted(posted: Posted) -> bool:
        return transaction_hash in (None, posted.transaction_hash)

    head = yield from node.finalised()
    found = yield from _posted(node, call, call.block, head, wanted)
    return next((posted for posted in found if wanted(posted)), None)


def all_posted(node: Node, call: Submitted) -> Plan[list[Posted]]:
    """All results up to the one that stands."""
    head = yield from node.finalised()
    stands = yield from node.raw(head, "Services", "JobResults", call.service_id, call.call_id)
    key = call.service_id.to_bytes(8, "little") + call.call_id.to_bytes(8, "little")
    return (yield from _posted(node, call, call.block, head, lambda posted: key + posted.fields == stands))


def read_result(node: Node, call: Submitted, posted: Posted, endpoint: RestApi | None) -> Plan[TangleResult]:
    """A result. Raises ResultUnreadable."""
    place = place_of((yield from node.genesis()))
    outcome = _outcome(posted)
    operator, transaction = posted.operator, posted.transaction_hash
    return (yield from make_result(call, outcome, place, operator, transaction, endpoint))


def _outcome(posted: Posted) -> PostedOutcome:
    schema = RESULT if posted.job_index == EXECUTE_JOB else COMPACT_RESULT
    try:
        return decode_posted(from_fields(schema, posted.fields))
    except ValueError as error:
        raise ResultUnreadable(f"what {posted.operator} posted is not a result: {error}") from error


def _posted(
    node: Node, call: Submitted, first: int, head: Block, enough: Callable[[Posted], bool]
) -> Plan[list[Posted]]:
    """Results of the service's operators in blocks from `first` to the head, up to one that is enough."""
    found: list[Posted] = []
    if (yield from node.raw(head, "Services", "JobResults", call.service_id, call.call_id)) is None:
        return found
    for number in range(first, head.number + 1):
        block = yield from node.block(number)
        for event in (yield from node.events(block)):
            if event.name != "Services.JobResultSubmitted":
                continue
            if not _is_of(event, call.service_id, call.call_id):
                continue
            operator = yield from _operator(node, block, call.service_id, event)
            if operator is None:
                continue
            transaction = yield from _transaction(node, block, event)
            found.append(Posted(operator, int(event.values["job"]), event.raw["result"], transaction))
            if enough(found[-1]):
                return found
    return found


def _operator(node: Node, block: Block, service_id: int, event: RuntimeEvent) -> Plan[str | None]:
    """The address of the posting account's registered key; None when it does not serve."""
    service = yield from node.value(block, "Services", "Instances", service_id)
    if service is None or event.values["operator"] not in operators_of(service):
        return None
    account = "0x" + event.raw["operator"].hex()
    preferences = yield from node.value(block, "Services", "Operators", int(service["blueprint"]), account)
    if preferences is None:
        return None
    return "0x" + keccak(bytes.fromhex(str(preferences["key"])[4:]))[-20:].hex()


def _block_of_call(node: Node, head: Block, service_id: int, call_id: int) -> Plan[Block]:
    """Found by halving: its entry stays from then on. State that is forgotten is too old."""
    low, high = 0, head.number
    while low < high:
        middle = (low + high) // 2
        try:
            block = yield from node.block(middle)
            there = (yield from node.raw(block, "Services", "JobCalls", service_id, call_id)) is not None
        except ConnectionFailed:
            there = False
        low, high = (low, middle) if there else (middle + 1, high)
    return (yield from node.block(low))


def _transaction(node: Node, block: Block, event: RuntimeEvent) -> Plan[str]:
    if event.extrinsic is None:
        raise ConnectionFailed("a call or result that no extrinsic made")
    return extrinsic_hash((yield from node.body(block))[event.extrinsic])


def _is_of(event: RuntimeEvent, service_id: int, call_id: int) -> bool:
    return (event.values["service_id"], event.values["call_id"]) == (service_id, call_id)
