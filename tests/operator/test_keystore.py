"""Operator keys in encrypted files."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from faas_blueprint.errors import FatalError
from faas_operator import keystore


def test_a_key_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "keys/operator.json"
    account = keystore.create(path, "secret")
    assert keystore.load(path, "secret").key == account.key
    assert keystore.stored_address(path) == account.address.lower()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["operator.json"]
    public = keystore.public_key(account)
    assert len(public) == 65
    assert public[0] == 4

    kdf = json.loads(path.read_text())["crypto"]["kdfparams"]
    assert (kdf["n"], kdf["r"], kdf["p"]) == (1 << 18, 8, 1), "what trying a password costs"


def test_a_key_is_had_by_its_password_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "operator.json"
    account = keystore.create(path, "secret", keystore.NO_SECRET_WORK)
    with pytest.raises(FatalError, match="password is wrong"):
        keystore.load(path, "other")
    with pytest.raises(FatalError, match="never overwritten"):
        keystore.create(path, "secret", keystore.NO_SECRET_WORK)
    assert keystore.load(path, "secret").key == account.key


def test_what_is_not_a_keystore(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="cannot be read"):
        keystore.load(tmp_path / "none.json", "secret")
    for content in ("", "[]", "{}", "not json"):
        path = tmp_path / "wrong.json"
        path.write_text(content)
        with pytest.raises(FatalError):
            keystore.load(path, "secret")
        with pytest.raises(FatalError):
            keystore.stored_address(path)
