"""Sending a job, or creating a service: guard, send, and find what it became."""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from faas_sdk import abi
from faas_sdk.effects import Plan
from faas_sdk.guard import Deployment, check_submission
from faas_sdk.operations import INLINE_BYTES, Inputs
from faas_sdk.quote_guard import check_job_quotes, check_service_quotes
from faas_sdk.quotes import (
    JobQuote,
    ServiceQuote,
    create_service_call,
    submit_job_call,
)
from faas_sdk.transactions import Progress, Sending, reverted, transact

_BY_HASH = "with an operator's endpoint and an api_key there, large parts go by their hash"


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
class NewService:
    """A service that was created from quotes."""

    service_id: int
    transaction_hash: str
    block: int
    cost_wei: int


@dataclass(frozen=True, slots=True)
class Payment:
    """How a job is paid for: by its rate, unless there are quotes."""

    maximum_wei: int | None = None
    """Nothing over it is paid."""
    value_wei: int | None = None
    """What the caller says that it costs; refused unless that is so."""
    quotes: tuple[JobQuote, ...] = ()


def submit(
    at: Deployment,
    sending: Sending,
    service_id: int,
    inputs: Inputs,
    payment: Payment,
    progress: Progress,
) -> Plan[JobCall]:
    """Raises SubmissionRefused before anything is paid, TransactionFailed, ResultTimeout."""
    progress("checking the service")
    job_index, payload = inputs.job_index, inputs.payload
    if payment.quotes:
        price = yield from check_job_quotes(
            at, service_id, sending.sender, payment.maximum_wei, payment.value_wei, payment.quotes
        )
        data, event = submit_job_call(payment.quotes), abi.JOB_SUBMITTED_FROM_QUOTE
    else:
        terms = yield from check_submission(
            at, service_id, sending.sender, payment.maximum_wei, job_index, payment.value_wei
        )
        price = terms.price_wei
        data, event = abi.SUBMIT_JOB.call_data(service_id, job_index, payload), abi.JOB_SUBMITTED
    hint = f" (inputs of {len(payload)} bytes; {_BY_HASH})" if len(payload) > INLINE_BYTES else ""
    included = yield from transact(at, sending, data, price, progress, hint)
    for log in included.logs:
        if log.topics[0] == event:
            call_id = int(log.topics[2], 16)
            return JobCall(service_id, call_id, included.transaction_hash, log.block, price, payload)
    raise reverted(included.transaction_hash)


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """A service to be created."""

    quotes: tuple[ServiceQuote, ...]
    permitted_callers: tuple[str, ...]
    """Besides the one who creates it."""
    config: bytes
    """For the blueprint's manager; not looked at on this way."""
    maximum_wei: int
    least_exposure_bps: int


def create_service(
    at: Deployment, sending: Sending, wanted: ServiceOrder, progress: Progress
) -> Plan[NewService]:
    """Raises likewise."""
    progress("checking the quotes")
    limits = (wanted.maximum_wei, wanted.least_exposure_bps)
    cost = yield from check_service_quotes(at, sending.sender, wanted.quotes, *limits)
    data = create_service_call(wanted.quotes, wanted.permitted_callers, wanted.config)
    included = yield from transact(at, sending, data, cost, progress)
    for log in included.logs:
        if log.topics[0] == abi.SERVICE_ACTIVATED:
            return NewService(int(log.topics[1], 16), included.transaction_hash, log.block, cost)
    raise reverted(included.transaction_hash)
