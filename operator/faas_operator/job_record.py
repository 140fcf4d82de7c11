"""A job call as the store hands it out, and how it is laid into a row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from faas_blueprint.digests import Digest
from faas_blueprint.outcome import OutcomeDigest
from faas_blueprint.receipt import Address, CallReference, Receipt, receipt_from_json, receipt_to_json
from faas_blueprint.result import decode_result
from faas_blueprint.statement import Statement
from faas_microvm.execution import Execution
from faas_operator.chain.interface import Block, PostedResult, SubmittedJob
from faas_operator.pipeline import State
from faas_operator.stored_outcomes import decode_outcome, encode_outcome
from faas_operator.tables import PRICE_DIGITS, JobRow

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SignedResult:
    """What is ready to be posted."""

    payload: bytes
    receipt: Receipt

    @property
    def statement(self) -> Statement:
        """The receipt with the signature that the payload holds."""
        return Statement(self.receipt, decode_result(self.payload).signature)


@dataclass(frozen=True, slots=True)
class ExecutedDigest:
    """An execution without the streams and files themselves."""

    outcome: OutcomeDigest
    state_root: Digest
    profile_id: Digest
    snapshot: Digest
    toolchain: Digest


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job call as stored."""

    number: int
    revision: int
    state: State
    submitted: SubmittedJob
    attempts: int
    waits: int
    error: str | None
    executed: ExecutedDigest | None
    signed: SignedResult | None
    posted: PostedResult | None
    seen_at: float
    """Unix seconds, by this host's clock; when the call was first stored."""
    moved_at: float
    """When it came into its state."""

    @property
    def call(self) -> CallReference:
        """Where the job was asked for."""
        return self.submitted.call


@dataclass(frozen=True, slots=True)
class Change:
    """What a transition brings along; None leaves what is stored."""

    error: str | None = None
    execution: Execution | None = None
    signed: SignedResult | None = None
    posted: PostedResult | None = None


NOTHING_NEW = Change()


CLEARED: Columns = {
    "attempts": 0,
    "waits": 0,
    "error": None,
    "outcome": None,
    "state_root": None,
    "profile_id": None,
    "snapshot": None,
    "toolchain": None,
    "payload": None,
    "receipt": None,
    "result_transaction": None,
    "result_block_number": None,
    "result_block_hash": None,
}
"""What a job that starts again forgets."""


def call_columns(call: CallReference) -> Columns:
    """Columns that name a call."""
    return {
        "chain_id": call.chain_id,
        "tangle": call.tangle,
        "service_id": call.service_id,
        "call_id": call.call_id,
    }


def submitted_columns(job: SubmittedJob) -> Columns:
    """Columns for what the logs say."""
    quoted = job.quoted_operators
    return {
        "job_index": job.job_index,
        "caller": job.caller,
        "inputs": job.inputs,
        "quoted_operators": None if quoted is None else " ".join(quoted),
        "price": str(job.price).zfill(PRICE_DIGITS),
        "block_number": job.block.number,
        "block_hash": job.block.block_hash,
        "transaction_hash": job.transaction_hash,
    }


def changed_columns(change: Change) -> Columns:
    """Columns for what a transition brings along; streams and files are kept elsewhere."""
    columns: Columns = {}
    if change.error is not None:
        columns["error"] = change.error
    if change.execution is not None:
        columns |= _executed_columns(change.execution)
    if change.signed is not None:
        columns["payload"] = change.signed.payload
        columns["receipt"] = json.dumps(receipt_to_json(change.signed.receipt))
    if change.posted is not None:
        columns |= _posted_columns(change.posted)
    return columns


def record_of(row: JobRow) -> JobRecord:
    """What a row says."""
    assert row.id is not None
    return JobRecord(
        number=row.id,
        revision=row.revision,
        state=State(row.state),
        submitted=_submitted_of(row),
        attempts=row.attempts,
        waits=row.waits,
        error=row.error,
        executed=_executed_of(row),
        signed=_signed_of(row),
        posted=_posted_of(row),
        seen_at=row.created_at,
        moved_at=row.updated_at,
    )


def _submitted_of(row: JobRow) -> SubmittedJob:
    quoted = row.quoted_operators
    return SubmittedJob(
        call=CallReference(row.chain_id, Address(row.tangle), row.service_id, row.call_id),
        job_index=row.job_index,
        caller=row.caller,
        inputs=row.inputs,
        block=Block(row.block_number, row.block_hash),
        transaction_hash=row.transaction_hash,
        quoted_operators=None if quoted is None else tuple(Address(item) for item in quoted.split()),
        price=int(row.price),
    )


def _executed_of(row: JobRow) -> ExecutedDigest | None:
    digests = (row.state_root, row.profile_id, row.snapshot, row.toolchain)
    if row.outcome is None or None in digests:
        return None
    return ExecutedDigest(
        decode_outcome(row.outcome), *(Digest(digest) for digest in digests if digest is not None)
    )


def _signed_of(row: JobRow) -> SignedResult | None:
    if row.payload is None or row.receipt is None:
        return None
    return SignedResult(row.payload, receipt_from_json(json.loads(row.receipt)))


def _posted_of(row: JobRow) -> PostedResult | None:
    if row.result_transaction is None or row.result_block_number is None or row.result_block_hash is None:
        return None
    return PostedResult(row.result_transaction, Block(row.result_block_number, row.result_block_hash))


def _executed_columns(execution: Execution) -> Columns:
    return {
        "outcome": encode_outcome(execution.outcome.summary()),
        "state_root": execution.outcome.state_root,
        "profile_id": execution.profile_id,
        "snapshot": execution.measurement,
        "toolchain": execution.toolchain,
    }


def _posted_columns(posted: PostedResult) -> Columns:
    return {
        "result_transaction": posted.transaction_hash,
        "result_block_number": posted.block.number,
        "result_block_hash": posted.block.block_hash,
    }
