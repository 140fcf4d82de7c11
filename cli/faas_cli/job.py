"""`faas job submit | wait | show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_cli.console import console, note, print_json
from faas_cli.place import BlueprintOption, RpcOption, TangleOption, find_place
from faas_cli.run import LANGUAGES, read_bytes, read_language, read_text

if TYPE_CHECKING:
    from faas_sdk import TangleFaaSClient, TangleResult

app = typer.Typer(help="Jobs on-chain, as a customer.", no_args_is_help=True)

ServiceOption = Annotated[
    int | None, typer.Option("--service", min=0, help="Service id; default: the newest open one.")
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="FAAS_PRIVATE_KEY", help="Private key that pays; better given by FAAS_PRIVATE_KEY."
    ),
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds to wait for a result.")]
ReceiptOption = Annotated[Path | None, typer.Option(help="Write a receipt file for `faas verify` here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
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
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result.")] = False,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a job and pay for it; prints the call id."""
    if (file is None) == (code is None):
        raise InvalidRequest("give a file or --code")
    if language is None and file is None:
        raise InvalidRequest("--code needs --language")
    with _client(rpc, tangle, blueprint, service, key) as client, _sdk_errors():
        job = client.submit_job(
            code=code if code is not None else read_text(file or Path("-")),
            language=language or read_language(file or Path("-")),
            stdin=read_bytes(stdin) if stdin else b"",
            arguments=tuple(argument or ()),
            timeout_ms=timeout_ms,
            memory_mb=memory_mb,
            on_progress=note,
        )
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
    rpc: str | None, tangle: str | None, blueprint: int | None, service: int | None, key: str | None
) -> TangleFaaSClient:
    from faas_sdk import TangleFaaSClient

    place = find_place(rpc, tangle, blueprint, key)
    with _sdk_errors():
        return TangleFaaSClient(
            place.rpc_url,
            service_id=service,
            blueprint_id=place.blueprint_id,
            private_key=place.key,
            tangle=place.tangle,
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
