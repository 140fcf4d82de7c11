"""The clients of the REST API, blocking and async; both carry out the plans of `rest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from faas_sdk.effects import run, run_async
from faas_sdk.execution import Execution, Health
from faas_sdk.rest import Content, RestApi


class FaaSClient:
    """Runs programs on a FaaS service.

    `api_key` and `endpoint` default to `FAAS_API_KEY` and `FAAS_ENDPOINT`; the endpoint may end in
    `/api/v1` or not. `timeout` is in seconds, per request.
    """

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
    ) -> None:
        self._api = RestApi.at(endpoint, api_key, max_retries)
        self._http = httpx.Client(timeout=timeout)

    def execute(
        self,
        code: str,
        language: str,
        mode: str = "ephemeral",
        resources: Mapping[str, int] | None = None,
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        stdin: Content | None = None,
        arguments: Sequence[str] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
    ) -> Execution:
        """Run a program and wait for it. A program that exits with another code than 0 is no error.

        `resources` may hold `cpu_cores`, `memory_mb` and `timeout_ms`. Equal `seed` and `epoch`
        give equal runs. Raises ApiError and ConnectionFailed.
        """
        plan = self._api.execute(
            code, language, mode, resources, env_vars, files, stdin, arguments, seed, epoch
        )
        return run(plan, self._http)

    def receipt_file(self, execution_id: str) -> dict[str, object]:
        """What `faas verify` takes, as JSON: receipt, signature, job and outcome. Raises NotFound."""
        return run(self._api.receipt_file(execution_id), self._http)

    def output_file(self, execution_id: str, path: str) -> bytes:
        """A file that the program left in its output folder. Raises NotFound."""
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


class AsyncFaaSClient:
    """`FaaSClient` for async programs: the same arguments, answers and errors."""

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
    ) -> None:
        self._api = RestApi.at(endpoint, api_key, max_retries)
        self._http = httpx.AsyncClient(timeout=timeout)

    async def execute(
        self,
        code: str,
        language: str,
        mode: str = "ephemeral",
        resources: Mapping[str, int] | None = None,
        env_vars: Mapping[str, str] | None = None,
        files: Mapping[str, Content] | None = None,
        stdin: Content | None = None,
        arguments: Sequence[str] | None = None,
        seed: int | None = None,
        epoch: int | None = None,
    ) -> Execution:
        """See `FaaSClient.execute`."""
        plan = self._api.execute(
            code, language, mode, resources, env_vars, files, stdin, arguments, seed, epoch
        )
        return await run_async(plan, self._http)

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
