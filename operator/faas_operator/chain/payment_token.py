"""The token that requests are paid with, on its chain: what it says of a signed transfer, and sending one.

It takes tokens with EIP-3009's `transferWithAuthorization`. Transfers are sent by an account of their own,
which has the gas and nothing else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Self

from faas_blueprint.errors import ChainUnavailable, MissingPrerequisite
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import address_word
from faas_operator.chain.authorization import (
    CANCELED,
    TRANSFER,
    USED,
    Authorization,
    TokenDomain,
    balance_of,
    is_used,
    token_name,
    token_version,
    transfer_call,
)
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.interface import Block
from faas_operator.chain.rpc import Header, LogEntry, Rpc
from faas_operator.chain.sender import TransactionSender

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NonceUse:
    """Where a payer's nonce was used."""

    block: Block
    transaction_hash: str
    is_transfer: bool
    """Whether by the very transfer that was asked about: a payer can sign another one, or cancel it."""


class PaymentToken:
    """One token, and the account that sends its transfers: the only owner of that account's nonce."""

    def __init__(self, rpc: Rpc, sender: TransactionSender, domain: TokenDomain) -> None:
        self._rpc = rpc
        self._sender = sender
        self.domain = domain
        self._alone = False
        """Whether no transaction can be under way that is not waited for here."""

    @classmethod
    async def connect(cls, rpc: Rpc, sender: TransactionSender, chain_id: int, token: Address) -> Self:
        """Ask the token what its signatures are bound to. Raises MissingPrerequisite when it is none that can
        be paid with, ChainUnavailable."""
        if await rpc.request("eth_getCode", token, "latest") == "0x":
            raise _no_token(token)
        try:
            name, version = await rpc.read(token, token_name()), await rpc.read(token, token_version())
            await rpc.read(token, is_used(sender.address, bytes(32)))
        except Reverted:
            raise _no_token(token) from None
        if int(await rpc.request("eth_getBalance", sender.address, "latest"), 16) == 0:
            log.warning("the account that posts payments by request, %s, has no gas", sender.address)
        return cls(rpc, sender, TokenDomain(chain_id, token, name, version))

    async def head(self) -> Header:
        """The newest block."""
        return await self._rpc.head()

    async def header(self, number: int) -> Header:
        """A block that is there. Raises ChainUnavailable."""
        header = await self._rpc.header(number)
        if header is None:
            raise ChainUnavailable(f"block {number} is not there yet")
        return header

    async def balance(self, holder: Address) -> int:
        """In the token's smallest unit."""
        return await self._rpc.read(self.domain.token, balance_of(holder))

    async def is_used(self, authorization: Authorization, *, pending: bool = False) -> bool:
        """Whether its nonce was used, or will be by what waits to be included."""
        query = is_used(authorization.payer, authorization.nonce)
        block = "pending" if pending else "latest"
        return query.decode(await self._rpc.call(self.domain.token, query.data, block=block))

    async def simulate(self, authorization: Authorization) -> None:
        """Raises Reverted when the token would not move it now."""
        await self._rpc.call(
            self.domain.token, transfer_call(authorization), sender=self._sender.address, block="pending"
        )

    async def use_of(self, authorization: Authorization, first_block: int) -> NonceUse | None:
        """Where its nonce was used from that block on; None when it was not. Raises ChainUnavailable.

        A payer may sign two transfers with one nonce, so that it was used says little. What counts is a
        transaction that is the call of this very transfer, whoever sent it, or, where a contract has called
        the token, a log right after the nonce's that says that the money moved: one log counts for one nonce.
        """
        if not await self.is_used(authorization):
            return None
        topics = ((USED.topic, CANCELED.topic), address_word(authorization.payer))
        found = await self._rpc.logs(
            self.domain.token, (*topics, authorization.nonce), first_block, (await self.head()).block.number
        )
        if not found:
            raise ChainUnavailable("a nonce is used and the log that says where is not there")
        entry = found[-1]
        used = USED.matches(entry.log)
        is_transfer = used and (
            await self._is_call(entry, authorization) or await self._has_moved(entry, authorization)
        )
        return NonceUse(entry.block, entry.transaction_hash, is_transfer)

    async def _is_call(self, entry: LogEntry, authorization: Authorization) -> bool:
        sent = await self._rpc.request("eth_getTransactionByHash", entry.transaction_hash)
        if sent is None:
            raise ChainUnavailable("a transaction that has logs is not there")
        call = "0x" + transfer_call(authorization).hex()
        return str(sent["to"]).lower() == self.domain.token and str(sent["input"]).lower().startswith(call)

    async def _has_moved(self, entry: LogEntry, authorization: Authorization) -> bool:
        number = entry.block.number
        logs = await self._rpc.logs(self.domain.token, (TRANSFER.topic,), number, number)
        moved = (authorization.payer, authorization.to, authorization.value)
        return any(log.index == entry.index + 1 and TRANSFER.decode(log.log) == moved for log in logs)

    async def send(self, authorization: Authorization) -> None:
        """Send it and wait until it is in a block. Raises Reverted when it would not move or did not,
        ChainUnavailable when nobody knows whether it was included."""
        if not self._alone:
            await self._sender.settled()
            self._alone = True
        await self._sender.send(self.domain.token, transfer_call(authorization))


def _no_token(token: Address) -> MissingPrerequisite:
    return MissingPrerequisite(
        f"FAAS_X402_TOKEN: {token} is no token with name, version and transferWithAuthorization (EIP-3009)"
    )
