"""A verdict for people: numbered lines, and a last line that says it all."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from faas_verifier.verdict import Conclusion, Finding, Status, Verdict

_MARKS = {
    Status.PASSED: "[green]✓[/]",
    Status.FAILED: "[red]✗[/]",
    Status.UNCHECKED: "[yellow]?[/]",
    Status.SKIPPED: "[dim]-[/]",
}

_LAST = {
    Conclusion.VERIFIED: "[bold green]VERIFIED[/]",
    Conclusion.REFUTED: "[bold red]REFUTED[/]",
    Conclusion.UNCHECKED: "[bold yellow]COULD NOT BE CHECKED[/]",
}


def print_verdict(verdict: Verdict, console: Console) -> None:
    """All findings, what differs, and the conclusion."""
    for finding in verdict.findings:
        console.print(_line(finding), soft_wrap=True)
        for item in finding.differences:
            claimed, found = escape(str(item.claimed)), escape(str(item.found))
            console.print(f"       {escape(item.field)}: claimed {claimed}", soft_wrap=True)
            console.print(f"       {' ' * len(item.field)}    found {found}", soft_wrap=True)
    console.print(f"{_LAST[verdict.conclusion]}: {escape(verdict.reason)}", soft_wrap=True)


def _line(finding: Finding) -> str:
    detail = "differs" if finding.differences else finding.detail
    return f"{finding.number}. {_MARKS[finding.status]} {finding.name:<12} {escape(detail)}"
