"""What callers give that becomes a part of an address or a header, checked before anything is asked."""

from __future__ import annotations

from urllib.parse import quote

from faas_sdk.output_files import check_path


def id_part(identity: str) -> str:
    """An id as one part of an address, which can lead to no other place. Raises ValueError.

    A slash is refused, not only encoded: servers take an encoded one for a slash.
    """
    if not isinstance(identity, str) or identity in ("", ".", "..") or "/" in identity:
        raise ValueError(f"{identity!r} is not an id: it must be text without '/', not empty, '.' or '..'")
    return quote(identity, safe="")


def path_parts(path: str) -> str:
    """A file's path below an address. Raises ValueError unless it stays within its folder."""
    if not isinstance(path, str):
        raise ValueError(f"{path!r} is not a path")
    check_path(path)
    return quote(path)


def header_value(value: str, what: str) -> str:
    """Without the whitespace around it: a key that was read from a file ends in a line feed.

    Raises ValueError for what no header can carry. It does not show the value: that may be a secret.
    """
    stripped = value.strip() if isinstance(value, str) else ""
    if not stripped or not stripped.isascii() or not stripped.isprintable():
        raise ValueError(f"{what} must be printable ASCII characters, at least one")
    return stripped
