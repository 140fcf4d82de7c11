"""The proof file, `*.proof.json`: one proof with all that is needed to check it.

    {"format": "faas page proof 1",
     "measurement": "0x…", "profile_id": "0x…", "ram_root": "0x…", "device_hash": "0x…",
     "page_index": 71936,
     "pages": "0x…" (whole pages of 4096 bytes, side by side, `page_index` the first),
     "siblings": ["0x…", one for each level from the leaves up]}

A file proof has the format "faas file proof 1", the same fields for the manifest's pages, and

     "path": "out/report.txt",
     "entry": {"kind": "file" | "link" | "folder", "mode": 420, "size": 3, "sha256": "0x…"}
              or null: there is no such path,
     "content": "0x…" (may be left out)

Parsing is strict: unknown keys are refused, so that nothing stands in a file that was not looked at.
Nothing is judged here: `proof` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from faas_blueprint.digests import Digest, digest_from_hex, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.file_manifest import FileEntry, FileKind
from faas_blueprint.measurement import MachineState
from faas_blueprint.proof import FileProof, PageProof

PAGE_FORMAT = "faas page proof 1"
FILE_FORMAT = "faas file proof 1"

_PAGE_FIELDS = (
    "format",
    "measurement",
    "profile_id",
    "ram_root",
    "device_hash",
    "page_index",
    "pages",
    "siblings",
)
_MAX_LEVELS = 32


def proof_to_json(proof: PageProof | FileProof) -> dict[str, object]:
    """A JSON-safe object."""
    if isinstance(proof, PageProof):
        return {"format": PAGE_FORMAT, **_pages_to_json(proof)}
    content = {} if proof.content is None else {"content": to_hex(proof.content)}
    entry = None if proof.entry is None else entry_to_json(proof.entry)
    pages = _pages_to_json(proof.manifest)
    return {"format": FILE_FORMAT, **pages, "path": proof.path, "entry": entry, **content}


def proof_from_json(data: object) -> PageProof | FileProof:
    """The inverse of `proof_to_json`. Raises InvalidRequest naming the field."""
    kind = cast("Mapping[str, object]", data).get("format") if isinstance(data, dict) else None
    if kind == PAGE_FORMAT:
        return _pages_from_json(_object(data, "the file", _PAGE_FIELDS))
    if kind != FILE_FORMAT:
        raise InvalidRequest(f"the file is no proof: its format is neither {PAGE_FORMAT} nor {FILE_FORMAT}")
    parts = _object(data, "the file", (*_PAGE_FIELDS, "path", "entry"), ("content",))
    path = _text(parts["path"], "path")
    entry = None if parts["entry"] is None else _entry_from_json(parts["entry"], path)
    content = _bytes(parts["content"], "content") if "content" in parts else None
    return FileProof(_pages_from_json(parts), path, entry, content)


def entry_to_json(entry: FileEntry) -> dict[str, str | int]:
    """All but the path."""
    return {
        "kind": entry.kind.name.lower(),
        "mode": entry.mode,
        "size": entry.size,
        "sha256": to_hex(entry.sha256),
    }


def _pages_to_json(proof: PageProof) -> dict[str, object]:
    return {
        "measurement": to_hex(proof.measurement),
        "profile_id": to_hex(proof.state.profile_id),
        "ram_root": to_hex(proof.state.ram_root),
        "device_hash": to_hex(proof.state.device_hash),
        "page_index": proof.index,
        "pages": to_hex(proof.pages),
        "siblings": [to_hex(siblings) for siblings in proof.siblings],
    }


def _pages_from_json(parts: Mapping[str, object]) -> PageProof:
    siblings = parts["siblings"]
    if not isinstance(siblings, list) or len(siblings) > _MAX_LEVELS:
        raise _refused("siblings", f"a list of {_MAX_LEVELS} at the most", siblings)
    profile_id, ram_root, device_hash = (
        _digest(parts[name], name) for name in ("profile_id", "ram_root", "device_hash")
    )
    return PageProof(
        _digest(parts["measurement"], "measurement"),
        MachineState(profile_id, ram_root, device_hash),
        _integer(parts["page_index"], "page_index", 1 << 64),
        _bytes(parts["pages"], "pages"),
        tuple(_bytes(level, f"siblings[{number}]") for number, level in enumerate(siblings)),
    )


def _entry_from_json(data: object, path: str) -> FileEntry:
    parts = _object(data, "entry", ("kind", "mode", "size", "sha256"))
    kinds = {kind.name.lower(): kind for kind in FileKind}
    kind = _text(parts["kind"], "entry.kind")
    if kind not in kinds:
        raise _refused("entry.kind", f"one of {', '.join(kinds)}", kind)
    return FileEntry(
        path,
        kinds[kind],
        _integer(parts["mode"], "entry.mode", 1 << 16),
        _integer(parts["size"], "entry.size", 1 << 64),
        _digest(parts["sha256"], "entry.sha256"),
    )


def _object(
    data: object, path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise _refused(path, "an object", data)
    for name in required:
        if name not in data:
            raise InvalidRequest(f"{path}: field {name!r} is missing", {"field": name})
    for name in sorted(set(data) - {*required, *optional}):
        raise InvalidRequest(f"{path}: unknown field {name!r}", {"field": name})
    return cast("Mapping[str, object]", data)


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
        raise _refused(path, "a text", value)
    return value


def _integer(value: object, path: str, end: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < end:
        raise _refused(path, f"an integer from 0 to {end - 1}", value)
    return value


def _bytes(value: object, path: str) -> bytes:
    text = _text(value, path)
    try:
        if to_hex(content := bytes.fromhex(text[2:])) == text:
            return content
    except ValueError:
        pass
    raise _refused(path, "0x and lower-case hexadecimal digits", value)


def _digest(value: object, path: str) -> Digest:
    try:
        return digest_from_hex(to_hex(_bytes(value, path)))
    except ValueError as error:
        raise _refused(path, "0x and 64 hexadecimal digits", value) from error


def _refused(path: str, expected: str, value: object) -> InvalidRequest:
    return InvalidRequest(f"{path}: expected {expected}, got {str(value)[:60]!r}", {"field": path})
