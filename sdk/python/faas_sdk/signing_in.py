"""Answering a service's sign-in challenge (EIP-4361) with an Ethereum key, which goes nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from faas_sdk.errors import ConnectionFailed

_GREETING = " wants you to sign in with your Ethereum account:\n"


class EthereumSigner:
    """The account of a private key."""

    def __init__(self, private_key: str) -> None:
        """Raises ValueError for what is none."""
        self._account: LocalAccount = Account.from_key(private_key)

    @property
    def address(self) -> str:
        """`0x…`, with its checksum."""
        return str(self._account.address)

    def answer(self, challenge: Mapping[str, object], endpoint: str) -> dict[str, object]:
        """Nonce and signature for the service at an endpoint.

        Raises ConnectionFailed for a text that is no challenge, or is another service's: signing that
        would let whoever sent it in there.
        """
        message, nonce = challenge.get("message"), challenge.get("nonce")
        if not isinstance(message, str) or not isinstance(nonce, str):
            raise ConnectionFailed("the service's challenge cannot be read: is this the API's address?")
        domain = message.partition(_GREETING)[0]
        if domain.lower() != urlsplit(endpoint).netloc.lower():
            raise ConnectionFailed(
                f"the service at {endpoint} asks for a signature for {domain[:100]!r}: refused; "
                "is its FAAS_API_PUBLIC_URL the address that it is reached at?"
            )
        signature = bytes(self._account.sign_message(encode_defunct(text=message)).signature)
        return {"nonce": nonce, "signature": "0x" + signature.hex()}
