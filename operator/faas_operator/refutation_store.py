"""What this operator has signed against others' receipts: reports of bisections, with its signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from faas_blueprint.bisection import Report
from faas_blueprint.digests import Digest, digest_from_hex, to_hex
from faas_blueprint.receipt import Address, CallReference
from faas_operator.court_tables import RefutationRow
from faas_operator.job_record import call_columns
from faas_operator.transactions import lock


@dataclass(frozen=True, slots=True)
class Refutation:
    """One report, signed."""

    operator: Address
    """Whose receipt is refuted."""
    report_digest: Digest
    report: dict[str, object]
    """As JSON."""
    signature: bytes
    made_at: float
    """Unix seconds."""


class RefutationStore:
    """Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def keep(self, report: Report, signature: bytes) -> None:
        """Remember that this was signed; once is enough."""
        row = RefutationRow(
            **call_columns(report.call),
            operator=report.operator,
            report_digest=to_hex(report.digest()),
            report=json.dumps(report.to_json()),
            signature=signature,
            made_at=self._clock(),
        )
        with Session(self._engine) as session:
            lock(session, "refutations")
            session.merge(row)
            session.commit()

    def of_call(self, call: CallReference) -> list[Refutation]:
        """All of a call, oldest first."""
        query = select(RefutationRow).filter_by(**call_columns(call)).order_by(col(RefutationRow.made_at))
        with Session(self._engine) as session:
            return [
                Refutation(
                    Address(row.operator),
                    digest_from_hex(row.report_digest),
                    json.loads(row.report),
                    row.signature,
                    row.made_at,
                )
                for row in session.exec(query)
            ]
