"""All checks in order: host, machine, key, chain. What one needs and another did not find is skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from faas_blueprint.digests import Digest
from faas_blueprint.errors import FaaSError
from faas_blueprint.receipt import Address
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.rpc import Rpc
from faas_operator.doctor import chain, host, machine
from faas_operator.doctor.finding import Finding, examined, failed, skipped
from faas_operator.doctor.key import check_keystore, own_address
from faas_operator.doctor.substrate import examine_substrate
from faas_operator.settings import Secrets, Settings

_CHAIN_CHECKS = ("stake", "registration", "services", "balance", "registered measurement")
_SETUP = "run scripts/setup, or install what is missing (docs/runbook.md)"
_RPC = "check FAAS_RPC_URL, and that the endpoint is up"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the chain is asked about."""

    rpc_url: str
    tangle: Address | None
    """None on a Substrate chain."""
    blueprint_id: int
    staking_router: Address | None


async def examine(
    settings: Settings, secrets: Secrets, deployment: Deployment | None, run_job: bool
) -> AsyncIterator[Finding]:
    """Findings as they come. Without a deployment the chain's are skipped; never raises a FaaSError."""
    home = settings.home
    yield await examined("emulator", host.check_emulator(home), _SETUP)
    yield await examined("sandbox", host.check_sandbox(), _SETUP)
    yield await examined("control groups", host.check_control_groups(), _SETUP)
    yield await examined("disk", host.check_disk(home), "check FAAS_HOME")
    yield await host.check_clock()
    yield await examined("database", host.check_database(settings, secrets), "check FAAS_DATABASE_URL")
    try:
        measured = await machine.known_measurement(home)
    except FaaSError as error:
        measured = None
        yield failed("base snapshot", error.message, _SETUP)
    else:
        yield await examined("base snapshot", machine.check_image(home, measured), _SETUP)
    if run_job:
        yield await examined("golden job", machine.check_golden_job(home, measured), _SETUP)
    else:
        yield skipped("golden job", "--no-job")
    password = secrets.keystore_password
    opened = check_keystore(settings.keystore_path, None if password is None else password.get_secret_value())
    yield await examined("key", opened, "check FAAS_KEYSTORE")
    if deployment is None:
        for name in ("rpc", "chain time", "tangle", *_CHAIN_CHECKS):
            yield skipped(name, "no chain is given")
        return
    if deployment.tangle is None:
        checks = examine_substrate(settings, secrets, deployment.rpc_url, deployment.blueprint_id)
    else:
        checks = _examine_chain(settings, deployment, measured)
    async for finding in checks:
        yield finding


async def _examine_chain(
    settings: Settings, deployment: Deployment, measured: Digest | None
) -> AsyncIterator[Finding]:
    tangle = deployment.tangle
    assert tangle is not None, "a Substrate chain is examined elsewhere"
    async with Rpc(deployment.rpc_url, attempts=2) as rpc:
        yield await examined("rpc", chain.check_rpc(rpc, settings.chain_id), _RPC)
        yield await examined("chain time", chain.check_head(rpc), _RPC)
        try:
            finding, epoch = await chain.find_epoch(rpc, tangle)
        except FaaSError as error:
            yield failed("tangle", error.message, "check FAAS_TANGLE and FAAS_RPC_URL")
            for name in _CHAIN_CHECKS:
                yield skipped(name, "no Tangle was found")
            return
        yield finding
        view = chain.ChainView(
            rpc,
            epoch,
            tangle,
            deployment.blueprint_id,
            own_address(settings.keystore_path),
            deployment.staking_router,
            settings.start_block,
        )
        async for finding in _examine_standing(view, measured):
            yield finding


async def _examine_standing(view: chain.ChainView, measured: Digest | None) -> AsyncIterator[Finding]:
    own: list[int] = []
    try:
        yield await examined("stake", chain.check_stake(view), "check --staking")
        yield await examined("registration", chain.check_registration(view), _RPC)
        own = await chain.own_services(view)
        yield await examined("services", chain.check_services(view, own), _RPC)
    except (FaaSError, Reverted) as error:
        yield failed("services", str(error), "check FAAS_TANGLE, FAAS_STAKING and FAAS_BLUEPRINT_ID")
    yield await examined("balance", chain.check_balance(view), _RPC)
    try:
        work = chain.check_measurement(view, measured, own)
        yield await examined("registered measurement", work, _RPC)
    except Reverted as error:
        yield failed("registered measurement", str(error), "check FAAS_BLUEPRINT_ID")
