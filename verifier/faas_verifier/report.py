"""A verdict for people: numbered lines, and a last line that says it all."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from faas_verifier.verdict import Conclusion, Finding, Status, Verdict

_MARKS = {
    Status.PASSED: "[green]✓[/]",
    Status.FAILED: "[red]✗[/]",
    Status.UNCHECKED: "[yellow]?[/]",
    Status.WITHHELD: "[yellow]?[/]",
    Status.FALSIFIED: "[red]?[/]",
    Status.SKIPPED: "[dim]-[/]",
}

_LAST = {
    Conclusion.VERIFIED: "[bold green]VERIFIED[/]",
    Conclusion.REFUTED: "[bold red]REFUTED[/]",
    Conclusion.UNCHECKED: "[bold yellow]COULD NOT BE CHECKED[/]",
    Conclusion.WITHHELD: "[bold yellow]DATA WITHHELD[/]",
    Conclusion.FALSIFIED: "[bold red]DATA FALSIFIED[/]",
}


def print_verdict(verdict: Verdict, console: Console) -> None:
    """All findings, what differs, and the conclusion."""
    for finding in verdict.findings:
        console.print(finding_line(finding), soft_wrap=True)
        for item in finding.differences:
            claimed, found = plain(str(item.claimed)), plain(str(item.found))
            console.print(f"       {plain(item.field)}: claimed {claimed}", soft_wrap=True)
            console.print(f"       {' ' * len(item.field)}    found {found}", soft_wrap=True)
    console.print(f"{_LAST[verdict.conclusion]}: {plain(verdict.reason)}", soft_wrap=True)


def finding_line(finding: Finding) -> str:
    """One numbered line."""
    detail = "differs" if finding.differences else finding.detail
    return f"{finding.number}. {_MARKS[finding.status]} {finding.name:<12} {plain(detail)}"


def plain(text: str) -> str:
    """Text that a program, an operator or an endpoint chose: no markup, no terminal control codes."""
    shown = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return escape("".join(shown))
