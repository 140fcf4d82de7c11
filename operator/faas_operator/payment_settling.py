"""Sends payments by request whose runs have an outcome, and counts them once they are deep enough.

What is stored and on the chain says all there is to know, so the same is done after a crash as before it:
first it is looked up whether the payer's nonce is used, then whether there is an outcome to be paid for. Only
one of the processes that share a database does this, with one key: the only owner of its nonce.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress

from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable, FaaSError
from faas_operator.backoff import Backoff
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.interface import Block
from faas_operator.chain.payment_token import NonceUse, PaymentToken
from faas_operator.execution_record import UNFINISHED
from faas_operator.logs import about
from faas_operator.payment_record import FINISHED, Payment, Reservation
from faas_operator.payment_store import PaymentStore
from faas_operator.pipeline import is_deep_enough
from faas_operator.settings import Settings

log = logging.getLogger(__name__)


class PaymentSettling:
    """Settles the payments of one token. `run` it once."""

    def __init__(
        self,
        token: PaymentToken,
        store: PaymentStore,
        settings: Settings,
        is_in_hand: Callable[[Payment], bool],
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_in_hand`: whether this process is about to run what a payment is for, or runs it; `on_duty`:
        whether it is the one that sends."""
        self._token = token
        self._store = store
        self._settings = settings
        self._is_in_hand = is_in_hand
        self._on_duty = on_duty
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._failures = 0
        self._steps: dict[int, asyncio.Task[None]] = {}
        self._looked_at: Block | None = None
        self._woken = asyncio.Event()
        self.changed = asyncio.Event()
        """Set, and replaced by another, when a payment's state has changed in this process."""

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled: whatever is due."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self.once()
                except (ChainUnavailable, DatabaseUnavailable) as error:
                    self._fail(error)
                pause = self._backoff.pause(self._failures) or self._settings.poll_seconds
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        finally:
            for step in self._steps.values():  # taken up at the next start
                step.cancel()
            await asyncio.gather(*self._steps.values(), return_exceptions=True)

    async def once(self) -> None:
        """Begin a step for each payment that waits for one. Raises DatabaseUnavailable, ChainUnavailable, and
        what a step found that must not happen."""
        for number, step in list(self._steps.items()):
            if step.done():
                del self._steps[number]
                step.result()
        if not await asyncio.to_thread(self._on_duty):
            return
        for reservation in await asyncio.to_thread(self._store.reserved, self._token.domain):
            self._begin(reservation.payment.id, self._advance(reservation))
        settled = await asyncio.to_thread(self._store.settled, self._token.domain)
        if settled and (head := (await self._token.head()).block) != self._looked_at:
            begun = [self._begin(payment.id, self._look_again(payment)) for payment in settled]
            self._looked_at = head if all(begun) else None

    def _begin(self, number: int, step: Coroutine[None, None, None]) -> bool:
        """False, and nothing, while another step of the same payment is under way."""
        if number in self._steps:
            step.close()
            return False
        self._steps[number] = asyncio.create_task(self._step(step))
        return True

    async def _step(self, step: Coroutine[None, None, None]) -> None:
        try:
            await step
            self._failures = 0
        except (ChainUnavailable, DatabaseUnavailable) as error:
            self._fail(error)

    def _fail(self, error: FaaSError) -> None:
        self._failures += 1
        self._looked_at = None
        log.warning("payments by request wait", extra=about(error=error))

    async def _advance(self, reservation: Reservation) -> None:
        payment, run = reservation.payment, reservation.run
        if run in UNFINISHED or (run is None and self._may_begin(reservation)):
            return
        use = await self._token.use_of(payment.authorization, payment.first_block)
        if use is not None:
            await self._count(payment, use)
        elif run is None:
            await self._change(self._store.take_back, payment.id)
        elif run not in FINISHED:
            await self._give_up(payment, "its run failed")
        elif await self._is_expired(payment):
            await self._give_up(payment, "it expired before it could be sent")
        else:
            await self._send(payment)

    def _may_begin(self, reservation: Reservation) -> bool:
        """Whether this process or another is about to begin its run."""
        if reservation.payment.process == self._store.process:
            return self._is_in_hand(reservation.payment)
        return not reservation.abandoned

    async def _count(self, payment: Payment, use: NonceUse) -> None:
        if not await self._is_deep(use.block, self._settings.confirmations):
            return
        if not use.is_transfer:
            await self._give_up(payment, "its nonce was used for something else, or cancelled")
            return
        await self._change(self._store.settle, payment.id, use.transaction_hash, use.block)
        log.info("payment by request settled", extra=about(tx=use.transaction_hash))

    async def _send(self, payment: Payment) -> None:
        try:
            await self._token.send(payment.authorization)
        except Reverted as error:
            if not await self._token.is_used(payment.authorization, pending=True):
                await self._give_up(payment, f"the token refused it: {error}")
        self.wake()

    async def _look_again(self, payment: Payment) -> None:
        """One that is in the ledger, until it is as deep as this node ever reads again."""
        assert payment.block is not None
        if (await self._token.header(payment.block.number)).block == payment.block:
            if await self._is_deep(payment.block, self._settings.rewind_blocks):
                await asyncio.to_thread(self._store.finalise, payment.id)
            return
        use = await self._token.use_of(payment.authorization, payment.first_block)
        if use is not None and use.is_transfer:
            await asyncio.to_thread(self._store.move, payment.id, use.block)
        elif use is not None or await self._is_expired(payment):
            await asyncio.to_thread(self._store.undo, payment.id, "a reorganisation has undone it")
        else:
            log.warning("a reorganisation has dropped a payment, it is sent again")
            with suppress(Reverted):  # seen at the next look, by its nonce or its time
                await self._token.send(payment.authorization)

    async def _is_deep(self, block: Block, blocks: int) -> bool:
        return is_deep_enough(block.number, (await self._token.head()).block.number, blocks)

    async def _is_expired(self, payment: Payment) -> bool:
        """Whether it can be in no block any more, by one that counts."""
        head = (await self._token.head()).block.number
        counts = await self._token.header(max(0, head - self._settings.confirmations + 1))
        return counts.timestamp >= payment.authorization.valid_before

    async def _give_up(self, payment: Payment, reason: str) -> None:
        await self._change(self._store.give_up, payment.id, reason)
        told = about(payer=payment.authorization.payer, error=reason)
        log.warning("payment by request given up", extra=told)

    async def _change(self, work: Callable[..., object], *arguments: object) -> None:
        await asyncio.to_thread(work, *arguments)
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
