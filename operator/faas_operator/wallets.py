"""What wallets sign, and whether a signature is an address's: Ethereum's EIP-4361, Substrate's raw messages.

Pure: no store, no clock of its own. A contract's wallet (EIP-1271) cannot sign in: it has no key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sr25519
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from eth_utils.address import to_checksum_address
from scalecodec.utils.ss58 import ss58_decode, ss58_encode

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import address as ethereum_address

MESSAGE_BYTES = 2048
"""The longest message that is looked at."""

STATEMENT = "Sign in to run code. This sends no transaction and costs nothing."


class Scheme(StrEnum):
    """How a signature is made."""

    ETHEREUM = "ethereum"
    SR25519 = "sr25519"
    ED25519 = "ed25519"

    @property
    def network(self) -> str:
        """The kind of chain whose addresses sign so: `ethereum` or `substrate`."""
        return "ethereum" if self is Scheme.ETHEREUM else "substrate"


@dataclass(frozen=True, slots=True)
class Relying:
    """Who is signed in to."""

    uri: str
    """This service's public origin, such as `https://api.example.org`."""
    chain_id: int | None
    """The chain that it follows; without one there is no sign-in with Ethereum."""

    @property
    def domain(self) -> str:
        """Host and port, as a wallet shows them."""
        return self.uri.partition("://")[2]


def canonical_address(scheme: Scheme, text: str) -> str:
    """Lower-case `0x…`: 20 bytes on Ethereum, the 32 bytes of the public key on Substrate.

    Raises InvalidRequest.
    """
    if scheme is Scheme.ETHEREUM:
        try:
            return ethereum_address(text)
        except InvalidRequest as error:
            raise InvalidRequest(error.message, {"field": "address"}) from error
    try:
        key = bytes.fromhex(ss58_decode(text).removeprefix("0x"))
    except (ValueError, IndexError) as error:
        raise InvalidRequest("expected an SS58 address", {"field": "address"}) from error
    if len(key) != 32:
        raise InvalidRequest("expected the SS58 address of a public key", {"field": "address"})
    return "0x" + key.hex()


def message_to_sign(
    scheme: Scheme, address: str, relying: Relying, nonce: str, issued: float, expires: float
) -> str:
    """The text of a challenge, for a canonical address. Raises InvalidRequest."""
    if scheme is Scheme.ETHEREUM:
        if relying.chain_id is None:
            raise InvalidRequest("this node follows no chain to sign in from", {"field": "scheme"})
        import siwe  # its grammars take a fifth of a second, which every node would start later by

        message = siwe.SiweMessage(
            domain=relying.domain,
            address=to_checksum_address(address),
            statement=STATEMENT,
            uri=relying.uri,
            version="1",
            chain_id=relying.chain_id,
            nonce=nonce,
            issued_at=_iso(issued),
            expiration_time=_iso(expires),
        )
        return str(message.prepare_message())
    return "\n".join(
        (
            f"{relying.domain} wants you to sign in with your Substrate account:",
            ss58_encode(bytes.fromhex(address[2:])),
            "",
            STATEMENT,
            "",
            f"URI: {relying.uri}",
            f"Nonce: {nonce}",
            f"Issued At: {_iso(issued)}",
            f"Expiration Time: {_iso(expires)}",
        )
    )


def is_signed_ethereum(
    message: str, signature: bytes, address: str, relying: Relying, nonce: str, now: float
) -> bool:
    """Whether a message of EIP-4361 is for this service, chain and nonce, in time, and the address's."""
    if len(message.encode(errors="replace")) > MESSAGE_BYTES:
        return False
    import siwe

    try:
        parsed = siwe.SiweMessage.from_message(message, abnf=False)
        parsed.verify(
            "0x" + signature.hex(),
            domain=relying.domain,
            uri=relying.uri,
            chain_id=relying.chain_id,
            nonce=nonce,
            timestamp=datetime.fromtimestamp(now, UTC),
            strict=True,
        )
    except (siwe.VerificationError, ValueError):
        return False
    return str(parsed.address).lower() == address and str(parsed.prepare_message()) == message


def is_signed_substrate(scheme: Scheme, message: str, signature: bytes, address: str) -> bool:
    """Whether the bytes of a message, bare or as a wallet wraps them, were signed by an address's key."""
    key = bytes.fromhex(address[2:])
    plain = message.encode()
    verify = _is_sr25519 if scheme is Scheme.SR25519 else _is_ed25519
    return any(verify(signature, text, key) for text in (plain, b"<Bytes>" + plain + b"</Bytes>"))


def _is_sr25519(signature: bytes, message: bytes, key: bytes) -> bool:
    try:
        return bool(sr25519.verify(signature, message, key))
    except ValueError:
        return False


def _is_ed25519(signature: bytes, message: bytes, key: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
