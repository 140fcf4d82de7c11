"""The blocking client of the REST API; it carries out the plans of `rest`. Its twin: `async_client`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import httpx

from faas_sdk.effects import run
from faas_sdk.execution import Begun, Execution, ExecutionLine, Health
from faas_sdk.rest import DEFAULT_TIMEOUT, Ask, Content, Metadata, RestApi
from faas_sdk.snapshot import Branch, Page, Restored, Snapshot
from faas_sdk.streaming import Stream
from faas_sdk.terminal import TerminalSize
from faas_sdk.usage import UsageClient


class FaaSClient:
    """Runs programs on a FaaS service.

    `api_key` and `endpoint` default to `FAAS_API_KEY` and `FAAS_ENDPOINT`; the endpoint may end in
    `/api/v1` or not. `timeout` is in seconds, per request: 30 unless given, and for `execute`
    ten more for each virtual second that the run may take.
    """

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        timeout: float | None = None,
        max_retries: int = 3,
    ) -> None:
        self._api = RestApi.at(endpoint, api_key, max_retries)
        self._http = httpx.Client(timeout=DEFAULT_TIMEOUT if timeout is None else timeout)
        self._timeout = timeout
        self.usage = UsageClient(self._api, self._http)

    def execute(
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
        timeout: float | None = None,
    ) -> Execution:
        """Run a program and wait for it. A program that exits with another code than 0 is no error.

        `mode` is ephemeral, cached, checkpointed, branched or persistent. A run starts on the snapshot, or
        on the branch's head; a persistent one in its session, or in a new one, which its answer names.
        `resources` may hold `cpu_cores`, `memory_mb`, `timeout_ms`, `output_bytes`, `processes`, `disk_mb`.
        Equal `seed` and `epoch` give equal runs. Under one `idempotency_key`, the same request runs once.
        `terminal`, in mode ephemeral, is for a program that wants one to write on; `start` says more of it.
        `timeout`, in seconds, is the client's unless given. A run that is given up is cancelled, unless it
        has an `idempotency_key`: then ask again under it. Raises ApiError, ConnectionFailed, RequestTimeout.
        """
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
        return run(self._api.execute(ask, self._timeout if timeout is None else timeout), self._http)

    def start(
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
        """Ask for a run and do not wait for it: `stream`, `execution` and `cancel` take its id.

        An `interactive` one, in mode ephemeral, gets its stdin line by line, each line when it can only go on
        with it: an event of `stream` says `wants_input`, and `send_input` answers. One with a `terminal` is
        interactive, and gets what is typed as it is, `stdin` first; what it writes is all stdout.
        """
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
        return run(self._api.start(ask), self._http)

    def stream(self, execution_id: str) -> Stream:
        """What a run says, from its beginning to its end, with `for` or `async for`."""
        return Stream(self._api.stream_request(execution_id), self._timeout or DEFAULT_TIMEOUT)

    def execution(self, execution_id: str) -> Execution:
        """A run, finished or not. Raises NotFound."""
        return run(self._api.execution(execution_id), self._http)

    def executions(
        self, status: str | None = None, mode: str | None = None, limit: int = 20, offset: int = 0
    ) -> Page[ExecutionLine]:
        """Runs, newest first, as lists have them: without their output, files, cost and receipt."""
        return run(self._api.executions(limit, offset, {"status": status, "mode": mode}), self._http)

    def cancel(self, execution_id: str) -> Execution:
        """Stop a run and its machine. One that is over stays as it is. Raises NotFound."""
        return run(self._api.cancel(execution_id), self._http)

    def send_input(self, execution_id: str, data: Content = "", *, end: bool = False) -> None:
        """Give an interactive run more of its stdin, and with `end` tell it that no more will come.

        It takes whole lines: what follows the last line feed waits for the rest of its line, or for the end.
        On a terminal it is typed as it is: Enter is "\\r", Ctrl-C is "\\x03". The end is Ctrl-D there, and
        where the program waits once more, a hang-up.
        Raises NotFound, and InvalidRequest for a run that is over, is not interactive, or has had its end.
        """
        run(self._api.send_input(execution_id, data, end), self._http)

    def resize(self, execution_id: str, cols: int, rows: int) -> None:
        """Give an interactive run's terminal another size, once the program has what was typed before.

        Raises NotFound, and InvalidRequest for a run that is over, has no terminal, or has had its end.
        """
        run(self._api.resize(execution_id, TerminalSize(cols, rows)), self._http)

    def logs(self, execution_id: str) -> dict[str, object]:
        """What a run has written so far: `stdout`, `stderr`, `complete`. Raises NotFound."""
        return run(self._api.logs(execution_id), self._http)

    def create_snapshot(
        self, execution_id: str, metadata: Metadata | None = None, virtual_ms: int | None = None
    ) -> Snapshot:
        """The machine of a run: at its end, where it is now, or `virtual_ms` into it."""
        return run(self._api.create_snapshot(execution_id, metadata, virtual_ms), self._http)

    def list_snapshots(
        self, mode: str | None = None, parent_id: str | None = None, limit: int = 20, offset: int = 0
    ) -> Page[Snapshot]:
        """Snapshots, newest first."""
        return run(self._api.snapshots(limit, offset, {"mode": mode, "parent_id": parent_id}), self._http)

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        """A snapshot. Raises NotFound."""
        return run(self._api.snapshot(snapshot_id), self._http)

    def restore_snapshot(self, snapshot_id: str) -> Restored:
        """A machine that stands where the snapshot was taken."""
        return run(self._api.restore_snapshot(snapshot_id), self._http)

    def delete_snapshot(self, snapshot_id: str, cascade: bool = False) -> None:
        """Delete a snapshot, with all made from it if `cascade`; without, an error while there is any."""
        run(self._api.delete_snapshot(snapshot_id, cascade), self._http)

    def diff_snapshot(self, snapshot_id: str, against: str | None = None) -> dict[str, object]:
        """Files, pages and registers by which a snapshot differs from another, its parent by default."""
        return run(self._api.diff_snapshot(snapshot_id, against), self._http)

    def prove_snapshot(self, snapshot_id: str, path: str, content: bool = False) -> dict[str, object]:
        """A proof of what a snapshot holds at a path."""
        return run(self._api.prove_snapshot(snapshot_id, path, content), self._http)

    def create_branch(
        self,
        snapshot_id: str | None = None,
        parent_branch: str | None = None,
        metadata: Metadata | None = None,
    ) -> Branch:
        """Begin a branch at a snapshot, or where another branch stands."""
        return run(self._api.create_branch(snapshot_id, parent_branch, metadata), self._http)

    def list_branches(
        self,
        snapshot_id: str | None = None,
        parent_branch: str | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> Page[Branch]:
        """Branches, newest first."""
        return run(
            self._api.branches(limit, offset, {"snapshot_id": snapshot_id, "parent_branch": parent_branch}),
            self._http,
        )

    def get_branch(self, branch_id: str) -> Branch:
        """A branch. Raises NotFound."""
        return run(self._api.branch(branch_id), self._http)

    def merge_branches(
        self, branch_ids: Sequence[str], strategy: str = "three_way", metadata: Metadata | None = None
    ) -> Snapshot:
        """Merge the files of branches into a new snapshot. What the strategy (`three_way`, `ours`,
        `theirs`, `union`) does not decide is an ApiError with status 409, whose `details` list the
        `conflicts`.
        """
        return run(self._api.merge_branches(branch_ids, strategy, metadata), self._http)

    def delete_branch(self, branch_id: str) -> None:
        """Forget a branch; its snapshots stay."""
        run(self._api.delete_branch(branch_id), self._http)

    def end_session(self, session: str) -> None:
        """Free a session's machine and forget it."""
        run(self._api.end_session(session), self._http)

    def account(self) -> dict[str, object]:
        """Whose key this is: id, scopes, limits, and the addresses that the account pays from."""
        return run(self._api.account(), self._http)

    def list_keys(self, limit: int = 20, offset: int = 0) -> dict[str, object]:
        """The account's keys, newest first, below `keys`."""
        return run(self._api.keys(limit, offset), self._http)

    def create_key(
        self, name: str = "", scopes: Sequence[str] | None = None, expires_in_seconds: int | None = None
    ) -> dict[str, object]:
        """A further key of the account, in `api_key`: it is told this once. `scopes` are of read, execute,
        snapshots and keys; all four unless given."""
        return run(self._api.create_key(name, scopes, expires_in_seconds), self._http)

    def revoke_key(self, key_id: str) -> dict[str, object]:
        """Make a key of the account invalid, at once and for good. Raises NotFound."""
        return run(self._api.revoke_key(key_id), self._http)

    def sign_in(
        self,
        private_key: str,
        name: str = "",
        scopes: Sequence[str] | None = None,
        expires_in_seconds: int | None = None,
    ) -> dict[str, object]:
        """A key for the account of an Ethereum address, in `api_key`; this client uses it from now on.

        The private key signs a text that names this service, and goes nowhere. Raises Unauthorized, and
        ConnectionFailed for a text that names another.
        """
        made = run(self._api.sign_in(private_key, name, scopes, expires_in_seconds), self._http)
        self._api = replace(self._api, api_key=str(made["api_key"]))
        self.usage = UsageClient(self._api, self._http)
        return made

    def receipt_file(self, execution_id: str) -> dict[str, object]:
        """What `faas verify` takes, as JSON: receipt, signature, job and outcome. Raises NotFound."""
        return run(self._api.receipt_file(execution_id), self._http)

    def output_file(self, execution_id: str, path: str) -> bytes:
        """A file that the program left in its output folder. Raises NotFound, and ValueError for a path
        out of that folder.
        """
        return run(self._api.output_file(execution_id, path), self._http)

    def health(self) -> Health:
        """What the service says of itself."""
        return run(self._api.health(), self._http)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
