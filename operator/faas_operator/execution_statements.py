"""What every run over HTTP asks of its table, as SQL. `execution_store` runs it."""

from __future__ import annotations

from faas_operator.statement import Statement

LOOK = Statement(
    "SELECT EXISTS (SELECT 1 FROM execution WHERE account = :account AND id = :id) AS taken, "
    "EXISTS (SELECT 1 FROM execution WHERE account = :account AND idempotency_key = :key) AS key_used, "
    "(SELECT concurrent_executions FROM account WHERE id = :account) AS own_limit, "
    # the blank text keeps SQLite from going through all that the account has ever run
    "(SELECT count(*) FROM execution WHERE account || '' = :account AND status IN ('queued', 'running')) "
    "AS unfinished"
)
EARLIER = Statement(
    "SELECT id, request_digest FROM execution "
    "WHERE account = :account AND idempotency_key = :key AND created_at > :since"
)
FREE_KEY = Statement(
    "UPDATE execution SET idempotency_key = NULL "
    "WHERE account = :account AND idempotency_key = :key AND created_at <= :since"
)
ADD = Statement(
    "INSERT INTO execution (id, account, status, mode, language, job, snapshot_id, branch_id, session, "
    "cached, idempotency_key, request_digest, process, created_at, updated_at) "
    "VALUES (:id, :account, :status, :mode, :language, :job, :snapshot_id, :branch_id, :session, "
    ":cached, :idempotency_key, :request_digest, :process, :now, :now) RETURNING number"
)
FINISH = Statement(
    "UPDATE execution SET status = :status, outcome = :outcome, receipt = :receipt, signature = :signature, "
    "wall_ms = :wall_ms, cached = :cached, kept_snapshot_id = :kept_snapshot_id, updated_at = :now "
    "WHERE number = :number AND status IN ('queued', 'running') "
    "RETURNING number, id, account, status, mode, job, snapshot_id, branch_id, session, kept_snapshot_id, "
    "cached, wall_ms, error, created_at, updated_at"
)
SET_JOB = Statement("UPDATE execution SET job = :job WHERE number = :number")
