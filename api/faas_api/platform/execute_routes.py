"""`POST /execute`: run code, wait for it or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Body, Header, Request, Response
from starlette.requests import ClientDisconnect

from faas_api.authentication import Access, AccountId
from faas_api.cut_off import while_connected
from faas_api.payment_messages import PAYMENT_HEADER
from faas_api.platform.command_request import AnyExecuteRequest, CommandRequest
from faas_api.platform.describing import matching
from faas_api.platform.multipart import DOCUMENTED_BODY, MultipartRoute
from faas_api.platform.pay_per_request import Paying, PaymentHeader
from faas_api.platform.requests import Asked
from faas_api.platform.responses import CommandExecution, Execution, command_answer, execution_answer
from faas_blueprint.errors import InvalidRequest
from faas_operator.account_record import Scope
from faas_operator.execution_record import ExecutionRecord
from faas_operator.executions import ExecutionService, require_in_time
from faas_operator.payments import PayPerRequest

CLIENT_CLOSED_REQUEST = 499
"""What the log says of a caller who went away; nobody receives it."""

IdempotencyHeader = Annotated[
    Annotated[str, matching("^[ -~]+$", minLength=1, maxLength=255)] | None,
    Header(
        alias="Idempotency-Key",
        description="For 24 hours, the same request under the same key has the same answer and runs once; "
        "another request is refused with 409. After a failure of the service the key is free again.",
    ),
]
PreferHeader = Annotated[
    str | None, Header(alias="Prefer", description="`respond-async`: answer 202 at once")
]

DOCUMENTED = {
    200: {"model": Execution | CommandExecution, "description": "It ended, with whatever exit code"},
    202: {"model": Execution, "description": "It was accepted; see `Location`"},
    402: {"description": "The balance does not cover the most that it can cost, see `details.required`"},
    408: {"description": "It used up its time; `details` holds what it wrote until then, and the receipt"},
}
"""Of running in a branch too."""

PAYABLE = {
    402: {
        "description": "The balance does not cover the most that it can cost, see `details.required`; or "
        "there is no key, and `PAYMENT-REQUIRED` and `details.accepts` say what to pay for this run"
    }
}


def router(executions: ExecutionService, access: Access, payments: PayPerRequest | None = None) -> APIRouter:
    """The route over one service; with `payments`, callers without a key pay for each run."""
    routes = APIRouter(tags=["executions"], route_class=MultipartRoute)
    answering = Answering(executions)
    paying = None if payments is None else Paying(payments, _answer)
    runner = access.account_to(Scope.EXECUTE) if paying is None else access.account_or_none_to(Scope.EXECUTE)

    @routes.post(
        "/execute",
        response_model=None,
        responses=DOCUMENTED | PAYABLE,  # type: ignore[arg-type]
        openapi_extra=DOCUMENTED_BODY,
    )
    async def execute(
        body: Annotated[AnyExecuteRequest, Body()],
        request: Request,
        account: AccountId | None = runner,
        key: IdempotencyHeader = None,
        prefer: PreferHeader = None,
        payment: PaymentHeader = None,
    ) -> Response:
        """Run code and wait for its end, unless asked not to.

        Going away cancels the run, unless it has an idempotency key: then ask again for its answer. Where a
        service takes payments by request, a caller without a key is told the price in `PAYMENT-REQUIRED`, and
        sends the same request again with the payment.
        """
        if account is None:
            assert paying is not None
            return await paying.answer(body, request, payment, _prefers_async(prefer))
        if payment is not None:
            raise InvalidRequest("send a key or a payment, not both", {"field": PAYMENT_HEADER})
        return await answering.answer(body, request, account, key, prefer)

    return routes


class Answering:
    """Runs what a body asks for and answers as its caller prefers."""

    def __init__(self, executions: ExecutionService) -> None:
        self._executions = executions

    async def answer(
        self,
        body: AnyExecuteRequest,
        request: Request,
        account: AccountId,
        key: str | None,
        prefer: str | None,
    ) -> Response:
        """The response."""
        run = body.run(body.job(), key)
        if body.asynchronous or _prefers_async(prefer):
            execution_id = await self._executions.start(run, account)
            record = await self._executions.record(execution_id, account)
            return _accepted(body, record, request, prefer)

        def make(record: ExecutionRecord) -> Response:
            return _answer(body, require_in_time(record))

        try:
            return await while_connected(request, self._executions.execute(run, account, make))
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)


def _prefers_async(prefer: str | None) -> bool:
    wishes = (prefer or "").lower().replace(";", ",").split(",")
    return "respond-async" in (wish.strip() for wish in wishes)


def _accepted(body: Asked, record: ExecutionRecord, request: Request, prefer: str | None) -> Response:
    headers = {"Location": f"{request.url_for('get_execution', execution_id=record.id).path}"}
    if _prefers_async(prefer):
        headers["Preference-Applied"] = "respond-async"
    return _answer(body, record, 202, headers)


def _answer(
    body: Asked, record: ExecutionRecord, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """In the fields of the form that was asked with."""
    answer = command_answer(record) if isinstance(body, CommandRequest) else execution_answer(record)
    return Response(answer.model_dump_json(), status, headers, "application/json")
