"""What was posted for a job, read from the logs; nothing else of a result is kept on-chain."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from faas_sdk import abi
from faas_sdk.abi import event_values, word
from faas_sdk.agreement import standing_log
from faas_sdk.effects import Plan, pause
from faas_sdk.errors import FaaSError, ResultTimeout, ResultUnreadable, TangleError
from faas_sdk.guard import Deployment
from faas_sdk.output_files import FilesHash, OutputFile, decode_manifest
from faas_sdk.payload import PostedOutcome, StreamHash, decode_posted
from faas_sdk.receipt import Receipt, recover_signer
from faas_sdk.rest import RestApi
from faas_sdk.rpc import Log
from faas_sdk.transactions import Progress


@dataclass(frozen=True, slots=True)
class TangleResult:
    """One operator's answer to a job."""

    service_id: int
    call_id: int
    operator: str
    """Who posted it; on a Substrate chain, the address of the key that the account is registered with."""
    status: str
    """`exited`, `signaled`, `timeout`, `out_of_memory` or `failed`."""
    exit_code: int
    signal: int
    virtual_ns: int
    stdout_bytes: bytes | None
    """None when it was posted by hash and no endpoint gave it."""
    stderr_bytes: bytes | None
    truncated: bool
    """Whether a stream was cut at the job's output limit."""
    receipt: Receipt
    """All fields that the operator signed."""
    signature: str
    transaction_hash: str
    inputs: bytes = field(repr=False)
    """The job's canonical payload, as the chain has it."""
    posted: PostedOutcome = field(repr=False)
    files: tuple[OutputFile, ...] | None = None
    """What the program left in its output folder; None when no endpoint gave the list."""

    @property
    def state_root(self) -> str:
        """The machine that was left; where it was kept, later jobs name it as a snapshot."""
        return str(self.receipt["state_root"])

    @property
    def files_hash(self) -> FilesHash:
        """What stands on-chain of the output files: count, sum of sizes, hash of their list."""
        return self.posted.files

    @property
    def stdout(self) -> str | None:
        """As text; what is not UTF-8 shows as U+FFFD."""
        return None if self.stdout_bytes is None else self.stdout_bytes.decode(errors="replace")

    @property
    def stderr(self) -> str | None:
        """Likewise."""
        return None if self.stderr_bytes is None else self.stderr_bytes.decode(errors="replace")

    def verify_signature(self) -> bool:
        """Whether the operator who posted it signed just this, for just this job and call.

        It says who answers for the result, not that the result is right: `faas verify` runs the
        job again for that.
        """
        return (
            self.receipt["job_digest"] == "0x" + keccak(self.inputs).hex()
            and recover_signer(self.receipt, self.posted.signature) == self.operator
        )

    def receipt_file(self) -> dict[str, object]:
        """What `faas verify FILE` takes, as JSON."""
        whole = self.stdout_bytes is not None and self.stderr_bytes is not None
        return {
            "receipt": dict(self.receipt),
            "signature": self.signature,
            "job": "0x" + self.inputs.hex(),
            "outcome": {
                "status": self.status,
                "exit_code": self.exit_code,
                "signal": self.signal,
                "virtual_ns": self.virtual_ns,
                "stdout": _stream_to_json(self.posted.stdout, self.stdout_bytes if whole else None),
                "stderr": _stream_to_json(self.posted.stderr, self.stderr_bytes if whole else None),
                "files": _files_to_json(self.files_hash, self.files),
                "trace": {
                    "count": self.posted.trace.count,
                    "sha256": "0x" + self.posted.trace.sha256.hex(),
                },
            },
        }


@dataclass(frozen=True, slots=True)
class CallStatus:
    """Where a job stands."""

    service_id: int
    call_id: int
    caller: str
    transaction_hash: str
    completed: bool
    """Whether as many results are there as the service asks for; on a Substrate chain, any."""
    results: tuple[TangleResult, ...]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job call's own log, decoded."""

    service_id: int
    call_id: int
    caller: str
    inputs: bytes
    transaction_hash: str
    block: int


def read_submitted(at: Deployment, service_id: int, call_id: int) -> Plan[Submitted]:
    """The call's log. Raises TangleError when there is no such call."""
    for event in (abi.JOB_SUBMITTED, abi.JOB_SUBMITTED_FROM_QUOTE):
        topics = [event, word(service_id), word(call_id)]
        logs = yield from at.rpc.logs(at.tangle, topics, 0, newest_first=True)
        if logs:
            log = logs[-1]
            quoted = event == abi.JOB_SUBMITTED_FROM_QUOTE
            more = ("address[]", "uint256") if quoted else ()
            values = event_values(log, "uint8", "address", *more, "bytes")
            inputs = values[-1]
            if not isinstance(inputs, bytes):
                raise ResultUnreadable(f"the job call in {log.transaction_hash} cannot be read")
            return Submitted(service_id, call_id, str(values[1]), inputs, log.transaction_hash, log.block)
    raise TangleError(f"service {service_id} has no job call {call_id}")


def wait_for_result(
    at: Deployment,
    call: Submitted,
    endpoint: RestApi | None,
    timeout: float,
    poll_interval: float,
    progress: Progress,
) -> Plan[TangleResult]:
    """The result of a call that stands. Raises ResultTimeout and ResultUnreadable."""
    deadline = time.monotonic() + timeout
    progress(f"waiting for a result of call {call.call_id}")
    while True:
        logs = yield from result_logs(at, call)
        stands = (yield from standing_log(at, call.service_id, call.call_id, logs)) if logs else None
        if stands is not None:
            progress(f"result in transaction {stands.transaction_hash}")
            return (yield from read_result(at, call, stands, endpoint))
        if time.monotonic() >= deadline:
            kind = "agreement on the result" if logs else "result"
            raise ResultTimeout(
                f"no {kind} of call {call.call_id} of service {call.service_id} after {timeout:g} s",
                details={"service_id": call.service_id, "call_id": call.call_id},
            )
        yield from pause(poll_interval)


def read_status(at: Deployment, call: Submitted, endpoint: RestApi | None) -> Plan[CallStatus]:
    """All that stands on-chain of a call."""
    logs = yield from result_logs(at, call)
    results = []
    for log in logs:
        results.append((yield from read_result(at, call, log, endpoint)))
    topics = [abi.JOB_COMPLETED, word(call.service_id), word(call.call_id)]
    completed = yield from at.rpc.logs(at.tangle, topics, call.block)
    return CallStatus(
        call.service_id, call.call_id, call.caller, call.transaction_hash, bool(completed), tuple(results)
    )


def result_logs(at: Deployment, call: Submitted) -> Plan[list[Log]]:
    """The logs of a call's results, the first one first."""
    topics = [abi.JOB_RESULT_SUBMITTED, word(call.service_id), word(call.call_id)]
    return (yield from at.rpc.logs(at.tangle, topics, call.block))


def read_result(at: Deployment, call: Submitted, log: Log, endpoint: RestApi | None) -> Plan[TangleResult]:
    """A result. Raises ResultUnreadable."""
    operator = "0x" + log.topics[3][-40:].lower()
    payload = event_values(log, "bytes")[0]
    try:
        posted = decode_posted(payload if isinstance(payload, bytes) else b"")
    except ValueError as error:
        raise ResultUnreadable(f"what {operator} posted is not a result: {error}") from error
    chain_id = yield from at.rpc.number("eth_chainId")
    place = (chain_id, at.tangle)
    return (yield from make_result(call, posted, place, operator, log.transaction_hash, endpoint))


def make_result(
    call: Submitted,
    posted: PostedOutcome,
    place: tuple[int, str],
    operator: str,
    transaction_hash: str,
    endpoint: RestApi | None,
) -> Plan[TangleResult]:
    """What was posted, with its receipt; `place` is chain id and contract. Raises ResultUnreadable."""
    stdout, stderr = posted.output or (None, None)
    stdout = yield from _stream(posted.stdout, stdout, endpoint)
    stderr = yield from _stream(posted.stderr, stderr, endpoint)
    files = yield from _files(posted.files, endpoint)
    return TangleResult(
        call.service_id,
        call.call_id,
        operator,
        posted.status,
        posted.exit_code,
        posted.signal,
        posted.virtual_ns,
        stdout,
        stderr,
        truncated=posted.stdout.truncated or posted.stderr.truncated,
        receipt=_receipt(place, call, posted, operator),
        signature="0x" + posted.signature.hex(),
        transaction_hash=transaction_hash,
        inputs=call.inputs,
        posted=posted,
        files=files,
    )


def _stream(stream: StreamHash, inline: bytes | None, endpoint: RestApi | None) -> Plan[bytes | None]:
    """The bytes, from the chain or from the endpoint; refused unless they hash to what was signed."""
    content = inline
    if stream.size == 0:
        content = content or b""
    if content is None and endpoint is not None:
        try:
            content = yield from endpoint.blob(stream.sha256)
        except FaaSError:
            return None  # the result stands without it
    if content is not None and hashlib.sha256(content).digest() != stream.sha256:
        raise ResultUnreadable("the output is not the one that the operator signed: its SHA-256 differs")
    return content


def _files(files: FilesHash, endpoint: RestApi | None) -> Plan[tuple[OutputFile, ...] | None]:
    """The list of files from the endpoint; refused unless it is the one that was signed."""
    data = b"\0" if files.count == 0 else None
    if data is None and endpoint is not None:
        try:
            data = yield from endpoint.blob(files.sha256)
        except FaaSError:
            return None  # the result stands without it
    if data is None:
        return None
    try:
        return decode_manifest(data, files)
    except ValueError as error:
        raise ResultUnreadable(f"the list of output files cannot be used: {error}") from error


def read_output_file(result: TangleResult, path: str, endpoint: RestApi | None) -> Plan[bytes]:
    """A file's bytes from the endpoint, checked against the list that the operator signed.

    Raises ResultUnreadable when there is no endpoint, no such file, or other bytes, and ApiError.
    """
    listed = {file.path: file for file in result.files or ()}
    if endpoint is None or result.files is None:
        raise ResultUnreadable("output files are not on-chain: give the endpoint of an operator's API")
    if path not in listed:
        raise ResultUnreadable(f"the job left no output file {path!r}")
    sha256 = bytes.fromhex(listed[path].sha256[2:])
    content = yield from endpoint.blob(sha256)
    if hashlib.sha256(content).digest() != sha256:
        raise ResultUnreadable(f"{path!r} is not the file that the operator signed: its SHA-256 differs")
    return content


def _receipt(place: tuple[int, str], call: Submitted, posted: PostedOutcome, operator: str) -> Receipt:
    return {
        "version": posted.version,
        "profile_id": "0x" + posted.profile_id.hex(),
        "snapshot": "0x" + posted.snapshot.hex(),
        "toolchain": "0x" + posted.toolchain.hex(),
        "job_digest": "0x" + posted.job_digest.hex(),
        "outcome_digest": "0x" + keccak(posted.encoded_outcome).hex(),
        "state_root": "0x" + posted.state_root.hex(),
        "virtual_ns": posted.virtual_ns,
        "chain_id": place[0],
        "tangle": place[1],
        "service_id": call.service_id,
        "call_id": call.call_id,
        "operator": operator,
    }


def _stream_to_json(stream: StreamHash, content: bytes | None) -> dict[str, object]:
    fields: dict[str, object] = {
        "size": stream.size,
        "sha256": "0x" + stream.sha256.hex(),
        "truncated": stream.truncated,
    }
    return fields if content is None else {**fields, "content": "0x" + content.hex()}


def _files_to_json(files: FilesHash, listed: tuple[OutputFile, ...] | None) -> dict[str, object]:
    fields: dict[str, object] = {
        "count": files.count,
        "size": files.size,
        "sha256": "0x" + files.sha256.hex(),
        "truncated": files.truncated,
    }
    if listed is None:
        return fields
    lines = [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in listed]
    return {**fields, "manifest": lines}
