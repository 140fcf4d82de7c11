"""What this process counts for Prometheus as it happens; `metrics` adds what is read when it asks.

Labels are names of the node's own: states and methods.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

HAPPENINGS = CollectorRegistry()
"""Of the process, whatever nodes it runs."""

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

RPC_ERRORS = Counter(
    "faas_rpc_errors", "Requests to the chain that failed, each try", ["method"], registry=HAPPENINGS
)
STAGE_SECONDS = Histogram(
    "faas_job_stage_seconds",
    "How long job calls were in a state",
    ["state"],
    buckets=_SECONDS,
    registry=HAPPENINGS,
)
ANSWER_SECONDS = Histogram(
    "faas_job_answer_seconds",
    "From a job call seen to its result in a block",
    buckets=_SECONDS,
    registry=HAPPENINGS,
)
SLASHES = Gauge(
    "faas_slash_proposals",
    "Slash proposals against this operator that are not over",
    ["standing"],
    registry=HAPPENINGS,
)
HEARTBEATS = Counter(
    "faas_heartbeats",
    "Heartbeats to the status registry, by what it said",
    ["outcome"],
    registry=HAPPENINGS,
)
REQUESTS = Gauge(
    "faas_service_requests",
    "Service requests that wait for this operator, by what the policy says",
    ["verdict"],
    registry=HAPPENINGS,
)
REQUEST_ANSWERS = Counter(
    "faas_service_request_answers",
    "Service requests that this process approved, rejected or failed to answer",
    ["answer"],
    registry=HAPPENINGS,
)
EXITS = Gauge(
    "faas_service_exits",
    "Services that this operator has scheduled to leave",
    ["standing"],
    registry=HAPPENINGS,
)
