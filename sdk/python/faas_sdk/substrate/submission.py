"""Sending a job to the Services pallet: a mortal extrinsic, followed until a final block holds it.

The call's id is that of a final block: ids count the calls of all services, so a fork may give another.
"""

from __future__ import annotations

from faas_sdk.effects import Plan, pause
from faas_sdk.errors import ResultTimeout, SubmissionRefused, TransactionFailed
from faas_sdk.operations import Inputs
from faas_sdk.rpc import RpcError
from faas_sdk.submission import JobCall
from faas_sdk.substrate.account import Extrinsic, SubstrateAccount, compact
from faas_sdk.substrate.guard import check_extrinsic, check_service, fields_of
from faas_sdk.substrate.metadata import RuntimeEvent
from faas_sdk.substrate.node import Block, Node
from faas_sdk.transactions import Progress


def submit(
    node: Node,
    account: SubstrateAccount,
    service_id: int,
    inputs: Inputs,
    inclusion_timeout: float,
    poll_interval: float,
    progress: Progress,
) -> Plan[JobCall]:
    """Guard, sign, send, wait for a final block. Raises as `submit_job` says."""
    progress("checking the service")
    start = yield from node.finalised()
    yield from check_service(node, start, service_id, inputs.job_index, account.address)
    metadata = yield from node.metadata(start)
    call = metadata.call_index("Services", "call") + compact(service_id) + compact(inputs.job_index)
    nonce = yield from _next_nonce(node, account)
    genesis, version = (yield from node.genesis()), (yield from node.version(start))
    extrinsic = account.sign(call + fields_of(inputs), nonce, start, genesis, version, metadata)
    yield from check_extrinsic(node, start, account, extrinsic)
    progress("submitting the job, which costs its fee only")
    yield from _hand_in(node, account, extrinsic, again=False)
    progress(f"waiting for a final block with extrinsic {extrinsic.hash}")
    block, index = yield from _included(node, account, extrinsic, start, inclusion_timeout, poll_interval)
    for event in (yield from node.events(block)):
        if event.extrinsic != index:
            continue
        if event.name == "System.ExtrinsicFailed":
            reason = yield from _reason(node, block, event)
            raise TransactionFailed(
                f"Tangle did not take the job in extrinsic {extrinsic.hash}: {reason}",
                details={"transaction_hash": extrinsic.hash, "reason": reason},
            )
        if event.name == "Services.JobCalled":
            call_id = int(event.values["call_id"])
            return JobCall(service_id, call_id, extrinsic.hash, block.number, 0, inputs.payload)
    raise TransactionFailed(f"extrinsic {extrinsic.hash} made no call")


def _next_nonce(node: Node, account: SubstrateAccount) -> Plan[int]:
    """With what waits in the node."""
    return int(str((yield from node.rpc.call("system_accountNextIndex", account.address))))


def _hand_in(node: Node, account: SubstrateAccount, extrinsic: Extrinsic, again: bool) -> Plan[None]:
    """Also again: a node that restarts loses what waits in it. What it says then is not the last word."""
    if (yield from _next_nonce(node, account)) > extrinsic.nonce:
        return  # it waits, or is in a block
    try:
        yield from node.rpc.call("author_submitExtrinsic", "0x" + extrinsic.encoded.hex())
    except RpcError as error:
        # Sent again after a lost answer, it may be there already: then all is well.
        if not again and (yield from _next_nonce(node, account)) <= extrinsic.nonce:
            raise SubmissionRefused("rejected", f"the node does not take the extrinsic: {error}") from error


def _included(
    node: Node,
    account: SubstrateAccount,
    extrinsic: Extrinsic,
    start: Block,
    inclusion_timeout: float,
    poll_interval: float,
) -> Plan[tuple[Block, int]]:
    """The final block with the extrinsic, and its place there."""
    looked, waited = start.number, 0.0
    while True:
        final = yield from node.finalised()
        while looked < final.number:
            block = yield from node.block(looked + 1)
            body = yield from node.body(block)
            if extrinsic.encoded in body:
                return block, body.index(extrinsic.encoded)
            looked += 1
        details = {"transaction_hash": extrinsic.hash, "last_block": extrinsic.death - 1}
        if final.number >= extrinsic.death:
            raise TransactionFailed(
                f"extrinsic {extrinsic.hash} was in no block in its time and is void: submit the job again",
                details=details,
            )
        if waited >= inclusion_timeout:
            raise ResultTimeout(
                f"extrinsic {extrinsic.hash} is in no final block after {waited:.0f} s; "
                f"up to block {extrinsic.death - 1} it may still get there",
                details=details,
            )
        yield from _hand_in(node, account, extrinsic, again=True)
        yield from pause(poll_interval)
        waited += poll_interval


def _reason(node: Node, block: Block, event: RuntimeEvent) -> Plan[str]:
    """`Pallet.Error`, or the dispatch error."""
    error = event.values["dispatch_error"]
    if isinstance(error, dict) and "Module" in error:
        module = error["Module"]
        number = bytes.fromhex(str(module["error"])[2:])[0]
        return (yield from node.metadata(block)).error(int(module["index"]), number)
    return str(error)
