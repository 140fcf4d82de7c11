"""What is checked: an operator's word, and what the chain holds of it."""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.bundle import Bundle
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.result import Result, decode_result


@dataclass(frozen=True, slots=True)
class PostedResult:
    """One operator's answer to one job call, as the chain holds it."""

    call: CallReference
    """The chain id is the one that the endpoint reports."""
    inputs: bytes
    payload: bytes
    operator: Address
    """Who sent it, as the Tangle contract saw it (the event's operator)."""
    serves: bool | None
    """Whether Tangle counts the operator among the service's; None when the endpoint cannot say."""
    submitted_in: str
    """Hash of the transaction that asked for the job."""
    posted_in: str
    """Hash of the transaction that answered."""
    job_index: int = 0
    """Which of the blueprint's jobs was called."""
    registered: bool | None = None
    """Whether the service manager knows all that the result starts from; None when it was not asked."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the checks look at."""

    bundle: Bundle
    posted: PostedResult | None = None
    """None when only a receipt file is at hand."""
    result: Result | None = None
    """The posted payload, decoded; there when `posted` is."""
    expected_operator: Address | None = None
    """Whose receipt this must be, where the caller knows."""


def evidence_from_chain(posted: PostedResult, expected_operator: Address | None = None) -> Evidence:
    """Evidence from the chain alone. Raises InvalidRequest when the posted payload is no result."""
    result = decode_result(posted.payload)
    receipt = result.receipt(posted.call, posted.operator)
    bundle = Bundle(receipt, result.signature, posted.inputs, result.outcome, result.output)
    return Evidence(bundle, posted, result, expected_operator)


def evidence_from_bundle(
    bundle: Bundle, posted: PostedResult | None = None, expected_operator: Address | None = None
) -> Evidence:
    """A receipt file, held against the chain where `posted` is given. Raises InvalidRequest likewise."""
    result = None if posted is None else decode_result(posted.payload)
    return Evidence(bundle, posted, result, expected_operator)
