"""Signing in with real keys of wallets: what is accepted, and everything that is not."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
import siwe
import sr25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from eth_account.messages import encode_defunct
from scalecodec.utils.ss58 import ss58_encode

from faas_blueprint.errors import InvalidRequest, Unauthorized
from faas_operator.account_record import CUSTOMER_SCOPES, Scope
from faas_operator.database import open_database
from faas_operator.execution_record import Conflict
from faas_operator.sign_in import CHALLENGE_SECONDS, SignIn
from faas_operator.store import Store
from faas_operator.wallets import Relying, Scheme

RELYING = Relying("https://api.example.org", 31337)
TANGLE_FORMAT = 5845


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Ethereum:
    """A wallet on Ethereum."""

    key: Account
    scheme = Scheme.ETHEREUM

    @property
    def address(self):
        return self.key.address

    def sign(self, message):
        return bytes(self.key.sign_message(encode_defunct(text=message)).signature)


@dataclass
class Schnorrkel:
    """A Substrate wallet with an sr25519 key; browser extensions wrap what they sign."""

    pair: tuple[bytes, bytes]
    wraps: bool = False
    scheme = Scheme.SR25519

    @property
    def address(self):
        return ss58_encode(self.pair[0], TANGLE_FORMAT)

    def sign(self, message):
        text = f"<Bytes>{message}</Bytes>" if self.wraps else message
        return sr25519.sign(self.pair, text.encode())


@dataclass
class Edwards:
    """A Substrate wallet with an ed25519 key."""

    key: Ed25519PrivateKey
    scheme = Scheme.ED25519

    @property
    def address(self):
        return ss58_encode(self.key.public_key().public_bytes_raw())

    def sign(self, message):
        return self.key.sign(message.encode())


def wallets(number=1):
    seed = bytes([number]) * 32
    return {
        "ethereum": Ethereum(Account.from_key(seed)),
        "sr25519": Schnorrkel(sr25519.pair_from_seed(seed)),
        "sr25519 wrapped": Schnorrkel(sr25519.pair_from_seed(seed), wraps=True),
        "ed25519": Edwards(Ed25519PrivateKey.from_private_bytes(seed)),
    }


@pytest.fixture(params=wallets())
def wallet(request):
    return wallets()[request.param]


@pytest.fixture
def ethereum():
    return wallets()["ethereum"]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(database, clock):
    made = Store(open_database(database), clock)
    yield made
    made.close()


def service(store, relying=RELYING, open_to_all=True):
    return SignIn(store.accounts, store.keys, store.challenges, relying, open_to_all)


@pytest.fixture
def sign_in(store):
    return service(store)


def signed(sign_in, wallet, **fields):
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    return sign_in.sign_in(challenge.nonce, wallet.sign(challenge.message), **fields)


def test_a_signature_gives_a_key_of_the_addresss_account(sign_in, store, wallet, clock):
    first = signed(sign_in, wallet)
    key, account = store.keys.recognise(first.secret.encode())
    assert key.scopes == CUSTOMER_SCOPES
    assert key.expires_at == clock.now + 30 * 86_400
    ((network, address),) = account.addresses
    assert network == wallet.scheme.network
    assert store.accounts.of_address(network, address) == account.id
    again = signed(sign_in, wallet, scopes=[Scope.READ], name="laptop", lifetime_seconds=60)
    assert again.key.account == account.id
    assert again.key.scopes == {Scope.READ}
    assert again.key.expires_at == clock.now + 60
    actions = [entry.action for entry in store.audit.page(10, 0, account.id)[0]]
    assert actions == ["key.created", "key.created", "address.bound", "account.created"]


def test_addresses_have_one_form(sign_in, store, ethereum):
    account = signed(sign_in, ethereum).key.account
    challenge = sign_in.challenge(Scheme.ETHEREUM, ethereum.address.lower())
    assert sign_in.sign_in(challenge.nonce, ethereum.sign(challenge.message)).key.account == account
    assert store.accounts.of_address("ethereum", ethereum.address.lower()) == account


def test_a_challenge_is_answered_once(sign_in, wallet):
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    signature = wallet.sign(challenge.message)
    sign_in.sign_in(challenge.nonce, signature)
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, signature)


def test_of_many_who_answer_at_once_one_is_admitted(sign_in, ethereum):
    challenge = sign_in.challenge(ethereum.scheme, ethereum.address)
    signature = ethereum.sign(challenge.message)
    admitted, refused = [], []

    def answer():
        try:
            admitted.append(sign_in.sign_in(challenge.nonce, signature))
        except Unauthorized as error:
            refused.append(error)

    threads = [threading.Thread(target=answer) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(admitted), len(refused)) == (1, 5)


def test_a_wrong_answer_uses_a_challenge_up(sign_in, wallet):
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    signature = wallet.sign(challenge.message)
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, bytes([signature[0] ^ 1]) + signature[1:])
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, signature)


def test_a_challenge_expires(sign_in, wallet, clock):
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    signature = wallet.sign(challenge.message)
    clock.now += CHALLENGE_SECONDS
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, signature)


def test_challenges_that_nobody_answers_do_not_pile_up(sign_in, store, ethereum, clock):
    for _ in range(3):
        sign_in.challenge(ethereum.scheme, ethereum.address)
    clock.now += CHALLENGE_SECONDS
    sign_in.challenge(ethereum.scheme, ethereum.address)
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sign_in_challenge").scalar() == 1


def test_another_wallets_signature_is_refused(sign_in, wallet, store):
    other = next(w for w in wallets(2).values() if type(w) is type(wallet))
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    with pytest.raises(Unauthorized) as wrong:
        sign_in.sign_in(challenge.nonce, other.sign(challenge.message))
    with pytest.raises(Unauthorized) as unknown:
        sign_in.sign_in("nonsense", other.sign(challenge.message))
    assert wrong.value.message == unknown.value.message
    assert store.accounts.page(10, 0)[1] == 0


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(65), b"\xff" * 65, bytes(64) + b"\x1b"])
def test_what_is_no_signature_is_refused(sign_in, wallet, signature):
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, signature)


def test_one_scheme_does_not_stand_for_another(sign_in):
    """The same 32 bytes are an address of either kind of key."""
    edwards = wallets()["ed25519"]
    challenge = sign_in.challenge(Scheme.SR25519, edwards.address)
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, edwards.sign(challenge.message))


# -- messages that a wallet words itself


def worded(challenge, wallet, **changes):
    fields = {
        "domain": "api.example.org", "address": wallet.address, "uri": "https://api.example.org",
        "version": "1", "chain_id": 31337, "nonce": challenge.nonce, "issued_at": "2027-01-15T08:00:00Z",
    }  # fmt: skip
    return siwe.SiweMessage(**{**fields, **changes}).prepare_message()


def test_a_wallet_may_word_the_message(sign_in, ethereum):
    challenge = sign_in.challenge(Scheme.ETHEREUM, ethereum.address)
    message = worded(challenge, ethereum, statement="Sign in, please.")
    assert sign_in.sign_in(challenge.nonce, ethereum.sign(message), message).key.account


@pytest.mark.parametrize(
    "changes",
    [
        {"domain": "api.example.com"},
        {"domain": "api.example.org:8443"},
        {"uri": "https://api.example.com"},
        {"chain_id": 1},
        {"nonce": "A" * 24},
        {"expiration_time": "2027-01-15T07:59:59Z"},
        {"not_before": "2027-01-15T08:00:01Z"},
        {"address": wallets(2)["ethereum"].address},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_but_not_for_another_place_chain_time_or_address(sign_in, ethereum, changes):
    challenge = sign_in.challenge(Scheme.ETHEREUM, ethereum.address)
    signer = wallets(2)["ethereum"] if "address" in changes else ethereum
    message = worded(challenge, ethereum, **changes)
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, signer.sign(message), message)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda message: message + "\n",
        lambda message: message.replace("\n", "\r\n"),
        lambda message: "https://evil.example\n" + message,
        lambda message: message.replace("Version: 1", "Version: 2"),
        lambda message: message + "\nResources:\n- https://a.example" + " " * 2048,
        lambda _message: "",
        lambda _message: "\ud800",
    ],
)
def test_nor_in_another_form(sign_in, ethereum, spoil):
    challenge = sign_in.challenge(Scheme.ETHEREUM, ethereum.address)
    message = spoil(worded(challenge, ethereum))
    signature = ethereum.sign(message.encode(errors="replace").decode())
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, signature, message)


def test_substrate_wallets_sign_our_words(sign_in):
    wallet = wallets()["sr25519"]
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    message = challenge.message + "."
    with pytest.raises(Unauthorized):
        sign_in.sign_in(challenge.nonce, wallet.sign(message), message)


def test_what_is_signed_says_where_and_for_what(sign_in, wallet):
    challenge = sign_in.challenge(wallet.scheme, wallet.address)
    lines = challenge.message.split("\n")
    assert lines[0].startswith("api.example.org wants you to sign in with your ")
    assert "URI: https://api.example.org" in lines
    assert f"Nonce: {challenge.nonce}" in lines
    assert "Expiration Time: 2027-01-15T08:05:00Z" in lines
    assert ("Chain ID: 31337" in lines) == (wallet.scheme is Scheme.ETHEREUM)


# -- what cannot be asked for


@pytest.mark.parametrize(
    ("scheme", "address"),
    [
        (Scheme.ETHEREUM, "0x12"),
        (Scheme.ETHEREUM, wallets()["sr25519"].address),
        (Scheme.SR25519, wallets()["ethereum"].address),
        (Scheme.SR25519, wallets()["sr25519"].address[:-1] + "1"),
        (Scheme.SR25519, "0"),
        (Scheme.SR25519, ""),
        (Scheme.ED25519, "0xzz"),
        (Scheme.ED25519, "25GUyv"),
    ],
)
def test_addresses_are_checked(sign_in, scheme, address):
    with pytest.raises(InvalidRequest):
        sign_in.challenge(scheme, address)


def test_without_a_chain_ethereum_has_nothing_to_sign(store, ethereum):
    with pytest.raises(InvalidRequest, match="no chain"):
        service(store, Relying("https://api.example.org", None)).challenge(Scheme.ETHEREUM, ethereum.address)


def test_nobody_becomes_an_administrator_by_signing(sign_in, ethereum):
    with pytest.raises(InvalidRequest):
        signed(sign_in, ethereum, scopes=[Scope.ADMIN])


def test_where_sign_in_is_closed_only_bound_addresses_come_in(store, ethereum):
    closed = service(store, open_to_all=False)
    with pytest.raises(Unauthorized):
        signed(closed, ethereum)
    assert store.accounts.page(10, 0)[1] == 0
    account = store.accounts.create("test").id
    store.accounts.bind(account, "ethereum", ethereum.address.lower(), "test")
    assert signed(closed, ethereum).key.account == account


def test_an_account_can_bind_an_address_that_is_nobodys(sign_in, store, wallet):
    account = store.accounts.create("test").id

    def bind(account):
        challenge = sign_in.challenge(wallet.scheme, wallet.address)
        return sign_in.bind(account, "key_1", challenge.nonce, wallet.sign(challenge.message))

    assert bind(account).addresses[0][0] == wallet.scheme.network
    assert signed(sign_in, wallet).key.account == account
    with pytest.raises(Conflict):
        bind(store.accounts.create("test").id)
