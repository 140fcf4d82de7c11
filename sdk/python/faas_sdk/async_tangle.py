"""The async client of a FaaS service on Tangle; it carries out the same plans as the blocking one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from faas_sdk.effects import run_async
from faas_sdk.inputs import checked
from faas_sdk.operations import Fork, Options, create_branch, merge_branches, restore_snapshot
from faas_sdk.quotes import JobQuote, ServiceQuote
from faas_sdk.rest import Content
from faas_sdk.results import CallStatus, TangleResult
from faas_sdk.submission import JobCall, NewService, Payment, ServiceOrder
from faas_sdk.tangle_plans import TanglePlans, make_inputs, quotes_of
from faas_sdk.transactions import Progress
from faas_sdk.verification import Verification


class AsyncTangleFaaSClient(TanglePlans):
    """`TangleFaaSClient` for async programs: the same arguments, answers and errors."""

    def __init__(
        self,
        rpc_url: str,
        service_id: int | None = None,
        blueprint_id: int | None = None,
        private_key: str | None = None,
        tangle: str | None = None,
        endpoint: str | None = None,
        max_price_wei: int | None = None,
        timeout: float = 30.0,
        poll_interval: float = 0.5,
        api_key: str | None = None,
        key_type: str = "sr25519",
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
            key_type,
        )
        self._http = httpx.AsyncClient(timeout=timeout)

    async def submit_job(
        self,
        *,
        code: str | None = None,
        language: str | None = None,
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
        quote: JobQuote | Sequence[JobQuote] | None = None,
        value_wei: int | None = None,
        on_progress: Progress | None = None,
    ) -> JobCall:
        """See `TangleFaaSClient.submit_job`."""
        program = (
            code,
            language,
            stdin,
            arguments,
            env_vars,
            files,
            seed,
            epoch,
            timeout_ms,
            memory_mb,
            keep,
        )
        if quote is not None:
            quotes = quotes_of(quote, *program, mode, snapshot, fork)
            return await run_async(self._submit_quoted(quotes, value_wei, on_progress), self._http)
        inputs, options = make_inputs(*program), Options(mode, snapshot, fork)
        payment = Payment(value_wei=value_wei)
        return await run_async(self._submit_program(inputs, options, payment, on_progress), self._http)

    async def get_quote(
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
    ) -> JobQuote:
        """See `TangleFaaSClient.get_quote`."""
        inputs = make_inputs(
            code, language, stdin, arguments, env_vars, files, seed, epoch, timeout_ms, memory_mb, keep
        )
        options = Options(mode, snapshot, fork)
        return await run_async(self._get_quote(inputs, options, on_progress), self._http)

    async def get_service_quote(
        self,
        ttl_seconds: int,
        *,
        machines: int = 1,
        memory_mb: int = 512,
        storage_mb: int = 0,
        egress_mb: int = 0,
    ) -> ServiceQuote:
        """See `TangleFaaSClient.get_service_quote`."""
        wanted = {
            "ttl_seconds": ttl_seconds,
            "machines": machines,
            "memory_mb": memory_mb,
            "storage_mb": storage_mb,
            "egress_mb": egress_mb,
        }
        return await run_async(self._get_service_quote(wanted), self._http)

    async def create_service(
        self,
        quotes: Sequence[ServiceQuote],
        *,
        permitted_callers: Sequence[str] = (),
        config: bytes = b"",
        max_cost_wei: int = 0,
        min_exposure_bps: int = 1000,
        on_progress: Progress | None = None,
    ) -> NewService:
        """See `TangleFaaSClient.create_service`."""
        wanted = ServiceOrder(tuple(quotes), tuple(permitted_callers), config, max_cost_wei, min_exposure_bps)
        return await run_async(self._create_service(wanted, on_progress), self._http)

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
        inputs = make_inputs(
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
