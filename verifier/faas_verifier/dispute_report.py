"""What `faas dispute` says: as one JSON object, and for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from faas_blueprint.digests import to_hex
from faas_verifier.dispute import Judged, Standing
from faas_verifier.dispute_check import Checked
from faas_verifier.disputed_call import Contested, Dispute, Refutation
from faas_verifier.machine_difference import MachineDifference
from faas_verifier.report import finding_line, plain
from faas_verifier.sides import side_to_json
from faas_verifier.verdict import Conclusion, verdict_to_json

_CONCLUSIONS = {
    Conclusion.VERIFIED: "agreed",
    Conclusion.REFUTED: "refuted",
}
"""Words for a dispute; the others keep theirs."""

_CHECK_WORDS = {Conclusion.VERIFIED: "holds", Conclusion.REFUTED: "does not hold"}

_LAST = {
    "holds": "[bold green]THE EVIDENCE HOLDS[/]",
    "does not hold": "[bold red]THE EVIDENCE DOES NOT HOLD[/]",
}

_MARKS = {Standing.RIGHT: "[green]✓[/]", Standing.REFUTED: "[red]✗[/]", Standing.OPEN: "[yellow]?[/]"}

_LISTED_PAGES = 16


def dispute_conclusion(dispute: Dispute) -> Conclusion:
    """Refuted where a side is; unchecked where sides contradict each other and none was judged wrong;
    verified, which is *agreed*, where none do."""
    if dispute.refutations:
        return Conclusion.REFUTED
    return Conclusion.UNCHECKED if dispute.disagree else Conclusion.VERIFIED


def word_of(conclusion: Conclusion) -> str:
    """`agreed`, `refuted`, `unchecked`, `withheld` or `falsified`."""
    return _CONCLUSIONS.get(conclusion, str(conclusion))


def dispute_to_json(dispute: Dispute, files: Sequence[Path]) -> dict[str, object]:
    """The object that `--json` prints; `files` are the evidence bundles, one for each refutation."""
    return {
        "verdict": word_of(dispute_conclusion(dispute)),
        **_call_to_json(dispute.contested),
        "sides": [_judged_to_json(judged) for judged in dispute.judged],
        "refutations": [
            {**_refutation_to_json(refutation), "evidence": str(file)}
            for refutation, file in zip(dispute.refutations, files, strict=True)
        ],
    }


def unjudged_to_json(contested: Contested | None, conclusion: Conclusion, reason: str) -> dict[str, object]:
    """The same where nothing could be judged."""
    known = {} if contested is None else _call_to_json(contested)
    sides = () if contested is None else contested.sides.sides
    return {
        "verdict": word_of(conclusion),
        "reason": reason,
        **known,
        "sides": [side_to_json(side) for side in sides],
        "refutations": [],
    }


def check_to_json(checked: Checked) -> dict[str, object]:
    """What `--check --json` prints."""
    verdict = checked.verdict
    told = verdict_to_json(verdict)
    return {
        **told,
        "verdict": _CHECK_WORDS.get(verdict.conclusion, str(verdict.conclusion)),
        "difference": None if checked.difference is None else checked.difference.to_json(),
    }


def print_dispute(dispute: Dispute, console: Console) -> None:
    """Sides, then each refutation, then the conclusion."""
    _print_call(dispute.contested, len(dispute.judged), console)
    for judged in dispute.judged:
        side = judged.side
        trace = "trace withheld" if side.trace is None else f"{len(side.trace)} milestones"
        console.print(
            f"{_MARKS[judged.standing]} {', '.join(side.operators)}: {judged.standing}, "
            f"{plain(judged.reason)}",
            soft_wrap=True,
        )
        console.print(f"  {plain(to_hex(side.agreement))}, {trace}", soft_wrap=True)
    for refutation in dispute.refutations:
        _print_refutation(refutation, console)
    _print_end(dispute, console)


def print_check(checked: Checked, console: Console) -> None:
    """All findings, what differs between the machines, and the conclusion."""
    for finding in checked.verdict.findings:
        console.print(finding_line(finding), soft_wrap=True)
    if checked.difference is not None:
        _print_difference(checked.difference, console)
    word = _CHECK_WORDS.get(checked.verdict.conclusion, "could not be checked")
    last = _LAST.get(word, "[bold yellow]COULD NOT BE CHECKED[/]")
    console.print(f"{last}: {plain(checked.verdict.reason)}", soft_wrap=True)


def _call_to_json(contested: Contested) -> dict[str, object]:
    call, sides = contested.sides.call, contested.sides
    said_two = sides.equivocation
    return {
        "call": {
            "chain_id": call.chain_id,
            "tangle": call.tangle,
            "service_id": call.service_id,
            "call_id": call.call_id,
        },
        "final": None if contested.final is None else to_hex(contested.final),
        "rejected": [{"operator": operator, "reason": reason} for operator, reason in sides.rejected],
        "equivocation": None if said_two is None else said_two[0].receipt.operator,
    }


def _judged_to_json(judged: Judged) -> dict[str, object]:
    return {**side_to_json(judged.side), "standing": str(judged.standing), "reason": judged.reason}


def _refutation_to_json(refutation: Refutation) -> dict[str, object]:
    report = refutation.report
    return {
        "operator": report.operator,
        "report": report.to_json(),
        "report_digest": to_hex(report.digest()),
        "milestone": report.milestone,
        "virtual_ns": refutation.virtual_ns,
        "trace_withheld": refutation.judged.side.trace is None,
        "start_from": refutation.start_place,
        "registers": {name: hex(value) for name, value in refutation.registers.items()},
        "machine_withheld": refutation.difference is None,
        "difference": None if refutation.difference is None else refutation.difference.to_json(),
    }


def _print_call(contested: Contested, claims: int, console: Console) -> None:
    call = contested.sides.call
    said = "one claim" if claims == 1 else f"{claims} claims"
    final = "no answer is final" if contested.final is None else f"final is {to_hex(contested.final)}"
    console.print(
        f"call {call.call_id} of service {call.service_id} on chain {call.chain_id}: {said}; {final}",
        soft_wrap=True,
    )
    for operator, reason in contested.sides.rejected:
        console.print(f"[yellow]-[/] {operator} has no claim: {plain(reason)}", soft_wrap=True)
    if contested.sides.equivocation is not None:
        operator = contested.sides.equivocation[0].receipt.operator
        console.print(
            f"[red]![/] {operator} has signed two receipts that contradict each other", soft_wrap=True
        )


def _print_refutation(refutation: Refutation, console: Console) -> None:
    report = refutation.report
    console.print(f"\n{report.operator} is [red]refuted[/]:", soft_wrap=True)
    side = refutation.judged.side
    if side.trace is None:
        console.print("  its trace is withheld: the leg is the whole run")
    seconds = refutation.virtual_ns / 1e9
    console.print(
        f"  leg     after milestone {report.milestone}, {seconds:.3f} virtual seconds into the run",
        soft_wrap=True,
    )
    console.print(f"  start   {to_hex(report.start)} ({plain(refutation.start_place)})", soft_wrap=True)
    for name, point in (("ends at", report.right), ("claimed", report.wrong)):
        outcome = "" if point.outcome_digest is None else f", outcome {to_hex(point.outcome_digest)}"
        console.print(f"  {name} {to_hex(point.root)}{outcome}", soft_wrap=True)
    if refutation.difference is None:
        console.print("  machine withheld: nobody serves the one that it claims")
    else:
        _print_difference(refutation.difference, console)
    console.print(f"  report  {to_hex(report.digest())}", soft_wrap=True)


def _print_difference(difference: MachineDifference, console: Console) -> None:
    own, claimed = difference.virtual_ns
    if own != claimed:
        console.print(f"  clock   {own} ns since power-on, claimed {claimed}")
    if difference.registers is None:
        console.print("  registers of the claimed machine cannot be read")
    elif not difference.registers:
        console.print("  registers are alike")
    for name, (ours, theirs) in (difference.registers or {}).items():
        console.print(f"  {name:<7} {ours:#018x}, claimed {theirs:#018x}")
    listed = ", ".join(map(str, difference.pages[:_LISTED_PAGES]))
    more = ", …" if len(difference.pages) > _LISTED_PAGES else ""
    console.print(f"  pages   that differ: {len(difference.pages)}: {listed}{more}", soft_wrap=True)
    for page in difference.first:
        file = "" if page.file is None else f", of file {plain(page.file)}"
        console.print(
            f"          page {page.index} from byte {page.offset} on: {page.own:#04x}, "
            f"claimed {page.claimed:#04x}{file}",
            soft_wrap=True,
        )
    for path in difference.files:
        console.print(f"  file    {plain(path)}", soft_wrap=True)


def _print_end(dispute: Dispute, console: Console) -> None:
    conclusion = dispute_conclusion(dispute)
    if conclusion is Conclusion.REFUTED:
        who = ", ".join(refutation.report.operator for refutation in dispute.refutations)
        console.print(f"[bold red]REFUTED[/]: {who}", soft_wrap=True)
    elif conclusion is Conclusion.VERIFIED:
        console.print("[bold green]AGREED[/]: no two answers contradict each other; nothing was run again")
    else:
        console.print("[bold yellow]COULD NOT BE JUDGED[/]")
