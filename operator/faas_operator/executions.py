"""Runs that are asked for over HTTP: the same engine, the same receipt, no chain.

Their receipts name chain 0, the zero address, service 0 and a number of this node's own as the call.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from faas_blueprint.bundle import manifest_to_json
from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import ExecutionTimeout, FaaSError
from faas_blueprint.job import Job, job_digest
from faas_blueprint.outcome import Status
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference, receipt_to_json
from faas_operator.engine import JobEngine
from faas_operator.execution_store import ExecutionRecord, ExecutionStatus
from faas_operator.logs import about
from faas_operator.signer import Signer
from faas_operator.store import Store

log = logging.getLogger(__name__)


class ExecutionService:
    """Runs jobs off-chain and remembers them. Safe for concurrent calls."""

    def __init__(self, engine: JobEngine, signer: Signer, store: Store) -> None:
        """Runs that an earlier life of this node left unfinished are marked as failed."""
        self._engine = engine
        self._signer = signer
        self._store = store
        self._executions = store.executions
        self._executions.end_interrupted()

    @property
    def profile_id(self) -> Digest:
        """The kind of machine."""
        return self._engine.profile_id

    @property
    def measurement(self) -> Digest:
        """The snapshot that every run starts from."""
        return self._engine.measurement

    async def execute(self, job: Job, account: str) -> ExecutionRecord:
        """Run a job, sign what came out, store it. Cancelling the call stops its machine.

        A run that ended at its time limit is a record too (see `require_in_time`).
        Raises what the engine raises: InvalidRequest, MachineFailure, InsufficientResources, ….
        """
        execution_id = "exec_" + secrets.token_hex(12)
        number = await asyncio.to_thread(self._executions.begin, execution_id, account, job)
        try:
            await self._run(number, job)
        except FaaSError as error:
            log.warning("run failed", extra=about(execution=execution_id, error=error))
            await asyncio.to_thread(self._executions.end, number, ExecutionStatus.FAILED, error.message)
            raise
        except asyncio.CancelledError:
            self._executions.end(number, ExecutionStatus.CANCELLED, "the caller went away")
            raise
        return await self.record(execution_id, account)

    async def record(self, execution_id: str, account: str) -> ExecutionRecord:
        """A run of this account. Raises NotFound."""
        return await asyncio.to_thread(self._executions.get, execution_id, account)

    async def file(self, execution_id: str, account: str, path: str) -> bytes:
        """An output file of a run of this account. Raises NotFound."""
        return await asyncio.to_thread(self._executions.file, execution_id, account, path)

    async def blob(self, digest: Digest) -> bytes:
        """The bytes with this SHA-256. Raises NotFound."""
        return await asyncio.to_thread(self._store.blob, digest)

    async def _run(self, number: int, job: Job) -> None:
        execution = await self._engine.run(job)
        receipt, signature = self._signer.attest(
            profile_id=execution.profile_id,
            snapshot=execution.measurement,
            toolchain=execution.toolchain,
            job_digest=job_digest(job),
            outcome=execution.outcome,
            call=CallReference(0, ZERO_ADDRESS, 0, number),
        )
        status = (
            ExecutionStatus.TIMEOUT
            if execution.outcome.status is Status.TIMEOUT
            else ExecutionStatus.COMPLETED
        )
        await asyncio.to_thread(self._executions.finish, number, status, execution, receipt, signature)


def require_in_time(record: ExecutionRecord) -> ExecutionRecord:
    """The record. Raises ExecutionTimeout, with what was written until then, for a run that timed out."""
    if record.status is not ExecutionStatus.TIMEOUT or record.attested is None:
        return record
    outcome = record.attested.outcome
    raise ExecutionTimeout(
        f"the run used up its {record.job.limits.timeout_ms} ms of virtual time",
        {
            "execution_id": record.id,
            "timeout_ms": record.job.limits.timeout_ms,
            "stdout": outcome.stdout.content.decode(errors="replace"),
            "stderr": outcome.stderr.content.decode(errors="replace"),
            "files": manifest_to_json(outcome.manifest()),
            "receipt": receipt_to_json(record.attested.receipt),
            "signature": to_hex(record.attested.signature),
        },
    )
