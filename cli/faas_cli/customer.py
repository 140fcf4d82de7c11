"""What the commands of customers share: their options, the client, and how jobs and results are shown."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_cli.console import console, note, print_json
from faas_cli.place import find_place
from faas_cli.run import LANGUAGES, read_bytes, read_language, read_text

if TYPE_CHECKING:
    from faas_sdk import JobCall, TangleFaaSClient, TangleResult

FileArgument = Annotated[Path | None, typer.Argument(help="The program; - reads it from stdin.")]
CodeOption = Annotated[str | None, typer.Option("--code", help="The program itself.")]
LanguageOption = Annotated[
    str | None, typer.Option("--language", "-l", help=f"{LANGUAGES}; default: by extension.")
]
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


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be run."""

    code: str
    language: str


def read_program(file: Path | None, code: str | None, language: str | None) -> Program:
    """Of a file, or as it was given. Raises InvalidRequest."""
    if (file is None) == (code is None):
        raise InvalidRequest("give a file or --code")
    if language is None and file is None:
        raise InvalidRequest("--code needs --language")
    path = file or Path("-")
    return Program(read_text(path) if code is None else code, language or read_language(path))


def read_files(paths: list[Path] | None) -> dict[str, bytes]:
    """By their own names."""
    return {path.name: read_bytes(path) for path in paths or ()}


def conclude(
    client: TangleFaaSClient,
    job: JobCall,
    wait: bool,
    timeout: float,
    receipt: Path | None,
    as_json: bool,
) -> None:
    """Print the result if it is to be waited for, else where the job stands."""
    if wait:
        print_result(client.wait_for_result(job, timeout=timeout, on_progress=note), receipt, as_json)
        return
    facts = {"service_id": job.service_id, "call_id": job.call_id, "transaction": job.transaction_hash}
    if as_json:
        print_json(facts)
    else:
        print(job.call_id)


def open_client(
    rpc: str | None,
    tangle: str | None,
    blueprint: int | None,
    service: int | None,
    key: str | None,
    endpoint: str | None = None,
    api_key: str | None = None,
    key_type: str = "sr25519",
    max_price_wei: int | None = None,
) -> TangleFaaSClient:
    """A client that is to be closed. Raises InvalidRequest."""
    from faas_sdk import TangleFaaSClient

    place = find_place(rpc, tangle, blueprint, key)
    with sdk_errors():
        return TangleFaaSClient(
            place.first_rpc_url,
            service_id=service,
            blueprint_id=place.blueprint_id,
            private_key=place.key,
            tangle=place.tangle,
            endpoint=endpoint,
            api_key=api_key,
            key_type=key_type,
            max_price_wei=max_price_wei,
        )


class sdk_errors:
    """The SDK's errors and malformed values as this command line's own."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from faas_sdk import FaaSError as SdkError
        from faas_sdk import SubmissionRefused

        if isinstance(error, SubmissionRefused):
            raise InvalidRequest(str(error), {"reason": error.reason, **error.details}) from error
        if isinstance(error, SdkError | ValueError) and not isinstance(error, FaaSError):
            raise InvalidRequest(str(error)) from error


def print_result(result: TangleResult, receipt: Path | None, as_json: bool) -> None:
    """As text or JSON; the receipt file is written first."""
    if receipt is not None:
        receipt.write_text(json.dumps(result.receipt_file(), indent=2) + "\n")
    if as_json:
        print_json(result_to_json(result))
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


def result_to_json(result: TangleResult) -> dict[str, object]:
    """What scripts get of a result."""
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
