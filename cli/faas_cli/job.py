"""`faas job submit | snapshot | restore | branch | merge | wait | show`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_cli.console import console, note, print_json
from faas_cli.place import BlueprintOption, RpcOption, TangleOption, find_place
from faas_cli.run import LANGUAGES, read_bytes, read_language, read_text

if TYPE_CHECKING:
    from faas_sdk import JobCall, TangleFaaSClient, TangleResult

app = typer.Typer(help="Jobs on-chain, as a customer.", no_args_is_help=True)

ServiceOption = Annotated[
    int | None, typer.Option("--service", min=0, help="Service id; default: the newest open one.")
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="FAAS_PRIVATE_KEY",
        help="Private key that pays; on Substrate a seed or mnemonic. Better given by FAAS_PRIVATE_KEY.",
    ),
]
KeyTypeOption = Annotated[
    str, typer.Option("--key-type", envvar="FAAS_KEY_TYPE", help="On a Substrate chain: sr25519 or ed25519.")
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds to wait for a result.")]
ReceiptOption = Annotated[Path | None, typer.Option(help="Write a receipt file for `faas verify` here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for the result.")]
InputFileOption = Annotated[
    list[Path] | None, typer.Option("--file", help="A file for the program, under its own name.")
]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", envvar="FAAS_ENDPOINT", help="An operator's API, for what is too large."),
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option("--api-key", envvar="FAAS_API_KEY", help="A key there: large inputs are uploaded."),
]
SnapshotArgument = Annotated[str, typer.Argument(help="Its measurement, 0x and 64 digits.")]
CallArgument = Annotated[int, typer.Argument(min=0, help="Call id, as `submit` printed it.")]


@app.command()
def submit(
    file: Annotated[Path | None, typer.Argument(help="The program; - reads it from stdin.")] = None,
    code: Annotated[str | None, typer.Option("--code", help="The program itself.")] = None,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help=f"{LANGUAGES}; default: by extension.")
    ] = None,
    argument: Annotated[list[str] | None, typer.Option(help="An argument of the program.")] = None,
    stdin: Annotated[Path | None, typer.Option(help="File to give as standard input.")] = None,
    timeout_ms: Annotated[int | None, typer.Option(help="Virtual milliseconds.")] = None,
    memory_mb: Annotated[int | None, typer.Option(help="Memory in MiB.")] = None,
    input_file: InputFileOption = None,
    mode: Annotated[
        str | None, typer.Option(help="ephemeral, cached, checkpointed or branched; makes it job 1.")
    ] = None,
    snapshot: Annotated[str | None, typer.Option(help="Measurement of the snapshot to start on.")] = None,
    identity: Annotated[str | None, typer.Option(help="Of the fork in mode branched.")] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    key: KeyOption = None,
    key_type: KeyTypeOption = "sr25519",
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a job and pay for it; prints the call id."""
    from faas_sdk import Fork

    program = _program(file, code, language)
    with _client(rpc, tangle, blueprint, service, key, endpoint, api_key, key_type) as client, _sdk_errors():
        job = client.submit_job(
            code=program.code,
            language=program.language,
            stdin=read_bytes(stdin) if stdin else b"",
            arguments=tuple(argument or ()),
            files=_files(input_file),
            timeout_ms=timeout_ms,
            memory_mb=memory_mb,
            mode=mode,
            snapshot=snapshot,
            fork=None if identity is None else Fork(identity=identity.encode()),
            on_progress=note,
        )
        _conclude(client, job, wait, timeout, receipt, as_json)


@app.command("snapshot")
def create_snapshot(
    file: Annotated[Path | None, typer.Argument(help="The program; - reads it from stdin.")] = None,
    code: Annotated[str | None, typer.Option("--code", help="The program itself.")] = None,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help=f"{LANGUAGES}; default: by extension.")
    ] = None,
    snapshot: Annotated[str | None, typer.Option(help="Measurement to start on; default: the base.")] = None,
    input_file: InputFileOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    key: KeyOption = None,
    key_type: KeyTypeOption = "sr25519",
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Job 2: run a program and keep its machine; the snapshot is the result's state root."""
    program = _program(file, code, language)
    with _client(rpc, tangle, blueprint, service, key, endpoint, api_key, key_type) as client, _sdk_errors():
        job = client.create_snapshot(
            code=program.code,
            language=program.language,
            snapshot=snapshot,
            files=_files(input_file),
            on_progress=note,
        )
        _conclude(client, job, wait, timeout, receipt, as_json)


@app.command()
def restore(
    snapshot: SnapshotArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    key: KeyOption = None,
    key_type: KeyTypeOption = "sr25519",
    as_json: JsonOption = False,
) -> None:
    """Job 3: have the operators show that they hold a snapshot."""
    with _client(rpc, tangle, blueprint, service, key, key_type=key_type) as client, _sdk_errors():
        job = client.restore_snapshot(snapshot, on_progress=note)
        _conclude(client, job, wait, timeout, receipt, as_json)


@app.command()
def branch(
    snapshot: SnapshotArgument,
    identity: Annotated[str, typer.Option(help="Up to 32 bytes that tell it from other forks.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of its randomness.")] = 0,
    wait: WaitOption = False,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    key: KeyOption = None,
    key_type: KeyTypeOption = "sr25519",
    as_json: JsonOption = False,
) -> None:
    """Job 4: fork a snapshot; the fork is the result's state root."""
    from faas_sdk import Fork

    with _client(rpc, tangle, blueprint, service, key, key_type=key_type) as client, _sdk_errors():
        job = client.create_branch(snapshot, Fork(seed, 0, identity.encode()), on_progress=note)
        _conclude(client, job, wait, timeout, receipt, as_json)


@app.command()
def merge(
    branches: Annotated[list[str], typer.Argument(help="Measurements; the first one is merged into.")],
    base: Annotated[str | None, typer.Option(help="What they were made from; default: the base.")] = None,
    strategy: Annotated[str, typer.Option(help="three_way, ours, theirs or union.")] = "three_way",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    key: KeyOption = None,
    key_type: KeyTypeOption = "sr25519",
    as_json: JsonOption = False,
) -> None:
    """Job 5: merge the files of snapshots; the merged one is the result's state root."""
    with _client(rpc, tangle, blueprint, service, key, key_type=key_type) as client, _sdk_errors():
        job = client.merge_branches(branches, base=base, strategy=strategy, on_progress=note)
        _conclude(client, job, wait, timeout, receipt, as_json)


@dataclass(frozen=True, slots=True)
class _Program:
    code: str
    language: str


def _program(file: Path | None, code: str | None, language: str | None) -> _Program:
    if (file is None) == (code is None):
        raise InvalidRequest("give a file or --code")
    if language is None and file is None:
        raise InvalidRequest("--code needs --language")
    path = file or Path("-")
    return _Program(read_text(path) if code is None else code, language or read_language(path))


def _files(paths: list[Path] | None) -> dict[str, bytes]:
    return {path.name: read_bytes(path) for path in paths or ()}


def _conclude(
    client: TangleFaaSClient,
    job: JobCall,
    wait: bool,
    timeout: float,
    receipt: Path | None,
    as_json: bool,
) -> None:
    """Print the result if it is to be waited for, else where the job stands."""
    if wait:
        _print_result(client.wait_for_result(job, timeout=timeout, on_progress=note), receipt, as_json)
        return
    facts = {"service_id": job.service_id, "call_id": job.call_id, "transaction": job.transaction_hash}
    if as_json:
        print_json(facts)
    else:
        print(job.call_id)


@app.command()
def wait(
    call: CallArgument,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait for a job's result and print it."""
    with _client(rpc, tangle, blueprint, service, None) as client, _sdk_errors():
        _print_result(client.wait_for_result(call, timeout=timeout, on_progress=note), receipt, as_json)


@app.command()
def show(
    call: CallArgument,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what stands on-chain of a job."""
    with _client(rpc, tangle, blueprint, service, None) as client, _sdk_errors():
        status = client.show(call)
    if as_json:
        print_json(
            {
                "service_id": status.service_id,
                "call_id": status.call_id,
                "caller": status.caller,
                "transaction": status.transaction_hash,
                "completed": status.completed,
                "results": [_result(result) for result in status.results],
            }
        )
        return
    state = "completed" if status.completed else "open"
    print(f"call {status.call_id} of service {status.service_id}: {state}, {len(status.results)} result(s)")
    print(f"  submitted by {status.caller} in {status.transaction_hash}")
    for result in status.results:
        ended = f"{result.status}, exit code {result.exit_code}"
        print(f"  {result.operator}: {ended}, in {result.transaction_hash}")


def _client(
    rpc: str | None,
    tangle: str | None,
    blueprint: int | None,
    service: int | None,
    key: str | None,
    endpoint: str | None = None,
    api_key: str | None = None,
    key_type: str = "sr25519",
) -> TangleFaaSClient:
    from faas_sdk import TangleFaaSClient

    place = find_place(rpc, tangle, blueprint, key)
    with _sdk_errors():
        return TangleFaaSClient(
            place.first_rpc_url,
            service_id=service,
            blueprint_id=place.blueprint_id,
            private_key=place.key,
            tangle=place.tangle,
            endpoint=endpoint,
            api_key=api_key,
            key_type=key_type,
        )


class _sdk_errors:
    """The SDK's errors and malformed values as this command line's own."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from faas_sdk import FaaSError as SdkError

        if isinstance(error, SdkError | ValueError) and not isinstance(error, FaaSError):
            raise InvalidRequest(str(error)) from error


def _print_result(result: TangleResult, receipt: Path | None, as_json: bool) -> None:
    if receipt is not None:
        receipt.write_text(json.dumps(result.receipt_file(), indent=2) + "\n")
    if as_json:
        print_json(_result(result))
        return
    if result.stdout_bytes is None:
        console.print(
            "the output was posted by its hash only; run the job again with `faas verify` to see it"
        )
    sys.stdout.write(result.stdout or "")
    sys.stderr.write(result.stderr or "")
    files = result.files_hash
    if files.count or files.truncated:
        cut = ", not all of them" if files.truncated else ""
        listed = f"manifest 0x{files.sha256.hex()}"
        console.print(f"{files.count} output files{cut}, {files.size} bytes, {listed}")
    console.print(f"{result.status}, exit code {result.exit_code}; posted by {result.operator}")
    console.print(f"state root {result.state_root}")


def _result(result: TangleResult) -> dict[str, object]:
    files = result.files_hash
    return {
        "service_id": result.service_id,
        "call_id": result.call_id,
        "operator": result.operator,
        "status": result.status,
        "exit_code": result.exit_code,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "files": {
            "count": files.count,
            "size": files.size,
            "sha256": "0x" + files.sha256.hex(),
            "truncated": files.truncated,
        },
        "virtual_ns": result.virtual_ns,
        "receipt": result.receipt,
        "signature": result.signature,
        "result_tx": result.transaction_hash,
    }
