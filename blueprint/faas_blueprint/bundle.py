"""The receipt file: one receipt with all that is needed to check it on another machine.

    {"receipt": {every field of `receipt.Receipt`},
     "signature": "0x…",
     "job": "0x…" (the canonical payload),
     "outcome": {"status": "exited", "exit_code": 0, "signal": 0, "virtual_ns": 1,
                 "stdout": {"size": 3, "sha256": "0x…", "truncated": false, "content": "0x…"},
                 "stderr": {likewise},
                 "files": {"count": 1, "size": 2, "sha256": "0x…" (of the manifest), "truncated": false,
                           "manifest": [{"path": "a/b.txt", "size": 2, "sha256": "0x…",
                                         "content": "0x…"}]},
                 "trace": {"count": 1, "sha256": "0x…" (of the roots in a row), "roots": ["0x…"]}}}

`content` is there in both streams or in neither, and in all output files or in none. `manifest` and `roots`
are there wherever they are known: they are missing where the outcome was read off the chain, which holds
their hashes only. Parsing is strict: unknown keys are refused, so that nothing stands in a file that a
verifier did not look at. Nothing is *judged* here: a bundle
that parses may still be a forgery; `faas_verifier` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from faas_blueprint.digests import Digest, digest_from_hex, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import (
    FileDigest,
    FilesDigest,
    Outcome,
    OutcomeDigest,
    OutputFile,
    Status,
    StreamDigest,
    TraceDigest,
    check_manifest,
)
from faas_blueprint.receipt import CallReference, Receipt, check_version, receipt_from_json, receipt_to_json
from faas_blueprint.result import InlineOutput

BUNDLED_FILE_BYTES = 1 << 20
"""Output files up to this size, all together, go into a bundle whole; more go by hash."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What an operator says, in full: receipt, signature, job, outcome, and the output if at hand."""

    receipt: Receipt
    signature: bytes
    job: bytes
    """The canonical payload; it need not be a valid job."""
    outcome: OutcomeDigest
    output: InlineOutput | None
    manifest: tuple[FileDigest, ...] | None = None
    """A line for each output file; None where only their common digest is known."""
    files: tuple[OutputFile, ...] | None = None
    """The files themselves, in the manifest's order, if at hand."""
    trace: tuple[Digest, ...] | None = None
    """The state roots on the way; None where only their common digest is known."""

    @property
    def call(self) -> CallReference:
        """The place that the receipt names."""
        receipt = self.receipt
        return CallReference(receipt.chain_id, receipt.tangle, receipt.service_id, receipt.call_id)


def make_bundle(receipt: Receipt, signature: bytes, job: bytes, outcome: Outcome) -> Bundle:
    """The bundle of an outcome at hand, output included; files over BUNDLED_FILE_BYTES by hash."""
    output = InlineOutput(outcome.stdout.content, outcome.stderr.content)
    summary = outcome.summary()
    files = outcome.files if summary.files.size <= BUNDLED_FILE_BYTES else None
    return Bundle(receipt, signature, job, summary, output, outcome.manifest(), files, outcome.trace)


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
            "files": _files_to_json(bundle),
            "trace": _trace_to_json(bundle),
        },
    }


def bundle_from_json(data: object) -> Bundle:
    """The inverse of `bundle_to_json`. Raises InvalidRequest naming the field."""
    parts = _object(data, "the file", ("receipt", "signature", "job", "outcome"))
    names = tuple(Receipt.__dataclass_fields__)
    receipt = receipt_from_json(_object(parts["receipt"], "receipt", names))
    check_version(receipt.version)
    names = ("status", "exit_code", "signal", "virtual_ns", "stdout", "stderr", "files", "trace")
    outcome = _object(parts["outcome"], "outcome", names)
    stdout, stderr, output = _streams_from_json(outcome)
    digest, manifest, files = _files_from_json(outcome["files"])
    trace_digest, trace = _trace_from_json(outcome["trace"])
    return Bundle(
        receipt,
        _bytes(parts["signature"], "signature"),
        _bytes(parts["job"], "job"),
        OutcomeDigest(
            _status(outcome["status"]),
            _integer(outcome["exit_code"], "outcome.exit_code", -(1 << 31), 1 << 31),
            _integer(outcome["signal"], "outcome.signal", 0, 1 << 8),
            _integer(outcome["virtual_ns"], "outcome.virtual_ns", 0, 1 << 64),
            stdout,
            stderr,
            digest,
            trace_digest,
        ),
        output,
        manifest,
        files,
        trace,
    )


def manifest_to_json(manifest: Sequence[FileDigest]) -> list[dict[str, object]]:
    """A list of `{"path", "size", "sha256"}`."""
    return [{"path": line.path, "size": line.size, "sha256": to_hex(line.sha256)} for line in manifest]


def _files_to_json(bundle: Bundle) -> dict[str, object]:
    digest = bundle.outcome.files
    fields: dict[str, object] = {
        "count": digest.count,
        "size": digest.size,
        "sha256": to_hex(digest.sha256),
        "truncated": digest.truncated,
    }
    if bundle.manifest is None:
        return fields
    lines = manifest_to_json(bundle.manifest)
    for line, file in zip(lines, bundle.files or (), strict=bundle.files is not None):
        line["content"] = to_hex(file.content)
    return {**fields, "manifest": lines}


def _trace_to_json(bundle: Bundle) -> dict[str, object]:
    digest = bundle.outcome.trace
    fields: dict[str, object] = {"count": digest.count, "sha256": to_hex(digest.sha256)}
    return fields if bundle.trace is None else {**fields, "roots": list(map(to_hex, bundle.trace))}


def _stream_to_json(stream: StreamDigest, content: bytes | None) -> dict[str, object]:
    fields: dict[str, object] = {
        "size": stream.size,
        "sha256": to_hex(stream.sha256),
        "truncated": stream.truncated,
    }
    return fields if content is None else {**fields, "content": to_hex(content)}


def _status(value: object) -> Status:
    statuses = {status.name.lower(): status for status in Status}
    if not isinstance(value, str) or value not in statuses:
        raise _refused("outcome.status", f"one of {', '.join(statuses)}", value)
    return statuses[value]


def _streams_from_json(
    outcome: Mapping[str, object],
) -> tuple[StreamDigest, StreamDigest, InlineOutput | None]:
    stdout, stdout_content = _stream_from_json(outcome["stdout"], "outcome.stdout")
    stderr, stderr_content = _stream_from_json(outcome["stderr"], "outcome.stderr")
    if stdout_content is not None and stderr_content is not None:
        return stdout, stderr, InlineOutput(stdout_content, stderr_content)
    if stdout_content is not None or stderr_content is not None:
        raise InvalidRequest("outcome: content must be there in both streams or in neither")
    return stdout, stderr, None


def _stream_from_json(data: object, path: str) -> tuple[StreamDigest, bytes | None]:
    parts = _object(data, path, ("size", "sha256", "truncated"), ("content",))
    digest = StreamDigest(
        _integer(parts["size"], f"{path}.size", 0, 1 << 64),
        _digest(parts["sha256"], f"{path}.sha256"),
        _boolean(parts["truncated"], f"{path}.truncated"),
    )
    return digest, _content(parts, path)


def _files_from_json(
    data: object,
) -> tuple[FilesDigest, tuple[FileDigest, ...] | None, tuple[OutputFile, ...] | None]:
    path = "outcome.files"
    parts = _object(data, path, ("count", "size", "sha256", "truncated"), ("manifest",))
    digest = FilesDigest(
        _integer(parts["count"], f"{path}.count", 0, 1 << 32),
        _integer(parts["size"], f"{path}.size", 0, 1 << 64),
        _digest(parts["sha256"], f"{path}.sha256"),
        _boolean(parts["truncated"], f"{path}.truncated"),
    )
    if "manifest" not in parts:
        return digest, None, None
    manifest, files = _manifest_from_json(parts["manifest"], f"{path}.manifest")
    return digest, manifest, files


def _manifest_from_json(
    data: object, path: str
) -> tuple[tuple[FileDigest, ...], tuple[OutputFile, ...] | None]:
    if not isinstance(data, list):
        raise _refused(path, "a list", data)
    lines = [_line_from_json(line, f"{path}[{index}]") for index, line in enumerate(data)]
    manifest = tuple(line for line, _ in lines)
    check_manifest(manifest)
    files = tuple(OutputFile(line.path, content) for line, content in lines if content is not None)
    if files and len(files) != len(manifest):
        raise InvalidRequest(f"{path}: content must be there in all files or in none")
    return manifest, files if files or not manifest else None


def _line_from_json(data: object, path: str) -> tuple[FileDigest, bytes | None]:
    parts = _object(data, path, ("path", "size", "sha256"), ("content",))
    name = parts["path"]
    if not isinstance(name, str):
        raise _refused(f"{path}.path", "a text", name)
    size = _integer(parts["size"], f"{path}.size", 0, 1 << 64)
    return FileDigest(name, size, _digest(parts["sha256"], f"{path}.sha256")), _content(parts, path)


def _trace_from_json(data: object) -> tuple[TraceDigest, tuple[Digest, ...] | None]:
    path = "outcome.trace"
    parts = _object(data, path, ("count", "sha256"), ("roots",))
    digest = TraceDigest(
        _integer(parts["count"], f"{path}.count", 0, 1 << 32), _digest(parts["sha256"], f"{path}.sha256")
    )
    if "roots" not in parts:
        return digest, None
    roots = parts["roots"]
    if not isinstance(roots, list):
        raise _refused(f"{path}.roots", "a list", roots)
    return digest, tuple(_digest(root, f"{path}.roots[{index}]") for index, root in enumerate(roots))


def _content(parts: Mapping[str, object], path: str) -> bytes | None:
    return _bytes(parts["content"], f"{path}.content") if "content" in parts else None


def _boolean(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise _refused(path, "true or false", value)
    return value


def _digest(value: object, path: str) -> Digest:
    try:
        return digest_from_hex(value if isinstance(value, str) else "")
    except ValueError as error:
        raise _refused(path, "0x and 64 hexadecimal digits", value) from error


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
