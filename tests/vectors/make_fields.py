"""Writes `fields.json`: job 0's types, inputs and results as Fields of Tangle's Substrate chain.

Made by `faas_blueprint.tangle.fields`; the tests of the Substrate side let the runtime's own types read them.
"""

from __future__ import annotations

import json
from pathlib import Path

from faas_blueprint import tlv
from faas_blueprint.job import EXECUTE_PARAMETERS, encode_job, make_job
from faas_blueprint.result import EXECUTE_RESULT
from faas_blueprint.tangle.fields import encode_types, to_fields

VECTORS = Path(__file__).parent / "fields.json"

JOBS = (
    make_job("python", "print(1)"),
    make_job(
        "bash",
        "# 0x00 é€😀\n" * 150,
        stdin=bytes(range(256)) * 5,
        arguments=("a", "", "0x1234"),
        environment={"NAME": "välue"},
        files={"data/one": b"\x00\xff", "two": bytes(1025)},
        seed=2**64 - 1,
    ),
)


def _stream(size: int) -> dict[str, tlv.Value]:
    return {"size": size, "sha256": bytes([size % 256]) * 32, "truncated": size > 9}


def _result(output: dict[str, tlv.Value] | None) -> bytes:
    words = ("profile_id", "snapshot", "toolchain", "job_digest", "state_root")
    values: dict[str, tlv.Value] = {name: bytes([number]) * 32 for number, name in enumerate(words)}
    files = {"count": 0} | _stream(0)
    outcome = {"status": 0, "exit_code": -1, "signal": 9, "virtual_ns": 2**40}
    outcome |= {"stdout": _stream(3), "stderr": _stream(10), "files": files}
    outcome["trace"] = {"count": 1, "sha256": bytes([9]) * 32}
    values |= {"version": 3, "outcome": outcome, "output": output, "signature": bytes(65)}
    return tlv.encode(EXECUTE_RESULT, values)


RESULTS = (_result(None), _result({"stdout": bytes(range(256)) * 9, "stderr": b""}))


def main() -> None:
    """Write the file."""
    jobs = map(encode_job, JOBS)
    vectors = {
        "parameter_types": encode_types(EXECUTE_PARAMETERS).hex(),
        "result_types": encode_types(EXECUTE_RESULT).hex(),
        "jobs": [{"payload": p.hex(), "fields": to_fields(EXECUTE_PARAMETERS, p).hex()} for p in jobs],
        "results": [{"payload": p.hex(), "fields": to_fields(EXECUTE_RESULT, p).hex()} for p in RESULTS],
    }
    VECTORS.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
