"""One frozen settings object, built once from the environment and a TOML file, passed down from there.

Every setting has an environment variable `FAAS_<NAME>`; `FAAS_SETTINGS` names the TOML file
(default: `settings.toml` in the home folder). The environment wins over the file. Whatever opens a
door is in `Secrets`, from the same two places, and cannot be printed.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from faas_blueprint.errors import InvalidRequest, MissingPrerequisite
from faas_blueprint.receipt import ZERO_ADDRESS, Address, address
from faas_blueprint.tangle.quotes import LEAST_PRICE
from faas_microvm.home import default_home

_KEY_HASH = re.compile(r"sha256:[0-9a-f]{64}")

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")


def hash_api_key(key: bytes) -> str:
    """`sha256:<hex>` of an API key: all that a node keeps of it."""
    return "sha256:" + hashlib.sha256(key).hexdigest()


def _hash_keys(value: object) -> frozenset[str]:
    """Keys given as a list or separated by commas; those not hashed yet are hashed."""
    keys = value.split(",") if isinstance(value, str) else value
    if not isinstance(keys, list | tuple | set | frozenset):
        raise ValueError("expected API keys as a list, or separated by commas")
    names = (str(key).strip() for key in keys)
    return frozenset(
        name if _KEY_HASH.fullmatch(name) else hash_api_key(name.encode()) for name in names if name
    )


def _address_or_none(value: object) -> Address | None:
    try:
        return None if value is None else address(str(value))
    except InvalidRequest as error:
        raise ValueError(error.message) from error


def _addresses(value: object) -> tuple[Address, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise ValueError("expected addresses as a list, or separated by commas")
    try:
        return tuple(address(str(name).strip()) for name in names if str(name).strip())
    except InvalidRequest as error:
        raise ValueError(error.message) from error


def _origin_or_none(value: object) -> str | None:
    if value is None:
        return None
    origin = str(value).rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("expected an origin such as https://api.example.org, without a path")
    return origin


def _origins(value: object) -> tuple[str, ...]:
    origins = value.split(",") if isinstance(value, str) else value
    if not isinstance(origins, list | tuple):
        raise ValueError("expected origins as a list, or separated by commas")
    found = (_origin_or_none(str(origin).strip()) for origin in origins if str(origin).strip())
    return tuple(origin for origin in found if origin is not None)


def _page_origins(value: object) -> tuple[str, ...]:
    return ("*",) if value in ("*", ["*"], ("*",)) else _origins(value)


def settings_file() -> Path:
    """The TOML file that is read, if it is there."""
    return Path(os.environ.get("FAAS_SETTINGS") or default_home() / "settings.toml")


def _variable(location: tuple[int | str, ...]) -> str:
    return "FAAS_" + str(location[0]).upper() if location else "the settings"


class _Sourced(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="FAAS_", frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True
    )

    def __init__(self, **values: Any) -> None:
        """Raises MissingPrerequisite, which names each variable that cannot be read, never its value."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong = {
                _variable(item["loc"]): item["msg"].removeprefix("Value error, ") for item in error.errors()
            }
            told = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
            raise MissingPrerequisite(told, {"settings": ", ".join(wrong)}) from None
        except SettingsError as error:
            field = re.search(r'field "(\w+)"', str(error))
            name = _variable((field[1],) if field else ())
            raise MissingPrerequisite(f"{name}: this is not JSON", {"settings": name}) from None
        except tomllib.TOMLDecodeError as error:
            raise MissingPrerequisite(f"{settings_file()} is no TOML: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=settings_file())


class Settings(_Sourced):
    """What may be shown to anyone."""

    home: Path = Field(default_factory=default_home)
    keystore: Path | None = None
    """Encrypted keystore file; default: `keystore.json` in the home folder."""
    account_file: Path | None = None
    """Account that posts results on a Substrate chain, as polkadot.js exports it, encrypted; default:
    `account.json` in the home folder."""
    tangle: Annotated[Address | None, BeforeValidator(_address_or_none)] = None
    """Address of the Tangle contract; on a Substrate chain there is none."""
    chain_id: int | None = Field(None, ge=1)
    """Refuse to work on any other chain."""
    blueprint_id: int | None = Field(None, ge=0)
    service_id: int | None = Field(None, ge=0)
    """Answer jobs of this service only; default: of all that the operator serves."""
    start_block: int = Field(0, ge=0)
    """Where a node without a cursor starts to look for jobs."""
    confirmations: int = Field(1, ge=1, le=10_000)
    """Blocks that a job call or a result needs, its own included."""
    rewind_blocks: int = Field(64, ge=1)
    """How far back to look again after a reorganisation."""
    scan_blocks: int = Field(1_000, ge=1)
    """How many blocks to ask for at once."""
    poll_seconds: float = Field(1.0, gt=0)
    parallel_jobs: int = Field(2, ge=1, le=256)
    """Job calls that are being run at once."""
    waiting_machines: int = Field(2, ge=0, le=64)
    """Machines kept ready, so that a job starts at once; each takes some 20 MB."""
    machine_attempts: int = Field(5, ge=1)
    """Machines that a job may lose before an error result is posted."""
    retry_seconds: float = Field(0.5, gt=0)
    """First pause after a transient failure; it doubles from try to try."""
    retry_seconds_at_most: float = Field(60.0, gt=0)
    drain_seconds: float = Field(30.0, ge=0)
    """How long a stopping node goes on with what it has begun."""
    approved_requesters: Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_addresses)] = ()
    """Whose service requests are approved, separated by commas; empty: anyone's."""
    services_at_most: int | None = Field(None, ge=0)
    """Open services to be served at once: above that it approves none; default: any number."""
    approve: Literal["policy", "none"] = "policy"
    """Whether the running node approves the service requests that the policy allows; `none`: it does not."""
    reject_requests: bool = False
    """Whether it rejects on-chain what the policy never allows, which ends the request for all."""
    approval_floor_percent: int = Field(100, ge=0, le=100_000)
    """What a service must pay at least, in percent of what the price table says; 0: anything."""
    heartbeat_seconds: float = Field(240.0, ge=0)
    """How often Tangle's status registry, which waits 300 unless told otherwise, hears that this operator is
    there; 0: never."""
    log_format: Literal["text", "json"] = "text"
    """`json`: an object a line."""
    api_host: str = "127.0.0.1"
    api_port: int = Field(8080, ge=0, le=65_535)
    api_body_bytes: int = Field(20 << 20, ge=1)
    """The largest request body."""
    api_message_bytes: int = Field(64 << 10, ge=1)
    """The largest message that a WebSocket's client may send."""
    api_public_url: Annotated[str | None, BeforeValidator(_origin_or_none)] = None
    """Where clients reach the API: what wallets show when someone signs in; default: host and port."""
    api_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_page_origins)] = ()
    """Origins whose pages may call the API from a browser, `*` for all; the console needs none."""
    api_open_sign_in: bool | None = None
    """Whether an address that has no account gets one by signing in; default: where runs are paid for."""
    requests_per_minute: int = Field(100, ge=1)
    """Of an account, and of an address without a key, unless the account has a limit of its own."""
    requests_per_hour: int = Field(1_000, ge=1)
    concurrent_executions: int = Field(10, ge=1)
    """Unfinished ones of an account, likewise."""

    blob_peers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ()
    """Origins of other operators' APIs, separated by commas, that are asked for a blob or snapshot that is
    not here, and for their receipts of a call on whose result operators differ."""
    registered_peers: bool = True
    """Whether the other operators of a service are asked too, for blobs and receipts, where they registered
    on-chain that they are: at public addresses only."""
    private_peers: bool = False
    """Whether that may be on this host or a private network, as on a devnet."""
    blob_seconds: float = Field(10.0, ge=0)
    """How long to look for a blob before the job that names it is answered without."""
    snapshot_fetch_bytes: int = Field(512 << 20, ge=0)
    """The largest snapshot that is fetched from peers, as pages that differ from the base; 0 fetches none."""
    snapshot_fetch_seconds: float = Field(120.0, gt=0)
    """How long that may take before the call that names it is answered without."""
    trace_bytes: int = Field(2 << 30, ge=0)
    """Room on the disk for the machines that calls come by, second for second, so that whoever doubts a
    result need not run all of it again; 0 keeps none."""
    trace_seconds: float = Field(86_400.0, gt=0)
    """How long such a machine is kept at the most."""
    blob_account_bytes: int = Field(256 << 20, ge=1)
    """What an account may have uploaded at once."""
    blob_days: float = Field(7.0, gt=0)
    """How long an upload is held that no job names."""

    billing: bool = False
    """Whether runs over HTTP are paid for with credits."""
    starting_credits: int = Field(0, ge=0, le=10**9)
    """Credits that each account has to begin with."""
    price_table: Path | None = None
    """JSON file as `GET /pricing` answers it; default: the platform's price list."""
    credits: Annotated[Address | None, BeforeValidator(_address_or_none)] = None
    """Address of the FaaSCredits contract whose deposits are followed."""
    credit_rates: dict[str, Annotated[int, Field(ge=1)]] = {ZERO_ADDRESS: 10**15}
    """What a credit costs: smallest units by token; the zero address is the native one."""
    tangle_credits: Annotated[Address | None, BeforeValidator(_address_or_none)] = None
    """Address of Tangle's own Credits contract, if what it grants is to count."""
    claimed_nanocredits: int = Field(0, ge=0, le=10**18)
    """What one of its credits is worth here, and one of a Substrate chain's pallet."""
    burn_rate: int | None = Field(None, ge=1)
    """On a Substrate chain: smallest units of its token that are burned for a credit; default: burns do not
    count."""
    x402_token: Annotated[Address | None, BeforeValidator(_address_or_none)] = None
    """Token with EIP-3009 that callers without an account pay single runs with; it must be in the rates."""
    x402_pay_to: Annotated[Address | None, BeforeValidator(_address_or_none)] = None
    """Who is paid then; default: the operator's address."""
    quotes: bool = False
    """Whether jobs and services are quoted to whoever asks over HTTP."""
    quote_seconds: int = Field(300, ge=30, le=3000)
    """How long a quote holds."""
    quote_markup_percent: int = Field(0, ge=0, le=10_000)
    """What is added to the price table's figure."""
    quote_floor: int = Field(LEAST_PRICE, ge=LEAST_PRICE, le=10**30)
    """The least that is quoted, in the smallest unit of the service's asset."""
    quote_flat_services: bool = False
    """Whether services whose jobs are free are quoted: nothing holds them to the egress and storage that they
    have paid for, and a machine that waits counts time faster than its host."""
    quote_exposure_bps: int = Field(1000, ge=1, le=10_000)
    """How much of the stake a quote for a service puts behind it."""
    open_quotes: int = Field(32, ge=1, le=10_000)
    """How many a caller may have that hold yet."""
    sweep_seconds: float = Field(3600.0, gt=0)
    """How often kept snapshots are charged."""
    settle_seconds: float = Field(3600.0, gt=0)
    """How often what was used is fetched from the credits contract, within what payers have signed."""
    check_seconds: float = Field(3600.0, gt=0)
    """How often the ledger is added up again."""

    @field_validator("credit_rates")
    @classmethod
    def _rates_by_address(cls, rates: dict[str, int]) -> dict[str, int]:
        try:
            return {address(token): units for token, units in rates.items()}
        except InvalidRequest as error:
            raise ValueError(error.message) from error

    @property
    def keystore_path(self) -> Path:
        """The keystore file that is used."""
        return self.keystore or self.home / "keystore.json"

    @property
    def account_path(self) -> Path:
        """The Substrate account's file that is used."""
        return self.account_file or self.home / "account.json"

    @property
    def public_url(self) -> str:
        """The API's origin, as clients see it."""
        return self.api_public_url or f"http://{self.api_host}:{self.api_port}"


class Secrets(_Sourced):
    """What opens doors; prints as nothing but its name."""

    keystore_password: SecretStr | None = None
    account_password: SecretStr | None = None
    """Of the Substrate account's file."""
    rpc_url: SecretStr = SecretStr("http://127.0.0.1:8545")
    """May hold a provider's key; several endpoints are separated by commas."""
    database_url: SecretStr | None = None
    """May hold a password; default: SQLite in the home folder."""
    api_keys: Annotated[frozenset[str], NoDecode, BeforeValidator(_hash_keys)] = frozenset()
    """`sha256:<hex>` of each key; plain keys are hashed as they are read and forgotten. Each has an account
    of its own, and may do all but administrate."""
    admin_keys: Annotated[frozenset[str], NoDecode, BeforeValidator(_hash_keys)] = frozenset()
    """The same; these may administrate too."""
    x402_key: SecretStr | None = None
    """Private key of the account that posts payments by request: it has gas and nothing else."""
    redis_url: SecretStr | None = None
    """Where requests are counted when several API processes run; default: in the process."""

    def __repr__(self) -> str:
        return "Secrets(…)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets cannot be copied or pickled")

    def told(self) -> dict[str, str]:
        """Of each secret, whether it is set."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: "not set" if not value else f"{len(value)} set" if isinstance(value, frozenset) else "set"
            for name, value in values.items()
        }

    def without_api_keys(self) -> Self:
        """The same, for a node that takes no requests."""
        return self.model_copy(update={"api_keys": frozenset(), "admin_keys": frozenset()})

    @classmethod
    def with_api_keys(cls, *keys: str, admin: Collection[str] = ()) -> Self:
        """Secrets that accept these API keys, those in `admin` as administrators', and no others."""
        return cls(api_keys=frozenset(keys), admin_keys=frozenset(admin))


def database_url(settings: Settings, secrets: Secrets) -> str:
    """Where the store is."""
    if secrets.database_url is not None:
        return secrets.database_url.get_secret_value()
    return f"sqlite:///{settings.home / 'operator.sqlite'}"
