"""Sending a job: guard, build, sign, send, and find the call that it became."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from faas_sdk import abi
from faas_sdk.abi import revert_name
from faas_sdk.effects import Plan, pause
from faas_sdk.errors import ConnectionFailed, ResultTimeout, SubmissionRefused, TransactionFailed
from faas_sdk.guard import Deployment, check_submission
from faas_sdk.operations import INLINE_BYTES
from faas_sdk.payload import EXECUTE_JOB
from faas_sdk.rpc import Log, RpcError, log_from_json

_BY_HASH = "with an operator's endpoint and an api_key there, large parts go by their hash"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class JobCall:
    """A job that stands on-chain."""

    service_id: int
    call_id: int
    transaction_hash: str
    block: int
    price_wei: int
    inputs: bytes = field(repr=False)
    """The canonical payload."""

    @property
    def job_digest(self) -> str:
        """Keccak-256 of the inputs: what a receipt for this job must name."""
        return "0x" + keccak(self.inputs).hex()

    def __int__(self) -> int:
        return self.call_id


@dataclass(frozen=True, slots=True)
class Submission:
    """What is sent, by whom, and how long to wait for a block."""

    account: LocalAccount
    service_id: int
    inputs: bytes = field(repr=False)
    maximum_price_wei: int | None
    inclusion_timeout: float
    poll_interval: float
    job_index: int = EXECUTE_JOB


def submit(at: Deployment, job: Submission, progress: Progress) -> Plan[JobCall]:
    """Guard, sign, send, wait for the block. Raises SubmissionRefused, TransactionFailed, ResultTimeout."""
    progress("checking the service")
    terms = yield from check_submission(
        at, job.service_id, job.account.address.lower(), job.maximum_price_wei, job.job_index
    )
    raw, transaction_hash = yield from _signed(at, job, terms.price_wei)
    progress(f"submitting the job, paying {terms.price_wei} wei")
    try:
        yield from at.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
    except RpcError as error:
        # Sent again after a lost answer, it may be there already, even in a block: then all is well.
        if (yield from at.rpc.call("eth_getTransactionByHash", transaction_hash)) is None:
            raise SubmissionRefused("rejected", f"the endpoint rejects the transaction: {error}") from error
    progress(f"waiting for transaction {transaction_hash}")
    receipt = yield from _receipt(at, job, transaction_hash)
    log = _submitted_log(at, receipt)
    if int(str(receipt["status"]), 16) != 1 or log is None:
        raise TransactionFailed(
            f"transaction {transaction_hash} reverted", details={"transaction_hash": transaction_hash}
        )
    return JobCall(
        job.service_id, int(log.topics[2], 16), transaction_hash, log.block, terms.price_wei, job.inputs
    )


def _signed(at: Deployment, job: Submission, value: int) -> Plan[tuple[bytes, str]]:
    """The signed transaction and its hash."""
    data = abi.SUBMIT_JOB.call_data(job.service_id, job.job_index, job.inputs)
    sender = job.account.address
    query = {"from": sender, "to": at.tangle, "value": hex(value), "data": "0x" + data.hex()}
    balance = yield from at.rpc.number("eth_getBalance", sender, "latest")
    if balance < value:
        raise _insufficient(sender, balance, value)
    try:
        gas = yield from at.rpc.number("eth_estimateGas", query)
    except RpcError as error:
        hint = f" (inputs of {len(job.inputs)} bytes; {_BY_HASH})" if len(job.inputs) > INLINE_BYTES else ""
        reason = f"Tangle would refuse the job: {revert_name(error)}{hint}"
        raise SubmissionRefused("reverts", reason) from error
    fees = yield from _fees(at)
    limit = gas * 5 // 4
    needed = value + limit * fees.get("maxFeePerGas", fees.get("gasPrice", 0))
    if balance < needed:
        raise _insufficient(sender, balance, needed)
    nonce = yield from at.rpc.number("eth_getTransactionCount", sender, "pending")
    chain_id = yield from at.rpc.number("eth_chainId")
    signed = job.account.sign_transaction(
        {
            "to": bytes.fromhex(at.tangle[2:]),
            "value": value,
            "data": data,
            "gas": limit,
            "nonce": nonce,
            "chainId": chain_id,
            **fees,
        }
    )
    return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()


def _fees(at: Deployment) -> Plan[dict[str, int]]:
    """EIP-1559 with room for the base fee to double; the gas price where a chain has no base fee."""
    block = yield from at.rpc.call("eth_getBlockByNumber", "latest", False)
    base = block.get("baseFeePerGas") if isinstance(block, dict) else None
    if not isinstance(base, str):
        return {"gasPrice": (yield from at.rpc.number("eth_gasPrice"))}
    tip = yield from at.rpc.number("eth_maxPriorityFeePerGas")
    return {"maxFeePerGas": 2 * int(base, 16) + tip, "maxPriorityFeePerGas": tip}


def _receipt(at: Deployment, job: Submission, transaction_hash: str) -> Plan[dict[str, object]]:
    waited = 0.0
    while True:
        receipt = yield from at.rpc.call("eth_getTransactionReceipt", transaction_hash)
        if isinstance(receipt, dict):
            return receipt
        if waited >= job.inclusion_timeout:
            raise ResultTimeout(
                f"transaction {transaction_hash} is in no block after {waited:.0f} s; it may still get there",
                details={"transaction_hash": transaction_hash},
            )
        yield from pause(job.poll_interval)
        waited += job.poll_interval


def _submitted_log(at: Deployment, receipt: dict[str, object]) -> Log | None:
    items = cast("list[dict[str, object]]", receipt.get("logs", []))
    if not isinstance(items, list):
        raise ConnectionFailed("the endpoint's receipt has no logs")
    for item in items:
        log = log_from_json(item)
        if str(item["address"]).lower() == at.tangle and log.topics[0] == abi.JOB_SUBMITTED:
            return log
    return None


def _insufficient(sender: str, balance: int, needed: int) -> SubmissionRefused:
    return SubmissionRefused(
        "insufficient_funds",
        f"{sender} holds {balance} wei, {needed} may be needed",
        {"balance_wei": balance, "needed_wei": needed},
    )
