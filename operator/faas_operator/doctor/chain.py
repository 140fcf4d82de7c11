"""Checks of the chain, and of the operator's standing there. Reads only."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol, service_manager, staking
from faas_blueprint.tangle.epoch import TangleEpoch
from faas_operator.chain.discovery import active_services
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.rpc import Rpc
from faas_operator.doctor.finding import Finding, failed, ok, skipped, warning

T = TypeVar("T")

SLOW_SECONDS = 1.0
OLD_HEAD_SECONDS = 120
AHEAD_SECONDS = 15
"""Blocks may be dated a little ahead of their time."""
RESULT_GAS = 1_500_000
"""Of one posted result, on the high side."""
RESULTS_AHEAD = 20
"""So many results the balance should pay for."""

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class ChainView:
    """A chain that answers, and what is asked of it."""

    rpc: Rpc
    epoch: TangleEpoch
    tangle: Address
    blueprint_id: int
    operator: Address | None
    """None without a keystore."""
    staking_router: Address | None
    start_block: int


async def check_rpc(rpc: Rpc, chain_id: int | None) -> Finding:
    """Whether the endpoint answers, how fast, for which chain, and unheard by others."""
    actual, latency = await timed(rpc.chain_id)
    detail = f"chain {actual}, an answer takes {latency * 1000:.0f} ms"
    if chain_id is not None and chain_id != actual:
        mend = "set FAAS_RPC_URL to an endpoint of that chain, or FAAS_CHAIN_ID"
        return failed("rpc", f"{detail}; FAAS_CHAIN_ID says {chain_id}", mend)
    place = urlsplit(rpc.url)
    if place.scheme == "http" and place.hostname not in LOCAL:
        return warning("rpc", f"{detail}; it is not encrypted", "use an https:// endpoint")
    if latency > SLOW_SECONDS:
        return warning("rpc", f"{detail}: that is slow", "use an endpoint nearer to this host")
    if chain_id is None and place.hostname not in LOCAL:
        return warning("rpc", f"{detail}; FAAS_CHAIN_ID is not set", f"set FAAS_CHAIN_ID to {actual}")
    return ok("rpc", detail)


async def timed(ask: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    """What an endpoint answers, and how many seconds it takes: the median of three."""
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        answer = await ask()
        seconds.append(time.perf_counter() - begun)
    return answer, statistics.median(seconds)


async def check_head(rpc: Rpc, now: float | None = None) -> Finding:
    """The newest block's time beside this host's."""
    head = await rpc.head()
    return date_of_head(f"block {head.block.number}", head.timestamp, "the chain stands still", now)


def date_of_head(block: str, timestamp: float, still: str, now: float | None = None) -> Finding:
    """A block's time (Unix seconds) beside this host's; `still` says what an old one may mean."""
    ahead = timestamp - (time.time() if now is None else now)
    detail = f"{block} is dated {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'ago'}"
    if ahead > AHEAD_SECONDS:
        return failed("chain time", f"{detail}: this host's clock is behind", "run an NTP client")
    if -ahead > OLD_HEAD_SECONDS:
        mend = "check the endpoint's synchronisation, and this host's clock"
        return warning("chain time", f"{detail}: {still}, or the clock is ahead", mend)
    return ok("chain time", detail)


async def find_epoch(rpc: Rpc, tangle: Address) -> tuple[Finding, TangleEpoch]:
    """Which ABI the contract speaks. Raises FatalError when it is no Tangle."""
    epoch = await probe_epoch(rpc, tangle)
    return ok("tangle", f"{tangle} speaks the ABI of protocol {epoch.name}"), epoch


async def check_stake(view: ChainView) -> Finding:
    """Whether the operator is staked."""
    if view.operator is None:
        return skipped("stake", "no key")
    if view.staking_router is None:
        return skipped("stake", "no --staking: nothing on-chain tells the staking router's address")
    if await view.rpc.read(view.staking_router, staking.is_operator_active(view.operator)):
        return ok("stake", "active")
    return failed("stake", f"{view.operator} is not an active operator", "`faas operator register` stakes")


async def check_registration(view: ChainView) -> Finding:
    """Whether the operator is registered for the blueprint."""
    if view.operator is None:
        return skipped("registration", "no key")
    registered = protocol.is_operator_registered(view.blueprint_id, view.operator)
    if await view.rpc.read(view.tangle, registered):
        return ok("registration", f"registered for blueprint {view.blueprint_id}")
    detail = f"{view.operator} is not registered for blueprint {view.blueprint_id}"
    return failed("registration", detail, "run `faas operator register`")


async def own_services(view: ChainView) -> list[int]:
    """Active services of the blueprint that the operator serves."""
    services = await active_services(view.rpc, view.tangle, view.blueprint_id, view.start_block)
    return [found.service_id for found in services if view.operator in found.operators]


async def check_services(view: ChainView, own: list[int]) -> Finding:
    """Whether there is anything to do."""
    if view.operator is None:
        return skipped("services", "no key")
    if own:
        return ok("services", f"serves {', '.join(map(str, own))}")
    return warning(
        "services",
        f"{view.operator} serves no active service of blueprint {view.blueprint_id}",
        "approve a request with `faas operator register`, or wait for one",
    )


async def check_balance(view: ChainView) -> Finding:
    """Whether results can be paid for."""
    if view.operator is None:
        return skipped("balance", "no key")
    balance = int(str(await view.rpc.request("eth_getBalance", view.operator, "latest")), 16)
    price = int(str(await view.rpc.request("eth_gasPrice")), 16)
    affordable = balance // max(1, price * RESULT_GAS)
    detail = f"{balance / 10**18:.6f} of the native token, gas for some {affordable} results"
    if affordable == 0:
        return failed("balance", detail, f"send native tokens to {view.operator}")
    if affordable < RESULTS_AHEAD:
        return warning("balance", detail, f"send native tokens to {view.operator}")
    return ok("balance", detail)


async def check_measurement(view: ChainView, measured: Digest | None, own: list[int]) -> Finding:
    """Whether the blueprint's manager has registered this host's base snapshot."""
    name = "registered measurement"
    if measured is None:
        return skipped(name, "no base snapshot of this machine profile is there yet")
    manager = (await view.rpc.read(view.tangle, view.epoch.blueprint(view.blueprint_id))).manager
    if manager == ZERO_ADDRESS:
        return skipped(name, "the blueprint has no manager contract")
    try:
        if await view.rpc.read(manager, service_manager.is_snapshot(measured)):
            return ok(name, f"manager {manager} knows {to_hex(measured)}")
        strict = [
            service
            for service in own
            if (await view.rpc.read(manager, service_manager.assurance_of(service))).registered_only
        ]
    except Reverted:
        return skipped(name, f"manager {manager} registers none")
    detail = f"manager {manager} does not know {to_hex(measured)}"
    mend = "run on the registered image and QEMU version, or ask the blueprint's owner to register this one"
    if strict:
        services = ", ".join(map(str, strict))
        return failed(name, f"{detail}; answers to service {services} do not count", mend)
    return warning(name, detail, mend)
