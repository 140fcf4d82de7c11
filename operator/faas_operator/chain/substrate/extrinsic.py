"""A signed extrinsic, version 4, from the bytes of a call. Pure.

Built from bytes rather than from values, so that what is signed is what was meant, to the byte.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from faas_blueprint.errors import FatalError
from faas_operator.chain.interface import Block
from faas_operator.chain.substrate.key import AccountKey

ERA_BLOCKS = 64
"""For how long an extrinsic may be included; a power of two, from 4 to 65,536."""

_EMPTY = frozenset(
    {"CheckNonZeroSender", "CheckWeight", "CheckNominatedRestaked", "CheckSpecVersion", "CheckTxVersion"}
)
"""Extensions that add nothing to the extrinsic itself."""


@dataclass(frozen=True, slots=True)
class Signing:
    """What a signature is for, besides call and nonce."""

    genesis: str
    spec_version: int
    transaction_version: int
    extensions: tuple[str, ...]
    birth: Block
    """The block that its life starts from."""


@dataclass(frozen=True, slots=True)
class Extrinsic:
    """Signed and encoded."""

    encoded: bytes
    nonce: int
    death: int
    """The first block that cannot hold it."""

    @property
    def hash(self) -> str:
        """Blake2b-256, as nodes name it."""
        return extrinsic_hash(self.encoded)


def extrinsic_hash(encoded: bytes) -> str:
    """`0x…` of an extrinsic's bytes."""
    return "0x" + hashlib.blake2b(encoded, digest_size=32).hexdigest()


def sign(call: bytes, key: AccountKey, nonce: int, signing: Signing) -> Extrinsic:
    """A mortal extrinsic. Raises FatalError for a runtime with signed extensions that are not known here."""
    number = signing.birth.number
    era = _era(number)
    extra, additional = b"", b""
    for name in signing.extensions:
        match name:
            case "CheckMortality" | "CheckEra":
                extra += era
                additional += bytes.fromhex(signing.birth.block_hash[2:])
            case "CheckNonce":
                extra += compact(nonce)
            case "ChargeTransactionPayment":
                extra += compact(0)  # no tip
            case "CheckMetadataHash":
                extra += b"\0"
                additional += b"\0"
            case "CheckSpecVersion":
                additional += signing.spec_version.to_bytes(4, "little")
            case "CheckTxVersion":
                additional += signing.transaction_version.to_bytes(4, "little")
            case "CheckGenesis":
                additional += bytes.fromhex(signing.genesis[2:])
            case _ if name not in _EMPTY:
                raise FatalError(f"the runtime wants extension {name} signed, which is not known here")
    payload = call + extra + additional
    if len(payload) > 256:
        payload = hashlib.blake2b(payload, digest_size=32).digest()
    signature = bytes([key.kind]) + key.sign(payload)
    body = b"\x84\0" + key.account + signature + extra + call
    return Extrinsic(compact(len(body)) + body, nonce, number + ERA_BLOCKS)


def compact(value: int) -> bytes:
    """SCALE's compact integer."""
    if value < 1 << 6:
        return bytes([value << 2])
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 1 << 30:
        return (value << 2 | 2).to_bytes(4, "little")
    width = (value.bit_length() + 7) // 8
    return bytes([(width - 4) << 2 | 3]) + value.to_bytes(width, "little")


def _era(number: int) -> bytes:
    """Life of ERA_BLOCKS from block `number` on, which is its birth."""
    return ((ERA_BLOCKS.bit_length() - 2) | (number % ERA_BLOCKS) << 4).to_bytes(2, "little")
