"""The steps in order: gather (1), look (2-6), run again (7, 8), conclude."""

from __future__ import annotations

from faas_blueprint.bundle import Bundle
from faas_blueprint.errors import InvalidRequest, UnknownVersion
from faas_blueprint.receipt import Address
from faas_verifier.blobs import BlobSource
from faas_verifier.checks import CHECKS
from faas_verifier.evidence import Evidence, PostedResult, evidence_from_bundle, evidence_from_chain
from faas_verifier.published_machine import MachineSource
from faas_verifier.rerun import NO_BLOBS, NOT_ASKED, NOT_RUN, OpenMachine, rerun
from faas_verifier.verdict import Finding, Status, Verdict


async def verify(
    evidence: Evidence,
    open_machine: OpenMachine | None,
    blobs: BlobSource = NO_BLOBS,
    source: MachineSource | None = None,
) -> Verdict:
    """Judge one receipt. Without a machine the best verdict is *unchecked*.

    All of checks 1-6 are made, so that a report names everything that is wrong; a machine is
    started only when none of them failed or stayed open. `source` is where machines that are not here
    come from, if they may.
    """
    findings = tuple(check(evidence) for check in CHECKS)
    if any(finding.status is Status.FAILED for finding in findings):
        return Verdict(findings + NOT_RUN, evidence)
    if any(finding.status is Status.UNCHECKED for finding in findings):
        return Verdict(findings, evidence)
    if open_machine is None:
        return Verdict(findings + NOT_ASKED, evidence)
    posted = evidence.posted
    last = await rerun(
        evidence.bundle,
        open_machine,
        job_index=None if posted is None else posted.job_index,
        blobs=blobs,
        source=source,
        registered=None if posted is None else posted.registered,
        provenance=None if posted is None else posted.provenance,
    )
    return Verdict(findings + last, evidence)


async def verify_posted(
    posted: PostedResult,
    open_machine: OpenMachine | None,
    expected_operator: Address | None = None,
    blobs: BlobSource = NO_BLOBS,
    source: MachineSource | None = None,
) -> Verdict:
    """Judge a result on-chain; one that cannot even be read is its operator's failure: refuted."""
    try:
        evidence = evidence_from_chain(posted, expected_operator)
    except UnknownVersion as error:
        return unreadable(error.message)
    except InvalidRequest as error:
        return unreadable(f"what {posted.operator} posted is not a result: {error.message}", Status.FAILED)
    return await verify(evidence, open_machine, blobs, source)


async def verify_bundle(
    bundle: Bundle,
    open_machine: OpenMachine | None,
    posted: PostedResult | None = None,
    expected_operator: Address | None = None,
    blobs: BlobSource = NO_BLOBS,
    source: MachineSource | None = None,
) -> Verdict:
    """Judge a receipt file, held against the chain where `posted` is given."""
    try:
        evidence = evidence_from_bundle(bundle, posted, expected_operator)
    except UnknownVersion as error:
        return unreadable(error.message)
    except InvalidRequest as error:
        return unreadable(f"what stands on-chain is not a result: {error.message}", Status.FAILED)
    return await verify(evidence, open_machine, blobs, source)


def unreadable(reason: str, status: Status = Status.UNCHECKED) -> Verdict:
    """The verdict when check 1 ends it: nothing there, out of reach, or not to be read."""
    return Verdict((Finding(1, "found", status, reason),), None)
