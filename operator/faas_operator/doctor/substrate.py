"""Checks of a Substrate chain, and of the operator's standing there. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from faas_blueprint.errors import ChainUnavailable, FaaSError, FatalError
from faas_operator import keystore
from faas_operator.chain.failover import endpoint_urls
from faas_operator.chain.interface import Block
from faas_operator.chain.substrate import key as account_key
from faas_operator.chain.substrate.endpoint import Refused
from faas_operator.chain.substrate.rpc import SubstrateRpc
from faas_operator.chain.substrate.runtime import SubstrateRuntime
from faas_operator.chain.substrate.standing import AccountStanding, read_standing, stored_account
from faas_operator.doctor.chain import LOCAL, RESULTS_AHEAD, SLOW_SECONDS, date_of_head, timed
from faas_operator.doctor.finding import Finding, examined, failed, ok, skipped, warning
from faas_operator.settings import Secrets, Settings

_RPC = "check FAAS_RPC_URL, and that the endpoint is up"
_OTHER_TOOLS = "use Tangle's own tools (docs/substrate.md)"
LAG_BLOCKS = 10
"""An endpoint may be so many final blocks behind another: a minute."""
RESULT_UNITS = 10**16
"""What a result may cost, in the token's smallest unit, on the high side."""


async def examine_substrate(
    settings: Settings, secrets: Secrets, rpc_url: str, blueprint_id: int
) -> AsyncIterator[Finding]:
    """Findings in the order of those of an EVM chain; never raises a FaaSError."""
    yield _check_account(settings, secrets)
    async with SubstrateRpc(rpc_url, attempts=2) as rpc:
        yield await examined("rpc", _check_rpc(rpc, rpc_url), _RPC)
        for finding in await _check_others(rpc_url):
            yield finding
        try:
            runtime = await SubstrateRuntime.connect(rpc)
            final = await rpc.finalised()
            standing = await _standing(settings, runtime, final, blueprint_id)
        except FaaSError as error:
            yield failed("tangle", error.message, "check FAAS_RPC_URL")
            return
        yield await examined("chain time", _check_time(runtime, final), _RPC)
        yield ok("tangle", f"genesis {runtime.genesis}, runtime {runtime.spec_version}")
    yield skipped("stake", f"not looked at on a Substrate chain: {_OTHER_TOOLS}")
    yield _check_registration(settings, standing, blueprint_id)
    yield _check_services(standing, blueprint_id)
    yield _check_balance(standing)
    yield skipped("registered measurement", "a Substrate chain's manager contract is not read")


def _check_account(settings: Settings, secrets: Secrets) -> Finding:
    """Whether the account file is there, readable by its owner only, and opens."""
    path, password = settings.account_path, secrets.account_password
    if not path.exists():
        mend = "export the account from polkadot.js as a JSON backup; set FAAS_ACCOUNT_FILE"
        return failed("account", f"there is no account file at {path}", mend)
    try:
        address = "0x" + stored_account(path).hex()
        if password is not None:
            account_key.load(path, password.get_secret_value())
    except FatalError as error:
        return failed("account", error.message, "set FAAS_ACCOUNT_PASSWORD aright, or export it again")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return failed("account", f"{path} can be read by others (mode {mode:o})", f"chmod 600 {path}")
    if password is None:
        mend = "set FAAS_ACCOUNT_PASSWORD"
        return warning("account", f"{address} in {path}; not opened: no password is set", mend)
    return ok("account", f"{address} in {path} opens")


async def _check_rpc(rpc: SubstrateRpc, rpc_url: str) -> Finding:
    name, latency = await timed(lambda: rpc.request("system_chain"))
    detail = f"{name}, a Substrate chain; an answer takes {latency * 1000:.0f} ms"
    places = [urlsplit(url) for url in endpoint_urls(rpc_url)]
    if any(place.scheme in ("http", "ws") and place.hostname not in LOCAL for place in places):
        return warning("rpc", f"{detail}; it is not encrypted", "use a wss:// or https:// endpoint")
    if latency > SLOW_SECONDS:
        return warning("rpc", f"{detail}: that is slow", "use an endpoint nearer to this host")
    return ok("rpc", detail)


async def _check_others(rpc_url: str) -> list[Finding]:
    """With several endpoints, what stands against asking each of them: it does not answer, serves another
    chain than the first that answers, or lags behind the furthest."""
    urls = endpoint_urls(rpc_url)
    if len(urls) == 1:
        return []
    seen = await asyncio.gather(*map(_glance, urls))
    chain = next((genesis for genesis, _ in seen if genesis is not None), None)
    furthest = max(number for genesis, number in seen if genesis == chain)
    findings = []
    for place, (genesis, number) in enumerate(seen, 1):
        name, mend = f"rpc endpoint {place}", "mend or remove it: while it is so it stands in for no other"
        if genesis is None:
            findings.append(warning(name, "does not answer as a Substrate node", mend))
        elif genesis != chain:
            findings.append(failed(name, f"is of another chain, with genesis {genesis}", mend))
        elif furthest - number > LAG_BLOCKS:
            findings.append(warning(name, f"lags by {furthest - number} final blocks", mend))
        else:
            findings.append(ok(name, f"is at final block {number}"))
    return findings


async def _glance(url: str) -> tuple[str | None, int]:
    """An endpoint's first block and the number of its newest final one; None and 0 without an answer."""
    async with SubstrateRpc(url, attempts=2) as rpc:
        try:
            return await rpc.genesis(), (await rpc.finalised()).number
        except (ChainUnavailable, Refused):
            return None, 0


async def _check_time(runtime: SubstrateRuntime, final: Block) -> Finding:
    """The newest final block's time beside this host's."""
    milliseconds = int(await runtime.value(final.block_hash, "Timestamp", "Now") or 0)
    return date_of_head(f"final block {final.number}", milliseconds / 1000, "nothing becomes final")


async def _standing(
    settings: Settings, runtime: SubstrateRuntime, final: Block, blueprint_id: int
) -> AccountStanding | None:
    try:
        account = stored_account(settings.account_path)
    except FatalError:
        return None
    return await read_standing(runtime, final, blueprint_id, account)


def _check_registration(settings: Settings, standing: AccountStanding | None, blueprint_id: int) -> Finding:
    """Whether the account is registered, with the key that signs receipts."""
    if standing is None:
        return skipped("registration", "no account")
    if standing.registered_key is None:
        detail = f"{standing.address} is not registered for blueprint {blueprint_id}"
        return failed("registration", detail, "`faas operator register` says with what to register")
    try:
        own = keystore.stored_address(settings.keystore_path)
    except FatalError:
        return skipped("registration", "registered; without the keystore its key cannot be compared")
    if keystore.address_of(standing.registered_key) != own:
        detail = "registered with another key than the keystore's, which signs receipts"
        return failed("registration", detail, "use that keystore, or register anew")
    return ok("registration", f"{standing.address} is registered for blueprint {blueprint_id}")


def _check_services(standing: AccountStanding | None, blueprint_id: int) -> Finding:
    if standing is None:
        return skipped("services", "no account")
    if standing.services:
        return ok("services", f"serves {', '.join(map(str, standing.services))}")
    detail = f"{standing.address} serves no service of blueprint {blueprint_id}"
    return warning("services", detail, f"approve a request, or wait for one: {_OTHER_TOOLS}")


def _check_balance(standing: AccountStanding | None) -> Finding:
    if standing is None:
        return skipped("balance", "no account")
    affordable = standing.balance // RESULT_UNITS
    detail = f"{standing.balance / 10**18:.6f} of the native token, fees for some {affordable} results"
    mend = f"send native tokens to {standing.address}"
    if affordable == 0:
        return failed("balance", detail, mend)
    return warning("balance", detail, mend) if affordable < RESULTS_AHEAD else ok("balance", detail)
