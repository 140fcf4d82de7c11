"""Whether a result holds together: all that can be checked without running the job again.

The checks are those of `faas verify` up to the re-execution: without that, a pass says who answers for
the result, not that the result is right.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from eth_utils.crypto import keccak

from faas_sdk import abi
from faas_sdk.abi import read
from faas_sdk.effects import Plan
from faas_sdk.errors import ConnectionFailed, ResultTimeout
from faas_sdk.guard import Deployment
from faas_sdk.payload import RECEIPT_VERSION, StreamHash
from faas_sdk.receipt import recover_signer
from faas_sdk.results import Submitted, TangleResult, read_result, result_logs
from faas_sdk.rpc import Log, RpcError


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found, check by check."""

    version: bool
    """The receipt is of a version that is known here."""
    signature: bool
    """It is valid and by the account that Tangle saw sending the result, or the key of that account."""
    standing: bool | None
    """That account is one of the service's operators; None when the endpoint cannot say."""
    job: bool
    """The receipt's job digest is that of the inputs on-chain."""
    place: bool
    """The result is the posted one: of this chain, contract, service and call, with these digests."""
    outcome: bool
    """The output at hand is the one that was signed."""

    @property
    def passed(self) -> bool:
        """Whether all of it is so."""
        checks = (self.version, self.signature, self.standing, self.job, self.place, self.outcome)
        return all(checks)


def verify(at: Deployment, call: Submitted, result: TangleResult | None) -> Plan[Verification]:
    """Hold a result, or the call's first one, against the chain. Raises ResultTimeout, ResultUnreadable."""
    logs = yield from result_logs(at, call)
    matching = [log for log in logs if result is None or log.transaction_hash == result.transaction_hash]
    if not matching:
        raise ResultTimeout(f"no result of call {call.call_id} of service {call.service_id} yet")
    posted = yield from read_result(at, call, matching[0], None)
    serves = yield from _serves(at, call.service_id, posted.operator, matching[0])
    return compare(call, result or posted, posted, serves)


def compare(call: Submitted, held: TangleResult, posted: TangleResult, serves: bool | None) -> Verification:
    """Hold a result against the posted one, by an operator of whom is known whether it serves."""
    return Verification(
        version=held.receipt["version"] == RECEIPT_VERSION,
        signature=_is_signed(held, posted.operator),
        standing=serves,
        job=held.receipt["job_digest"] == "0x" + keccak(call.inputs).hex(),
        place=held.receipt == posted.receipt,
        outcome=_is_output(held.posted.stdout, held.stdout_bytes)
        and _is_output(held.posted.stderr, held.stderr_bytes),
    )


def _is_signed(result: TangleResult, sender: str) -> bool:
    signer = recover_signer(result.receipt, bytes.fromhex(result.signature[2:]))
    return signer == sender == result.receipt["operator"]


def _serves(at: Deployment, service_id: int, operator: str, log: Log) -> Plan[bool | None]:
    """At the result's block; now, where the endpoint has forgotten that state: then a no says nothing."""
    try:
        view = abi.IS_SERVICE_OPERATOR
        return bool((yield from read(at.rpc, at.tangle, view, service_id, operator, block=hex(log.block))))
    except ConnectionFailed as error:
        if not isinstance(error.__cause__, RpcError):
            raise
    return bool((yield from read(at.rpc, at.tangle, view, service_id, operator))) or None


def _is_output(signed: StreamHash, content: bytes | None) -> bool:
    return content is None or hashlib.sha256(content).digest() == signed.sha256
