"""A run as messages, the same over WebSocket and as server-sent events.

    {"type": "output", "execution_id", "stream": "stdout" | "stderr", "data": text}
    {"type": "progress", "execution_id", "progress": 0 to 1 of its time limit, "message", "wants_input"}
    {"type": "dropped", "execution_id", "bytes", "message"}   this reader was too slow for output
    {"type": "completed", "execution_id", "exit_code", "status", "duration_ms", "snapshot_id"}
    {"type": "error", "execution_id", "error", "code", "status"}

Exactly one of the last two ends a run.
"""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from faas_api.platform.responses import duration_ms
from faas_blueprint.errors import NotFound
from faas_microvm.execution import Output, Progress
from faas_operator.execution_record import ExecutionRecord, ExecutionStatus
from faas_operator.executions import ExecutionService
from faas_operator.feed import Dropped

Message = dict[str, object]

PROGRESS_SECONDS = 0.25
"""At the most so often."""

_ENDED = (ExecutionStatus.COMPLETED, ExecutionStatus.RESTORED)
_CODES = {ExecutionStatus.TIMEOUT: "EXECUTION_TIMEOUT", ExecutionStatus.CANCELLED: "INVALID_REQUEST"}


async def messages(
    executions: ExecutionService, execution_id: str, account: str, patience: float = 0.0
) -> AsyncGenerator[Message]:
    """What has been, what comes, and how it ended.

    An id that is not known yet is waited for `patience` seconds. Raises NotFound.
    """
    record = await _await_record(executions, execution_id, account, patience)
    limit = None if record.job is None else record.job.limits.timeout_ms
    text = _Text(execution_id)
    shown = 0.0
    async with aclosing(executions.follow(execution_id, account)) as events:
        async for event in events:
            if isinstance(event, Output):
                if message := text.of(event):
                    yield message
            elif isinstance(event, Dropped):
                text.restart()
                yield _dropped(execution_id, event)
            elif isinstance(event, Progress):
                if limit and (event.wants_input or time.monotonic() - shown > PROGRESS_SECONDS):
                    shown = time.monotonic()
                    yield _progress(execution_id, event, limit)
            else:
                for message in text.rest():
                    yield message
                yield ending(event)


def ending(record: ExecutionRecord) -> Message:
    """The last message of a run."""
    head: Message = {"execution_id": record.id, "status": str(record.status)}
    exit_code = None if record.attested is None else record.attested.outcome.exit_code
    if record.status in _ENDED:
        took = duration_ms(record.wall_ms)
        return {
            "type": "completed",
            **head,
            "exit_code": exit_code,
            "duration_ms": took,
            "snapshot_id": record.kept_snapshot_id,
        }
    said = record.error or f"the run ended: {record.status}"
    if record.status is ExecutionStatus.TIMEOUT and record.job is not None:
        said = f"the run used up its {record.job.limits.timeout_ms} ms of virtual time"
    code = _CODES.get(record.status, "INTERNAL_ERROR")
    return {"type": "error", **head, "error": said, "code": code, "exit_code": exit_code}


async def _await_record(
    executions: ExecutionService, execution_id: str, account: str, patience: float
) -> ExecutionRecord:
    until = time.monotonic() + patience
    while True:
        try:
            return await executions.record(execution_id, account)
        except NotFound:
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(0.1)


def _progress(execution_id: str, event: Progress, limit: int) -> Message:
    reached = f"{event.virtual_ms} of at most {limit} virtual milliseconds"
    return {
        "type": "progress",
        "execution_id": execution_id,
        "progress": min(1.0, round(event.virtual_ms / limit, 4)),
        "message": f"waits for input at {reached}" if event.wants_input else reached,
        "wants_input": event.wants_input,
    }


def _dropped(execution_id: str, event: Dropped) -> Message:
    return {
        "type": "dropped",
        "execution_id": execution_id,
        "bytes": event.count,
        "message": f"{event.count} bytes of output came faster than they were read and were left out; "
        f"once the run is over, /api/v1/executions/{execution_id}/logs has all",
    }


class _Text:
    """Bytes of two streams to text; characters may be cut anywhere."""

    def __init__(self, execution_id: str) -> None:
        self._execution_id = execution_id
        self.restart()

    def restart(self) -> None:
        make = codecs.getincrementaldecoder("utf-8")
        self._decoders = {"stdout": make("replace"), "stderr": make("replace")}

    def of(self, event: Output) -> Message | None:
        return self._message(event.stream, self._decoders[event.stream].decode(event.data))

    def rest(self) -> list[Message]:
        ends = [self._message(name, decoder.decode(b"", True)) for name, decoder in self._decoders.items()]
        return [message for message in ends if message is not None]

    def _message(self, stream: str, text: str) -> Message | None:
        if not text:
            return None
        return {"type": "output", "execution_id": self._execution_id, "stream": stream, "data": text}
