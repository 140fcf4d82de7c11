"""A receipt with its signature: what an operator has said, whatever way it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from faas_blueprint.agreement import contradict
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import RECEIPT_VERSION, CallReference, Receipt, recover_signer


@dataclass(frozen=True, slots=True)
class Statement:
    """One operator's word on one call."""

    receipt: Receipt
    signature: bytes

    def is_genuine(self, call: CallReference) -> bool:
        """Whether it is for this call, and signed by the operator that it names."""
        receipt = self.receipt
        named = CallReference(receipt.chain_id, receipt.tangle, receipt.service_id, receipt.call_id)
        if (receipt.version, named) != (RECEIPT_VERSION, call):
            return False
        try:
            return recover_signer(receipt, self.signature) == receipt.operator
        except InvalidRequest:
            return False


def equivocation(statements: Sequence[Statement]) -> tuple[Statement, Statement] | None:
    """Two statements of one operator that contradict each other, if there are any. All must be genuine."""
    for left, right in combinations(statements, 2):
        if left.receipt.operator == right.receipt.operator and contradict(left.receipt, right.receipt):
            return left, right
    return None
