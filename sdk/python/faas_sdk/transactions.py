"""A transaction to Tangle: built with what it may cost, signed, sent once, waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from eth_account.signers.local import LocalAccount

from faas_sdk.abi import revert_name
from faas_sdk.effects import Plan, pause
from faas_sdk.errors import ConnectionFailed, ResultTimeout, SubmissionRefused, TransactionFailed
from faas_sdk.guard import Deployment
from faas_sdk.rpc import Log, RpcError, log_from_json

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sending:
    """Who pays, and how long to wait for a block."""

    account: LocalAccount
    inclusion_timeout: float
    poll_interval: float

    @property
    def sender(self) -> str:
        """The account's address, in lower case."""
        return str(self.account.address).lower()


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction that is in a block and did what it should."""

    transaction_hash: str
    logs: tuple[Log, ...]
    """Of Tangle's only."""


def transact(
    at: Deployment, sending: Sending, data: bytes, value: int, progress: Progress, hint: str = ""
) -> Plan[Included]:
    """Raises SubmissionRefused before anything is paid (`hint` is added where Tangle would refuse the call),
    TransactionFailed, ResultTimeout."""
    raw, transaction_hash = yield from _signed(at, sending.account, data, value, hint)
    progress(f"sending the transaction, paying {value} wei")
    try:
        yield from at.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
    except RpcError as error:
        # Sent again after a lost answer, it may be there already, even in a block: then all is well.
        if (yield from at.rpc.call("eth_getTransactionByHash", transaction_hash)) is None:
            raise SubmissionRefused("rejected", f"the endpoint rejects the transaction: {error}") from error
    progress(f"waiting for transaction {transaction_hash}")
    receipt = yield from _receipt(at, sending, transaction_hash)
    items = cast("list[dict[str, object]]", receipt.get("logs", []))
    if not isinstance(items, list):
        raise ConnectionFailed("the endpoint's receipt has no logs")
    if int(str(receipt["status"]), 16) != 1:
        raise reverted(transaction_hash)
    own = (item for item in items if str(item["address"]).lower() == at.tangle)
    return Included(transaction_hash, tuple(log_from_json(item) for item in own))


def reverted(transaction_hash: str) -> TransactionFailed:
    """What a transaction that did not do what it should raises."""
    return TransactionFailed(
        f"transaction {transaction_hash} reverted", details={"transaction_hash": transaction_hash}
    )


def _signed(
    at: Deployment, account: LocalAccount, data: bytes, value: int, hint: str
) -> Plan[tuple[bytes, str]]:
    """The signed transaction and its hash."""
    sender = account.address
    query = {"from": sender, "to": at.tangle, "value": hex(value), "data": "0x" + data.hex()}
    balance = yield from at.rpc.number("eth_getBalance", sender, "latest")
    if balance < value:
        raise _insufficient(sender, balance, value)
    try:
        gas = yield from at.rpc.number("eth_estimateGas", query)
    except RpcError as error:
        reason = f"Tangle would refuse it: {revert_name(error)}{hint}"
        raise SubmissionRefused("reverts", reason) from error
    fees = yield from _fees(at)
    limit = gas * 5 // 4
    needed = value + limit * fees.get("maxFeePerGas", fees.get("gasPrice", 0))
    if balance < needed:
        raise _insufficient(sender, balance, needed)
    nonce = yield from at.rpc.number("eth_getTransactionCount", sender, "pending")
    chain_id = yield from at.rpc.number("eth_chainId")
    signed = account.sign_transaction(
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


def _receipt(at: Deployment, sending: Sending, transaction_hash: str) -> Plan[dict[str, object]]:
    waited = 0.0
    while True:
        receipt = yield from at.rpc.call("eth_getTransactionReceipt", transaction_hash)
        if isinstance(receipt, dict):
            return receipt
        if waited >= sending.inclusion_timeout:
            raise ResultTimeout(
                f"transaction {transaction_hash} is in no block after {waited:.0f} s; it may still get there",
                details={"transaction_hash": transaction_hash},
            )
        yield from pause(sending.poll_interval)
        waited += sending.poll_interval


def _insufficient(sender: str, balance: int, needed: int) -> SubmissionRefused:
    return SubmissionRefused(
        "insufficient_funds",
        f"{sender} holds {balance} wei, {needed} may be needed",
        {"balance_wei": balance, "needed_wei": needed},
    )
