"""Revisions of the store's tables, for Alembic. CONTRIBUTING.md says how one is made."""

from __future__ import annotations

from collections.abc import Mapping

NEWEST = "0010"
"""The revision of the tables as this version has them."""

FIRST = "0001"

FIRST_COLUMNS: Mapping[str, str] = {
    "account": (
        "closed_at concurrent_executions created_at id name number requests_per_hour requests_per_minute"
    ),
    "account_address": "account address created_at network",
    "api_key": "account created_at digest expires_at id last_used_at name number revoked_at scopes",
    "audit_log": "account action actor at details number subject",
    "blob": "content created_at sha256",
    "branch": "account created_at details head_id id number parent_branch snapshot_id updated_at",
    "chain_cursor": "block_hash block_number deployment",
    "credit_event": (
        "account_id amount applications block_hash block_number chain_id contract id kind log_index "
        "payer state token transaction_hash"
    ),
    "execution": (
        "account branch_id cached created_at error id idempotency_key job kept_snapshot_id language "
        "mode number outcome receipt request_digest session signature snapshot_id status updated_at "
        "wall_ms"
    ),
    "job": (
        "attempts block_hash block_number call_id caller chain_id created_at error id inputs "
        "job_index outcome payload profile_id quoted_operators receipt result_block_hash "
        "result_block_number result_transaction revision service_id snapshot state state_root tangle "
        "toolchain transaction_hash updated_at"
    ),
    "ledger_balance": "account amount",
    "ledger_entry": "cause created_at id kind",
    "ledger_posting": "account amount entry_id id",
    "price_table": "figures version",
    "session": "account created_at name snapshot_id updated_at",
    "sign_in_challenge": "address expires_at message nonce scheme",
    "snapshot": (
        "account branch_id created_at deleted details execution_id id kind measurement mode number "
        "parent_id paused size_bytes stored_bytes"
    ),
    "spending_limit": "account_id chain_id contract expiry id payer series signature token total",
    "storage_sweep": "id swept_at",
    "storage_usage": "account byte_seconds charged cost id period_end period_start price_version",
    "usage": (
        "account billed_by call_id chain_id charged compute_cost cpu_millicores egress_bytes ended_at "
        "execution_id id ingress_bytes memory_mb mode network_cost payer price_version reference "
        "service_id status virtual_ns"
    ),
}
"""The first revision's tables. Databases that were made before there were revisions are known by them."""
