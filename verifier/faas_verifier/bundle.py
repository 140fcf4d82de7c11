"""Receipt files on disk. Their format is `faas_blueprint.bundle`'s."""

from __future__ import annotations

import json
from pathlib import Path

from faas_blueprint.bundle import Bundle, bundle_from_json, bundle_to_json
from faas_blueprint.errors import InvalidRequest

MAX_FILE_BYTES = 192 << 20
"""The largest job and output together, in hexadecimal, with room to spare."""


def load_bundle(path: Path) -> Bundle:
    """A receipt file. Raises InvalidRequest when it is not there, not readable or not one."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidRequest(f"{path} is over {MAX_FILE_BYTES} bytes: no receipt file is that large")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is not JSON: {error}") from error
    return bundle_from_json(data)


def save_bundle(bundle: Bundle, path: Path) -> None:
    """Write a receipt file."""
    path.write_text(json.dumps(bundle_to_json(bundle), indent=2) + "\n")
