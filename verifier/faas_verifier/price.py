"""What a run costs, worked out again from its receipt file: check 9, made when a mode is named.

Job and outcome are those that the receipt is signed over (checks 4 and 6); mode and price table are the
caller's word, but for what the job says: whether its machine is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Mode
from faas_blueprint.operation import Run
from faas_blueprint.operation_payload import decode_operation
from faas_blueprint.prices import (
    PRICES,
    Cost,
    PriceTable,
    execution_cost,
    in_credits,
    price_table_from_json,
    require_mode_of,
    use_of,
)
from faas_verifier.evidence import Evidence
from faas_verifier.verdict import Difference, Finding, Status, Verdict

_NUMBER, _NAME = 9, "price"


@dataclass(frozen=True, slots=True)
class PriceQuestion:
    """What is to be worked out."""

    mode: Mode
    table: PriceTable = PRICES
    charged: int | None = None
    """What was taken, in nanocredits; None: nothing is compared."""


def load_price_table(path: Path) -> PriceTable:
    """A table as `GET /pricing` answers it, whole or its `table` alone. Raises InvalidRequest."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} is no price table: {error}") from error
    table = data.get("table", data) if isinstance(data, dict) else None
    if not isinstance(table, dict):
        raise InvalidRequest(f"{path} is no price table: it holds no object")
    return price_table_from_json(table)


def cost_of(evidence: Evidence, question: PriceQuestion) -> Cost:
    """The cost. Raises InvalidRequest for a job that is none, or another mode's."""
    operation = decode_operation(evidence.bundle.job)
    if not isinstance(operation, Run):
        raise InvalidRequest("only jobs that run a program have a price of their own")
    job = operation.program.job
    require_mode_of(job, question.mode)
    return execution_cost(question.table, question.mode, use_of(job, evidence.bundle.outcome))


def with_price(verdict: Verdict, question: PriceQuestion | None) -> Verdict:
    """The verdict with check 9, where a price was asked for and there is a receipt to work it out from."""
    if question is None or verdict.evidence is None:
        return verdict
    return Verdict((*verdict.findings, price_finding(verdict.evidence, question)), verdict.evidence)


def price_finding(evidence: Evidence, question: PriceQuestion) -> Finding:
    """9. The cost, and whether it is what was charged."""
    try:
        cost = cost_of(evidence, question)
    except InvalidRequest as error:
        return Finding(_NUMBER, _NAME, Status.FAILED, error.message)
    detail = (
        f"{cost.total} nanocredits ({in_credits(cost.total):.9f} credits: compute {cost.compute}, "
        f"network {cost.network}) in mode {question.mode} by price table {question.table.version}"
    )
    if question.charged is None or question.charged == cost.total:
        return Finding(_NUMBER, _NAME, Status.PASSED, detail)
    difference = Difference("nanocredits", question.charged, cost.total)
    return Finding(_NUMBER, _NAME, Status.FAILED, f"the cost is {detail}", (difference,))


def price_to_json(verdict: Verdict, question: PriceQuestion) -> dict[str, object] | None:
    """The parts of the cost, for `--json`; None where it cannot be worked out."""
    if verdict.evidence is None:
        return None
    try:
        cost = cost_of(verdict.evidence, question)
    except InvalidRequest:
        return None
    return {
        "mode": str(question.mode),
        "price_version": question.table.version,
        "compute_nanocredits": cost.compute,
        "network_nanocredits": cost.network,
        "total_nanocredits": cost.total,
    }
