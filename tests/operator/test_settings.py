"""Settings come from the environment and a file, in this order; secrets do not come out again."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from faas_blueprint.errors import MissingPrerequisite
from faas_operator.settings import Secrets, Settings, database_url, hash_api_key

PASSWORD = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("FAAS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FAAS_HOME", str(tmp_path))


def test_everything_has_a_default(tmp_path):
    settings = Settings()
    assert (settings.home, settings.confirmations) == (tmp_path, 1)
    assert settings.keystore_path == tmp_path / "keystore.json"
    assert database_url(settings, Secrets()) == f"sqlite:///{tmp_path}/operator.sqlite"


def test_the_environment_wins_over_the_file(monkeypatch, tmp_path):
    (tmp_path / "settings.toml").write_text('confirmations = 3\nblueprint_id = 9\napi_keys = ["a"]\n')
    monkeypatch.setenv("FAAS_CONFIRMATIONS", "5")
    assert (Settings().confirmations, Settings().blueprint_id) == (5, 9)
    assert Secrets().api_keys == {hash_api_key(b"a")}


def test_whose_requests_are_approved_is_a_list_of_addresses(monkeypatch, tmp_path):
    first, second = "0x" + "01" * 20, "0x" + "0b" * 20
    monkeypatch.setenv("FAAS_APPROVED_REQUESTERS", f"{first}, 0x{second[2:].upper()},")
    assert Settings().approved_requesters == (first, second)
    monkeypatch.delenv("FAAS_APPROVED_REQUESTERS")
    (tmp_path / "settings.toml").write_text(f'approved_requesters = ["{second}"]\n')
    assert Settings().approved_requesters == (second,)
    for wrong in ("bob", f"{first};{second}"):
        monkeypatch.setenv("FAAS_APPROVED_REQUESTERS", wrong)
        with pytest.raises(MissingPrerequisite, match=r"FAAS_APPROVED_REQUESTERS: .* is not an address"):
            Settings()


def test_another_file_can_be_named(monkeypatch, tmp_path):
    (tmp_path / "other.toml").write_text("parallel_jobs = 7\n")
    monkeypatch.setenv("FAAS_SETTINGS", str(tmp_path / "other.toml"))
    assert Settings().parallel_jobs == 7


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings().confirmations = 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONFIRMATIONS", "0"), ("API_PORT", "65536"), ("TANGLE", "0x12"), ("POLL_SECONDS", "0")],
)
def test_nonsense_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"FAAS_{name}", value)
    with pytest.raises(MissingPrerequisite, match=f"^FAAS_{name}: "):
        Settings()


def test_addresses_are_brought_into_one_form(monkeypatch):
    monkeypatch.setenv("FAAS_TANGLE", "0x" + "AB" * 20)
    assert Settings().tangle == "0x" + "ab" * 20


def test_rates_are_by_address(monkeypatch):
    assert Settings().credit_rates == {"0x" + "00" * 20: 10**15}
    monkeypatch.setenv("FAAS_CREDIT_RATES", json.dumps({"0x" + "AB" * 20: 7}))
    assert Settings().credit_rates == {"0x" + "ab" * 20: 7}
    for wrong in ({"0x12": 7}, {"0x" + "ab" * 20: 0}):
        monkeypatch.setenv("FAAS_CREDIT_RATES", json.dumps(wrong))
        with pytest.raises(MissingPrerequisite, match=r"^FAAS_CREDIT_RATES: "):
            Settings()


def test_api_keys_are_hashed_as_they_are_read(monkeypatch):
    monkeypatch.setenv("FAAS_API_KEYS", f"one, two,,{hash_api_key(b'three')}")
    assert Secrets().api_keys == {hash_api_key(key) for key in (b"one", b"two", b"three")}


def test_secrets_are_not_shown(monkeypatch, caplog):
    monkeypatch.setenv("FAAS_KEYSTORE_PASSWORD", PASSWORD)
    monkeypatch.setenv("FAAS_RPC_URL", f"https://rpc.example/{PASSWORD}")
    monkeypatch.setenv("FAAS_DATABASE_URL", f"postgresql://faas:{PASSWORD}@db/faas")
    monkeypatch.setenv("FAAS_API_KEYS", PASSWORD)
    secrets = Secrets()
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r %s", secrets, secrets, [secrets])
    shown = (
        f"{secrets} {secrets!r} {[secrets]} {secrets.model_dump()} {secrets.model_dump_json()} {caplog.text}"
    )
    assert PASSWORD not in shown
    assert PASSWORD not in repr(Settings())
    with pytest.raises(TypeError):
        pickle.dumps(secrets)
    assert secrets.keystore_password.get_secret_value() == PASSWORD
    assert PASSWORD in database_url(Settings(), secrets)


def test_a_malformed_secret_is_not_shown_either(monkeypatch, tmp_path):
    (tmp_path / "settings.toml").write_text(f"keystore_password = ['{PASSWORD}']\n")
    with pytest.raises(MissingPrerequisite, match=r"^FAAS_KEYSTORE_PASSWORD: ") as caught:
        Secrets()
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_what_is_no_json_or_toml_names_what_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("FAAS_CREDIT_RATES", "{hidden")
    with pytest.raises(MissingPrerequisite, match=r"^FAAS_CREDIT_RATES: this is not JSON$") as caught:
        Settings()
    assert "hidden" not in "".join(traceback.format_exception(caught.value))
    (tmp_path / "settings.toml").write_text("billing = [")
    with pytest.raises(MissingPrerequisite, match=r"settings.toml is no TOML: "):
        Secrets()


def test_all_that_is_wrong_is_told_at_once(monkeypatch):
    monkeypatch.setenv("FAAS_CONFIRMATIONS", "many")
    monkeypatch.setenv("FAAS_APPROVE", "perhaps")
    with pytest.raises(MissingPrerequisite) as caught:
        Settings()
    assert caught.value.details == {"settings": "FAAS_CONFIRMATIONS, FAAS_APPROVE"}
    assert "FAAS_APPROVE: Input should be 'policy' or 'none'" in caught.value.message


def test_show_config_names_the_variable(tmp_path):
    faas = str(Path(sys.executable).with_name("faas"))
    environment = os.environ | {"FAAS_HOME": str(tmp_path), "FAAS_CONFIRMATIONS": "many"}
    for more in ((), ("--json",)):
        command = [faas, "operator", "show-config", *more]
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert shown.returncode == 1
        assert "FAAS_CONFIRMATIONS: Input should be a valid integer" in shown.stdout + shown.stderr
        assert "Traceback" not in shown.stderr


def test_administrators_keys_are_hashed_too_and_the_redis_url_is_hidden(monkeypatch):
    monkeypatch.setenv("FAAS_ADMIN_KEYS", "root")
    monkeypatch.setenv("FAAS_REDIS_URL", "redis://:hidden@127.0.0.1/0")
    secrets = Secrets()
    assert secrets.admin_keys == {hash_api_key(b"root")}
    assert "hidden" not in f"{secrets!r} {secrets.redis_url}"
    assert Secrets.with_api_keys("a").admin_keys == frozenset()


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        (None, "http://127.0.0.1:8080"),
        ("https://api.example.org", "https://api.example.org"),
        ("https://api.example.org:8443/", "https://api.example.org:8443"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_the_public_url_is_an_origin(given, origin):
    assert Settings(api_public_url=given).public_url == origin


@pytest.mark.parametrize("given", ["api.example.org", "https://a/b", "https://a b", "ftp://a", "https://u@a"])
def test_anything_else_is_refused(given):
    with pytest.raises(MissingPrerequisite, match="FAAS_API_PUBLIC_URL: expected an origin"):
        Settings(api_public_url=given)
