"""The clients of a FaaS service on Tangle, blocking and async; both carry out the same plans."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx
from eth_account import Account
from eth_account.signers.local import LocalAccount

from faas_sdk.discovery import find_service
from faas_sdk.effects import Plan, run, run_async
from faas_sdk.errors import SubmissionRefused
from faas_sdk.guard import Deployment
from faas_sdk.inputs import check, checked
from faas_sdk.operations import (
    Fork,
    Inputs,
    Options,
    create_branch,
    create_snapshot,
    merge_branches,
    program_inputs,
    restore_snapshot,
)
from faas_sdk.payload import JobInputs
from faas_sdk.rest import Content, RestApi
from faas_sdk.results import (
    CallStatus,
    Submitted,
    TangleResult,
    read_output_file,
    read_status,
    read_submitted,
    wait_for_result,
)
from faas_sdk.rpc import Rpc
from faas_sdk.submission import JobCall, Progress, Submission, submit
from faas_sdk.verification import Verification, verify

DEVNET_TANGLE = "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"
"""Where Tangle stands on the local chain of `faas devnet`."""


def _silent(_: str) -> None:
    pass


def _address(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != 42 or not lowered.startswith("0x") or set(lowered[2:]) - set("0123456789abcdef"):
        raise ValueError(f"{text!r} is not an address")
    return lowered


class _TanglePlans:
    """What both clients do; holds no connection."""

    def __init__(
        self,
        rpc_url: str,
        service_id: int | None = None,
        blueprint_id: int | None = None,
        private_key: str | None = None,
        tangle: str = DEVNET_TANGLE,
        endpoint: str | None = None,
        max_price_wei: int | None = None,
        timeout: float = 30.0,
        poll_interval: float = 0.5,
        api_key: str | None = None,
    ) -> None:
        if not rpc_url.startswith(("http://", "https://")):
            raise ValueError(f"rpc_url must start with http:// or https://, got {rpc_url!r}")
        if service_id is None and blueprint_id is None:
            raise ValueError("name a service_id, or a blueprint_id to find one")
        self._at = Deployment(Rpc(rpc_url), _address(tangle))
        self._service_id = service_id
        self._blueprint_id = blueprint_id
        self._account: LocalAccount | None = Account.from_key(private_key) if private_key else None
        self._endpoint = None if endpoint is None else RestApi.at(endpoint, api_key, 1)
        self._max_price_wei = max_price_wei
        self._timeout = timeout
        self._poll_interval = poll_interval

    def _find_service(self) -> Plan[int]:
        if self._service_id is None:
            assert self._blueprint_id is not None
            caller = None if self._account is None else self._account.address.lower()
            self._service_id = yield from find_service(self._at, self._blueprint_id, caller)
        return self._service_id

    def _submit_program(
        self, inputs: JobInputs, options: Options, progress: Progress | None
    ) -> Plan[JobCall]:
        made = checked(lambda: program_inputs(inputs, options, self._can_upload))
        check(inputs)
        return (yield from self._submit(made, progress))

    def _create_snapshot(
        self, inputs: JobInputs, snapshot: str | None, progress: Progress | None
    ) -> Plan[JobCall]:
        made = checked(lambda: create_snapshot(inputs, snapshot, self._can_upload))
        check(inputs)
        return (yield from self._submit(made, progress))

    @property
    def _can_upload(self) -> bool:
        return self._endpoint is not None and self._endpoint.api_key is not None

    def _submit(self, inputs: Inputs, progress: Progress | None) -> Plan[JobCall]:
        if self._account is None:
            raise SubmissionRefused("no_key", "submitting a job takes a private_key")
        service_id = yield from self._find_service()
        for sha256, content in inputs.blobs.items():
            assert self._endpoint is not None
            (progress or _silent)(f"uploading {len(content)} bytes, which go by their hash")
            yield from self._endpoint.upload_blob(sha256, content)
        submission = Submission(
            self._account,
            service_id,
            inputs.payload,
            self._max_price_wei,
            120.0,
            self._poll_interval,
            inputs.job_index,
        )
        return (yield from submit(self._at, submission, progress or _silent))

    def _submitted(self, job: JobCall | int) -> Plan[Submitted]:
        if isinstance(job, JobCall):
            # Its own log is known; the caller is whoever sent it.
            caller = "" if self._account is None else self._account.address.lower()
            return Submitted(job.service_id, job.call_id, caller, job.inputs, job.transaction_hash, job.block)
        service_id = yield from self._find_service()
        return (yield from read_submitted(self._at, service_id, job))

    def _wait(self, job: JobCall | int, timeout: float, progress: Progress | None) -> Plan[TangleResult]:
        call = yield from self._submitted(job)
        return (
            yield from wait_for_result(
                self._at, call, self._endpoint, timeout, self._poll_interval, progress or _silent
            )
        )

    def _output_file(self, result: TangleResult, path: str) -> Plan[bytes]:
        return (yield from read_output_file(result, path, self._endpoint))

    def _verify(self, what: TangleResult | JobCall | int) -> Plan[Verification]:
        if isinstance(what, TangleResult):
            call = yield from read_submitted(self._at, what.service_id, what.call_id)
            return (yield from verify(self._at, call, what))
        submitted = yield from self._submitted(what)
        call = yield from read_submitted(self._at, submitted.service_id, submitted.call_id)
        return (yield from verify(self._at, call, None))

    def _show(self, job: JobCall | int) -> Plan[CallStatus]:
        service_id = job.service_id if isinstance(job, JobCall) else (yield from self._find_service())
        call = yield from read_submitted(self._at, service_id, int(job))
        return (yield from read_status(self._at, call, self._endpoint))


def _inputs(
    code: str,
    language: str,
    stdin: Content,
    arguments: Sequence[str],
    env_vars: Mapping[str, str] | None,
    files: Mapping[str, Content] | None,
    seed: int | None,
    epoch: int | None,
    timeout_ms: int | None,
    memory_mb: int | None,
    keep: bool,
) -> JobInputs:
    limits = {"timeout_ms": timeout_ms, "memory_mb": memory_mb}
    return JobInputs(
        code,
        language,
        _bytes(stdin),
        tuple(arguments),
        dict(env_vars or {}),
        {path: _bytes(content) for path, content in (files or {}).items()},
        secrets.randbits(64) if seed is None else seed,
        int(time.time()) if epoch is None else epoch,
        {name: value for name, value in limits.items() if value is not None},
        keep,
    )


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


class TangleFaaSClient(_TanglePlans):
    """Submits jobs to a FaaS service on Tangle and reads their results.

    Names the service by `service_id`, or by `blueprint_id`: then the newest open one that the account
    may use is found. `private_key` pays and is needed to submit only. `endpoint` is an operator's API,
    asked for output that is too long to stand on-chain; with an `api_key`, inputs that are too long are
    brought there. Nothing over `max_price_wei` is paid for a job.
    """

    def __init__(
        self,
        rpc_url: str,
        service_id: int | None = None,
        blueprint_id: int | None = None,
        private_key: str | None = None,
        tangle: str = DEVNET_TANGLE,
        endpoint: str | None = None,
        max_price_wei: int | None = None,
        timeout: float = 30.0,
        poll_interval: float = 0.5,
        api_key: str | None = None,
    ) -> None:
        super().__init__(
            rpc_url,
            service_id,
            blueprint_id,
            private_key,
            tangle,
            endpoint,
            max_price_wei,
            timeout,
            poll_interval,
            api_key,
        )
        self._http = httpx.Client(timeout=timeout)

    def submit_job(
        self,
        *,
        code: str,
        language: str,
        stdin: Content = b"",
        arguments: Sequence[str] = (),
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        timeout_ms: int | None = None,
        memory_mb: int | None = None,
        keep: bool = False,
        mode: str | None = None,
        snapshot: str | None = None,
        fork: Fork | None = None,
        on_progress: Progress | None = None,
    ) -> JobCall:
        """Send a job and wait until it is in a block.

        `seed` is a random 64-bit number and `epoch` is now, unless given; both are part of the job.
        `keep` asks for the machine to be kept as a snapshot; it changes the run (no exit handlers).
        With `mode`, `snapshot` (a measurement to start on) or `fork` (of mode branched) it is job 1. So are
        inputs over 16 KiB where there is an endpoint with a key: larger parts are uploaded, and go by hash.
        Raises SubmissionRefused before anything is paid (see `faas_sdk.guard`), TransactionFailed,
        ConnectionFailed.
        """
        inputs = _inputs(
            code, language, stdin, arguments, env_vars, files, seed, epoch, timeout_ms, memory_mb, keep
        )
        options = Options(mode, snapshot, fork)
        return run(self._submit_program(inputs, options, on_progress), self._http)

    def create_snapshot(
        self,
        *,
        code: str,
        language: str,
        snapshot: str | None = None,
        stdin: Content = b"",
        arguments: Sequence[str] = (),
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        timeout_ms: int | None = None,
        memory_mb: int | None = None,
        on_progress: Progress | None = None,
    ) -> JobCall:
        """Job 2: run a program, on the base or a snapshot, and keep its machine, the `state_root`."""
        inputs = _inputs(
            code, language, stdin, arguments, env_vars, files, seed, epoch, timeout_ms, memory_mb, True
        )
        return run(self._create_snapshot(inputs, snapshot, on_progress), self._http)

    def restore_snapshot(
        self,
        snapshot: str,
        *,
        challenge: int | None = None,
        on_progress: Progress | None = None,
    ) -> JobCall:
        """Job 3: have the operator show that it holds a snapshot, by a run that it cannot foresee."""
        number = secrets.randbits(64) if challenge is None else challenge
        made = checked(lambda: restore_snapshot(snapshot, number))
        return run(self._submit(made, on_progress), self._http)

    def create_branch(
        self, snapshot: str | None = None, fork: Fork | None = None, *, on_progress: Progress | None = None
    ) -> JobCall:
        """Job 4: fork a snapshot, or the base; the fork is the result's `state_root`."""
        made = checked(lambda: create_branch(snapshot, fork or Fork()))
        return run(self._submit(made, on_progress), self._http)

    def merge_branches(
        self,
        branches: Sequence[str],
        *,
        base: str | None = None,
        strategy: str = "three_way",
        on_progress: Progress | None = None,
    ) -> JobCall:
        """Job 5: merge the files of snapshots into the first one, against `base`: the result's `state_root`.

        Exit code 1 says that there are conflicts; stdout lists them, and nothing is merged."""
        made = checked(lambda: merge_branches(branches, base, strategy))
        return run(self._submit(made, on_progress), self._http)

    def wait_for_result(
        self, job: JobCall | int, timeout: float = 120.0, on_progress: Progress | None = None
    ) -> TangleResult:
        """The result of a job or call id: the first one, or where several operators must agree, the one that
        stands. Raises ResultTimeout and ResultUnreadable."""
        return run(self._wait(job, timeout, on_progress), self._http)

    def verify(self, what: TangleResult | JobCall | int) -> Verification:
        """Check a result, or a job's first one, against what the chain holds; it is not run again.

        Raises ResultTimeout when there is none yet, and ResultUnreadable.
        """
        return run(self._verify(what), self._http)

    def output_file(self, result: TangleResult, path: str) -> bytes:
        """A file that the job left in its output folder, from the operator's API, checked by its hash.

        Raises ResultUnreadable and ApiError.
        """
        return run(self._output_file(result, path), self._http)

    def show(self, job: JobCall | int) -> CallStatus:
        """All that stands on-chain of a job or call id."""
        return run(self._show(job), self._http)

    def find_service(self) -> int:
        """The service that jobs go to."""
        return run(self._find_service(), self._http)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncTangleFaaSClient(_TanglePlans):
    """`TangleFaaSClient` for async programs: the same arguments, answers and errors."""

    def __init__(
        self,
        rpc_url: str,
        service_id: int | None = None,
        blueprint_id: int | None = None,
        private_key: str | None = None,
        tangle: str = DEVNET_TANGLE,
        endpoint: str | None = None,
        max_price_wei: int | None = None,
        timeout: float = 30.0,
        poll_interval: float = 0.5,
        api_key: str | None = None,
    ) -> None:
        super().__init__(
            rpc_url,
            service_id,
            blueprint_id,
            private_key,
            tangle,
            endpoint,
            max_price_wei,
            timeout,
            poll_interval,
            api_key,
        )
        self._http = httpx.AsyncClient(timeout=timeout)

    async def submit_job(
        self,
        *,
        code: str,
        language: str,
        stdin: Content = b"",
        arguments: Sequence[str] = (),
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        timeout_ms: int | None = None,
        memory_mb: int | None = None,
        keep: bool = False,
        mode: str | None = None,
        snapshot: str | None = None,
        fork: Fork | None = None,
        on_progress: Progress | None = None,
    ) -> JobCall:
        """See `TangleFaaSClient.submit_job`."""
        inputs = _inputs(
            code, language, stdin, arguments, env_vars, files, seed, epoch, timeout_ms, memory_mb, keep
        )
        options = Options(mode, snapshot, fork)
        return await run_async(self._submit_program(inputs, options, on_progress), self._http)

    async def create_snapshot(
        self,
        *,
        code: str,
        language: str,
        snapshot: str | None = None,
        stdin: Content = b"",
        arguments: Sequence[str] = (),
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        timeout_ms: int | None = None,
        memory_mb: int | None = None,
        on_progress: Progress | None = None,
    ) -> JobCall:
        """See `TangleFaaSClient.create_snapshot`."""
        inputs = _inputs(
            code, language, stdin, arguments, env_vars, files, seed, epoch, timeout_ms, memory_mb, True
        )
        return await run_async(self._create_snapshot(inputs, snapshot, on_progress), self._http)

    async def restore_snapshot(
        self,
        snapshot: str,
        *,
        challenge: int | None = None,
        on_progress: Progress | None = None,
    ) -> JobCall:
        """See `TangleFaaSClient.restore_snapshot`."""
        number = secrets.randbits(64) if challenge is None else challenge
        made = checked(lambda: restore_snapshot(snapshot, number))
        return await run_async(self._submit(made, on_progress), self._http)

    async def create_branch(
        self, snapshot: str | None = None, fork: Fork | None = None, *, on_progress: Progress | None = None
    ) -> JobCall:
        """See `TangleFaaSClient.create_branch`."""
        made = checked(lambda: create_branch(snapshot, fork or Fork()))
        return await run_async(self._submit(made, on_progress), self._http)

    async def merge_branches(
        self,
        branches: Sequence[str],
        *,
        base: str | None = None,
        strategy: str = "three_way",
        on_progress: Progress | None = None,
    ) -> JobCall:
        """See `TangleFaaSClient.merge_branches`."""
        made = checked(lambda: merge_branches(branches, base, strategy))
        return await run_async(self._submit(made, on_progress), self._http)

    async def wait_for_result(
        self,
        job: JobCall | int,
        timeout: float = 120.0,  # noqa: ASYNC109 - the twin of a blocking method
        on_progress: Progress | None = None,
    ) -> TangleResult:
        """See `TangleFaaSClient.wait_for_result`."""
        return await run_async(self._wait(job, timeout, on_progress), self._http)

    async def verify(self, what: TangleResult | JobCall | int) -> Verification:
        """See `TangleFaaSClient.verify`."""
        return await run_async(self._verify(what), self._http)

    async def output_file(self, result: TangleResult, path: str) -> bytes:
        """See `TangleFaaSClient.output_file`."""
        return await run_async(self._output_file(result, path), self._http)

    async def show(self, job: JobCall | int) -> CallStatus:
        """See `TangleFaaSClient.show`."""
        return await run_async(self._show(job), self._http)

    async def find_service(self) -> int:
        """See `TangleFaaSClient.find_service`."""
        return await run_async(self._find_service(), self._http)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
