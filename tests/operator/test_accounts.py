"""Accounts, their keys and the audit log in the store, over real databases."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.exc import DatabaseError, IntegrityError

from faas_blueprint.errors import InvalidRequest, NotFound, RateLimitExceeded
from faas_blueprint.job import make_job
from faas_operator import api_keys, schema
from faas_operator.account_record import CUSTOMER_SCOPES, AccountLimits, Scope, parse_scopes
from faas_operator.database import open_database
from faas_operator.execution_record import Conflict, ExecutionStatus
from faas_operator.store import Store


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database, clock):
    made = Store(open_database(database), clock)
    yield made
    made.close()


@pytest.fixture
def account(store) -> str:
    return store.accounts.create("test", "acme").id


# -- keys


def test_a_key_is_recognised_and_only_its_hash_is_kept(store, account):
    made = store.keys.create(account, "test", {Scope.READ, Scope.EXECUTE}, "ci")
    found, owner = store.keys.recognise(made.secret.encode())
    assert (found.id, found.scopes, owner.id) == (made.key.id, {Scope.READ, Scope.EXECUTE}, account)
    assert made.secret.startswith(made.key.prefix + "_")
    with store._engine.connect() as connection:
        kept = str([connection.execute(table.select()).all() for table in schema.own_tables()])
    assert made.key.id in kept
    assert made.secret not in kept
    assert made.secret.removeprefix(made.key.prefix + "_") not in kept


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key.replace("faas_", "faas_0")[:-1],
        lambda key: "faas_" + "0" * 12 + key[17:],
        lambda key: key + "A",
        lambda key: key[:17],
        lambda key: key.upper(),
        lambda key: "ф" + key,
        lambda _key: "",
    ],
)
def test_what_is_nearly_a_key_is_none(store, account, wrong):
    made = store.keys.create(account, "test", CUSTOMER_SCOPES)
    assert store.keys.recognise(wrong(made.secret).encode()) is None
    assert store.keys.recognise(made.secret.encode()) is not None


def test_a_key_of_another_with_the_right_name_is_none(store, account):
    one, two = (store.keys.create(account, "test", CUSTOMER_SCOPES) for _ in range(2))
    swapped = one.secret[:17] + two.secret[17:]
    assert store.keys.recognise(swapped.encode()) is None


def test_a_digest_is_compared_in_constant_time_for_every_key(store, account, monkeypatch):
    compared = []
    monkeypatch.setattr(
        api_keys.hmac, "compare_digest", lambda one, other: compared.append((one, other)) or one == other
    )
    made = store.keys.create(account, "test", CUSTOMER_SCOPES)
    for key in (made.secret, "faas_" + "0" * 12 + made.secret[17:], "nonsense"):
        store.keys.recognise(key.encode())
    assert len(compared) == 3


def test_a_key_expires(store, account, clock):
    made = store.keys.create(account, "test", CUSTOMER_SCOPES, lifetime_seconds=10)
    clock.now += 9.5
    assert store.keys.recognise(made.secret.encode()) is not None
    clock.now += 0.5
    assert store.keys.recognise(made.secret.encode()) is None


def test_a_revoked_key_is_none_and_stays_so(store, account, clock):
    made = store.keys.create(account, "test", CUSTOMER_SCOPES)
    revoked = store.keys.revoke(account, made.key.id, "test")
    assert revoked.revoked_at == clock.now
    assert store.keys.recognise(made.secret.encode()) is None
    clock.now += 5
    assert store.keys.revoke(account, made.key.id, "test") == revoked
    assert [key.revoked_at for key in store.keys.page(account, 10, 0)[0]] == [revoked.revoked_at]


def test_the_keys_of_a_closed_account_are_none_until_it_is_opened(store, account):
    made = store.keys.create(account, "test", CUSTOMER_SCOPES)
    store.accounts.change(account, "test", closed=True)
    assert store.keys.recognise(made.secret.encode()) is None
    with pytest.raises(Conflict, match="closed"):
        store.keys.create(account, "test", CUSTOMER_SCOPES)
    store.accounts.change(account, "test", closed=False)
    assert store.keys.recognise(made.secret.encode()) is not None


def test_the_last_use_is_known_to_the_minute(store, account, clock):
    made = store.keys.create(account, "test", CUSTOMER_SCOPES)
    first = clock.now

    def used():
        store.keys.recognise(made.secret.encode())
        return store.keys.page(account, 1, 0)[0][0].last_used_at

    assert store.keys.page(account, 1, 0)[0][0].last_used_at is None
    assert used() == first
    clock.now += 59
    assert used() == first
    clock.now += 2
    assert used() == first + 61


def test_keys_are_an_accounts_own(store, account):
    made = store.keys.create(account, "test", CUSTOMER_SCOPES)
    other = store.accounts.create("test").id
    with pytest.raises(NotFound):
        store.keys.revoke(other, made.key.id, "test")
    assert store.keys.page(other, 10, 0) == ([], 0)
    for ask in (
        lambda: store.keys.page("acct_none", 10, 0),
        lambda: store.keys.create("acct_none", "test", CUSTOMER_SCOPES),
        lambda: store.keys.revoke(None, "key_none", "test"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_an_account_has_so_many_valid_keys_and_no_more(store, account, monkeypatch):
    monkeypatch.setattr(api_keys, "KEYS_AT_MOST", 2)
    first = store.keys.create(account, "test", CUSTOMER_SCOPES)
    store.keys.create(account, "test", CUSTOMER_SCOPES)
    with pytest.raises(Conflict, match="2 valid keys"):
        store.keys.create(account, "test", CUSTOMER_SCOPES)
    store.keys.revoke(account, first.key.id, "test")
    store.keys.create(account, "test", CUSTOMER_SCOPES)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"name": "x" * 101}, "name"),
        ({"name": "\x1b[2J"}, "name"),
        ({"lifetime_seconds": 0}, "expires_in_seconds"),
        ({"lifetime_seconds": 4e8}, "expires_in_seconds"),
        ({"lifetime_seconds": float("nan")}, "expires_in_seconds"),
    ],
)
def test_what_no_key_can_be(store, account, fields, field):
    with pytest.raises(InvalidRequest) as raised:
        store.keys.create(account, "test", **{"scopes": CUSTOMER_SCOPES, **fields})
    assert raised.value.details["field"] == field
    assert store.keys.page(account, 1, 0)[1] == 0


def test_scopes_are_known_by_name():
    assert parse_scopes(["read", "admin"]) == {Scope.READ, Scope.ADMIN}
    for names in ([], ["all"]):
        with pytest.raises(InvalidRequest, match="choose of: read, execute"):
            parse_scopes(names)


# -- accounts


def test_limits_are_an_accounts_own(store, account):
    assert store.accounts.get(account).limits == AccountLimits()
    limits = AccountLimits(5, None, 2)
    assert store.accounts.change(account, "test", limits=limits).limits == limits
    assert store.accounts.change(account, "test", name="new").limits == limits
    with pytest.raises(InvalidRequest):
        store.accounts.change(account, "test", limits=AccountLimits(0))
    with pytest.raises(NotFound):
        store.accounts.change("acct_none", "test", name="x")


def test_an_address_is_one_accounts(store, account):
    store.accounts.bind(account, "ethereum", "0xaa", "test")
    store.accounts.bind(account, "ethereum", "0xaa", "test")
    other = store.accounts.create("test").id
    with pytest.raises(Conflict):
        store.accounts.bind(other, "ethereum", "0xaa", "test")
    store.accounts.bind(other, "substrate", "0xaa", "test")
    assert store.accounts.of_address("ethereum", "0xaa") == account
    assert store.accounts.of_address("ethereum", "0xbb") is None
    assert store.accounts.get(account).addresses == (("ethereum", "0xaa"),)
    assert store.accounts.of_proven_address("ethereum", "0xaa", "test").id == account
    assert store.accounts.of_proven_address("ethereum", "0xbb", "test").id not in (account, other)


def test_an_address_that_many_prove_at_once_gets_one_account(store):
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(store.accounts.of_proven_address("ethereum", "0xaa", "test").id)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert store.accounts.page(10, 0)[1] == 1


# -- the audit log


def test_the_log_tells_who_did_what(store, account, clock):
    made = store.keys.create(account, "key_boss", {Scope.READ}, lifetime_seconds=60)
    store.keys.revoke(None, made.key.id, "command line")
    store.accounts.change(account, "key_boss", limits=AccountLimits(5), closed=True)
    entries, total = store.audit.page(10, 0, account)
    assert total == 4
    assert [(entry.actor, entry.action, entry.subject) for entry in reversed(entries)] == [
        ("test", "account.created", account),
        ("key_boss", "key.created", made.key.id),
        ("command line", "key.revoked", made.key.id),
        ("key_boss", "account.changed", account),
    ]
    assert entries[2].details == {"scopes": ["read"], "expires_at": clock.now + 60}
    assert entries[0].details["closed"] is True
    assert store.audit.page(10, 0, "acct_other") == ([], 0)
    assert made.secret not in str(entries)


@pytest.mark.parametrize("change", ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"])
def test_the_log_is_append_only(store, account, change):
    with pytest.raises(DatabaseError, match="append-only"), store._engine.begin() as connection:
        connection.exec_driver_sql(change)
    assert store.audit.page(10, 0)[1] == 1


def test_nothing_is_logged_of_what_was_not_done(store, account, monkeypatch):
    first = store.keys.create(account, "test", CUSTOMER_SCOPES)
    monkeypatch.setattr(api_keys.secrets, "token_hex", lambda _bytes: first.key.id.removeprefix("key_"))
    with pytest.raises(IntegrityError):
        store.keys.create(account, "test", CUSTOMER_SCOPES)
    assert store.audit.page(10, 0)[1] == 2


# -- how many executions at once


def begin(store, execution_id, account, at_once=2):
    return store.executions.begin(execution_id, account, make_job("python", ""), at_once=at_once)


def test_an_account_has_so_many_unfinished_executions_and_no_more(store, account):
    first = begin(store, "exec_1", account)
    begin(store, "exec_2", account)
    with pytest.raises(RateLimitExceeded) as raised:
        begin(store, "exec_3", account)
    assert raised.value.details == {"limit": 2, "remaining": 0, "retry_after": 1}
    with pytest.raises(NotFound):
        store.executions.get("exec_3", account)
    begin(store, "exec_3", "acct_other")
    store.executions.end(first, ExecutionStatus.CANCELLED, "enough")
    begin(store, "exec_3", account)


def test_the_accounts_own_number_counts_for_more(store, account):
    store.accounts.change(account, "test", limits=AccountLimits(concurrent_executions=1))
    begin(store, "exec_1", account)
    with pytest.raises(RateLimitExceeded, match="1 executions at once"):
        begin(store, "exec_2", account, at_once=None)


def test_the_last_place_is_taken_once(store, account):
    """As many threads as there are places, and one more."""
    refused = []

    def ask(number):
        try:
            begin(store, f"exec_{number}", account, at_once=5)
        except RateLimitExceeded as error:
            refused.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert store.executions.page(account, 10, 0)[1] == 5
