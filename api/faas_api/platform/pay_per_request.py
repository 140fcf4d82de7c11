"""`POST /execute` of callers without a key: they are told what the run costs, pay, and get its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Header, Request, Response
from starlette.requests import ClientDisconnect

from faas_api.cut_off import while_connected
from faas_api.errors import error_response, refusal
from faas_api.payment_messages import (
    PAYMENT_HEADER,
    payment_of,
    required_header,
    requirements,
    response_header,
)
from faas_api.platform.command_request import AnyExecuteRequest
from faas_blueprint.errors import ChainUnavailable, InvalidRequest, PaymentRequired, RequestError
from faas_operator.execution_record import ExecutionRecord
from faas_operator.execution_run import RunRequest
from faas_operator.executions import require_in_time
from faas_operator.payments import MODES, PaymentPending, PayPerRequest

log = logging.getLogger(__name__)

REQUIRED_HEADER = "PAYMENT-REQUIRED"
RESPONSE_HEADER = "PAYMENT-RESPONSE"

PaymentHeader = Annotated[
    str | None,
    Header(
        alias=PAYMENT_HEADER,
        description="Instead of a key, where the service takes payments by request: a payment as x402 "
        "describes it. The same request with the same payment has the same answer and runs once.",
    ),
]

_WAIT = {"Retry-After": "5"}


class Paying:
    """Answers callers who pay by request."""

    def __init__(
        self,
        payments: PayPerRequest,
        shaped: Callable[[AnyExecuteRequest, ExecutionRecord, int, Mapping[str, str]], Response],
    ) -> None:
        """`shaped` makes an answer in the fields of the form that was asked with."""
        self._payments = payments
        self._shaped = shaped

    async def answer(
        self, body: AnyExecuteRequest, request: Request, header: str | None, prefers_async: bool
    ) -> Response:
        """The response: 402 with what to pay, or the run's answer. Raises InvalidRequest."""
        run = body.run(body.job(), "payment")
        _require_simple(body, run, prefers_async)
        try:
            if header is None:
                raise PaymentRequired("send an API key, or pay for this run", {"reason": "payment_required"})
            return await self._paid(body, run, request, header)
        except PaymentRequired as error:
            return self._required(run, request, error)
        except (ChainUnavailable, PaymentPending) as error:
            log.warning("a payment by request waits: %s", error)
            told = (
                error.message if isinstance(error, PaymentPending) else "the chain does not answer; try again"
            )
            return error_response(503, "INTERNAL_ERROR", told, headers=_WAIT)
        except ClientDisconnect:
            return Response(status_code=499)

    async def _paid(
        self, body: AnyExecuteRequest, run: RunRequest, request: Request, header: str
    ) -> Response:
        assert run.key is not None
        authorization = payment_of(header, self._payments.domain)
        paying = self._payments.pay(authorization, run, run.key.request)
        payment, record = await while_connected(request, paying)
        headers = {RESPONSE_HEADER: response_header(payment, self._payments.domain)}
        try:
            return self._shaped(body, require_in_time(record), 200, headers)
        except RequestError as error:  # its time was up: paid for all the same
            answer = refusal(error)
            answer.headers.update(headers)
            return answer

    def _required(self, run: RunRequest, request: Request, error: PaymentRequired) -> Response:
        price = self._payments.price(run.job, run.placement.mode)
        asked = requirements(self._payments.domain, self._payments.pay_to, price.units)
        header = required_header(asked, str(request.url), error.message)
        details: Mapping[str, object] = {
            **error.details,
            "required_nanocredits": price.nanocredits,
            "accepts": [asked.model_dump(by_alias=True, mode="json")],
        }
        return error_response(402, error.code, error.message, details, {REQUIRED_HEADER: header})


def _require_simple(body: AnyExecuteRequest, run: RunRequest, prefers_async: bool) -> None:
    """Raises InvalidRequest for what takes an account."""
    placement = run.placement
    asked = {
        "mode": placement.mode not in MODES,
        "snapshot_id": placement.snapshot_id is not None,
        "branch_id": placement.branch_id is not None,
        "session": placement.session is not None,
        "execution_id": run.execution_id is not None,
        "async": body.asynchronous or prefers_async,
        "terminal": run.job.terminal is not None,
        "interactive": run.job.interactive,
    }
    for field in (name for name, given in asked.items() if given):
        raise InvalidRequest(
            f"{field}: without an API key, single runs in mode {' or '.join(MODES)} are served, at once",
            {"field": field},
        )
