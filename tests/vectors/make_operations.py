"""Makes `operations.json`: inputs of jobs 1 to 5 as every codec must write them.

    .venv/bin/python tests/vectors/make_operations.py

`job` is what a caller gives of a program; `blobs` the parts that go by their hash, as text.
"""

from __future__ import annotations

import json
from pathlib import Path

from faas_blueprint.digests import Digest, keccak256, sha256, to_hex
from faas_blueprint.job import Mode, make_job
from faas_blueprint.operation import (
    Blob,
    BlobPart,
    CreateBranch,
    ForkRecord,
    JobKind,
    MergeBranches,
    Operation,
    Program,
    RestoreSnapshot,
    Run,
    Strategy,
    kind_of,
)
from faas_blueprint.operation_payload import PARAMETERS, encode_operation
from faas_blueprint.tlv import encode_schema

SNAPSHOT, OTHER = Digest(bytes(range(32))), Digest(b"\x5a" * 32)
FORK = ForkRecord(7, 2_000_000_000, b"left")
CODE = "print(6 * 7)"
LARGE = "line of a large file\n" * 1000


def program(keep: bool, large: bool = False) -> Program:
    files = {"small.txt": b"small"}
    job = make_job("python", CODE, stdin=b"in", files=files, seed=5, epoch=1_800_000_000, keep=keep)
    blob = Blob(len(LARGE), sha256(LARGE.encode()))
    return Program(job, (BlobPart("files/large.txt", blob),) if large else ())


def run(mode: Mode, snapshot: Digest | None, fork: ForkRecord | None = None, large: bool = False) -> Run:
    return Run(JobKind.EXECUTE_WITH_OPTIONS, program(mode.keeps, large), snapshot, mode, fork)


OPERATIONS: dict[str, tuple[Operation, dict[str, object]]] = {
    "ephemeral on a snapshot": (run(Mode.EPHEMERAL, SNAPSHOT), {"mode": "ephemeral"}),
    "cached on the base": (run(Mode.CACHED, None), {"mode": "cached", "snapshot": None}),
    "checkpointed": (run(Mode.CHECKPOINTED, SNAPSHOT), {"mode": "checkpointed"}),
    "branched": (run(Mode.BRANCHED, SNAPSHOT, FORK), {"mode": "branched"}),
    "with a blob": (
        run(Mode.EPHEMERAL, None, large=True),
        {"mode": None, "snapshot": None, "blobs": {"files/large.txt": LARGE}},
    ),
    "create snapshot": (Run(JobKind.CREATE_SNAPSHOT, program(True), SNAPSHOT, Mode.CHECKPOINTED), {}),
    "restore snapshot": (RestoreSnapshot(SNAPSHOT, (1 << 64) - 1), {"challenge": str((1 << 64) - 1)}),
    "create branch": (CreateBranch(SNAPSHOT, FORK), {}),
    "merge branches": (
        MergeBranches(None, (SNAPSHOT, OTHER), Strategy.UNION),
        {"base": None, "branches": [to_hex(SNAPSHOT), to_hex(OTHER)], "strategy": "union"},
    ),
}


def vector(name: str, operation: Operation, given: dict[str, object]) -> dict[str, object]:
    payload = encode_operation(operation)
    fork = {"seed": str(FORK.seed), "epoch": str(FORK.epoch), "identity": to_hex(FORK.identity)}
    has_fork = isinstance(operation, CreateBranch) or (
        isinstance(operation, Run) and operation.fork is not None
    )
    return {
        "name": name,
        "job_index": int(kind_of(operation)),
        "snapshot": to_hex(SNAPSHOT),
        "fork": fork if has_fork else None,
        "blobs": {},
        **given,
        "payload": to_hex(payload),
        "job_digest": to_hex(keccak256(payload)),
    }


def vectors() -> dict[str, object]:
    return {
        "program": {
            "language": "python",
            "code": CODE,
            "stdin": "in",
            "files": {"small.txt": "small"},
            "seed": 5,
            "epoch": 1_800_000_000,
        },
        "operations": [vector(name, *given) for name, given in OPERATIONS.items()],
        "schemas": {str(int(kind)): encode_schema(fields).hex() for kind, fields in PARAMETERS.items()},
    }


if __name__ == "__main__":
    Path(__file__).with_name("operations.json").write_text(json.dumps(vectors(), indent=2) + "\n")
