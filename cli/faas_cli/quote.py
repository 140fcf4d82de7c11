"""`faas quote job | service | take`: what operators ask, signed, and having it for just that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.errors import InvalidRequest
from faas_cli.console import console, note, print_json
from faas_cli.customer import (
    ApiKeyOption,
    CodeOption,
    EndpointOption,
    FileArgument,
    InputFileOption,
    JsonOption,
    KeyOption,
    LanguageOption,
    ReceiptOption,
    ServiceOption,
    TimeoutOption,
    WaitOption,
    conclude,
    open_client,
    read_files,
    read_program,
    sdk_errors,
)
from faas_cli.place import BlueprintOption, RpcOption, TangleOption
from faas_cli.run import read_bytes

if TYPE_CHECKING:
    from faas_sdk import JobQuote, ServiceQuote, TangleFaaSClient

app = typer.Typer(help="Quotes of operators, as a customer.", no_args_is_help=True)

OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the quote here, for `faas quote take`.")
]


@app.command("job")
def quote_job(
    file: FileArgument = None,
    code: CodeOption = None,
    language: LanguageOption = None,
    argument: Annotated[list[str] | None, typer.Option(help="An argument of the program.")] = None,
    stdin: Annotated[Path | None, typer.Option(help="File to give as standard input.")] = None,
    timeout_ms: Annotated[int | None, typer.Option(help="Virtual milliseconds.")] = None,
    memory_mb: Annotated[int | None, typer.Option(help="Memory in MiB.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="With --epoch: the same job for several operators.")
    ] = None,
    epoch: Annotated[int | None, typer.Option(help="Unix seconds that the job's clock starts from.")] = None,
    input_file: InputFileOption = None,
    mode: Annotated[str | None, typer.Option(help="ephemeral, cached, checkpointed or branched.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="Measurement of the snapshot to start on.")] = None,
    out: OutOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    service: ServiceOption = None,
    key: KeyOption = None,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the operator at --endpoint what a job costs; nothing is paid."""
    from faas_sdk.quote_files import job_quote_to_json

    program = read_program(file, code, language)
    with open_client(rpc, tangle, blueprint, service, key, endpoint, api_key) as client, sdk_errors():
        quote = client.get_quote(
            code=program.code,
            language=program.language,
            stdin=read_bytes(stdin) if stdin else b"",
            arguments=tuple(argument or ()),
            files=read_files(input_file),
            seed=seed,
            epoch=epoch,
            timeout_ms=timeout_ms,
            memory_mb=memory_mb,
            mode=mode,
            snapshot=snapshot,
            on_progress=note,
        )
    _show(job_quote_to_json(quote), f"{quote.price_wei} wei", quote.expiry, out, as_json)


@app.command("service")
def quote_service(
    ttl: Annotated[int, typer.Option("--ttl", help="Seconds that it lasts: an hour to a year.")],
    machines: Annotated[int, typer.Option(help="That run at once.")] = 1,
    memory_mb: Annotated[int, typer.Option(help="Of each machine.")] = 512,
    storage_mb: Annotated[int, typer.Option(help="Of kept snapshots, at any time.")] = 0,
    egress_mb: Annotated[int, typer.Option(help="Of output, over the whole time.")] = 0,
    out: OutOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    key: KeyOption = None,
    endpoint: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the operator at --endpoint what serving a new service costs; nothing is paid."""
    from faas_sdk.quote_files import service_quote_to_json

    with open_client(rpc, tangle, blueprint, None, key, endpoint) as client, sdk_errors():
        quote = client.get_service_quote(
            ttl, machines=machines, memory_mb=memory_mb, storage_mb=storage_mb, egress_mb=egress_mb
        )
    _show(service_quote_to_json(quote), f"{quote.total_cost_wei} wei", quote.expiry, out, as_json)


@app.command()
def take(
    files: Annotated[
        list[Path], typer.Argument(metavar="QUOTE...", help="Files of --out, each another operator's.")
    ],
    max_price: Annotated[
        int | None,
        typer.Option(min=0, help="Wei to be paid at the most; default for a service: nothing."),
    ] = None,
    permitted_caller: Annotated[
        list[str] | None, typer.Option(help="Who else may submit jobs to the new service.")
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 600.0,
    receipt: ReceiptOption = None,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit the quoted job, or create the quoted service, for exactly what is quoted.

    Quotes are checked first: who signed them, for what, until when. Prints the call id or the service id.
    """
    jobs, services = _read(files)
    service = jobs[0].service_id if jobs else None
    with open_client(rpc, tangle, blueprint, service, key, max_price_wei=max_price) as client, sdk_errors():
        if jobs:
            job = client.submit_job(quote=jobs, on_progress=note)
            conclude(client, job, wait, timeout, receipt, as_json)
        else:
            _create(client, services, tuple(permitted_caller or ()), max_price or 0, as_json)


def _create(
    client: TangleFaaSClient,
    quotes: list[ServiceQuote],
    callers: tuple[str, ...],
    max_cost_wei: int,
    as_json: bool,
) -> None:
    made = client.create_service(
        quotes, permitted_callers=callers, max_cost_wei=max_cost_wei, on_progress=note
    )
    if as_json:
        print_json(
            {
                "service_id": made.service_id,
                "transaction": made.transaction_hash,
                "cost_wei": str(made.cost_wei),
            }
        )
    else:
        print(made.service_id)


def _read(files: list[Path]) -> tuple[list[JobQuote], list[ServiceQuote]]:
    """Quotes for one job, or for one service. Raises InvalidRequest."""
    from faas_sdk.quote_files import job_quote_from_json, service_quote_from_json

    jobs, services = [], []
    with sdk_errors():
        for path in files:
            data = json.loads(read_bytes(path))
            if not isinstance(data, dict):
                raise InvalidRequest(f"{path} is no quote")
            if "inputs" in data:
                jobs.append(job_quote_from_json(data))
            else:
                services.append(service_quote_from_json(data))
    if jobs and services:
        raise InvalidRequest("these are quotes for a job and for a service: take them apart")
    return jobs, services


def _show(quote: dict[str, object], price: str, expiry: int, out: Path | None, as_json: bool) -> None:
    if out is not None:
        out.write_text(json.dumps(quote, indent=2) + "\n")
    if as_json:
        print_json(quote)
        return
    print(price)
    console.print(f"asked by {quote['operator']}; holds until {expiry} (Unix seconds)")
    if out is None:
        console.print("with --out FILE it can be taken: faas quote take FILE")
