"""Heartbeats at the real status registry of the devnet."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from importlib.metadata import version

import pytest
from eth_abi import decode
from eth_account import Account

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_blueprint.tangle import protocol, status_registry
from faas_blueprint.tangle.abi import Function, as_int
from faas_operator.chain.evm import EvmAdapter
from faas_operator.devnet.provision import fund_operator
from faas_operator.happenings import HAPPENINGS
from faas_operator.heartbeats import Heartbeats, version_number
from faas_operator.settings import Settings
from faas_operator.store import Store

pytestmark = pytest.mark.chain


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def beating(chain, tmp_path, account=None, on_duty=True, **settings):
    async with await chain.adapter(account) as adapter:
        with closing(Store.open(f"sqlite:///{tmp_path}/operator.sqlite")) as store:
            clock = Clock()
            made = Settings(home=tmp_path, **settings)
            yield Heartbeats(adapter, store, made, clock, lambda: on_duty), adapter, clock


async def received(chain, first: int):
    """Service, blueprint, operator, status code and time of each, with the block's own."""
    head = (await chain.rpc.head()).block.number
    topics = (status_registry.HEARTBEAT_RECEIVED.topic,)
    entries = await chain.rpc.logs(chain.deployment.status_registry, topics, first, head)
    return [(status_registry.HEARTBEAT_RECEIVED.decode(entry.log), entry) for entry in entries]


async def nonce(chain, account: str) -> int:
    return int(await chain.rpc.request("eth_getTransactionCount", account, "latest"), 16)


async def test_a_beat_is_received_and_the_next_one_waits(fresh_chain, tmp_path) -> None:
    deployment = fresh_chain.deployment
    current = status_registry.is_heartbeat_current(deployment.service_id, deployment.operator)
    first = (await fresh_chain.rpc.head()).block.number + 1
    async with beating(fresh_chain, tmp_path, heartbeat_seconds=100) as (beats, _, clock):
        await beats.once()
        assert await fresh_chain.rpc.read(deployment.status_registry, current)
        ((values, entry),) = await received(fresh_chain, first)
        assert values[:4] == (deployment.service_id, deployment.blueprint_id, deployment.operator, 0)
        sent = await fresh_chain.rpc.request("eth_getTransactionByHash", entry.transaction_hash)
        arguments = status_registry.SUBMIT_HEARTBEAT_DIRECT.decode_arguments(bytes.fromhex(sent["input"][2:]))
        (metrics,) = decode(["(string,uint256)[]"], arguments[3])
        assert [name for name, _ in metrics] == ["jobs_done", "jobs_abandoned", "jobs_queued", "version"]

        clock.now += 99
        await beats.once()
        assert len(await received(fresh_chain, first)) == 1
        clock.now += 1
        await beats.once()
        assert len(await received(fresh_chain, first)) == 2


async def test_the_registry_keeps_the_metrics_where_the_services_owner_wants_them(
    fresh_chain, tmp_path
) -> None:
    """What it stores is what was sent: it decodes the pairs itself."""
    deployment, registry = fresh_chain.deployment, fresh_chain.deployment.status_registry
    enable = Function("enableCustomMetrics", ("uint64", "bool"))
    await fresh_chain.send(enable.encode(deployment.service_id, True), to=registry)
    stored = Function("getMetricValue", ("uint64", "address", "string"), ("uint256",))
    async with beating(fresh_chain, tmp_path) as (beats, _, _):
        await beats.once()
    read = stored.read(as_int, deployment.service_id, deployment.operator, "version")
    assert await fresh_chain.rpc.read(registry, read) == version_number(version("tangle-faas"))


async def test_beats_and_refusals_are_counted(fresh_chain, tmp_path, monkeypatch) -> None:
    before = {outcome: counted(outcome) for outcome in ("received", "refused")}
    async with beating(fresh_chain, tmp_path, heartbeat_seconds=100) as (beats, _, clock):
        await beats.once()
        monkeypatch.setattr(status_registry, "heartbeat", lambda *_: b"\x00\x00\x00\x00")
        clock.now += 100
        await beats.once()
    assert {outcome: counted(outcome) - value for outcome, value in before.items()} == {
        "received": 1,
        "refused": 1,
    }


def counted(outcome: str) -> float:
    return HAPPENINGS.get_sample_value("faas_heartbeats_total", {"outcome": outcome}) or 0.0


async def test_a_service_that_has_ended_gets_none(fresh_chain, tmp_path) -> None:
    first = (await fresh_chain.rpc.head()).block.number + 1
    await fresh_chain.send(protocol.TERMINATE_SERVICE.encode(fresh_chain.deployment.service_id))
    async with beating(fresh_chain, tmp_path) as (beats, _, _):
        await beats.once()
    assert await received(fresh_chain, first) == []


async def test_only_the_process_on_duty_beats_and_none_for_another_service(fresh_chain, tmp_path) -> None:
    first = (await fresh_chain.rpc.head()).block.number + 1
    async with beating(fresh_chain, tmp_path, on_duty=False) as (beats, _, _):
        await beats.once()
    other = fresh_chain.deployment.service_id + 1
    async with beating(fresh_chain, tmp_path, service_id=other) as (beats, _, _):
        await beats.once()
    assert await received(fresh_chain, first) == []


async def test_a_refusal_is_told_once_and_waits_for_the_next_time(
    fresh_chain, tmp_path, caplog, monkeypatch
) -> None:
    """An account that the registry does not know, and that a router which errs calls an operator."""
    stranger = Account.create()
    deployment = fresh_chain.deployment
    await fund_operator(fresh_chain.rpc, deployment.staking, address(stranger.address), 0)
    caplog.set_level(logging.WARNING, "faas_operator.heartbeats")
    real = protocol.is_service_operator
    monkeypatch.setattr(
        protocol, "is_service_operator", lambda service, _: real(service, deployment.operator)
    )
    async with beating(fresh_chain, tmp_path, stranger, heartbeat_seconds=100) as (beats, adapter, clock):
        for _ in range(3):
            await beats.once()
            await beats.once()
            clock.now += 100
        assert await nonce(fresh_chain, adapter.operator) == 0
    (record,) = caplog.records
    assert "Not registered operator" in str(record.faas_fields["error"])


async def test_a_deployment_without_a_registry_is_told_once(chain, tmp_path, caplog, monkeypatch) -> None:
    caplog.set_level(logging.WARNING, "faas_operator.heartbeats")
    absent = replace(protocol.operator_status_registry(), decode=lambda _: ZERO_ADDRESS)
    monkeypatch.setattr(protocol, "operator_status_registry", lambda: absent)
    async with beating(chain, tmp_path, heartbeat_seconds=100) as (beats, adapter, clock):
        before = await nonce(chain, adapter.operator)
        for _ in range(3):
            await beats.once()
            clock.now += 100
        assert await nonce(chain, adapter.operator) == before
    (record,) = caplog.records
    assert record.faas_fields == {"service": "any", "error": "this deployment has none"}


async def test_a_router_that_knows_no_registry_is_told_once(chain, tmp_path, caplog, monkeypatch) -> None:
    caplog.set_level(logging.WARNING, "faas_operator.heartbeats")
    unknown = replace(protocol.operator_status_registry(), data=b"\x01\x02\x03\x04")
    monkeypatch.setattr(protocol, "operator_status_registry", lambda: unknown)
    async with beating(chain, tmp_path, heartbeat_seconds=100) as (beats, _, clock):
        for _ in range(3):
            await beats.once()
            clock.now += 100
    (record,) = caplog.records
    assert "UnknownSelector" in record.faas_fields["error"]


async def test_beats_go_on_after_an_outage_and_none_are_sent_when_switched_off(
    fresh_chain, tmp_path, monkeypatch
) -> None:
    first = (await fresh_chain.rpc.head()).block.number + 1
    quick = {"poll_seconds": 0.01, "retry_seconds": 0.01, "retry_seconds_at_most": 0.02}
    async with beating(fresh_chain, tmp_path, heartbeat_seconds=0, **quick) as (beats, _, _):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beats.run(), 0.3)
    assert await received(fresh_chain, first) == []
    async with await EvmAdapter.connect(
        fresh_chain.deployment.rpc_url,
        fresh_chain.deployment.tangle,
        fresh_chain.deployment.blueprint_id,
        fresh_chain.operator(),
        attempts=1,
    ) as adapter:
        with closing(Store.open(f"sqlite:///{tmp_path}/other.sqlite")) as store:
            real, failures = adapter.rpc.read, iter([True, True])

            async def failing(*arguments):
                if next(failures, False):
                    raise ChainUnavailable("no RPC answers")
                return await real(*arguments)

            monkeypatch.setattr(adapter.rpc, "read", failing)
            task = asyncio.ensure_future(
                Heartbeats(adapter, store, Settings(home=tmp_path, **quick), Clock()).run()
            )
            try:
                async with asyncio.timeout(20):
                    while not await received(fresh_chain, first):
                        assert not task.done()
                        await asyncio.sleep(0.05)
            finally:
                task.cancel()


def test_versions_are_numbers_that_grow() -> None:
    assert [version_number(text) for text in ("0.1.0", "0.1.1", "1.2.3")] == [1000, 1001, 1002003]
