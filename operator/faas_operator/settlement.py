"""Fetches from the credits contract what customers have used, within what they have signed.

The contract counts totals from the start of a purse's series, and so does what is sent: a transaction that
is sent twice, or by a node that forgot that it had sent one, takes nothing twice. A purse is left alone until
the ledger knows it as the contract does. The ledger learns of a settlement from its log, as of everything
else.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from faas_blueprint.digests import sha256
from faas_blueprint.receipt import Address
from faas_blueprint.tangle import credits
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.logs import about
from faas_operator.spending_limits import Due, SpendingLimits

log = logging.getLogger(__name__)


class Settlement:
    """Settles with one contract, as its operator."""

    def __init__(
        self, rpc: Rpc, sender: TransactionSender, contract: Address, limits: SpendingLimits
    ) -> None:
        self._rpc = rpc
        self._sender = sender
        self._contract = contract
        self._limits = limits

    async def settle(self) -> int:
        """Fetch all that is due. Answers how many purses were settled. Raises ChainUnavailable."""
        settled = 0
        for due in await asyncio.to_thread(self._limits.due):
            purse = due.limit.purse
            there = await self._rpc.read(self._contract, credits.account_of(purse))
            if replace(there, refundable_at=0) != due.known:
                continue
            total = due.known.settled + due.amount
            try:
                await self._sender.send(self._contract, _call(due, total))
            except Reverted as error:
                log.warning("settlement refused", extra=about(payer=purse.payer, error=error.error))
                continue
            log.info("settled", extra=about(payer=purse.payer, token=purse.token, amount=due.amount))
            settled += 1
        return settled


def _call(due: Due, total: int) -> bytes:
    """The usage that is settled is named by the purse, its series and the total."""
    purse = due.limit.purse
    named = f"{purse.account_id.hex()} {purse.payer} {purse.token} {due.limit.series} {total}"
    return credits.settle_within_limit(due.limit, due.signature, total, sha256(named.encode()))
