"""The client of a FaaS service on Tangle; `async_tangle` has its twin."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from faas_sdk.effects import run
from faas_sdk.inputs import checked
from faas_sdk.operations import Fork, Options, create_branch, merge_branches, restore_snapshot
from faas_sdk.quotes import JobQuote, ServiceQuote
from faas_sdk.rest import Content
from faas_sdk.results import CallStatus, TangleResult
from faas_sdk.submission import JobCall, NewService, Payment, ServiceOrder
from faas_sdk.tangle_plans import TanglePlans, make_inputs, quotes_of
from faas_sdk.transactions import Progress
from faas_sdk.verification import Verification


class TangleFaaSClient(TanglePlans):
    """Submits jobs to a FaaS service on Tangle and reads their results.

    Names the service by `service_id`, or by `blueprint_id`: then the newest open one that the account
    may use is found. `private_key` pays and is needed to submit only. `endpoint` is an operator's API,
    asked for output that is too long to stand on-chain; with an `api_key`, inputs that are too long are
    brought there. Nothing over `max_price_wei` is paid for a job.

    Without `tangle`, the contract's address, the endpoint is asked what it is: a Substrate node is spoken to
    as one, where `private_key` is a seed or a mnemonic of a `key_type` sr25519 or ed25519; elsewhere it is
    `DEVNET_TANGLE`. WebSocket URLs mean HTTP on the same port.
    """

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
        self._http = httpx.Client(timeout=timeout)

    def submit_job(
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
        """Send a job and wait until it is in a block, on a Substrate chain until it is final.

        `seed` is a random 64-bit number and `epoch` is now, unless given; both are part of the job.
        `keep` asks for the machine to be kept as a snapshot; it changes the run (no exit handlers).
        With `mode`, `snapshot` (a measurement to start on) or `fork` (of mode branched) it is job 1. So are
        inputs over 16 KiB where there is an endpoint with a key: larger parts are uploaded, and go by hash.
        From a `quote` of `get_quote` it is for the quoted price, and nothing else is said of the job; from
        several operators' quotes, for their sum. `value_wei` is what you mean to pay: else it is refused.
        Raises SubmissionRefused before anything is paid (see `faas_sdk.guard` and
        `faas_sdk.quote_guard`), TransactionFailed,
        ConnectionFailed.
        """
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
            return run(self._submit_quoted(quotes, value_wei, on_progress), self._http)
        inputs, options = make_inputs(*program), Options(mode, snapshot, fork)
        payment = Payment(value_wei=value_wei)
        return run(self._submit_program(inputs, options, payment, on_progress), self._http)

    def get_quote(
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
        """What the operator at `endpoint` asks for a job, signed: for `submit_job(quote=…)`, once, soon.

        Give `seed` and `epoch` to have several operators' quotes for the same job. Raises SubmissionRefused
        without an endpoint or a key, ApiError for what the operator does not quote, ConnectionFailed.
        """
        inputs = make_inputs(
            code, language, stdin, arguments, env_vars, files, seed, epoch, timeout_ms, memory_mb, keep
        )
        options = Options(mode, snapshot, fork)
        return run(self._get_quote(inputs, options, on_progress), self._http)

    def get_service_quote(
        self,
        ttl_seconds: int,
        *,
        machines: int = 1,
        memory_mb: int = 512,
        storage_mb: int = 0,
        egress_mb: int = 0,
    ) -> ServiceQuote:
        """What the operator at `endpoint` asks for serving a new service: for `create_service`.

        Where jobs are paid one by one it is nothing; else it pays for so many machines of so much memory,
        storage and egress, over the whole time. Raises as `get_quote` does.
        """
        wanted = {
            "ttl_seconds": ttl_seconds,
            "machines": machines,
            "memory_mb": memory_mb,
            "storage_mb": storage_mb,
            "egress_mb": egress_mb,
        }
        return run(self._get_service_quote(wanted), self._http)

    def create_service(
        self,
        quotes: Sequence[ServiceQuote],
        *,
        permitted_callers: Sequence[str] = (),
        config: bytes = b"",
        max_cost_wei: int = 0,
        min_exposure_bps: int = 1000,
        on_progress: Progress | None = None,
    ) -> NewService:
        """A service of the operators that have quoted, for exactly the sum of their costs.

        Refused over `max_cost_wei`, and where an operator puts less than `min_exposure_bps` of its stake
        behind it. Raises SubmissionRefused before anything is paid (see `faas_sdk.quote_guard`),
        TransactionFailed, ResultTimeout, ConnectionFailed.
        """
        wanted = ServiceOrder(tuple(quotes), tuple(permitted_callers), config, max_cost_wei, min_exposure_bps)
        return run(self._create_service(wanted, on_progress), self._http)

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
        inputs = make_inputs(
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
        stands; on a Substrate chain the first final one. Raises ResultTimeout and ResultUnreadable."""
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
