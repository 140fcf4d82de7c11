"""The receipt file: one receipt with all that is needed to check it on another machine.

    {"receipt": {every field of `receipt.Receipt`},
     "signature": "0x…",
     "job": "0x…" (the canonical payload),
     "outcome": {"status": "exited", "exit_code": 0, "signal": 0, "virtual_ns": 1,
                 "stdout": {"size": 3, "sha256": "0x…", "truncated": false, "content": "0x…"},
                 "stderr": {likewise}}}

`content` is there in both streams or in neither. Parsing is strict: unknown keys are refused, so
that nothing stands in a file that a verifier did not look at. Nothing is *judged* here: a bundle
that parses may still be a forgery; `faas_verifier` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from faas_blueprint.digests import digest_from_hex, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import Outcome, OutcomeDigest, Status, StreamDigest
from faas_blueprint.receipt import CallReference, Receipt, receipt_from_json, receipt_to_json
from faas_blueprint.result import InlineOutput


@dataclass(frozen=True, slots=True)
class Bundle:
    """What an operator says, in full: receipt, signature, job, outcome, and the output if at hand."""

    receipt: Receipt
    signature: bytes
    job: bytes
    """The canonical payload; it need not be a valid job."""
    outcome: OutcomeDigest
    output: InlineOutput | None

    @property
    def call(self) -> CallReference:
        """The place that the receipt names."""
        receipt = self.receipt
        return CallReference(receipt.chain_id, receipt.tangle, receipt.service_id, receipt.call_id)


def make_bundle(receipt: Receipt, signature: bytes, job: bytes, outcome: Outcome) -> Bundle:
    """The bundle of an outcome at hand, output included."""
    output = InlineOutput(outcome.stdout.content, outcome.stderr.content)
    return Bundle(receipt, signature, job, outcome.summary(), output)


def bundle_to_json(bundle: Bundle) -> dict[str, object]:
    """A JSON-safe object."""
    output = bundle.output
    outcome = bundle.outcome
    return {
        "receipt": receipt_to_json(bundle.receipt),
        "signature": to_hex(bundle.signature),
        "job": to_hex(bundle.job),
        "outcome": {
            "status": outcome.status.name.lower(),
            "exit_code": outcome.exit_code,
            "signal": outcome.signal,
            "virtual_ns": outcome.virtual_ns,
            "stdout": _stream_to_json(outcome.stdout, output.stdout if output else None),
            "stderr": _stream_to_json(outcome.stderr, output.stderr if output else None),
        },
    }


def bundle_from_json(data: object) -> Bundle:
    """The inverse of `bundle_to_json`. Raises InvalidRequest naming the field."""
    parts = _object(data, "the file", ("receipt", "signature", "job", "outcome"))
    names = tuple(Receipt.__dataclass_fields__)
    receipt = receipt_from_json(_object(parts["receipt"], "receipt", names))
    outcome, output = _outcome_from_json(parts["outcome"])
    return Bundle(
        receipt, _bytes(parts["signature"], "signature"), _bytes(parts["job"], "job"), outcome, output
    )


def _stream_to_json(stream: StreamDigest, content: bytes | None) -> dict[str, object]:
    fields: dict[str, object] = {
        "size": stream.size,
        "sha256": to_hex(stream.sha256),
        "truncated": stream.truncated,
    }
    return fields if content is None else {**fields, "content": to_hex(content)}


def _outcome_from_json(data: object) -> tuple[OutcomeDigest, InlineOutput | None]:
    names = ("status", "exit_code", "signal", "virtual_ns", "stdout", "stderr")
    parts = _object(data, "outcome", names)
    statuses = {status.name.lower(): status for status in Status}
    status = parts["status"]
    if not isinstance(status, str) or status not in statuses:
        raise _refused("outcome.status", f"one of {', '.join(statuses)}", status)
    stdout, stdout_content = _stream_from_json(parts["stdout"], "outcome.stdout")
    stderr, stderr_content = _stream_from_json(parts["stderr"], "outcome.stderr")
    if (stdout_content is None) != (stderr_content is None):
        raise InvalidRequest("outcome: content must be there in both streams or in neither")
    summary = OutcomeDigest(
        statuses[status],
        _integer(parts["exit_code"], "outcome.exit_code", -(1 << 31), 1 << 31),
        _integer(parts["signal"], "outcome.signal", 0, 1 << 8),
        _integer(parts["virtual_ns"], "outcome.virtual_ns", 0, 1 << 64),
        stdout,
        stderr,
    )
    if stdout_content is None or stderr_content is None:
        return summary, None
    return summary, InlineOutput(stdout_content, stderr_content)


def _stream_from_json(data: object, path: str) -> tuple[StreamDigest, bytes | None]:
    parts = _object(data, path, ("size", "sha256", "truncated"), ("content",))
    truncated, sha256 = parts["truncated"], parts["sha256"]
    if not isinstance(truncated, bool):
        raise _refused(f"{path}.truncated", "true or false", truncated)
    try:
        digest = digest_from_hex(sha256 if isinstance(sha256, str) else "")
    except ValueError as error:
        raise _refused(f"{path}.sha256", "0x and 64 hexadecimal digits", sha256) from error
    content = _bytes(parts["content"], f"{path}.content") if "content" in parts else None
    return StreamDigest(_integer(parts["size"], f"{path}.size", 0, 1 << 64), digest, truncated), content


def _object(
    data: object, path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise _refused(path, "an object", data)
    missing = [name for name in required if name not in data]
    unknown = sorted(str(name) for name in set(data) - set(required) - set(optional))
    if missing or unknown:
        raise InvalidRequest(
            f"{path}: field {missing[0]!r} is missing" if missing else f"{path}: unknown field {unknown[0]!r}"
        )
    return cast("Mapping[str, object]", data)


def _integer(value: object, path: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
        raise _refused(path, f"an integer from {low} to {high - 1}", value)
    return value


def _bytes(value: object, path: str) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise _refused(path, "0x and hexadecimal digits", value)
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise _refused(path, "0x and hexadecimal digits", value) from error


def _refused(path: str, expected: str, value: object) -> InvalidRequest:
    return InvalidRequest(f"{path}: expected {expected}, got {str(value)[:60]!r}", {"field": path})
