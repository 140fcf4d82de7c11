"""Answers service requests while the node runs: approves what the policy allows, says why not of the others.

Nothing is kept: what stands on the chain is looked at again after a restart or a reorganisation. A request is
acted on once its block has the confirmations that jobs need, so that no other takes its id meanwhile, and an
approval is sent only when Tangle would take it at the newest block, so that none is paid for twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable
from faas_blueprint.tangle import service_request
from faas_operator.approval import ApprovalPolicy
from faas_operator.backoff import Backoff, repeat
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.interface import Block
from faas_operator.chain.requests import Requests, RequestSeen, RequestStanding
from faas_operator.happenings import REQUEST_ANSWERS, REQUESTS
from faas_operator.logs import about
from faas_operator.settings import Settings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """A request that may still be to be answered."""

    due: float = 0.0
    """When it is to be looked at again, by the node's clock."""
    failures: int = 0
    told: str | None = None
    """The reason that was logged."""
    approved: bool = False
    refused: bool = False
    settled_in: int | None = None
    """The block from which on there is nothing to do."""


class Approver:
    """Answers for one operator. `run` it once."""

    def __init__(
        self,
        chain: EvmAdapter,
        policy: ApprovalPolicy,
        settings: Settings,
        clock: Callable[[], float],
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_duty`: whether this process is the one that uses the operator's key."""
        self._chain = chain
        self._policy = policy
        self._settings = settings
        self._clock = clock
        self._on_duty = on_duty
        self._requests = Requests(chain.rpc, chain.epoch, chain.tangle, chain.blueprint_id, chain.operator)
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._watched: dict[int, _Watched] = {}
        self._read_to: int | None = None
        self._head: Block | None = None
        self._trouble: str | None = None
        """What was told of requests that cannot be read."""

    async def run(self) -> None:
        """Until cancelled."""
        await repeat(self.once, self._settings.poll_seconds, self._backoff, _tell)

    async def once(self) -> None:
        """Whatever is due. Raises ChainUnavailable, DatabaseUnavailable."""
        if not await asyncio.to_thread(self._on_duty):
            return
        try:
            await self._answer()
        except Reverted as error:  # of a view: a deployment that knows no such thing
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warning("service requests cannot be read", extra=about(error=error))

    async def _answer(self) -> None:
        head = await self._chain.head()
        if head != self._head:
            await self._read(head)
            self._head = head
        now = self._clock()
        for request_id, watched in sorted(self._watched.items()):
            if watched.due <= now:
                await self._look_at(request_id, watched, head, now)
        self._forget(head)
        waiting = [item for item in self._watched.values() if item.settled_in is None]
        REQUESTS.labels("refused").set(sum(item.refused for item in waiting))
        REQUESTS.labels("approved").set(sum(item.approved for item in waiting))

    async def _read(self, head: Block) -> None:
        """Take in the requests of blocks that are deep enough, again where a reorganisation may have been."""
        last = head.number - self._settings.confirmations + 1
        if self._read_to is None:
            first = await self._requests.first_block()
        else:
            first = max(0, min(self._read_to, last) + 1 - self._settings.rewind_blocks)
        for request_id in await self._requests.ids(first, last):
            self._watched.setdefault(request_id, _Watched())
        self._read_to = last

    async def _look_at(self, request_id: int, watched: _Watched, head: Block, now: float) -> None:
        seen = await self._requests.look_at(request_id)
        watched.approved = seen is not None and seen.standing is RequestStanding.APPROVED
        watched.refused = False
        watched.due = now + self._settings.retry_seconds_at_most
        if seen is None:
            watched.settled_in = head.number if watched.settled_in is None else watched.settled_in
            return
        watched.settled_in = None
        if watched.approved:
            return
        reason = seen.refusal or self._policy.against(seen.terms, await self._serving())
        if reason is None:
            await self._approve(request_id, watched, now)
        else:
            await self._refuse(request_id, watched, seen, reason, now)

    async def _serving(self) -> int:
        """Services that are open, and those that are going to be."""
        if self._policy.services_at_most is None:
            return 0
        approved = sum(item.approved and item.settled_in is None for item in self._watched.values())
        return len(await self._chain.served.ids()) + approved

    async def _approve(self, request_id: int, watched: _Watched, now: float) -> None:
        call = self._chain.epoch.approve_service(request_id)
        if await self._sent(request_id, watched, call, "approved", now):
            watched.approved = True
            log.info("service request approved", extra=about(request=request_id))

    async def _refuse(
        self, request_id: int, watched: _Watched, seen: RequestSeen, reason: str, now: float
    ) -> None:
        watched.refused = True
        if watched.told != reason:
            watched.told = reason
            log.warning(
                "a service request is not approved",
                extra=about(
                    request=request_id,
                    requester=seen.terms.requester,
                    reason=reason,
                    todo=f"to take it all the same: faas operator approve {request_id}",
                ),
            )
        # not where only the number of services is against it, which may change
        hopeless = seen.refusal is None and self._policy.against(seen.terms, 0) is not None
        if hopeless and self._settings.reject_requests:
            call = service_request.reject_service(request_id)
            if await self._sent(request_id, watched, call, "rejected", now):
                watched.refused = False
                log.info("service request rejected", extra=about(request=request_id, reason=reason))

    async def _sent(self, request_id: int, watched: _Watched, call: bytes, answer: str, now: float) -> bool:
        try:
            await self._chain.sender.send(self._chain.tangle, call)
        except Reverted as error:
            watched.failures += 1
            watched.due = now + self._backoff.pause(watched.failures)
            REQUEST_ANSWERS.labels("failed").inc()
            extra = about(request=request_id, error=error)
            log.warning("Tangle takes no answer to a service request", extra=extra)
            return False
        watched.failures = 0
        REQUEST_ANSWERS.labels(answer).inc()
        return True

    def _forget(self, head: Block) -> None:
        """What was settled so long ago that no reorganisation brings it back."""
        for request_id, watched in list(self._watched.items()):
            settled = watched.settled_in
            if settled is not None and head.number - settled > self._settings.rewind_blocks:
                del self._watched[request_id]


def _tell(error: ChainUnavailable | DatabaseUnavailable) -> None:
    log.warning("service requests cannot be answered", extra=about(error=error))
