"""Account files: those that polkadot.js writes, and what is none."""

from __future__ import annotations

import json
import pickle
import subprocess
from pathlib import Path

import pytest
import sr25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from people import OPERATOR, SECOND_OPERATOR

from faas_blueprint.errors import FatalError
from faas_operator.chain.substrate.key import AccountKey, load

HERE = Path(__file__).parent


def exported(person, password):
    """The account's file as polkadot.js exports it."""
    command = ["node", "export.mjs", person.scheme, "0x" + person.seed.hex(), password]
    done = subprocess.run(command, cwd=HERE / "polkadot", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("person", [OPERATOR, SECOND_OPERATOR], ids=lambda person: person.scheme)
def test_what_polkadot_js_exports_is_read(person, tmp_path):
    path = tmp_path / "account.json"
    path.write_text(exported(person, "pass-wörd"))
    key = load(path, "pass-wörd")
    assert key.account == person.account
    signature = key.sign(b"message")
    if person.scheme == "sr25519":
        assert sr25519.verify(signature, b"message", person.account)
    else:
        Ed25519PublicKey.from_public_bytes(person.account).verify(signature, b"message")
    with pytest.raises(FatalError, match="or the password is wrong"):
        load(path, "pass-word")
    changed = json.loads(path.read_text())
    changed["encoding"]["type"] = ["none"]
    path.write_text(json.dumps(changed))
    with pytest.raises(FatalError, match="not encrypted as this node reads it"):
        load(path, "pass-wörd")


@pytest.mark.parametrize("content", ["", "[]", '{"encoded": "", "encoding": {}}'])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "account.json"
    path.write_text(content)
    with pytest.raises(FatalError, match="is no account file"):
        load(path, "password")
    with pytest.raises(FatalError, match="cannot be read"):
        load(tmp_path / "missing.json", "password")


def test_a_key_shows_nothing_of_itself():
    key = AccountKey.from_seed(OPERATOR.seed, "sr25519")
    assert OPERATOR.seed.hex() not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(FatalError, match="not ecdsa"):
        AccountKey("ecdsa", b"", b"")
