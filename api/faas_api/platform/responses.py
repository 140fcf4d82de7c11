"""What the platform dialect answers."""

from __future__ import annotations

import math

from faas_blueprint.bundle import Bundle, bundle_to_json, make_bundle, manifest_to_json
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import NotFound
from faas_blueprint.job import LIMIT_RANGES, Job, encode_job, job_digest
from faas_blueprint.prices import execution_cost, in_units
from faas_blueprint.receipt import receipt_to_json
from faas_operator.execution_store import Attested, ExecutionRecord

Json = dict[str, object]


def execution_to_json(record: ExecutionRecord) -> Json:
    """An execution: the dialect's fields, then ours. Without an outcome, what is known so far."""
    head: Json = {"execution_id": record.id, "id": record.id, "status": str(record.status)}
    common: Json = {"mode": "ephemeral", "cached": False, "job": _job_to_json(record.job)}
    if record.attested is None:
        return {**head, **common, "error": record.error}
    return {**head, **_outcome_to_json(record.attested, record.job), **common}


def receipt_file(record: ExecutionRecord) -> Json:
    """What `faas verify` takes. Raises NotFound for a run without an outcome."""
    attested = record.attested
    if attested is None:
        raise NotFound(f"execution {record.id} has no receipt: it is {record.status}")
    bundle: Bundle = make_bundle(
        attested.receipt, attested.signature, encode_job(record.job), attested.outcome
    )
    return bundle_to_json(bundle)


def _outcome_to_json(attested: Attested, job: Job) -> Json:
    outcome = attested.outcome
    cost = execution_cost(outcome.virtual_ns, job.limits.memory_mb)
    return {
        "reason": outcome.status.name.lower(),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "stdout": outcome.stdout.content.decode(errors="replace"),
        "stderr": outcome.stderr.content.decode(errors="replace"),
        "truncated": outcome.stdout.truncated or outcome.stderr.truncated,
        "files": manifest_to_json(outcome.manifest()),
        "files_truncated": outcome.files_truncated,
        "duration_ms": math.ceil(attested.wall_ms),
        "virtual_ns": outcome.virtual_ns,
        "cost": {"compute": in_units(cost.compute), "total": in_units(cost.total)},
        "receipt": receipt_to_json(attested.receipt),
        "signature": to_hex(attested.signature),
    }


def _job_to_json(job: Job) -> Json:
    """What it takes besides the request to run the same job again."""
    return {
        "digest": to_hex(job_digest(job)),
        "language": str(job.language),
        "seed": job.seed,
        "epoch": job.epoch,
        "limits": {name: getattr(job.limits, name) for name in LIMIT_RANGES},
    }
