"""Joining services and leaving them on the real contracts: by command, and by the running node."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from operator_on_devnet import Commands

from faas_blueprint.job import encode_job, make_job
from faas_blueprint.receipt import CallReference, address
from faas_blueprint.tangle import membership, protocol, service_manager
from faas_blueprint.tangle.abi import Function
from faas_operator import keystore
from faas_operator.departure import results_owed
from faas_operator.devnet.provision import OPERATOR_PASSWORD
from faas_operator.devnet.shared_service import register_operator
from faas_operator.exits import Exits
from faas_operator.happenings import HAPPENINGS
from faas_operator.pipeline import Event
from faas_operator.settings import Settings
from faas_operator.store import Store

pytestmark = pytest.mark.chain

DAY = 86_400


@dataclass
class Joined:
    """The devnet's service with a second operator, which may leave."""

    chain: object
    account: object
    faas: Commands
    home: Path

    @property
    def service_id(self) -> int:
        return self.chain.deployment.service_id

    async def later(self, seconds: int) -> None:
        await self.chain.rpc.request("evm_increaseTime", seconds)
        await self.chain.rpc.request("anvil_mine", "0x1")

    async def join(self) -> None:
        admit = service_manager.admit_operator(self.service_id, address(self.account.address))
        await self.chain.send(admit, to=self.chain.deployment.manager)
        await self.faas.json("join", str(self.service_id))

    async def submit(self) -> CallReference:
        return await self.chain.submit(encode_job(make_job("python", "print(1)")))

    async def seen(self) -> list[CallReference]:
        """The calls that are the second operator's business."""
        async with await self.chain.adapter(self.account) as adapter:
            head = await adapter.head()
            return [job.call for job in await adapter.submitted_jobs(0, head.number)]

    async def serves(self) -> bool:
        read = protocol.is_service_operator(self.service_id, address(self.account.address))
        return await self.chain.rpc.read(self.chain.deployment.tangle, read)

    @asynccontextmanager
    async def exits(self, on_duty: bool = True, **settings):
        async with await self.chain.adapter(self.account) as adapter:
            with closing(Store.open(f"sqlite:///{self.home}/operator.sqlite")) as store:
                made = Settings(home=self.home, **settings)
                yield Exits(adapter, store, made, lambda: on_duty), store, adapter


@pytest.fixture
async def second(fresh_chain, tmp_path) -> Joined:
    """A registered operator that serves nothing."""
    path = tmp_path / "second.json"
    account = keystore.create(path, OPERATOR_PASSWORD, keystore.NO_SECRET_WORK)
    await register_operator(fresh_chain.rpc, fresh_chain.deployment, account)
    faas = Commands(fresh_chain, tmp_path, str(path), FAAS_KEYSTORE_PASSWORD=OPERATOR_PASSWORD)
    return Joined(fresh_chain, account, faas, tmp_path)


@pytest.fixture
async def joined(second) -> Joined:
    """One that serves the devnet's service too."""
    await second.join()
    return second


async def test_whom_the_owner_admits_can_join(second) -> None:
    deployment, faas, name = second.chain.deployment, second.faas, str(second.service_id)
    error = await faas.refused("join", name)
    assert error["code"] == "INVALID_REQUEST"
    assert "its owner has to admit this operator first" in error["message"]
    own = address(second.account.address)
    await second.chain.send(service_manager.admit_operator(second.service_id, own), to=deployment.manager)
    assert await faas.json("join", name, "--exposure-bps", "5000") == {
        "service_id": second.service_id,
        "operator": own,
        "exposure_bps": 5000,
        "commitments": [{"token": deployment.bond_token, "exposure_bps": 1000}],
    }
    assert await second.serves()
    place = await second.chain.rpc.read(
        deployment.tangle, membership.service_operator(second.service_id, own)
    )
    assert (place.exposure_bps, place.active) == (5000, True)
    assert "serves service" in (await faas.refused("join", name))["message"]


async def test_what_cannot_be_joined_says_why(second) -> None:
    deployment, faas = second.chain.deployment, second.faas
    assert (await faas.refused("join", "99"))["code"] == "NOT_FOUND"
    assert (await faas.refused("join", "0"))["code"] == "NOT_FOUND"  # another blueprint's
    assert (await faas.refused("leave", str(second.service_id)))["code"] == "NOT_FOUND"
    await second.chain.send(protocol.TERMINATE_SERVICE.encode(deployment.service_id))
    assert "has ended" in (await faas.refused("join", str(second.service_id)))["message"]


async def test_leaving_step_by_step(joined) -> None:
    faas, name = joined.faas, str(joined.service_id)
    error = await faas.refused("leave", name)
    assert "who joins stays for 86400 s" in error["message"]
    assert error["details"]["schedulable_at"] > (await joined.chain.rpc.head()).timestamp
    assert "ExitNotScheduled" in (await faas.refused("leave", name, "--cancel"))["message"]
    assert "goes with neither" in (await faas.refused("leave", name, "--cancel", "--status"))["message"]
    assert (await faas.json("leave", name, "--status"))["standing"] == "none"

    await joined.later(DAY)
    scheduled = await faas.json("leave", name)
    assert scheduled["standing"] == "scheduled"
    assert scheduled["executable_at"] >= (await joined.chain.rpc.head()).timestamp + 7 * DAY - 60
    assert (await faas.json("leave", name))["executable_at"] == scheduled["executable_at"]
    assert "can be executed from" in (await faas("leave", name, "--status"))[1]
    assert (await faas.json("leave", name, "--cancel"))["standing"] == "none"
    await faas.json("leave", name)

    await joined.later(7 * DAY)
    assert (await faas.json("leave", name, "--status"))["standing"] == "executable"
    assert "leave them" in (await faas.refused("unregister"))["message"]
    left = await faas.json("leave", name)
    assert (left["standing"], left["forced_by"]) == ("left", None)
    assert left["left_at"] <= (await joined.chain.rpc.head()).timestamp
    assert not await joined.serves()
    assert "left at" in (await faas("leave", name))[1]

    done = await faas.json("unregister")
    assert done["registered"] is False
    assert "is not registered" in (await faas.refused("unregister"))["message"]


async def test_the_last_operator_cannot_leave_and_is_told_beforehand(fresh_chain, tmp_path) -> None:
    deployment = fresh_chain.deployment
    faas, name = Commands(fresh_chain, tmp_path), str(deployment.service_id)
    await fresh_chain.rpc.request("evm_increaseTime", DAY)
    await fresh_chain.rpc.request("anvil_mine", "0x1")
    scheduled = await faas.json("leave", name)
    assert scheduled["too_few_operators"] is True
    assert "its least number" in scheduled["told"]
    await fresh_chain.rpc.request("evm_increaseTime", 7 * DAY)
    await fresh_chain.rpc.request("anvil_mine", "0x1")
    assert "none can leave until another joins" in (await faas.refused("leave", name))["message"]


def gauge(standing: str) -> float | None:
    return HAPPENINGS.get_sample_value("faas_service_exits", {"standing": standing})


async def test_the_node_executes_a_scheduled_exit_when_it_is_due(joined, caplog) -> None:
    caplog.set_level(logging.INFO, "faas_operator.exits")
    await joined.later(DAY)
    async with joined.exits() as (exits, _, _):
        await exits.once()
        assert (gauge("scheduled"), gauge("executable")) == (0, 0)
        await joined.faas.json("leave", str(joined.service_id))
        await exits.once()
        await exits.once()
        assert (gauge("scheduled"), gauge("executable")) == (1, 0)
        assert await joined.serves()
    await joined.later(7 * DAY)
    async with joined.exits(on_duty=False) as (exits, _, _):
        await exits.once()
        assert await joined.serves()
    async with joined.exits(service_id=joined.service_id + 1) as (exits, _, _):
        await exits.once()  # whose store does not know what is owed
        assert await joined.serves()
    async with joined.exits() as (exits, _, _):  # a node that starts again
        await exits.once()
        await exits.once()
        assert gauge("scheduled") == 0
    assert not await joined.serves()
    assert [record.message for record in caplog.records] == ["an exit is scheduled", "service left"]


async def test_a_view_that_is_not_there_ends_no_node(joined, caplog, monkeypatch) -> None:
    """A double of an earlier router, which knows no exits."""
    caplog.set_level(logging.WARNING, "faas_operator.exits")
    unknown = Function("noSuchView", ("uint64",), ("uint64",))
    monkeypatch.setattr(membership, "exit_request", lambda item, _: unknown.read(lambda _: None, item))
    async with joined.exits() as (exits, _, _):
        await exits.once()
        await exits.once()
    (record,) = caplog.records
    assert "UnknownSelector" in str(record.faas_fields["error"])


async def test_calls_are_an_operators_business_while_it_serves(second) -> None:
    await second.submit()
    assert await second.seen() == []
    await second.later(60)
    await second.join()
    assert await second.seen() == []
    await second.later(60)
    calls = [await second.submit()]
    assert await second.seen() == calls
    await second.later(DAY)
    await second.faas.json("leave", str(second.service_id))
    await second.later(7 * DAY)
    calls.append(await second.submit())
    await second.later(60)
    assert (await second.faas.json("leave", str(second.service_id)))["standing"] == "left"
    await second.later(60)
    await second.submit()
    assert await second.seen() == calls


async def test_a_reorganisation_may_take_the_joining_away(second) -> None:
    before = await second.chain.rpc.request("evm_snapshot")
    async with await second.chain.adapter(second.account) as adapter:
        await second.join()
        call = await second.submit()
        number = (await adapter.head()).number
        assert [job.call for job in await adapter.submitted_jobs(0, number)] == [call]
        await second.chain.rpc.request("evm_revert", before)
        await second.submit()
        assert await adapter.submitted_jobs(0, number) == []


async def test_results_that_are_owed_come_first(joined, caplog) -> None:
    caplog.set_level(logging.INFO, "faas_operator.exits")
    deployment = joined.chain.deployment
    await joined.later(DAY)
    await joined.faas.json("leave", str(joined.service_id))
    await joined.later(7 * DAY)
    call = await joined.chain.submit(encode_job(make_job("python", "print(1)")))
    async with joined.exits() as (exits, store, adapter):
        head = await adapter.head()
        (record,) = store.record_blocks("test", await adapter.submitted_jobs(0, head.number), head)
        place = (deployment.chain_id, deployment.tangle)
        assert results_owed(store, *place, call.service_id) == 1
        assert results_owed(store, *place, call.service_id + 1) == 0
        await exits.once()
        assert await joined.serves()
        assert gauge("executable") == 1
        assert caplog.records[-1].faas_fields["state"] == "it waits for 1 results that are owed"
        waiting = await joined.faas.json("leave", str(joined.service_id))
        assert (waiting["standing"], waiting["results_owed"]) == ("executable", 1)
        assert "1 results are owed and come first" in waiting["told"]

        store.apply(store.apply(record, Event.CONFIRM), Event.FOREIGN)
        assert results_owed(store, *place, call.service_id) == 0
        await exits.once()
    assert not await joined.serves()


async def test_results_can_be_left_owing(joined) -> None:
    await joined.later(DAY)
    await joined.faas.json("leave", str(joined.service_id))
    await joined.later(7 * DAY)
    await joined.chain.submit(encode_job(make_job("python", "print(1)")))
    async with joined.exits() as (_, store, adapter):
        head = await adapter.head()
        store.record_blocks("test", await adapter.submitted_jobs(0, head.number), head)
    assert (await joined.faas.json("leave", str(joined.service_id)))["standing"] == "executable"
    assert (await joined.faas.json("leave", str(joined.service_id), "--owing"))["standing"] == "left"


async def test_being_put_out_is_told(joined, caplog) -> None:
    """The manager of the devnet lets nobody be put out: a double of its answer does."""
    caplog.set_level(logging.INFO, "faas_operator.exits")
    deployment, own = joined.chain.deployment, address(joined.account.address)
    async with joined.exits() as (exits, _, _):
        await exits.once()
        force = membership.FORCE_EXIT.encode(joined.service_id, own)
        code = await joined.chain.rpc.request("eth_getCode", deployment.manager, "latest")
        await joined.chain.rpc.request("anvil_setCode", deployment.manager, _ANSWERS_EXIT_CONFIG)
        await joined.chain.send(force)
        await joined.chain.rpc.request("anvil_setCode", deployment.manager, code)
        assert not await joined.serves()
        await exits.once()
        await exits.once()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.faas_fields == {"service": joined.service_id, "forced_by": deployment.customer}
    told = await joined.faas.json("leave", str(joined.service_id), "--status")
    assert (told["standing"], told["forced_by"]) == ("left", deployment.customer)
    assert f"put out by {deployment.customer}" in told["told"]


# to getExitConfig 0, 0, 0, 1: not the default, no commitment, no queue, may be forced; to all else yes
_ANSWERS_EXIT_CONFIG = (
    f"0x60003560e01c63{membership.GET_EXIT_CONFIG.selector.hex()}14601957"
    "600160005260806000f3"
    "5b600160605260806000f3"
)
