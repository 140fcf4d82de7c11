"""Executions that were begun: reading, cancelling, their output and their receipts."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from faas_api.authentication import Access, AccountId
from faas_api.json_bodies import JsonRoute
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_api.platform.requests import Size, Strict, Text
from faas_api.platform.responses import (
    Artifacts,
    Execution,
    ExecutionList,
    Logs,
    artifacts_answer,
    execution_answer,
    list_answer,
    receipt_file,
)
from faas_blueprint.job import Mode
from faas_operator.account_record import Scope
from faas_operator.execution_record import ExecutionStatus
from faas_operator.executions import ExecutionService, is_over

Tail = Annotated[
    int | None, Query(ge=0, le=1_000_000, description="Only this many last lines of each stream")
]

_BYTES = {200: {"content": {"application/octet-stream": {}}, "description": "The bytes"}}


class Input(Strict):
    """What is typed."""

    data: Text = ""
    end: bool = Field(False, description="There is no more to come")


def router(executions: ExecutionService, access: Access) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["executions"], route_class=JsonRoute)
    reader = access.account_to(Scope.READ)
    runner = access.account_to(Scope.EXECUTE)

    @routes.get("/executions")
    async def list_executions(
        account: AccountId = reader,
        status: ExecutionStatus | None = None,
        mode: Mode | None = None,
        language: str | None = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> ExecutionList:
        """The caller's executions, newest first."""
        lines, total = await executions.page(account, limit, offset, status, mode, language)
        return list_answer(list(lines), total, limit, offset)

    @routes.get("/executions/{execution_id}")
    async def get_execution(execution_id: str, account: AccountId = reader) -> Execution:
        """An execution of the caller's."""
        return execution_answer(await executions.record(execution_id, account))

    @routes.post("/executions/{execution_id}/cancel")
    @routes.delete("/executions/{execution_id}", operation_id="cancel_execution_by_delete")
    async def cancel_execution(execution_id: str, account: AccountId = runner) -> Execution:
        """Stop an execution and its machine. One that is over already is answered as it is."""
        return execution_answer(await executions.cancel(execution_id, account))

    @routes.post("/executions/{execution_id}/input", status_code=204)
    async def give_input(execution_id: str, body: Input, account: AccountId = runner) -> None:
        """Hand an interactive execution more of its stdin. It is taken line by line: what comes after the
        last line feed waits for the rest of its line, or for the end. On a terminal it is typed as it is; the
        end is Ctrl-D there, and where the program waits once more, a hang-up."""
        await executions.give_input(execution_id, account, body.data.encode(), body.end)

    @routes.post("/executions/{execution_id}/resize", status_code=204)
    async def resize(execution_id: str, body: Size, account: AccountId = runner) -> None:
        """Give an execution's terminal another size, once the program has what was typed before."""
        await executions.resize(execution_id, account, body.size())

    @routes.get("/executions/{execution_id}/logs")
    async def get_logs(
        execution_id: str,
        account: AccountId = reader,
        tail: Tail = None,
        stream: Literal["stdout", "stderr"] | None = None,
    ) -> Logs:
        """What an execution has written so far."""
        record, written = await executions.logs(execution_id, account)
        return Logs(
            execution_id=record.id,
            status=str(record.status),
            stdout="" if stream == "stderr" else _tail(written.stdout.content, tail),
            stderr="" if stream == "stdout" else _tail(written.stderr.content, tail),
            complete=is_over(record),
            truncated=written.truncated,
        )

    @routes.get("/executions/{execution_id}/receipt", response_model=dict[str, object])
    async def get_receipt(execution_id: str, account: AccountId = reader) -> Response:
        """The receipt file of an execution: all it takes to verify it elsewhere."""
        return JSONResponse(receipt_file(await executions.record(execution_id, account)))

    @routes.get("/executions/{execution_id}/files")
    @routes.get("/executions/{execution_id}/artifacts", operation_id="list_artifacts")
    async def list_files(execution_id: str, account: AccountId = reader) -> Artifacts:
        """What an execution left in its output folder."""
        return artifacts_answer(await executions.record(execution_id, account), "/api/v1")

    @routes.get("/executions/{execution_id}/files/{path:path}", response_model=None, responses=_BYTES)  # type: ignore[arg-type]
    @routes.get(
        "/executions/{execution_id}/artifacts/{path:path}",
        operation_id="get_artifact",
        response_model=None,
        responses=_BYTES,  # type: ignore[arg-type]
    )
    async def get_file(execution_id: str, path: str, account: AccountId = reader) -> Response:
        """The bytes of a file that an execution left in its output folder."""
        content = await executions.file(execution_id, account, path)
        return Response(content, media_type="application/octet-stream", headers=_FILE_HEADERS)

    return routes


_FILE_HEADERS = {
    "Cache-Control": "private",
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "attachment",
}


def _tail(data: bytes, lines: int | None) -> str:
    text = data.decode(errors="replace")
    if lines is None:
        return text
    kept = text.splitlines(keepends=True)
    return "".join(kept[max(0, len(kept) - lines) :])
