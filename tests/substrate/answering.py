"""What people do on the double beside a client: calls, and results with receipts, without a machine."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep

from extrinsics import compact
from genesis import SERVICE_ID
from people import CUSTOMER, OPERATOR, Person
from substrate_double import SubstrateDevnetDouble

from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.digests import ZERO_DIGEST, Digest, digest_from_hex, keccak256, sha256
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import CallReference
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle.fields import to_fields
from faas_blueprint.tangle.genesis import place_of
from faas_operator.chain.interface import Block
from faas_operator.chain.substrate.extrinsic import Signing, sign
from faas_operator.chain.substrate.key import AccountKey
from faas_operator.signer import Signer

_CALL, _SUBMIT_RESULT = b"\x33\x08", b"\x33\x09"
_JOBS = faas_blueprint_definition().jobs


def send(double: SubstrateDevnetDouble, call: bytes, person: Person) -> None:
    """Put a signed call into the pool."""
    extensions = double.runtime.metadata[1][1]["extrinsic"]["signed_extensions"]
    with double.lock:
        key = AccountKey.from_seed(person.seed, person.scheme)
        nonce = double.rpc_system_accountNextIndex("0x" + person.account.hex())
        final = double.tree.finalised
        signing = Signing(
            double.tree.genesis.hash,
            1403,
            1,
            tuple(entry.value["identifier"] for entry in extensions),
            Block(final.number, final.hash),
        )
        double.tree.take(sign(call, key, nonce, signing).encoded)


def call_job(
    double: SubstrateDevnetDouble, payload: bytes, person: Person = CUSTOMER, job_index: int = 0
) -> None:
    """Submit a job, into the pool."""
    head = _CALL + compact(SERVICE_ID) + compact(job_index)
    send(double, head + to_fields(_JOBS[job_index].parameters, payload), person)


def made_up_outcome(stdout: bytes = b"42\n", state_root: Digest | None = None) -> Outcome:
    """Of a run that nobody made."""
    return Outcome(Status.EXITED, 0, 0, 5, Stream(stdout), Stream(b""), state_root or sha256(b"state"))


def signed_result(
    double: SubstrateDevnetDouble,
    inputs: bytes,
    call_id: int,
    person: Person = OPERATOR,
    stdout: bytes = b"42\n",
    *,
    outcome: Outcome | None = None,
    profile_id: Digest | None = None,
    snapshot: Digest | None = None,
    toolchain: Digest = ZERO_DIGEST,
    job_index: int = 0,
) -> bytes:
    """An answer with the person's receipt, as Fields; made up where nothing is said."""
    call = CallReference(*place_of(digest_from_hex(double.tree.genesis.hash)), SERVICE_ID, call_id)
    said = outcome or made_up_outcome(stdout)
    receipt, signature = Signer(person.seed).attest(
        profile_id=profile_id or sha256(b"profile"),
        snapshot=snapshot or sha256(b"snapshot"),
        toolchain=toolchain,
        job_digest=keccak256(inputs),
        outcome=said,
        call=call,
    )
    return to_fields(_JOBS[job_index].result, encode_result(make_result(receipt, said, signature)))


def post(double: SubstrateDevnetDouble, call_id: int, fields: bytes, person: Person = OPERATOR) -> None:
    """Submit a result, into the pool."""
    send(double, _SUBMIT_RESULT + compact(SERVICE_ID) + compact(call_id) + fields, person)


def burn(double: SubstrateDevnetDouble, amount: int, person: Person = CUSTOMER) -> None:
    """Burn tokens for credits, into the pool."""
    send(double, b"\x3b\x00" + compact(amount), person)


def claim(double: SubstrateDevnetDouble, amount: int, account: bytes, person: Person = CUSTOMER) -> None:
    """Claim credits for an account of a node, into the pool."""
    send(double, b"\x3b\x01" + compact(amount) + compact(len(account)) + account, person)


def until(done: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = monotonic() + seconds
    while not done():
        assert monotonic() < end, f"not after {seconds:g} s: {what}"
        sleep(0.01)
