"""What the platform dialect takes and answers about accounts, API keys, sign-ins and the audit log."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, JsonValue

from faas_api.platform.describing import matching, one_of
from faas_api.platform.requests import Strict, Text
from faas_api.platform.times import timestamp
from faas_operator import account_record
from faas_operator.account_record import CUSTOMER_SCOPES, Scope
from faas_operator.accounts import LARGEST_LIMIT, NAME_CHARACTERS
from faas_operator.api_keys import LONGEST_SECONDS, NewKey
from faas_operator.audit import AuditEntry
from faas_operator.settings import Settings
from faas_operator.wallets import MESSAGE_BYTES, Scheme

_SIGNATURE = re.compile(r"0x([0-9a-fA-F]{128}|[0-9a-fA-F]{130})")


def _check_signature(text: str) -> str:
    if not _SIGNATURE.fullmatch(text):
        raise ValueError("must be 64 or 65 bytes as 0x and hexadecimal digits")
    return text


Name = Annotated[Text, Field(max_length=NAME_CHARACTERS, description="For people")]
Limit = Annotated[int | None, Field(ge=1, le=LARGEST_LIMIT, description="Null: as the node's settings say")]
ScopeName = Annotated[Text, one_of(Scope)]
CustomerScopeName = Annotated[Text, one_of(sorted(CUSTOMER_SCOPES))]
SchemeName = Annotated[Text, one_of(Scheme)]
Signature = Annotated[Text, AfterValidator(_check_signature), matching(f"^{_SIGNATURE.pattern}$")]
Lifetime = Annotated[int | None, Field(ge=1, le=LONGEST_SECONDS)]


class LimitsRequest(Strict):
    """Limits of an account's own."""

    requests_per_minute: Limit = None
    requests_per_hour: Limit = None
    concurrent_executions: Limit = None

    def limits(self) -> account_record.AccountLimits:
        """The value."""
        return account_record.AccountLimits(**self.model_dump())


class AccountRequest(Strict):
    """Make an account."""

    name: Name = ""
    limits: LimitsRequest = LimitsRequest()


class AccountChange(Strict):
    """Change what is given."""

    name: Name | None = None
    limits: LimitsRequest | None = Field(None, description="All three are set as given")
    closed: bool | None = Field(None, description="No key of a closed account is valid")


class KeyRequest(Strict):
    """Make an API key."""

    name: Name = ""
    scopes: list[ScopeName] = Field(sorted(CUSTOMER_SCOPES), json_schema_extra={"minItems": 1})
    expires_in_seconds: Lifetime = Field(None, description="Null: it does not expire")


class ChallengeRequest(Strict):
    """Who wants to sign in."""

    scheme: SchemeName = Field(description="How the wallet signs")
    address: Text = Field(max_length=100, description="`0x…` on Ethereum, SS58 on Substrate")


class ProofRequest(Strict):
    """A signed challenge."""

    nonce: Text = Field(max_length=100)
    signature: Signature = Field(description="0x and hexadecimal digits")
    message: Annotated[Text, Field(max_length=MESSAGE_BYTES)] | None = Field(
        None, description="What was signed, where the wallet worded EIP-4361 itself, with our nonce"
    )

    def signature_bytes(self) -> bytes:
        """The signature."""
        return bytes.fromhex(self.signature[2:])


class SignInRequest(ProofRequest):
    """A signed challenge, and the key that is wanted for it."""

    name: Name = ""
    scopes: list[CustomerScopeName] = Field(sorted(CUSTOMER_SCOPES), json_schema_extra={"minItems": 1})
    expires_in_seconds: Lifetime = Field(None, description="Null: 30 days")


class Limits(BaseModel):
    """What is in force."""

    requests_per_minute: int
    requests_per_hour: int
    concurrent_executions: int


class Address(BaseModel):
    """Where an account pays from."""

    network: str = Field(description="ethereum or substrate")
    address: str = Field(description="Lower-case `0x…`: 20 bytes, or a Substrate account's 32")


class Account(BaseModel):
    """Who owns executions, snapshots, branches and sessions."""

    account_id: str
    id: str
    name: str
    limits: Limits
    addresses: list[Address]
    created_at: str
    closed_at: str | None


class OwnAccount(Account):
    """The caller's account, and what its key may do."""

    key_id: str = Field(description="`settings` for a key that the node's settings name")
    scopes: list[str]


class AccountList(BaseModel):
    """A part of all accounts, newest first."""

    accounts: list[Account]
    total: int
    limit: int
    offset: int


class Key(BaseModel):
    """An API key without the key."""

    key_id: str
    id: str
    account_id: str
    prefix: str = Field(description="How the key begins")
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None = Field(description="To the minute")


class CreatedKey(Key):
    """An API key, told this once."""

    api_key: str


class KeyList(BaseModel):
    """A part of an account's keys, newest first, expired and revoked ones too."""

    keys: list[Key]
    total: int
    limit: int
    offset: int


class Challenge(BaseModel):
    """A text to sign."""

    nonce: str
    message: str
    expires_at: str


class AuditLine(BaseModel):
    """Something that was done to an account or a key."""

    number: int
    at: str
    actor: str
    action: str
    account_id: str | None
    subject: str
    details: dict[str, JsonValue]


class AuditList(BaseModel):
    """A part of the audit log, newest first."""

    entries: list[AuditLine]
    total: int
    limit: int
    offset: int


def account_answer(account: account_record.Account, settings: Settings) -> Account:
    """An account, with the limits in force."""
    own = account.limits
    return Account(
        account_id=account.id,
        id=account.id,
        name=account.name,
        limits=Limits(
            requests_per_minute=own.requests_per_minute or settings.requests_per_minute,
            requests_per_hour=own.requests_per_hour or settings.requests_per_hour,
            concurrent_executions=own.concurrent_executions or settings.concurrent_executions,
        ),
        addresses=[Address(network=network, address=address) for network, address in account.addresses],
        created_at=timestamp(account.created_at),
        closed_at=_timestamp(account.closed_at),
    )


def key_answer(key: account_record.ApiKey) -> Key:
    """A key."""
    return Key(
        key_id=key.id,
        id=key.id,
        account_id=key.account,
        prefix=key.prefix,
        name=key.name,
        scopes=sorted(key.scopes),
        created_at=timestamp(key.created_at),
        expires_at=_timestamp(key.expires_at),
        revoked_at=_timestamp(key.revoked_at),
        last_used_at=_timestamp(key.last_used_at),
    )


def created_answer(made: NewKey) -> CreatedKey:
    """A key with the key."""
    return CreatedKey(**key_answer(made.key).model_dump(), api_key=made.secret)


def audit_answer(entry: AuditEntry) -> AuditLine:
    """A line of the log."""
    return AuditLine.model_validate(
        {
            "number": entry.number,
            "at": timestamp(entry.at),
            "actor": entry.actor,
            "action": entry.action,
            "account_id": entry.account,
            "subject": entry.subject,
            "details": dict(entry.details),
        }
    )


def _timestamp(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)
