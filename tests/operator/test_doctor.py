"""The doctor's checks on this host and on the real protocol, healthy and not."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import pytest
from eth_account import Account
from pydantic import SecretStr

from faas_blueprint.digests import sha256
from faas_blueprint.receipt import address
from faas_blueprint.tangle import service_manager
from faas_operator import keystore
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.rpc import Rpc
from faas_operator.doctor import chain as chain_checks
from faas_operator.doctor import examination, host, machine
from faas_operator.doctor.chain import ChainView
from faas_operator.doctor.examination import Deployment, examine
from faas_operator.doctor.finding import Standing
from faas_operator.doctor.key import check_keystore
from faas_operator.settings import Secrets, Settings

PASSWORD = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("FAAS_") and name != "FAAS_HOME"]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "keystore.json"
    keystore.create(path, PASSWORD, keystore.NO_SECRET_WORK)
    return path


# -- host


async def test_a_process_is_really_locked_in():
    finding = await host.check_sandbox()
    assert finding.standing is Standing.OK, finding


async def test_a_sandbox_that_shares_a_namespace_is_found(monkeypatch):
    open_command = ["/usr/bin/readlink", "/proc/self/ns/user", "/proc/self/ns/net"]
    monkeypatch.setattr(host, "sandbox_command", lambda *_: open_command)
    finding = await host.check_sandbox()
    assert finding.standing is Standing.FAILED
    assert "net:" in finding.detail


async def test_a_sandbox_that_does_not_start_is_found(monkeypatch):
    monkeypatch.setattr(host, "sandbox_command", lambda *_: ["bwrap", "--no-such-option"])
    finding = await host.check_sandbox()
    assert finding.standing is Standing.FAILED
    assert "no-such-option" in finding.detail
    assert "bubblewrap" in finding.mend


async def test_no_bubblewrap_is_found(monkeypatch):
    monkeypatch.setattr(host.shutil, "which", lambda _: None)
    assert (await host.check_sandbox()).standing is Standing.FAILED


async def test_control_groups_that_cannot_be_made_are_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr("faas_microvm.sandbox.CGROUPS", tmp_path / "nowhere")
    assert (await host.check_control_groups()).standing is Standing.WARNING


@pytest.mark.parametrize(
    ("free", "standing"),
    [(1 << 30, Standing.FAILED), (3 << 30, Standing.WARNING), (50 << 30, Standing.OK)],
)
async def test_the_disk(monkeypatch, tmp_path, free, standing):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(host.shutil, "disk_usage", lambda _: usage)
    finding = await host.check_disk(tmp_path / "not" / "there")
    assert finding.standing is standing
    assert f"{free >> 30}.0 GiB" in finding.detail


async def test_a_clock_that_was_never_set():
    assert (await host.check_clock(1000.0)).standing is Standing.FAILED
    assert (await host.check_clock()).standing is Standing.OK


async def test_a_database_that_does_not_answer_keeps_its_secret(tmp_path):
    nowhere = tmp_path / PASSWORD / "is a file"
    nowhere.parent.write_text("")
    secrets = Secrets(database_url=SecretStr(f"sqlite:///{nowhere}"))
    finding = await examination.examined(
        "database", host.check_database(Settings(home=tmp_path), secrets), "look"
    )
    assert finding.standing is Standing.FAILED
    assert PASSWORD not in json.dumps(finding.to_json())
    settings = Settings(home=tmp_path)
    assert (await host.check_database(settings, Secrets())).standing is Standing.SKIPPED
    assert not (tmp_path / "operator.sqlite").exists()


# -- key


async def test_a_key_that_opens(key_file):
    finding = await check_keystore(key_file, PASSWORD)
    assert finding.standing is Standing.OK
    assert keystore.stored_address(key_file) in finding.detail


async def test_keys_that_do_not(key_file, tmp_path):
    assert (await check_keystore(tmp_path / "none.json", None)).standing is Standing.SKIPPED
    assert (await check_keystore(key_file, None)).standing is Standing.WARNING
    wrong = await check_keystore(key_file, "wrong-wrong")
    assert wrong.standing is Standing.FAILED
    assert "wrong-wrong" not in str(wrong)
    public = tmp_path / "public.json"
    public.write_bytes(key_file.read_bytes())
    public.chmod(0o644)
    finding = await check_keystore(public, PASSWORD)
    assert (finding.standing, finding.mend) == (Standing.FAILED, f"chmod 600 {public}")


# -- machine


async def test_no_snapshot_yet(tmp_path):
    measured = await machine.known_measurement(tmp_path)
    assert measured is None
    assert (await machine.check_image(tmp_path, measured)).standing is Standing.WARNING
    assert (await machine.check_golden_job(tmp_path, measured)).standing is Standing.SKIPPED


async def test_a_snapshot_of_another_image(tmp_path):
    finding = await machine.check_image(tmp_path, sha256(b"another"))
    assert finding.standing is Standing.WARNING
    assert sha256(b"another").hex() in finding.detail


@pytest.mark.machine
async def test_the_golden_job_is_run_and_compared(faas_home, monkeypatch):
    measured = await machine.known_measurement(faas_home)
    if measured != machine.golden_receipt().receipt.snapshot:
        pytest.skip("the packages or the emulator have moved on: run tests/vectors/make_golden.py")
    finding = await machine.check_golden_job(faas_home, measured)
    assert finding.standing is Standing.OK, finding
    golden = machine.golden_receipt()
    other = replace(golden, outcome=replace(golden.outcome, virtual_ns=golden.outcome.virtual_ns + 1))
    monkeypatch.setattr(machine, "golden_receipt", lambda: other)
    finding = await machine.check_golden_job(faas_home, measured)
    assert finding.standing is Standing.FAILED


# -- chain


async def view_of(chain, operator=None) -> ChainView:
    deployment = chain.deployment
    return ChainView(
        chain.rpc,
        await probe_epoch(chain.rpc, deployment.tangle),
        deployment.tangle,
        deployment.blueprint_id,
        operator or deployment.operator,
        deployment.staking,
        0,
    )


@pytest.mark.chain
async def test_a_staked_operator_is_in_good_standing(chain):
    view = await view_of(chain)
    own = await chain_checks.own_services(view)
    assert chain.deployment.service_id in own
    for finding in (
        await chain_checks.check_rpc(chain.rpc, chain.deployment.chain_id),
        await chain_checks.check_stake(view),
        await chain_checks.check_registration(view),
        await chain_checks.check_services(view, own),
        await chain_checks.check_balance(view),
    ):
        assert finding.standing is Standing.OK, finding


@pytest.mark.chain
async def test_a_stranger_is_not(chain):
    view = await view_of(chain, address(Account.create().address))
    own = await chain_checks.own_services(view)
    assert (await chain_checks.check_stake(view)).standing is Standing.FAILED
    assert (await chain_checks.check_registration(view)).standing is Standing.FAILED
    assert (await chain_checks.check_services(view, own)).standing is Standing.WARNING
    assert (await chain_checks.check_balance(view)).standing is Standing.FAILED
    nobody = replace(view, operator=None)
    assert (await chain_checks.check_stake(nobody)).standing is Standing.SKIPPED
    assert (await chain_checks.check_balance(nobody)).standing is Standing.SKIPPED


@pytest.mark.chain
async def test_a_measurement_that_the_manager_does_not_know(chain):
    finding = await chain_checks.check_measurement(await view_of(chain), sha256(b"another"), [])
    assert finding.standing is Standing.WARNING
    assert chain.deployment.manager in finding.detail
    assert (await chain_checks.check_measurement(await view_of(chain), None, [])).standing is Standing.SKIPPED


@pytest.mark.chain
async def test_a_registered_measurement_and_a_service_that_insists(fresh_chain):
    chain, registered, profile = fresh_chain, sha256(b"registered"), sha256(b"profile")
    deployment, view = chain.deployment, await view_of(chain)
    owner = chain.account(deployment.owner_key)
    for data in (
        service_manager.register_profile(profile),
        service_manager.register_snapshot(registered, profile),
    ):
        await chain.send(data, account=owner, to=deployment.manager)
    strict = service_manager.Assurance(registered_only=True)
    await chain.send(service_manager.set_assurance(deployment.service_id, strict), to=deployment.manager)
    own = await chain_checks.own_services(view)
    assert (await chain_checks.check_measurement(view, registered, own)).standing is Standing.OK
    finding = await chain_checks.check_measurement(view, sha256(b"another"), own)
    assert finding.standing is Standing.FAILED
    assert f"service {deployment.service_id} do not count" in finding.detail


@pytest.mark.chain
async def test_another_chain_and_no_contract(chain):
    finding = await chain_checks.check_rpc(chain.rpc, 1)
    assert (finding.standing, finding.check) == (Standing.FAILED, "rpc")
    nothing = Deployment(chain.deployment.rpc_url, address("0x" + "11" * 20), 0, None)
    settings = Settings()
    findings = {f.check: f async for f in examination._examine_chain(settings, nothing, None)}
    assert findings["tangle"].standing is Standing.FAILED
    assert findings["stake"].standing is Standing.SKIPPED


@pytest.mark.chain
async def test_clocks_that_differ(chain):
    dated = (await chain.rpc.head()).timestamp
    for now, standing in (
        (dated + 1, Standing.OK),
        (dated - 60, Standing.FAILED),
        (dated + 3600, Standing.WARNING),
    ):
        assert (await chain_checks.check_head(chain.rpc, now)).standing is standing


async def test_a_chain_that_does_not_answer(tmp_path):
    secret = "key-of-the-provider"
    nowhere = Deployment(f"http://127.0.0.1:9/{secret}", address("0x" + "11" * 20), 0, None)
    findings = [f async for f in examination._examine_chain(Settings(), nowhere, None)]
    assert findings[0].standing is Standing.FAILED
    assert all(f.standing in (Standing.FAILED, Standing.SKIPPED) for f in findings)
    assert secret not in str(findings)


async def test_everything_is_looked_at_without_key_and_chain(tmp_path):
    begun = time.monotonic()
    findings = [f async for f in examine(Settings(home=tmp_path), Secrets(), None, True)]
    by_name = {finding.check: finding for finding in findings}
    assert len(by_name) == len(findings) == 17
    assert by_name["sandbox"].standing is Standing.OK
    assert all(f.mend for f in findings if f.standing in (Standing.WARNING, Standing.FAILED))
    assert by_name["stake"].detail == "no chain is given"
    assert time.monotonic() - begun < 60


async def test_errors_never_show_the_provider_s_key():
    """However the endpoint fails; see also test_secrets."""
    async with Rpc("http://127.0.0.1:9/v3/abcdef0123456789", attempts=1) as rpc:
        with pytest.raises(Exception, match="eth_chainId") as caught:
            await rpc.chain_id()
    assert "abcdef0123456789" not in str(caught.value)
