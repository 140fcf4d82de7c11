"""`faas job submit | snapshot | restore | branch | merge | wait | show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faas_cli.console import note, print_json
from faas_cli.customer import (
    ApiKeyOption,
    CodeOption,
    EndpointOption,
    FileArgument,
    InputFileOption,
    JsonOption,
    KeyOption,
    KeyTypeOption,
    LanguageOption,
    ReceiptOption,
    ServiceOption,
    TimeoutOption,
    WaitOption,
    conclude,
    open_client,
    print_result,
    read_files,
    read_program,
    result_to_json,
    sdk_errors,
)
from faas_cli.place import BlueprintOption, RpcOption, TangleOption
from faas_cli.run import read_bytes

app = typer.Typer(help="Jobs on-chain, as a customer.", no_args_is_help=True)

SnapshotArgument = Annotated[str, typer.Argument(help="Its measurement, 0x and 64 digits.")]
CallArgument = Annotated[int, typer.Argument(min=0, help="Call id, as `submit` printed it.")]


@app.command()
def submit(
    file: FileArgument = None,
    code: CodeOption = None,
    language: LanguageOption = None,
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

    program = read_program(file, code, language)
    with (
        open_client(rpc, tangle, blueprint, service, key, endpoint, api_key, key_type) as client,
        sdk_errors(),
    ):
        job = client.submit_job(
            code=program.code,
            language=program.language,
            stdin=read_bytes(stdin) if stdin else b"",
            arguments=tuple(argument or ()),
            files=read_files(input_file),
            timeout_ms=timeout_ms,
            memory_mb=memory_mb,
            mode=mode,
            snapshot=snapshot,
            fork=None if identity is None else Fork(identity=identity.encode()),
            on_progress=note,
        )
        conclude(client, job, wait, timeout, receipt, as_json)


@app.command("snapshot")
def create_snapshot(
    file: FileArgument = None,
    code: CodeOption = None,
    language: LanguageOption = None,
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
    program = read_program(file, code, language)
    with (
        open_client(rpc, tangle, blueprint, service, key, endpoint, api_key, key_type) as client,
        sdk_errors(),
    ):
        job = client.create_snapshot(
            code=program.code,
            language=program.language,
            snapshot=snapshot,
            files=read_files(input_file),
            on_progress=note,
        )
        conclude(client, job, wait, timeout, receipt, as_json)


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
    with open_client(rpc, tangle, blueprint, service, key, key_type=key_type) as client, sdk_errors():
        job = client.restore_snapshot(snapshot, on_progress=note)
        conclude(client, job, wait, timeout, receipt, as_json)


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

    with open_client(rpc, tangle, blueprint, service, key, key_type=key_type) as client, sdk_errors():
        job = client.create_branch(snapshot, Fork(seed, 0, identity.encode()), on_progress=note)
        conclude(client, job, wait, timeout, receipt, as_json)


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
    with open_client(rpc, tangle, blueprint, service, key, key_type=key_type) as client, sdk_errors():
        job = client.merge_branches(branches, base=base, strategy=strategy, on_progress=note)
        conclude(client, job, wait, timeout, receipt, as_json)


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
    with open_client(rpc, tangle, blueprint, service, None) as client, sdk_errors():
        print_result(client.wait_for_result(call, timeout=timeout, on_progress=note), receipt, as_json)


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
    with open_client(rpc, tangle, blueprint, service, None) as client, sdk_errors():
        status = client.show(call)
    if as_json:
        print_json(
            {
                "service_id": status.service_id,
                "call_id": status.call_id,
                "caller": status.caller,
                "transaction": status.transaction_hash,
                "completed": status.completed,
                "results": [result_to_json(result) for result in status.results],
            }
        )
        return
    state = "completed" if status.completed else "open"
    print(f"call {status.call_id} of service {status.service_id}: {state}, {len(status.results)} result(s)")
    print(f"  submitted by {status.caller} in {status.transaction_hash}")
    for result in status.results:
        ended = f"{result.status}, exit code {result.exit_code}"
        print(f"  {result.operator}: {ended}, in {result.transaction_hash}")
