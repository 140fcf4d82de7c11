"""Paying by request: a caller without an account signs a transfer for one run, and gets its answer once paid.

Checked, reserved, run, sent, answered. The transfer is sent when the run has an outcome, and counts with
FAAS_CONFIRMATIONS; until then nobody can read the run. Sending and counting are `payment_settling`'s; the
messages are the API's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from faas_blueprint.digests import Digest
from faas_blueprint.errors import DatabaseUnavailable, FaaSError, Forbidden, PaymentRequired
from faas_blueprint.job import Job, Mode
from faas_blueprint.prices import NANOCREDITS_PER_CREDIT, execution_cost, most_use_of
from faas_blueprint.receipt import Address
from faas_operator.chain.authorization import Authorization, TokenDomain, signer_of
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.payment_token import PaymentToken
from faas_operator.execution_record import ExecutionRecord
from faas_operator.execution_run import RunRequest
from faas_operator.executions import ExecutionService, new_execution_id
from faas_operator.payment_record import Payment, PaymentState, nobodys, require_same
from faas_operator.payment_settling import PaymentSettling
from faas_operator.payment_store import PaymentStore
from faas_operator.settings import Settings

VALID_SECONDS = 900
"""How long an authorization is asked to be valid."""

LEFT_SECONDS = 300
"""How much of it must be left when it comes: run and settlement must fit."""

ANSWER_SECONDS = 120.0
"""How long a caller is kept waiting for the settlement of a run that is over."""

LOOK_SECONDS = 0.5
"""How often a payment that another process settles is looked at."""

MODES = (Mode.EPHEMERAL, Mode.CACHED)
"""Nothing is kept for a caller without an account."""


class PaymentPending(FaaSError):
    """Nothing is known yet: the same request with the same payment waits on."""

    http_status = 503


@dataclass(frozen=True, slots=True)
class Price:
    """What a run is paid for with: the most it can cost by its limits."""

    units: int
    """Of the token, the smallest ones."""
    nanocredits: int
    """What they buy."""


class PayPerRequest:
    """Runs that are paid for one by one, in one token. `settling` is to be run beside it."""

    def __init__(
        self,
        token: PaymentToken,
        store: PaymentStore,
        executions: ExecutionService,
        settings: Settings,
        pay_to: Address,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_duty`: whether this process is the one that sends, of those that share a database."""
        self.pay_to = pay_to
        self.domain: TokenDomain = token.domain
        """Chain and token, and what signatures for it are bound to."""
        self.settling = PaymentSettling(token, store, settings, self._is_in_hand, on_duty)
        self._token = token
        self._store = store
        self._executions = executions
        self._rewind_blocks = settings.rewind_blocks
        self._units = settings.credit_rates[token.domain.token]
        self._turns: WeakValueDictionary[tuple[Address, bytes], asyncio.Lock] = WeakValueDictionary()
        self._runs: dict[int, asyncio.Task[None]] = {}

    def price(self, job: Job, mode: Mode) -> Price:
        """What a run takes."""
        most = execution_cost(self._store.prices, mode, most_use_of(job)).total
        units = -(-most * self._units // NANOCREDITS_PER_CREDIT)
        return Price(units, units * NANOCREDITS_PER_CREDIT // self._units)

    async def pay(
        self, authorization: Authorization, request: RunRequest, digest: Digest
    ) -> tuple[Payment, ExecutionRecord]:
        """The run that was asked for with a payment, once the payment is settled. The first call with it
        runs; others wait with it, or are answered with that run. Going away stops nothing.

        `digest` is that of what was asked. Raises PaymentRequired, with `reason` in its details, for what
        cannot be paid with; Conflict for a payment of another request; Forbidden; PaymentPending;
        ChainUnavailable; and what the run failed with: then the payment is given up.
        """
        if signer_of(self.domain, authorization) != authorization.payer:
            raise refused("invalid_signature", "the signature is not the payer's for this transfer")
        async with self._turn(authorization):
            payment = await asyncio.to_thread(self._store.find, self.domain, authorization)
            if payment is None:
                payment = await self._begin(authorization, request, digest)
        require_same(payment, digest)
        running = self._runs.get(payment.id)
        if running is not None:
            await asyncio.shield(running)
        payment = await self._until_settled(payment)
        return payment, await self._executions.record(payment.execution_id, payment.account)

    # -- parts

    def _turn(self, authorization: Authorization) -> asyncio.Lock:
        """Held by whoever looks whether there is a payment, and begins its run where there is none."""
        return self._turns.setdefault((authorization.payer, authorization.nonce), asyncio.Lock())

    def _is_in_hand(self, payment: Payment) -> bool:
        return payment.id in self._runs or self._turn(payment.authorization).locked()

    async def _begin(self, authorization: Authorization, request: RunRequest, digest: Digest) -> Payment:
        price = self.price(request.job, request.placement.mode)
        first_block = await self._check(authorization, price)
        payment, new = await asyncio.to_thread(
            self._store.reserve,
            *(self.domain, authorization, price.nanocredits, digest, new_execution_id(), first_block),
        )
        if new:
            task = self._runs[payment.id] = asyncio.create_task(self._perform(payment, request))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return payment

    async def _check(self, authorization: Authorization, price: Price) -> int:
        """The first block that its nonce may be used in. Raises PaymentRequired, Forbidden,
        ChainUnavailable."""
        now = time.time()
        if authorization.to != self.pay_to:
            raise refused("wrong_recipient", f"the transfer goes to {authorization.to}, not {self.pay_to}")
        if authorization.value != price.units:
            raise refused("wrong_amount", f"the transfer is of {authorization.value}, not {price.units}")
        if authorization.valid_before < now + LEFT_SECONDS:
            raise refused("expired", f"the transfer must be valid for another {LEFT_SECONDS} seconds")
        if authorization.valid_after >= now:
            raise refused("not_yet_valid", "the transfer is not valid yet")
        account = await asyncio.to_thread(self._store.account_of, authorization.payer)
        if account is not None and account.closed_at is not None:
            raise Forbidden("the account that the payer's address is bound to is closed")
        head = (await self._token.head()).block.number
        if await self._token.is_used(authorization, pending=True):
            raise refused("used", "the transfer's nonce was used before")
        if await self._token.balance(authorization.payer) < authorization.value:
            raise refused("insufficient_funds", "the payer has less than the transfer's amount")
        try:
            await self._token.simulate(authorization)
        except Reverted as error:
            raise refused("refused_by_token", f"the token would refuse the transfer: {error}") from None
        return max(0, head - self._rewind_blocks)

    async def _perform(self, payment: Payment, request: RunRequest) -> None:
        """The run; raises what it failed with. Where it has not begun, its reservation is taken back."""
        asked = replace(request, key=None, execution_id=payment.execution_id, prepaid=True)
        try:
            await self._executions.execute(asked, nobodys(payment.authorization.payer), lambda record: record)
        except DatabaseUnavailable:
            raise  # whether it has begun is seen when the database is back
        except Exception:
            with suppress(DatabaseUnavailable):
                await asyncio.to_thread(self._store.take_back, payment.id)
            raise
        finally:
            del self._runs[payment.id]
            self.settling.wake()

    async def _until_settled(self, payment: Payment) -> Payment:
        """Raises PaymentRequired for one that was given up, PaymentPending."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while True:
                    changed = self.settling.changed
                    found = await asyncio.to_thread(self._store.get, payment.id)
                    if found is None:
                        raise PaymentPending("the run could not begin; nothing is taken, ask again")
                    if found.state is PaymentState.GIVEN_UP:
                        raise refused("given_up", f"this payment is not taken: {found.reason}; sign another")
                    if found.state is not PaymentState.RESERVED:
                        return found
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await changed.wait()
        except TimeoutError:
            raise PaymentPending(
                "the payment is not settled yet: ask again with the same payment for the run's answer"
            ) from None


def refused(reason: str, message: str) -> PaymentRequired:
    """The error of what cannot be paid with; docs/billing.md lists the reasons."""
    return PaymentRequired(message, {"reason": reason})
