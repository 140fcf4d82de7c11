"""Transactions of one key: the only owner of its nonce.

A transaction is priced by EIP-1559; one that is not in a block after a while is sent again with the
same nonce and a higher fee, what blocks cost by then at least, so whichever copy is included, its effect
happens once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle.abi import Log
from faas_blueprint.tangle.reverts import ContractError
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.interface import Block
from faas_operator.chain.rpc import Rpc, call_fields

GAS_MARGIN_PERCENT = 25
HOOK_GAS = 600_000
"""On top: Tangle gives a manager's hook up to 500 k and swallows its running out, so no estimate shows it."""
BUMP_PERCENT = 25
"""Nodes take a replacement from 10 % on."""


@dataclass(frozen=True, slots=True)
class TransactionReceipt:
    """A transaction that is in a block and did not revert."""

    transaction_hash: str
    block: Block
    logs: tuple[Log, ...]
    contract: Address | None
    gas_used: int


@dataclass(frozen=True, slots=True)
class _Fees:
    most: int
    priority: int

    def bumped(self) -> _Fees:
        return _Fees(
            self.most * (100 + BUMP_PERCENT) // 100 + 1, self.priority * (100 + BUMP_PERCENT) // 100 + 1
        )

    def at_least(self, other: _Fees) -> _Fees:
        return _Fees(max(self.most, other.most), max(self.priority, other.priority))


class TransactionSender:
    """Sends for one account; replaces a stuck transaction after `patience` seconds, `replacements` times."""

    def __init__(
        self,
        rpc: Rpc,
        account: LocalAccount,
        chain_id: int,
        *,
        patience: float = 45.0,
        replacements: int = 5,
        poll: float = 0.05,
    ) -> None:
        self._rpc = rpc
        self._account = account
        self._chain_id = chain_id
        self._patience = patience
        self._replacements = replacements
        self._poll = poll
        self._turn = asyncio.Lock()
        self._next_nonce: int | None = None
        self._newest: str | None = None
        """The transaction before that nonce, once it was in a block."""
        self.address = address(account.address)

    async def send(self, to: Address | None, data: bytes, value: int = 0) -> TransactionReceipt:
        """Send and wait for inclusion; `to` None creates a contract.

        Raises Reverted when it would revert or did, ChainUnavailable when it cannot be known
        whether it was included.
        """
        async with self._turn:
            gas = await self._gas(to, data, value)
            fees = await self._fees()
            nonce = await self._nonce()
            fields: dict[str, Any] = {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "gas": gas,
                "value": value,
                "data": data,
            }
            if to is not None:
                fields["to"] = to_checksum_address(to)
            try:
                first = await self._submit(fields, fees)
            except BaseException:
                self._next_nonce = None  # whether the node took it is not known; ask again
                raise
            self._next_nonce, self._newest = nonce + 1, None
        receipt = await self._settle(fields, fees, first)
        if self._next_nonce == nonce + 1:
            self._newest = receipt.transaction_hash
        return receipt

    async def settled(self) -> None:
        """Wait until no transaction of this account is pending, such as one from before a restart."""
        deadline = time.monotonic() + self._patience
        while await self._count("pending") > await self._count("latest"):
            if time.monotonic() > deadline:
                raise ChainUnavailable("an earlier transaction of this account is still pending")
            await asyncio.sleep(self._poll * 10)

    async def _gas(self, to: Address | None, data: bytes, value: int) -> int:
        fields = call_fields(to, data, self.address, value)
        estimate = int(await self._rpc.request("eth_estimateGas", fields, "pending"), 16)
        return estimate * (100 + GAS_MARGIN_PERCENT) // 100 + (HOOK_GAS if data else 0)

    async def _fees(self) -> _Fees:
        priority = int(await self._rpc.request("eth_maxPriorityFeePerGas"), 16)
        base = (await self._rpc.head()).base_fee
        return _Fees(2 * base + priority, priority)

    async def _nonce(self) -> int:
        """A node that counts less than was sent lags behind, unless a reorganisation has dropped the rest."""
        pending = await self._count("pending")
        if self._next_nonce is None or pending >= self._next_nonce:
            return pending
        return pending if await self._is_newest_gone() else self._next_nonce

    async def _is_newest_gone(self) -> bool:
        newest = self._newest
        return newest is not None and await self._rpc.request("eth_getTransactionReceipt", newest) is None

    async def _count(self, tag: str) -> int:
        return int(await self._rpc.request("eth_getTransactionCount", self.address, tag), 16)

    async def _submit(self, fields: Mapping[str, Any], fees: _Fees) -> str:
        priced = {**fields, "maxFeePerGas": fees.most, "maxPriorityFeePerGas": fees.priority}
        signed = self._account.sign_transaction(priced)
        name = "0x" + signed.hash.hex()
        try:
            await self._rpc.request("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
        except ChainUnavailable as error:
            # "already known", "already imported"; or "nonce too low", of one that was taken, its answer lost
            if "already" not in error.message.lower() and await self._in_block(name) is None:
                raise
        return name

    async def _in_block(self, name: str) -> Mapping[str, Any] | None:
        """What the node says of a transaction that is in a block."""
        raw = await self._rpc.request("eth_getTransactionReceipt", name)
        return None if raw is None or raw.get("blockNumber") is None else dict(raw)

    async def _settle(self, fields: Mapping[str, Any], fees: _Fees, first: str) -> TransactionReceipt:
        hashes = [first]
        for _ in range(self._replacements + 1):
            raw = await self._included(hashes)
            if raw is not None:
                return await self._receipt(raw, fields)
            if await self._count("latest") > fields["nonce"]:
                break  # included or displaced in this moment: one more look, then give up
            with contextlib.suppress(ChainUnavailable):  # such as: an earlier copy was included just now
                fees = fees.bumped().at_least(await self._fees())
                hashes.append(await self._submit(fields, fees))
        raw = await self._included(hashes)
        if raw is not None:
            return await self._receipt(raw, fields)
        self._next_nonce = None
        raise ChainUnavailable(f"transaction {hashes[0]} was not included", {"transactions": hashes})

    async def _included(self, hashes: list[str]) -> Mapping[str, Any] | None:
        deadline = time.monotonic() + self._patience
        pause = self._poll
        while True:
            for name in hashes:
                raw = await self._in_block(name)
                if raw is not None:
                    return raw
            if time.monotonic() >= deadline:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 2.0)

    async def _receipt(self, raw: Mapping[str, Any], fields: Mapping[str, Any]) -> TransactionReceipt:
        block = Block(int(raw["blockNumber"], 16), str(raw["blockHash"]))
        if int(raw["status"], 16) != 1:
            await self._explain(fields, block)
        logs = tuple(
            Log(
                address(entry["address"]),
                tuple(bytes.fromhex(topic[2:]) for topic in entry["topics"]),
                bytes.fromhex(entry["data"][2:]),
            )
            for entry in raw["logs"]
        )
        contract = address(raw["contractAddress"]) if raw.get("contractAddress") else None
        return TransactionReceipt(str(raw["transactionHash"]), block, logs, contract, int(raw["gasUsed"], 16))

    async def _explain(self, fields: Mapping[str, Any], block: Block) -> None:
        """Raise the reason of a transaction that reverted in its block, as seen right after it."""
        to = address(fields["to"]) if "to" in fields else None
        call = call_fields(to, fields["data"], self.address, fields["value"])
        await self._rpc.request("eth_call", call, hex(block.number))
        raise Reverted(ContractError("Reverted"))
