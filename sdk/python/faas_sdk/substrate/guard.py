"""What is looked at before a fee is paid on a Substrate chain: every reason not to send a job.

1. `not_tangle`: the chain has the Services pallet.
2. `unknown_service`: the service exists; one that has ended is taken away.
3. `no_operator`: somebody serves it, or the job would stay there unanswered.
4. `not_permitted`: this account may submit jobs to it.
5. `schema_mismatch`: its blueprint's job takes the inputs that this client encodes.
6. `too_large`: the pallet's bounds and a block hold the inputs.
7. `insufficient_funds`: the account holds the fee, and stays alive. The pallet takes nothing for a job.

Any of them raises SubmissionRefused with that word; nothing was sent then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from faas_sdk.effects import Plan
from faas_sdk.errors import SubmissionRefused
from faas_sdk.operations import PARAMETERS, Inputs
from faas_sdk.rpc import RpcError
from faas_sdk.substrate.account import Extrinsic, SubstrateAccount
from faas_sdk.substrate.fields import encode_types, to_fields
from faas_sdk.substrate.node import Block, Node

_BY_HASH = "with an operator's endpoint and an api_key there, large parts go by their hash"


def require_tangle(node: Node, head: Block) -> Plan[None]:
    """1. The chain has the Services pallet."""
    if not (yield from node.metadata(head)).has("Services"):
        raise SubmissionRefused("not_tangle", f"the chain at {node.rpc.url} has no Services pallet")


def check_service(node: Node, head: Block, service_id: int, job_index: int, caller: str) -> Plan[None]:
    """1 to 5; `caller` in the generic address format."""
    yield from require_tangle(node, head)
    service = yield from node.value(head, "Services", "Instances", service_id)
    if service is None:
        raise SubmissionRefused("unknown_service", f"there is no service {service_id}, or it has ended")
    if not operators_of(service):
        raise SubmissionRefused(
            "no_operator", f"no operator serves service {service_id}: nobody would answer"
        )
    if not may_call(service, caller):
        raise SubmissionRefused(
            "not_permitted",
            f"{caller} may not submit jobs to service {service_id} of {service['owner']}, "
            "who named the callers when asking for it",
        )
    blueprint_id = int(service["blueprint"])
    stored = yield from node.value(head, "Services", "Blueprints", blueprint_id)
    jobs = [] if stored is None else _items(stored[1]["jobs"])
    if len(jobs) <= job_index:
        raise SubmissionRefused("schema_mismatch", f"blueprint {blueprint_id} has no job {job_index}")
    metadata = yield from node.metadata(head)
    if _items(jobs[job_index]["params"]) != metadata.field_types(encode_types(PARAMETERS[job_index])):
        raise SubmissionRefused(
            "schema_mismatch",
            f"blueprint {blueprint_id} wants other inputs than this client makes; is it this blueprint?",
        )


def fields_of(inputs: Inputs) -> bytes:
    """6. The inputs as the pallet takes them."""
    try:
        return to_fields(PARAMETERS[inputs.job_index], inputs.payload)
    except ValueError as error:
        raise SubmissionRefused("too_large", f"the inputs do not fit: {error}; {_BY_HASH}") from error


def check_extrinsic(node: Node, head: Block, account: SubstrateAccount, extrinsic: Extrinsic) -> Plan[None]:
    """6 and 7, of the whole extrinsic. A node that does not tell fees is asked about the balance only."""
    metadata = yield from node.metadata(head)
    size, most = len(extrinsic.encoded), int(metadata.constant("System", "BlockLength")["max"]["normal"])
    if size > most:
        raise SubmissionRefused(
            "too_large",
            f"the job takes {size} bytes, a block holds {most}; {_BY_HASH}",
            {"bytes": size, "most": most},
        )
    held = yield from node.value(head, "System", "Account", account.account_id)
    free = 0 if held is None else int(held["data"]["free"]) - int(held["data"]["frozen"])
    try:
        told = yield from node.rpc.call("payment_queryInfo", "0x" + extrinsic.encoded.hex(), head.hash)
        fee = int(cast("Mapping[str, str]", told)["partialFee"])
    except RpcError:
        fee = 0
    needed = fee + int(metadata.constant("Balances", "ExistentialDeposit"))
    if free < max(needed, 1):
        raise SubmissionRefused(
            "insufficient_funds",
            f"{account.address} holds {free} of the smallest unit, {needed} are needed for the fee",
            {"balance": free, "needed": needed},
        )


def operators_of(service: Mapping[str, Any]) -> list[str]:
    """Who serves, in the generic address format."""
    return [str(item[0]) for item in _items(service["operator_security_commitments"])]


def may_call(service: Mapping[str, Any], caller: str) -> bool:
    """Whether the pallet takes the caller's jobs."""
    return caller == service["owner"] or caller in _items(service["permitted_callers"])


def _items(value: Any) -> Sequence[Any]:
    """Of a bounded list, which some decoders wrap in a tuple of one."""
    while isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], list | tuple):
        value = value[0]
    return cast("Sequence[Any]", value)
