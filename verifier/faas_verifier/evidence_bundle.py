"""Evidence bundles: one file from which anyone checks a refutation again, without chain and network.

A zip file, deflated, with these entries and no others:

    dispute.json                 {"format": 1, "base": "0x…", "report": {…}}, see `faas_blueprint.bisection`
    refuted.json                 the receipt file of the refuted operator
    established.json             that of an operator that is right, if one is
    origin.devices, .pages       the receipt's snapshot, unless it is the base
    start.devices, .pages        the machine of the last agreed milestone, unless the leg is the first
    claimed.devices, .pages      the machine that the refuted operator says the leg ends in, if it shows it
    inputs/<SHA-256>             what the job names by hash

Machines are packed as `packed_machine` says, against the base. Reading is strict: names, number and sizes are
limited before anything is unpacked. Nothing is judged here: `dispute_check` does.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from faas_blueprint.bisection import Point, Report
from faas_blueprint.bundle import Bundle, bundle_from_json, bundle_to_json
from faas_blueprint.digests import Digest, digest_from_hex, sha256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import CallReference, address
from faas_verifier.bundle import MAX_FILE_BYTES
from faas_verifier.packed_machine import MOST_DEVICE_BYTES, PackedMachine

MOST_BYTES = 768 << 20
"""Of all entries together, unpacked."""

MOST_ENTRIES = 1_024

_MACHINES = ("origin", "start", "claimed")
_INPUT = re.compile(r"inputs/([0-9a-f]{64})")
_TIME = (1980, 1, 1, 0, 0, 0)
"""Of every entry: equal evidence is an equal file."""

_LIMITS = {
    "dispute.json": 1 << 20,
    "refuted.json": MAX_FILE_BYTES,
    "established.json": MAX_FILE_BYTES,
    **{f"{machine}.devices": MOST_DEVICE_BYTES for machine in _MACHINES},
    **{f"{machine}.pages": MOST_BYTES for machine in _MACHINES},
}


@dataclass(frozen=True, slots=True)
class EvidenceBundle:
    """All that a check takes, but for the base machine."""

    base: Digest
    """Measurement of the machine that pages are told against."""
    report: Report
    refuted: Bundle
    established: Bundle | None = None
    origin: PackedMachine | None = None
    start: PackedMachine | None = None
    claimed: PackedMachine | None = None
    inputs: Mapping[Digest, bytes] = field(default_factory=dict)


def write_evidence(evidence: EvidenceBundle, path: Path) -> None:
    """Write the file. Raises InvalidRequest for more than one may hold."""
    entries = _entries(evidence)
    size = sum(map(len, entries.values()))
    if size > MOST_BYTES or len(entries) > MOST_ENTRIES:
        raise InvalidRequest(f"the evidence has {size} bytes: {MOST_BYTES} are the most that a bundle holds")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)


def read_evidence(path: Path) -> EvidenceBundle:
    """The inverse, of a file that anyone may have made. Raises InvalidRequest."""
    try:
        with zipfile.ZipFile(path) as file:
            entries = _read_entries(file)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        raise InvalidRequest(f"{path} is no evidence bundle: {error}") from error
    return _evidence(entries)


def _entries(evidence: EvidenceBundle) -> dict[str, bytes]:
    about = {"format": 1, "base": to_hex(evidence.base), "report": evidence.report.to_json()}
    entries = {"dispute.json": _encoded(about), "refuted.json": _encoded(bundle_to_json(evidence.refuted))}
    if evidence.established is not None:
        entries["established.json"] = _encoded(bundle_to_json(evidence.established))
    for name in _MACHINES:
        machine: PackedMachine | None = getattr(evidence, name)
        if machine is not None:
            entries[f"{name}.devices"] = machine.devices
            entries[f"{name}.pages"] = machine.pages
    for digest in sorted(evidence.inputs):
        entries[f"inputs/{digest.hex()}"] = evidence.inputs[digest]
    return entries


def _read_entries(file: zipfile.ZipFile) -> dict[str, bytes]:
    infos = file.infolist()
    if len(infos) > MOST_ENTRIES:
        raise InvalidRequest(f"an evidence bundle has {MOST_ENTRIES} entries at the most")
    if len({info.filename for info in infos}) != len(infos):
        raise InvalidRequest("an evidence bundle has an entry twice")
    total = 0
    for info in infos:
        limit = MAX_FILE_BYTES if _INPUT.fullmatch(info.filename) else _LIMITS.get(info.filename)
        if limit is None:
            raise InvalidRequest(f"an evidence bundle has no entry {info.filename[:80]!r}")
        total += info.file_size
        if info.file_size > limit or total > MOST_BYTES:
            raise InvalidRequest(f"{info.filename}: {info.file_size} bytes are more than it may have")
    return {info.filename: file.read(info) for info in infos}


def _evidence(entries: Mapping[str, bytes]) -> EvidenceBundle:
    about = _object(_json(entries, "dispute.json"), "dispute.json", ("format", "base", "report"))
    if about["format"] != 1:
        raise InvalidRequest(f"an evidence bundle of format {about['format']!r} is not known here")
    established = None
    if "established.json" in entries:
        established = bundle_from_json(_json(entries, "established.json"))
    try:
        return EvidenceBundle(
            _digest(about["base"]),
            report_from_json(about["report"]),
            bundle_from_json(_json(entries, "refuted.json")),
            established,
            **{name: _machine(entries, name) for name in _MACHINES},
            inputs=_inputs(entries),
        )
    except ValueError as error:
        raise InvalidRequest(f"dispute.json: {error}") from error


def report_from_json(data: object) -> Report:
    """The inverse of `Report.to_json`. Raises InvalidRequest."""
    names = ("format", "chain_id", "tangle", "service_id", "call_id", "operator", "established", "refuted")
    parts = _object(data, "report", (*names, "milestone", "start", "right", "wrong"))
    if parts["format"] != 1:
        raise InvalidRequest(f"a report of format {parts['format']!r} is not known here")
    try:
        call = CallReference(
            _number(parts["chain_id"]),
            address(str(parts["tangle"])),
            _number(parts["service_id"]),
            _number(parts["call_id"]),
        )
        return Report(
            call,
            address(str(parts["operator"])),
            _digest(parts["established"]),
            _digest(parts["refuted"]),
            _number(parts["milestone"]),
            _digest(parts["start"]),
            _point(parts["right"]),
            _point(parts["wrong"]),
        )
    except ValueError as error:
        raise InvalidRequest(f"report: {error}") from error


def _machine(entries: Mapping[str, bytes], name: str) -> PackedMachine | None:
    devices, pages = entries.get(f"{name}.devices"), entries.get(f"{name}.pages")
    if devices is None and pages is None:
        return None
    if devices is None or pages is None:
        raise InvalidRequest(f"{name}: device state and pages belong together")
    return PackedMachine(devices, pages)


def _inputs(entries: Mapping[str, bytes]) -> dict[Digest, bytes]:
    found = {}
    for name, content in entries.items():
        if match := _INPUT.fullmatch(name):
            if sha256(content).hex() != match[1]:
                raise InvalidRequest(f"{name} holds something else")
            found[sha256(content)] = content
    return found


def _point(data: object) -> Point:
    parts = _object(data, "a point", ("root", "outcome_digest"))
    outcome = parts["outcome_digest"]
    return Point(_digest(parts["root"]), None if outcome is None else _digest(outcome))


def _encoded(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _json(entries: Mapping[str, bytes], name: str) -> object:
    if name not in entries:
        raise InvalidRequest(f"the evidence bundle has no {name}")
    try:
        return json.loads(entries[name])
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{name} is not JSON: {error}") from error


def _object(data: object, what: str, names: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(data, dict) or set(data) != set(names):
        raise InvalidRequest(f"{what} must be an object of {', '.join(names)}")
    return cast("Mapping[str, object]", data)


def _digest(value: object) -> Digest:
    return digest_from_hex(str(value))


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 256:
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    return value
