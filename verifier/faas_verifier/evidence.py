"""What is checked: an operator's word, and what the chain holds of it."""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.result import Result, decode_result


@dataclass(frozen=True, slots=True)
class Root:
    """A machine that no call has left on which operators agree."""

    measurement: Digest
    registered: bool | None
    """Whether the service manager knows it, with profile and toolchain of the receipt in question; None on a
    chain that has no such register."""
    left_by: int | None = None
    """An earlier call of the service that has left it by too few operators' word."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the machines that a call works on come from: see `provenance`."""

    calls: tuple[int, ...]
    """Earlier calls of the service that have left them, and on which its operators agree; in order."""
    roots: tuple[Root, ...]
    """Where that ends."""

    def objection(self, own_base: Digest | None) -> str | None:
        """Why someone with this base cannot rely on them, if so."""
        for root in self.roots:
            if root.registered or root.measurement == own_base:
                continue
            name = to_hex(root.measurement)
            if root.left_by is not None:
                agreeing = "no two" if root.registered is not None else "not enough"
                return (
                    f"snapshot {name} was left by call {root.left_by}, on which {agreeing} operators agree: "
                    f"verify call {root.left_by} first"
                )
            if root.registered is None:
                return (
                    f"snapshot {name} is not this host's own, and no earlier call of the service has left "
                    "it; nothing is registered on this chain: build the base with faas snapshot measure"
                )
            return (
                f"snapshot {name} is not registered with the service manager, and no earlier call of the "
                "service has left it: its publisher may have made it up"
            )
        return None


@dataclass(frozen=True, slots=True)
class PostedResult:
    """One operator's answer to one job call, as the chain holds it."""

    call: CallReference
    """The chain id is the one that the endpoint reports."""
    inputs: bytes
    payload: bytes
    operator: Address
    """Who sent it, as the Tangle contract saw it (the event's operator)."""
    serves: bool | None
    """Whether Tangle counts the operator among the service's; None when the endpoint cannot say."""
    submitted_in: str
    """Hash of the transaction that asked for the job."""
    posted_in: str
    """Hash of the transaction that answered."""
    job_index: int = 0
    """Which of the blueprint's jobs was called."""
    registered: bool | None = None
    """Whether the service manager knows all that the result starts from; None when it was not asked."""
    provenance: Provenance | None = None
    """Where it starts from otherwise; None when it was not asked, or the chain cannot say."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the checks look at."""

    bundle: Bundle
    posted: PostedResult | None = None
    """None when only a receipt file is at hand."""
    result: Result | None = None
    """The posted payload, decoded; there when `posted` is."""
    expected_operator: Address | None = None
    """Whose receipt this must be, where the caller knows."""


def evidence_from_chain(posted: PostedResult, expected_operator: Address | None = None) -> Evidence:
    """Evidence from the chain alone. Raises InvalidRequest when the posted payload is no result."""
    result = decode_result(posted.payload)
    receipt = result.receipt(posted.call, posted.operator)
    bundle = Bundle(receipt, result.signature, posted.inputs, result.outcome, result.output)
    return Evidence(bundle, posted, result, expected_operator)


def evidence_from_bundle(
    bundle: Bundle, posted: PostedResult | None = None, expected_operator: Address | None = None
) -> Evidence:
    """A receipt file, held against the chain where `posted` is given. Raises InvalidRequest likewise."""
    result = None if posted is None else decode_result(posted.payload)
    return Evidence(bundle, posted, result, expected_operator)
