"""Who signs extrinsics: an sr25519 or ed25519 account of a seed or a mnemonic, and what it signs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from scalecodec.utils.ss58 import ss58_encode
from substrateinterface import Keypair, KeypairType
from substrateinterface.exceptions import SubstrateRequestException

from faas_sdk.errors import ConnectionFailed
from faas_sdk.substrate.metadata import SS58_FORMAT, RuntimeMetadata
from faas_sdk.substrate.node import Block, Version

ERA_BLOCKS = 64
"""For how long an extrinsic may be included; a power of two, from 4 to 65,536."""

_KINDS = {"ed25519": KeypairType.ED25519, "sr25519": KeypairType.SR25519}
"""Numbers of the schemes, as in SCALE."""

_EMPTY = frozenset(
    {"CheckNonZeroSender", "CheckWeight", "CheckNominatedRestaked", "CheckSpecVersion", "CheckTxVersion"}
)
"""Extensions that add nothing to the extrinsic itself."""


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


class SubstrateAccount:
    """Signs for one account. Its secret is not shown."""

    def __init__(self, secret: str, key_type: str) -> None:
        """`secret`: 32 bytes as hexadecimal, or a mnemonic. Raises ValueError."""
        kind = _KINDS[key_type]
        try:
            self._pair = (
                Keypair.create_from_mnemonic(secret, crypto_type=kind)
                if " " in secret.strip()
                else Keypair.create_from_seed(secret, crypto_type=kind)
            )
        except (ValueError, SubstrateRequestException) as error:
            raise ValueError("private_key is neither a seed of 32 bytes nor a mnemonic") from error
        self._kind = bytes([kind])
        self.public_key = bytes(self._pair.public_key)
        self.account_id = "0x" + self.public_key.hex()
        self.address = str(ss58_encode(self.public_key, SS58_FORMAT))

    def __repr__(self) -> str:
        return f"SubstrateAccount({self.address})"

    def sign(
        self, call: bytes, nonce: int, birth: Block, genesis: str, version: Version, metadata: RuntimeMetadata
    ) -> Extrinsic:
        """A mortal extrinsic. Raises ConnectionFailed for signed extensions that are not known here."""
        extra, additional = b"", b""
        for name in metadata.extensions():
            match name:
                case "CheckMortality" | "CheckEra":
                    extra += _era(birth.number)
                    additional += bytes.fromhex(birth.hash[2:])
                case "CheckNonce":
                    extra += compact(nonce)
                case "ChargeTransactionPayment":
                    extra += compact(0)  # no tip
                case "CheckMetadataHash":
                    extra += b"\0"
                    additional += b"\0"
                case "CheckSpecVersion":
                    additional += version.spec.to_bytes(4, "little")
                case "CheckTxVersion":
                    additional += version.transaction.to_bytes(4, "little")
                case "CheckGenesis":
                    additional += bytes.fromhex(genesis[2:])
                case _ if name not in _EMPTY:
                    raise ConnectionFailed(f"the runtime wants {name} signed, which is not known here")
        payload = call + extra + additional
        if len(payload) > 256:
            payload = hashlib.blake2b(payload, digest_size=32).digest()
        signature = self._kind + bytes(self._pair.sign(payload))
        body = b"\x84\0" + self.public_key + signature + extra + call
        return Extrinsic(compact(len(body)) + body, nonce, birth.number + ERA_BLOCKS)


def extrinsic_hash(encoded: bytes) -> str:
    """`0x…` of an extrinsic's bytes."""
    return "0x" + hashlib.blake2b(encoded, digest_size=32).hexdigest()


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
