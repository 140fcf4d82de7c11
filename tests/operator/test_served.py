"""Which services an operator serves, found on the devnet."""

from __future__ import annotations

import asyncio

import pytest
from operator_on_devnet import ask, new_blueprint, registration

from faas_blueprint.definition import Pricing
from faas_blueprint.tangle import protocol
from faas_operator.chain.served import SETTLED_SECONDS

pytestmark = pytest.mark.chain


async def serve(chain, blueprint_id: int | None = None) -> int:
    """A new service of the devnet's operator; its id."""
    await registration(chain).approve(await ask(chain, blueprint_id=blueprint_id))
    return await chain.rpc.read(chain.deployment.tangle, protocol.service_count()) - 1


async def pass_time(chain, seconds: int) -> None:
    await chain.rpc.request("evm_increaseTime", hex(seconds))
    await chain.rpc.request("anvil_mine", "0x1")


async def test_only_open_ones_of_the_blueprint(fresh_chain) -> None:
    first = fresh_chain.deployment.service_id
    async with await fresh_chain.adapter() as adapter:
        assert await adapter.served.ids() == [first]
        await serve(fresh_chain, await new_blueprint(fresh_chain, Pricing.PAY_ONCE))
        ours = await serve(fresh_chain)
        assert await asyncio.gather(*(adapter.served.ids() for _ in range(4))) == [[first, ours]] * 4
        await fresh_chain.send(protocol.TERMINATE_SERVICE.encode(ours))
        assert await adapter.served.ids() == [first]
    async with await fresh_chain.adapter(fresh_chain.account(fresh_chain.deployment.customer_key)) as other:
        assert await other.served.ids() == []


async def test_old_ones_of_other_blueprints_are_looked_at_once(fresh_chain, monkeypatch) -> None:
    first = fresh_chain.deployment.service_id
    await serve(fresh_chain, await new_blueprint(fresh_chain, Pricing.PAY_ONCE))
    ours = await serve(fresh_chain)
    async with await fresh_chain.adapter() as adapter:
        await pass_time(fresh_chain, SETTLED_SECONDS)
        assert await adapter.served.ids() == [first, ours]
        looked_at, read = [], adapter.rpc.read

        async def noted(target, call, *arguments):
            looked_at.append(call)
            return await read(target, call, *arguments)

        monkeypatch.setattr(adapter.rpc, "read", noted)
        assert await adapter.served.ids() == [first, ours]
        assert len(looked_at) == 5  # how many there are; each of the two, and whether the operator serves it
        young = await serve(fresh_chain)
        assert await adapter.served.ids() == [first, ours, young]


async def test_after_a_reorganisation_an_id_may_be_the_blueprints(fresh_chain) -> None:
    first = fresh_chain.deployment.service_id
    foreign = await new_blueprint(fresh_chain, Pricing.PAY_ONCE)
    async with await fresh_chain.adapter() as adapter:
        before = await fresh_chain.rpc.request("evm_snapshot")
        gone = await serve(fresh_chain, foreign)
        assert await adapter.served.ids() == [first]
        await fresh_chain.rpc.request("evm_revert", before)
        assert await serve(fresh_chain) == gone
        assert await adapter.served.ids() == [first, gone]
