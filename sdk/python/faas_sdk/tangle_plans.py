"""What both clients of a FaaS service on Tangle do, on either kind of chain; holds no connection."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

from eth_account import Account
from eth_account.signers.local import LocalAccount

from faas_sdk.chain import TangleChain
from faas_sdk.effects import Plan
from faas_sdk.errors import SubmissionRefused, SubstrateNotInstalled
from faas_sdk.evm import EvmChain
from faas_sdk.guard import Deployment
from faas_sdk.inputs import check, checked
from faas_sdk.operations import Inputs, Options, create_snapshot, program_inputs
from faas_sdk.payload import JobInputs
from faas_sdk.quote_files import job_quote_from_json, service_quote_from_json
from faas_sdk.quotes import JobQuote, ServiceQuote
from faas_sdk.rest import Content, RestApi
from faas_sdk.results import CallStatus, Submitted, TangleResult, read_output_file
from faas_sdk.rpc import Rpc, RpcError
from faas_sdk.submission import JobCall, NewService, Payment, ServiceOrder
from faas_sdk.transactions import Progress
from faas_sdk.verification import Verification

DEVNET_TANGLE = "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"
"""Where Tangle stands on the local chain of `faas devnet`."""


def _silent(_: str) -> None:
    pass


def _address(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != 42 or not lowered.startswith("0x") or set(lowered[2:]) - set("0123456789abcdef"):
        raise ValueError(f"{text!r} is not an address")
    return lowered


def _http_url(url: str) -> str:
    """Chains' nodes answer HTTP on the port of their WebSocket."""
    for given, meant in (("ws://", "http://"), ("wss://", "https://"), ("http", "http")):
        if url.startswith(given):
            return meant + url.removeprefix(given)
    raise ValueError(f"rpc_url must start with http://, https://, ws:// or wss://, got {url!r}")


class TanglePlans:
    """What both clients do."""

    def __init__(
        self,
        rpc_url: str,
        service_id: int | None,
        blueprint_id: int | None,
        private_key: str | None,
        tangle: str | None,
        endpoint: str | None,
        max_price_wei: int | None,
        timeout: float,
        poll_interval: float,
        api_key: str | None,
        key_type: str,
    ) -> None:
        if service_id is None and blueprint_id is None:
            raise ValueError("name a service_id, or a blueprint_id to find one")
        if key_type not in ("sr25519", "ed25519"):
            raise ValueError(f"key_type is sr25519 or ed25519, not {key_type!r}")
        self._rpc = Rpc(_http_url(rpc_url))
        self._tangle = None if tangle is None else _address(tangle)
        self._service_id = service_id
        self._blueprint_id = blueprint_id
        self._private_key = private_key
        self._key_type = key_type
        self._endpoint = None if endpoint is None else RestApi.at(endpoint, api_key, 1)
        self._max_price_wei = max_price_wei
        self._timeout = timeout
        self._poll_interval = poll_interval
        self._chain: TangleChain | None = None
        if private_key is not None and " " not in private_key.strip():
            Account.from_key(private_key)  # 32 bytes on either chain

    def _connect(self) -> Plan[TangleChain]:
        """The chain behind the endpoint. Raises SubstrateNotInstalled and ConnectionFailed."""
        if self._chain is None:
            if self._tangle is None and (yield from _is_substrate(self._rpc)):
                self._chain = self._substrate()
            else:
                at = Deployment(self._rpc, self._tangle or DEVNET_TANGLE.lower())
                self._chain = EvmChain(at, self._evm_account(), self._max_price_wei, self._poll_interval)
        return self._chain

    def _substrate(self) -> TangleChain:
        try:
            from faas_sdk.substrate.chain import open_chain
        except ImportError as error:
            raise SubstrateNotInstalled from error
        return open_chain(self._rpc, self._private_key, self._key_type, self._poll_interval)

    def _evm_account(self) -> LocalAccount | None:
        if self._private_key is None:
            return None
        if " " in self._private_key.strip():
            raise ValueError("private_key is a mnemonic, which is for Substrate chains; this one is EVM")
        account: LocalAccount = Account.from_key(self._private_key)
        return account

    def _find_service(self) -> Plan[int]:
        if self._service_id is None:
            assert self._blueprint_id is not None
            chain = yield from self._connect()
            self._service_id = yield from chain.find_service(self._blueprint_id)
        return self._service_id

    def _submit_program(
        self, inputs: JobInputs, options: Options, payment: Payment, progress: Progress | None
    ) -> Plan[JobCall]:
        return (yield from self._submit(self._program(inputs, options), progress, payment))

    def _create_snapshot(
        self, inputs: JobInputs, snapshot: str | None, progress: Progress | None
    ) -> Plan[JobCall]:
        made = checked(lambda: create_snapshot(inputs, snapshot, self._can_upload))
        check(inputs)
        return (yield from self._submit(made, progress))

    def _program(self, inputs: JobInputs, options: Options) -> Inputs:
        made = checked(lambda: program_inputs(inputs, options, self._can_upload))
        check(inputs)
        return made

    def _get_quote(self, inputs: JobInputs, options: Options, progress: Progress | None) -> Plan[JobQuote]:
        made = self._program(inputs, options)
        endpoint = yield from self._quoting_endpoint()
        chain = yield from self._connect()
        service_id = yield from self._find_service()
        yield from self._upload(made, progress)
        body = {
            "requester": chain.caller,
            "service_id": service_id,
            "job_index": made.job_index,
            "inputs": "0x" + made.payload.hex(),
        }
        return job_quote_from_json((yield from endpoint.post("/quotes/jobs", body)), made.payload)

    def _get_service_quote(self, wanted: Mapping[str, int]) -> Plan[ServiceQuote]:
        endpoint = yield from self._quoting_endpoint()
        chain = yield from self._connect()
        body = {"requester": chain.caller, **wanted}
        return service_quote_from_json((yield from endpoint.post("/quotes/services", body)))

    def _quoting_endpoint(self) -> Plan[RestApi]:
        if self._private_key is None:
            raise SubmissionRefused("no_key", "a quote is for an account: give its private_key")
        (yield from self._connect()).require_quotes()
        if self._endpoint is None:
            raise SubmissionRefused("no_endpoint", "an operator is asked for a quote: give its endpoint")
        return self._endpoint

    def _submit_quoted(
        self, quotes: Sequence[JobQuote], value_wei: int | None, progress: Progress | None
    ) -> Plan[JobCall]:
        if not quotes:
            raise SubmissionRefused("wrong_quote", "there is no quote")
        inputs = Inputs(quotes[0].job_index, quotes[0].inputs)
        return (yield from self._submit(inputs, progress, Payment(value_wei=value_wei, quotes=tuple(quotes))))

    def _create_service(self, wanted: ServiceOrder, progress: Progress | None) -> Plan[NewService]:
        if self._private_key is None:
            raise SubmissionRefused("no_key", "creating a service takes a private_key")
        chain = yield from self._connect()
        return (yield from chain.create_service(wanted, progress or _silent))

    @property
    def _can_upload(self) -> bool:
        return self._endpoint is not None and self._endpoint.api_key is not None

    def _submit(
        self, inputs: Inputs, progress: Progress | None, payment: Payment | None = None
    ) -> Plan[JobCall]:
        if self._private_key is None:
            raise SubmissionRefused("no_key", "submitting a job takes a private_key")
        chain = yield from self._connect()
        service_id = yield from self._find_service()
        chain.check_inputs(inputs)
        yield from self._upload(inputs, progress)
        return (yield from chain.submit(service_id, inputs, payment or Payment(), progress or _silent))

    def _upload(self, inputs: Inputs, progress: Progress | None) -> Plan[None]:
        for sha256, content in inputs.blobs.items():
            assert self._endpoint is not None
            (progress or _silent)(f"uploading {len(content)} bytes, which go by their hash")
            yield from self._endpoint.upload_blob(sha256, content)

    def _submitted(self, job: JobCall | int) -> Plan[Submitted]:
        chain = yield from self._connect()
        if isinstance(job, JobCall):
            # Its own log is known; the caller is whoever sent it.
            return Submitted(
                job.service_id, job.call_id, chain.caller, job.inputs, job.transaction_hash, job.block
            )
        service_id = yield from self._find_service()
        return (yield from chain.submitted(service_id, job))

    def _wait(self, job: JobCall | int, timeout: float, progress: Progress | None) -> Plan[TangleResult]:
        chain = yield from self._connect()
        call = yield from self._submitted(job)
        return (yield from chain.wait(call, self._endpoint, timeout, progress or _silent))

    def _output_file(self, result: TangleResult, path: str) -> Plan[bytes]:
        return (yield from read_output_file(result, path, self._endpoint))

    def _verify(self, what: TangleResult | JobCall | int) -> Plan[Verification]:
        chain = yield from self._connect()
        if isinstance(what, int):
            service_id, call_id = (yield from self._find_service()), what
        else:
            service_id, call_id = what.service_id, what.call_id
        call = yield from chain.submitted(service_id, call_id)
        return (yield from chain.verify(call, what if isinstance(what, TangleResult) else None))

    def _show(self, job: JobCall | int) -> Plan[CallStatus]:
        chain = yield from self._connect()
        service_id = job.service_id if isinstance(job, JobCall) else (yield from self._find_service())
        call = yield from chain.submitted(service_id, int(job))
        return (yield from chain.status(call, self._endpoint))


def _is_substrate(rpc: Rpc) -> Plan[bool]:
    """Whether the endpoint answers as a Substrate node. Raises ConnectionFailed when it does not answer."""
    try:
        return isinstance((yield from rpc.call("state_getRuntimeVersion")), dict)
    except RpcError:
        return False


def quotes_of(quote: JobQuote | Sequence[JobQuote], *others: object) -> Sequence[JobQuote]:
    """The quotes that a job is submitted from. Raises ValueError when anything else is said of the job."""
    if any(other not in (None, b"", (), False) for other in others):
        raise ValueError("a quote says what the job is: give it alone")
    return (quote,) if isinstance(quote, JobQuote) else tuple(quote)


def make_inputs(
    code: str | None,
    language: str | None,
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
    if code is None or language is None:
        raise ValueError("a job has code and a language, or a quote")
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
