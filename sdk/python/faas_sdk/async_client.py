"""The async client of the REST API; it carries out the plans of `rest`. Its blocking twin: `client`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import httpx

from faas_sdk.effects import run_async
from faas_sdk.execution import Begun, Execution, ExecutionLine, Health
from faas_sdk.rest import DEFAULT_TIMEOUT, Ask, Content, Metadata, RestApi
from faas_sdk.snapshot import Branch, Page, Restored, Snapshot
from faas_sdk.streaming import Stream
from faas_sdk.terminal import TerminalSize
from faas_sdk.usage import AsyncUsageClient


class AsyncFaaSClient:
    """`FaaSClient` for async programs: the same arguments, answers and errors."""

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        timeout: float | None = None,
        max_retries: int = 3,
    ) -> None:
        self._api = RestApi.at(endpoint, api_key, max_retries)
        self._http = httpx.AsyncClient(timeout=DEFAULT_TIMEOUT if timeout is None else timeout)
        self._timeout = timeout
        self.usage = AsyncUsageClient(self._api, self._http)

    async def execute(
        self,
        code: str,
        language: str,
        mode: str | None = None,
        resources: Mapping[str, int] | None = None,
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        stdin: Content | None = None,
        arguments: Sequence[str] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        snapshot_id: str | None = None,
        branch_id: str | None = None,
        session: str | None = None,
        idempotency_key: str | None = None,
        terminal: TerminalSize | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the twin of a blocking method
    ) -> Execution:
        """See `FaaSClient.execute`."""
        ask = Ask(
            code,
            language,
            mode,
            resources,
            env_vars,
            files,
            stdin,
            arguments,
            seed,
            epoch,
            snapshot_id,
            branch_id,
            session,
            idempotency_key,
            terminal=terminal,
        )
        return await run_async(
            self._api.execute(ask, self._timeout if timeout is None else timeout), self._http
        )

    async def start(
        self,
        code: str,
        language: str,
        mode: str | None = None,
        resources: Mapping[str, int] | None = None,
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        stdin: Content | None = None,
        arguments: Sequence[str] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        snapshot_id: str | None = None,
        branch_id: str | None = None,
        session: str | None = None,
        idempotency_key: str | None = None,
        interactive: bool = False,
        terminal: TerminalSize | None = None,
    ) -> Begun:
        """See `FaaSClient.start`."""
        ask = Ask(
            code,
            language,
            mode,
            resources,
            env_vars,
            files,
            stdin,
            arguments,
            seed,
            epoch,
            snapshot_id,
            branch_id,
            session,
            idempotency_key,
            interactive,
            terminal,
        )
        return await run_async(self._api.start(ask), self._http)

    def stream(self, execution_id: str) -> Stream:
        """What a run says, from its beginning to its end, with `for` or `async for`."""
        return Stream(self._api.stream_request(execution_id), self._timeout or DEFAULT_TIMEOUT)

    async def execution(self, execution_id: str) -> Execution:
        """See `FaaSClient.execution`."""
        return await run_async(self._api.execution(execution_id), self._http)

    async def executions(
        self, status: str | None = None, mode: str | None = None, limit: int = 20, offset: int = 0
    ) -> Page[ExecutionLine]:
        """See `FaaSClient.executions`."""
        return await run_async(
            self._api.executions(limit, offset, {"status": status, "mode": mode}), self._http
        )

    async def cancel(self, execution_id: str) -> Execution:
        """See `FaaSClient.cancel`."""
        return await run_async(self._api.cancel(execution_id), self._http)

    async def send_input(self, execution_id: str, data: Content = "", *, end: bool = False) -> None:
        """See `FaaSClient.send_input`."""
        await run_async(self._api.send_input(execution_id, data, end), self._http)

    async def resize(self, execution_id: str, cols: int, rows: int) -> None:
        """See `FaaSClient.resize`."""
        await run_async(self._api.resize(execution_id, TerminalSize(cols, rows)), self._http)

    async def logs(self, execution_id: str) -> dict[str, object]:
        """See `FaaSClient.logs`."""
        return await run_async(self._api.logs(execution_id), self._http)

    async def create_snapshot(
        self, execution_id: str, metadata: Metadata | None = None, virtual_ms: int | None = None
    ) -> Snapshot:
        """See `FaaSClient.create_snapshot`."""
        return await run_async(self._api.create_snapshot(execution_id, metadata, virtual_ms), self._http)

    async def list_snapshots(
        self, mode: str | None = None, parent_id: str | None = None, limit: int = 20, offset: int = 0
    ) -> Page[Snapshot]:
        """See `FaaSClient.list_snapshots`."""
        return await run_async(
            self._api.snapshots(limit, offset, {"mode": mode, "parent_id": parent_id}), self._http
        )

    async def get_snapshot(self, snapshot_id: str) -> Snapshot:
        """See `FaaSClient.get_snapshot`."""
        return await run_async(self._api.snapshot(snapshot_id), self._http)

    async def restore_snapshot(self, snapshot_id: str) -> Restored:
        """See `FaaSClient.restore_snapshot`."""
        return await run_async(self._api.restore_snapshot(snapshot_id), self._http)

    async def delete_snapshot(self, snapshot_id: str, cascade: bool = False) -> None:
        """See `FaaSClient.delete_snapshot`."""
        await run_async(self._api.delete_snapshot(snapshot_id, cascade), self._http)

    async def diff_snapshot(self, snapshot_id: str, against: str | None = None) -> dict[str, object]:
        """See `FaaSClient.diff_snapshot`."""
        return await run_async(self._api.diff_snapshot(snapshot_id, against), self._http)

    async def prove_snapshot(self, snapshot_id: str, path: str, content: bool = False) -> dict[str, object]:
        """See `FaaSClient.prove_snapshot`."""
        return await run_async(self._api.prove_snapshot(snapshot_id, path, content), self._http)

    async def create_branch(
        self,
        snapshot_id: str | None = None,
        parent_branch: str | None = None,
        metadata: Metadata | None = None,
    ) -> Branch:
        """See `FaaSClient.create_branch`."""
        return await run_async(self._api.create_branch(snapshot_id, parent_branch, metadata), self._http)

    async def list_branches(
        self,
        snapshot_id: str | None = None,
        parent_branch: str | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> Page[Branch]:
        """See `FaaSClient.list_branches`."""
        return await run_async(
            self._api.branches(limit, offset, {"snapshot_id": snapshot_id, "parent_branch": parent_branch}),
            self._http,
        )

    async def get_branch(self, branch_id: str) -> Branch:
        """See `FaaSClient.get_branch`."""
        return await run_async(self._api.branch(branch_id), self._http)

    async def merge_branches(
        self, branch_ids: Sequence[str], strategy: str = "three_way", metadata: Metadata | None = None
    ) -> Snapshot:
        """See `FaaSClient.merge_branches`."""
        return await run_async(self._api.merge_branches(branch_ids, strategy, metadata), self._http)

    async def delete_branch(self, branch_id: str) -> None:
        """See `FaaSClient.delete_branch`."""
        await run_async(self._api.delete_branch(branch_id), self._http)

    async def end_session(self, session: str) -> None:
        """See `FaaSClient.end_session`."""
        await run_async(self._api.end_session(session), self._http)

    async def account(self) -> dict[str, object]:
        """See `FaaSClient.account`."""
        return await run_async(self._api.account(), self._http)

    async def list_keys(self, limit: int = 20, offset: int = 0) -> dict[str, object]:
        """See `FaaSClient.list_keys`."""
        return await run_async(self._api.keys(limit, offset), self._http)

    async def create_key(
        self, name: str = "", scopes: Sequence[str] | None = None, expires_in_seconds: int | None = None
    ) -> dict[str, object]:
        """See `FaaSClient.create_key`."""
        return await run_async(self._api.create_key(name, scopes, expires_in_seconds), self._http)

    async def revoke_key(self, key_id: str) -> dict[str, object]:
        """See `FaaSClient.revoke_key`."""
        return await run_async(self._api.revoke_key(key_id), self._http)

    async def sign_in(
        self,
        private_key: str,
        name: str = "",
        scopes: Sequence[str] | None = None,
        expires_in_seconds: int | None = None,
    ) -> dict[str, object]:
        """See `FaaSClient.sign_in`."""
        made = await run_async(self._api.sign_in(private_key, name, scopes, expires_in_seconds), self._http)
        self._api = replace(self._api, api_key=str(made["api_key"]))
        self.usage = AsyncUsageClient(self._api, self._http)
        return made

    async def receipt_file(self, execution_id: str) -> dict[str, object]:
        """See `FaaSClient.receipt_file`."""
        return await run_async(self._api.receipt_file(execution_id), self._http)

    async def output_file(self, execution_id: str, path: str) -> bytes:
        """See `FaaSClient.output_file`."""
        return await run_async(self._api.output_file(execution_id, path), self._http)

    async def health(self) -> Health:
        """See `FaaSClient.health`."""
        return await run_async(self._api.health(), self._http)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
