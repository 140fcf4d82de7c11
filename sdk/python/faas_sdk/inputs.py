"""What is wrong with a job's inputs, before anyone is paid for saying so.

An operator answers an invalid job with the result FAILED, and that is paid for like any other. These
are the operators' own rules; the chain's schema knows only the kinds of the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from faas_sdk.errors import SubmissionRefused
from faas_sdk.payload import LIMITS, JobInputs

Made = TypeVar("Made")

ENTRY_FILES: Mapping[str, str] = {
    "python": "main.py",
    "javascript": "main.js",
    "bash": "main.sh",
    "rust": "main.rs",
    "go": "main.go",
    "typescript": "main.ts",
}
"""The languages, and the name under which the code stands beside the files."""

PROGRAM_FILES: Mapping[str, str] = {"rust": "main", "go": "main", "typescript": "main.js"}
"""The name of the compiled program beside them."""

OUTPUT_FOLDER = "output"
"""Where a program leaves files for its caller; there may be files below it, but none in its place."""

MAX_CODE_BYTES = 4 << 20
MAX_INPUT_BYTES = 14 << 20
MIN_EPOCH = 86_400
MAX_EPOCH = 4_102_444_800

LIMIT_RANGES: Mapping[str, tuple[int, int]] = {
    "timeout_ms": (1, 3_600_000),
    "memory_mb": (16, 512),
    "output_bytes": (0, 4 << 20),
    "processes": (1, 256),
    "disk_mb": (1, 128),
    "cpu_millicores": (10, 1000),
}


def checked(make: Callable[[], Made]) -> Made:
    """What `make` gives; its ValueError as SubmissionRefused `invalid_inputs`."""
    try:
        return make()
    except ValueError as error:
        raise SubmissionRefused("invalid_inputs", str(error)) from error


def check(inputs: JobInputs) -> None:
    """Raises SubmissionRefused `invalid_inputs` with the first thing that operators refuse."""
    for problem in problems(inputs):
        raise SubmissionRefused("invalid_inputs", problem)


def problems(inputs: JobInputs) -> Iterable[str]:
    """Everything that operators refuse."""
    if inputs.language not in ENTRY_FILES:
        yield f"language {inputs.language!r} is not served; choose one of: {', '.join(ENTRY_FILES)}"
    for name, (low, high) in LIMIT_RANGES.items():
        if not low <= {**LIMITS, **inputs.limits}[name] <= high:
            yield f"{name} must be from {low} to {high}"
    if not MIN_EPOCH <= inputs.epoch <= MAX_EPOCH:
        yield "epoch must lie from 1970-01-02 to 2100-01-01"
    texts = [*inputs.arguments, *inputs.env_vars, *inputs.env_vars.values()]
    if any("\0" in text for text in texts):
        yield "arguments and env_vars must not hold NUL characters"
    if any(not name or "=" in name for name in inputs.env_vars):
        yield "names of env_vars must not be empty or hold '='"
    yield from _path_problems(inputs)
    code = len(inputs.code.encode())
    if code > MAX_CODE_BYTES:
        yield f"code is {code} bytes, {MAX_CODE_BYTES} at the most"
    total = code + len(inputs.stdin) + sum(len(text.encode()) for text in texts)
    total += sum(len(path) + len(content) for path, content in inputs.files.items())
    if total > MAX_INPUT_BYTES:
        yield f"inputs are {total} bytes, {MAX_INPUT_BYTES} at the most"


def _path_problems(inputs: JobInputs) -> Iterable[str]:
    own = {ENTRY_FILES.get(inputs.language, ""), PROGRAM_FILES.get(inputs.language, "")} - {""}
    taken = {*own, *inputs.files}
    for path in inputs.files:
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts):
            yield f"file path {path!r} must be relative, without empty, '.' or '..' parts"
        if "\0" in path or len(path.encode()) > 1024 or any(len(part.encode()) > 255 for part in parts):
            yield f"file path {path[:80]!r} is too long or holds a NUL"
        if path in own:
            yield f"{path!r} is the program's own name"
        if path == OUTPUT_FOLDER:
            yield f"{path!r} is the folder of output files"
        if any("/".join(parts[:count]) in taken for count in range(1, len(parts))):
            yield f"{path!r} lies below another file"
