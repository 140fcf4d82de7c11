"""Who signs receipts, refutations and quotes: one secp256k1 key that can be used but not looked at.

Where the key comes from (an encrypted keystore file) is `keystore`'s business; transactions are the
chain adapter's.
"""

from __future__ import annotations

from typing import NoReturn

import coincurve
from eth_account.signers.local import LocalAccount
from eth_keys.datatypes import PrivateKey

from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.errors import FatalError
from faas_blueprint.outcome import Outcome
from faas_blueprint.receipt import Address, CallReference, Receipt, address, make_receipt, signing_digest
from faas_blueprint.tangle.evidence import refutation_digest
from faas_blueprint.tangle.quotes import JobQuote, QuoteTypes, ServiceQuote


class Signer:
    """Signs receipts and quotes of its own operator, and what refutes receipts of others; nothing else."""

    __slots__ = ("__key", "address")
    __key: coincurve.PrivateKey

    def __init__(self, private_key: bytes) -> None:
        """`private_key` has 32 bytes. Raises eth_keys' ValidationError otherwise."""
        self.address: Address = address(PrivateKey(private_key).public_key.to_address())
        self.__key = coincurve.PrivateKey(private_key)

    @classmethod
    def from_account(cls, account: LocalAccount) -> Signer:
        """The signer with an account's key."""
        return cls(bytes(account.key))

    def sign(self, receipt: Receipt) -> bytes:
        """r ‖ s ‖ v over the receipt's EIP-712 digest: 65 bytes, v 27 or 28, s in the lower half.

        The same receipt gives the same signature (RFC 6979). Raises FatalError for a receipt that
        names another operator.
        """
        self._check_own(receipt)
        return self._sign(signing_digest(receipt))

    def refute(self, manager: Address, refuted: Receipt, own: Receipt, report: Digest) -> bytes:
        """This operator's word, as a witness before a manager, that a report refutes a receipt; `own` is the
        receipt that it stands by. Raises FatalError for one that names another operator."""
        self._check_own(own)
        return self._sign(refutation_digest(manager, refuted, own, report))

    def quote_job(self, types: QuoteTypes, quote: JobQuote, chain_id: int, tangle: Address) -> bytes:
        """This operator's word that a job costs so much; `types` are those of the deployment's epoch."""
        return self._sign(types.job_digest(quote, chain_id, tangle))

    def quote_service(self, types: QuoteTypes, quote: ServiceQuote, chain_id: int, tangle: Address) -> bytes:
        """Likewise for a service."""
        return self._sign(types.service_digest(quote, chain_id, tangle))

    def attest(
        self,
        *,
        profile_id: Digest,
        snapshot: Digest,
        job_digest: Digest,
        outcome: Outcome,
        call: CallReference,
        toolchain: Digest = ZERO_DIGEST,
    ) -> tuple[Receipt, bytes]:
        """This operator's receipt of an outcome, and its signature."""
        receipt = make_receipt(
            profile_id=profile_id,
            snapshot=snapshot,
            toolchain=toolchain,
            job_digest=job_digest,
            outcome=outcome,
            call=call,
            operator=self.address,
        )
        return receipt, self.sign(receipt)

    def _check_own(self, receipt: Receipt) -> None:
        if receipt.operator != self.address:
            raise FatalError(f"the receipt names operator {receipt.operator}, this key is {self.address}'s")

    def _sign(self, digest: Digest) -> bytes:
        signature = self.__key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be copied or pickled")
