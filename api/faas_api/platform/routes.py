"""The routes of the platform dialect, below `/api/v1`."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from faas_api.authentication import Account, ApiKeys
from faas_api.cut_off import while_connected
from faas_api.platform.requests import ExecuteRequest
from faas_api.platform.responses import execution_to_json, receipt_file
from faas_blueprint.digests import Digest, digest_from_hex
from faas_blueprint.errors import InvalidRequest
from faas_operator.executions import ExecutionService, require_in_time

CLIENT_CLOSED_REQUEST = 499
"""What the log says of a caller who went away; nobody receives it."""


def router(executions: ExecutionService, keys: ApiKeys) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["platform"])
    caller = Depends(keys)

    @routes.post("/execute")
    async def execute(body: ExecuteRequest, request: Request, account: Account = caller) -> Response:
        """Run code and wait for its end. Going away cancels the run."""
        try:
            record = await while_connected(request, executions.execute(body.job(), account))
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return JSONResponse(execution_to_json(require_in_time(record)))

    @routes.get("/executions/{execution_id}")
    async def execution(execution_id: str, account: Account = caller) -> Response:
        """An execution of the caller's."""
        return JSONResponse(execution_to_json(await executions.record(execution_id, account)))

    @routes.get("/executions/{execution_id}/receipt")
    async def receipt(execution_id: str, account: Account = caller) -> Response:
        """The receipt file of an execution: all it takes to verify it elsewhere."""
        return JSONResponse(receipt_file(await executions.record(execution_id, account)))

    @routes.get("/executions/{execution_id}/files/{path:path}")
    async def file(execution_id: str, path: str, account: Account = caller) -> Response:
        """The bytes of a file that an execution left in its output folder."""
        content = await executions.file(execution_id, account, path)
        return Response(content, media_type="application/octet-stream", headers=_FILE_HEADERS)

    @routes.get("/blobs/{sha256}")
    async def blob(sha256: str) -> Response:
        """Output that a result on-chain refers to by its hash: a stream, a file, or the manifest of all
        files. Open to everyone who knows the hash."""
        content = await executions.blob(_digest(sha256))
        return Response(content, media_type="application/octet-stream", headers=_BLOB_HEADERS)

    return routes


_FILE_HEADERS = {
    "Cache-Control": "private",
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "attachment",
}
_BLOB_HEADERS = {**_FILE_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}


def _digest(text: str) -> Digest:
    try:
        return digest_from_hex(text if text.startswith("0x") else "0x" + text)
    except ValueError as error:
        raise InvalidRequest("expected a SHA-256 as 64 hexadecimal digits", {"field": "sha256"}) from error
