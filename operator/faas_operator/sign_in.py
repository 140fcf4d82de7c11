"""Signing in with an account on a chain: a challenge is signed once, and answered with an API key.

The account that the key belongs to is bound to the address, which is where it pays from. Every wrong answer
is refused in the same words, and uses its challenge up.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection

from faas_blueprint.errors import InvalidRequest, Unauthorized
from faas_operator.account_record import CUSTOMER_SCOPES, Account, Scope
from faas_operator.accounts import AccountStore
from faas_operator.api_keys import KeyStore, NewKey
from faas_operator.challenges import Challenge, ChallengeStore
from faas_operator.wallets import (
    Relying,
    Scheme,
    canonical_address,
    is_signed_ethereum,
    is_signed_substrate,
    message_to_sign,
)

CHALLENGE_SECONDS = 300
"""How long a wallet may take."""

KEY_DAYS = 30
"""How long a key from a sign-in is valid unless it is asked otherwise."""

ACTOR = "sign-in"

_ALPHABET = string.ascii_letters + string.digits
_NONCE_CHARACTERS = 24


class SignIn:
    """Challenges and their answers. Blocks for some milliseconds; may be used from any thread."""

    def __init__(
        self,
        accounts: AccountStore,
        keys: KeyStore,
        challenges: ChallengeStore,
        relying: Relying,
        open_to_all: bool = True,
    ) -> None:
        """`open_to_all`: an address that no account is bound to gets a new one."""
        self._accounts = accounts
        self._keys = keys
        self._challenges = challenges
        self._relying = relying
        self._open = open_to_all

    def challenge(self, scheme: Scheme, address: str) -> Challenge:
        """A text for the holder of an address to sign. Raises InvalidRequest."""
        canonical = canonical_address(scheme, address)
        nonce = "".join(secrets.choice(_ALPHABET) for _ in range(_NONCE_CHARACTERS))
        issued = int(self._challenges.now())
        expires = issued + CHALLENGE_SECONDS
        message = message_to_sign(scheme, canonical, self._relying, nonce, issued, expires)
        challenge = Challenge(nonce, str(scheme), canonical, message, expires)
        self._challenges.add(challenge)
        return challenge

    def sign_in(
        self,
        nonce: str,
        signature: bytes,
        message: str | None = None,
        scopes: Collection[Scope] = CUSTOMER_SCOPES,
        name: str = "",
        lifetime_seconds: float | None = None,
    ) -> NewKey:
        """A key for the account of the address that signed; it ends after 30 days unless told otherwise.

        `message` is what was signed, where a wallet worded EIP-4361 itself. Raises InvalidRequest,
        Unauthorized, and Conflict for a closed account.
        """
        if Scope.ADMIN in scopes:
            raise InvalidRequest("signing in does not make an administrator", {"field": "scopes"})
        network, address = self._proven(nonce, signature, message)
        known = self._accounts.of_address(network, address)
        if known is None and not self._open:
            raise _refused()
        account = self._accounts.of_proven_address(network, address, ACTOR).id if known is None else known
        lifetime = KEY_DAYS * 86_400 if lifetime_seconds is None else lifetime_seconds
        return self._keys.create(account, f"{ACTOR} {address}", scopes, name, lifetime)

    def bind(
        self, account: str, actor: str, nonce: str, signature: bytes, message: str | None = None
    ) -> Account:
        """Bind the address that signed to an account that is there already.

        Raises Unauthorized, and Conflict if it is another account's.
        """
        network, address = self._proven(nonce, signature, message)
        self._accounts.bind(account, network, address, actor)
        return self._accounts.get(account)

    def _proven(self, nonce: str, signature: bytes, message: str | None) -> tuple[str, str]:
        """Network and address of whoever signed. Raises Unauthorized."""
        challenge = self._challenges.take(nonce)
        if challenge is None:
            raise _refused()
        scheme = Scheme(challenge.scheme)
        if scheme is Scheme.ETHEREUM:
            signed = is_signed_ethereum(
                challenge.message if message is None else message,
                signature,
                challenge.address,
                self._relying,
                nonce,
                self._challenges.now(),
            )
        else:
            signed = message in (None, challenge.message) and is_signed_substrate(
                scheme, challenge.message, signature, challenge.address
            )
        if not signed:
            raise _refused()
        return scheme.network, challenge.address


def _refused() -> Unauthorized:
    return Unauthorized(
        "the challenge is not known, has expired or was used, or the signature is not its address's"
    )
