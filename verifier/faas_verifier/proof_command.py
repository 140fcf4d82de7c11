"""`faas verify-proof`: a page or file proof, checked offline. The checks are `faas_blueprint.proof`'s.

0 it holds, 1 it does not, 2 it cannot be read. Without `--measurement` what holds is the proof
against the measurement that it names itself, and the report says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from faas_blueprint.digests import Digest, digest_from_hex, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.merkle import PAGE_SIZE
from faas_blueprint.proof import (
    FileProof,
    PageProof,
    ProofRefuted,
    verify_file_proof,
    verify_page_proof,
)
from faas_blueprint.proof_json import entry_to_json, proof_from_json
from faas_verifier.bundle import MAX_FILE_BYTES
from faas_verifier.report import plain

_EXIT_CODES = {"holds": 0, "refuted": 1, "unreadable": 2}


@dataclass(frozen=True, slots=True)
class ProofVerdict:
    """What came of a proof."""

    verdict: str
    """`holds`, `refuted` or `unreadable`."""
    reason: str
    proof: PageProof | FileProof | None = None
    measurement_expected: bool = False
    content_checked: bool = False

    @property
    def exit_code(self) -> int:
        """0 it holds, 1 it does not, 2 it cannot be read."""
        return _EXIT_CODES[self.verdict]


def check_proof(path: Path, measurement: Digest | None, content: Path | None) -> ProofVerdict:
    """Read a proof file, and the content to hold against it, and check both."""
    try:
        proof = load_proof(path)
        shown = None if content is None else _read(content, None)
    except InvalidRequest as error:
        return ProofVerdict("unreadable", error.message)
    if shown is not None and isinstance(proof, PageProof):
        return ProofVerdict("unreadable", f"{path} is a proof of pages: --content is for a file's", proof)
    try:
        if isinstance(proof, PageProof):
            verify_page_proof(proof, measurement)
        else:
            verify_file_proof(proof, measurement, shown)
    except ProofRefuted as error:
        return ProofVerdict("refuted", error.message, proof, measurement is not None)
    checked = isinstance(proof, FileProof) and (shown is not None or proof.content is not None)
    return ProofVerdict("holds", _claim(proof), proof, measurement is not None, checked)


def load_proof(path: Path) -> PageProof | FileProof:
    """A proof file. Raises InvalidRequest when it is not there, not readable or not one."""
    raw = _read(path, MAX_FILE_BYTES)
    try:
        data = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is not JSON: {error}") from error
    return proof_from_json(data)


def verdict_to_json(result: ProofVerdict) -> dict[str, object]:
    """The object that `--json` prints."""
    proof = result.proof
    return {
        "verdict": result.verdict,
        "verified": result.exit_code == 0,
        "reason": result.reason,
        "measurement_expected": result.measurement_expected,
        "content_checked": result.content_checked,
        "proof": None if proof is None else _summary(proof),
    }


def verify_proof(
    proof: Annotated[Path, typer.Argument(metavar="FILE", help="A proof file, *.proof.json.")],
    measurement: Annotated[
        str | None,
        typer.Option(
            "--measurement",
            metavar="HEX",
            help="Of the snapshot that it must be about, such as a receipt's state root; "
            "default: the one that the file names.",
        ),
    ] = None,
    content: Annotated[
        Path | None,
        typer.Option("--content", metavar="FILE", help="Must be the proven file's content, byte for byte."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check a proof that a snapshot holds a file (or a page of memory), offline, without a machine.

    It shows a file's kind, permission bits, size and SHA-256, or that there is none.
    Give --measurement: without it the proof is held against what it names itself.

    Exit code 0: it holds. 1: it does not, and what differs. 2: it cannot be read.
    """
    result = check_proof(proof, _measurement(measurement), content)
    if as_json:
        print(json.dumps(verdict_to_json(result)))
    else:
        print_proof_verdict(result, Console(highlight=False))
    raise typer.Exit(result.exit_code)


def print_proof_verdict(result: ProofVerdict, console: Console) -> None:
    """What was claimed, what it was held against, and the conclusion."""
    lines: list[tuple[str, str]] = []
    if result.proof is not None:
        state = result.proof if isinstance(result.proof, PageProof) else result.proof.manifest
        against = "as expected" if result.measurement_expected else "as the file names it; not compared"
        lines.append(("measurement", f"{to_hex(state.measurement)} ({against})"))
    if isinstance(result.proof, FileProof):
        lines += _file_lines(result.proof, result.content_checked)
    if result.exit_code == 0:
        for name, text in lines:
            console.print(f"{name:<12} {plain(text)}", soft_wrap=True)
    word = {0: "[bold green]HOLDS[/]", 1: "[bold red]DOES NOT HOLD[/]", 2: "[bold yellow]CANNOT BE READ[/]"}
    console.print(f"{word[result.exit_code]}: {plain(result.reason)}", soft_wrap=True)


def _file_lines(proof: FileProof, content_checked: bool) -> list[tuple[str, str]]:
    if proof.entry is None:
        return [("path", f"{proof.path} (not there)")]
    entry = proof.entry
    lines = [("path", f"{proof.path} ({entry.kind.name.lower()}, {entry.mode:04o}, {entry.size} bytes)")]
    if any(entry.sha256):
        compared = "equals the content" if content_checked else "no content was compared"
        lines.append(("sha256", f"{to_hex(entry.sha256)} ({compared})"))
    return lines


def _claim(proof: PageProof | FileProof) -> str:
    if isinstance(proof, FileProof):
        there = "there is no" if proof.entry is None else "this is the entry of"
        return f"{there} {proof.path!r} in the machine with this measurement"
    last = proof.index + len(proof.pages) // PAGE_SIZE - 1
    which = f"page {last} is" if last == proof.index else f"pages {proof.index} to {last} are"
    return f"{which} in the machine with this measurement"


def _summary(proof: PageProof | FileProof) -> dict[str, object]:
    pages = proof if isinstance(proof, PageProof) else proof.manifest
    summary: dict[str, object] = {
        "measurement": to_hex(pages.measurement),
        "profile_id": to_hex(pages.state.profile_id),
        "ram_root": to_hex(pages.state.ram_root),
        "device_hash": to_hex(pages.state.device_hash),
        "page_index": pages.index,
        "page_count": len(pages.pages) // PAGE_SIZE,
    }
    if isinstance(proof, FileProof):
        summary["path"] = proof.path
        summary["entry"] = None if proof.entry is None else entry_to_json(proof.entry)
    return summary


def _measurement(text: str | None) -> Digest | None:
    """Hexadecimal digits, with `0x` or without. Raises typer.BadParameter (exit code 2)."""
    if text is None:
        return None
    try:
        return digest_from_hex("0x" + text.lower().removeprefix("0x"))
    except ValueError as error:
        raise typer.BadParameter(f"--measurement: {error}") from error


def _read(path: Path, limit: int | None) -> bytes:
    try:
        if limit is not None and path.stat().st_size > limit:
            raise InvalidRequest(f"{path} is over {limit} bytes: no proof file is that large")
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Raises ValueError when an object has a field twice: readers would differ in which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found
