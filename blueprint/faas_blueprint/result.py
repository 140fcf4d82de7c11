"""What an operator posts on-chain, for every job: outcome, receipt fields, signature, short output.

The receipt's place (chain, contract, service, call) and operator are those of the transaction that
posted it, so a result copied to another call or sent by someone else does not check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from faas_blueprint import tlv
from faas_blueprint.digests import Digest
from faas_blueprint.outcome import (
    OUTCOME_FIELDS,
    Outcome,
    OutcomeDigest,
    outcome_digest,
    outcome_from_values,
    outcome_values,
)
from faas_blueprint.receipt import Address, CallReference, Receipt, check_version

INLINE_BYTES = 4096
"""Output up to this size (both streams together) is posted whole, larger output by hash."""

EXECUTE_RESULT: tuple[tlv.Field, ...] = (
    tlv.Field(tlv.Kind.UINT16, "version"),
    tlv.Field(tlv.Kind.BYTES32, "profile_id"),
    tlv.Field(tlv.Kind.BYTES32, "snapshot"),
    tlv.Field(tlv.Kind.BYTES32, "toolchain"),
    tlv.Field(tlv.Kind.BYTES32, "job_digest"),
    tlv.Field(tlv.Kind.BYTES32, "state_root"),
    tlv.struct("outcome", *OUTCOME_FIELDS),
    tlv.optional(
        "output",
        tlv.struct("streams", tlv.Field(tlv.Kind.BYTES, "stdout"), tlv.Field(tlv.Kind.BYTES, "stderr")),
    ),
    tlv.Field(tlv.Kind.BYTES, "signature"),
)
"""Layout of every job's result, and its schema on-chain for job 0."""

COMPACT_RESULT: tuple[tlv.Field, ...] = (
    tlv.Field(tlv.Kind.ARRAY, "words", (tlv.Field(tlv.Kind.BYTES32),), array_length=10),
    tlv.Field(tlv.Kind.FIXED_BYTES, "rest", array_length=24),
    *EXECUTE_RESULT[-2:],
)
"""The same layout told in fewer fields: the schema of the other jobs' results. The 344 bytes before the
output stand there without their names. With the long one twelve times, creating the blueprint would take
more than 2^24 gas, the most that many chains allow a transaction."""


@dataclass(frozen=True, slots=True)
class InlineOutput:
    """Both streams, where they are short enough to be posted."""

    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """A posted result, as decoded."""

    version: int
    profile_id: Digest
    snapshot: Digest
    toolchain: Digest
    job_digest: Digest
    state_root: Digest
    outcome: OutcomeDigest
    output: InlineOutput | None
    signature: bytes

    def receipt(self, call: CallReference, operator: Address) -> Receipt:
        """The receipt that the signature must be over."""
        return Receipt(
            self.version,
            self.profile_id,
            self.snapshot,
            self.toolchain,
            self.job_digest,
            outcome_digest(self.outcome),
            self.state_root,
            self.outcome.virtual_ns,
            call.chain_id,
            call.tangle,
            call.service_id,
            call.call_id,
            operator,
        )


def make_result(receipt: Receipt, outcome: Outcome, signature: bytes) -> Result:
    """What to post for a signed receipt."""
    stdout, stderr = outcome.stdout.content, outcome.stderr.content
    inline = len(stdout) + len(stderr) <= INLINE_BYTES
    return Result(
        receipt.version,
        receipt.profile_id,
        receipt.snapshot,
        receipt.toolchain,
        receipt.job_digest,
        receipt.state_root,
        outcome.summary(),
        InlineOutput(stdout, stderr) if inline else None,
        signature,
    )


def encode_result(result: Result) -> bytes:
    """The schema-valid payload."""
    output = result.output
    return tlv.encode(
        EXECUTE_RESULT,
        {
            "version": result.version,
            "profile_id": result.profile_id,
            "snapshot": result.snapshot,
            "toolchain": result.toolchain,
            "job_digest": result.job_digest,
            "state_root": result.state_root,
            "outcome": outcome_values(result.outcome),
            "output": None if output is None else {"stdout": output.stdout, "stderr": output.stderr},
            "signature": result.signature,
        },
    )


def decode_result(payload: bytes) -> Result:
    """The inverse of `encode_result`. Raises InvalidRequest, UnknownVersion for one of another version."""
    if len(payload) >= 2:
        check_version(int.from_bytes(payload[:2], "big"))
    values = tlv.decode(EXECUTE_RESULT, payload)
    output = cast("dict[str, bytes] | None", values["output"])
    return Result(
        cast(int, values["version"]),
        Digest(cast(bytes, values["profile_id"])),
        Digest(cast(bytes, values["snapshot"])),
        Digest(cast(bytes, values["toolchain"])),
        Digest(cast(bytes, values["job_digest"])),
        Digest(cast(bytes, values["state_root"])),
        outcome_from_values(cast("dict[str, tlv.Value]", values["outcome"])),
        None if output is None else InlineOutput(output["stdout"], output["stderr"]),
        cast(bytes, values["signature"]),
    )
