"""Service requests answered on the real contracts, by the running node and by hand."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from operator_on_devnet import Commands, ask, new_blueprint, registration
from prometheus_client import generate_latest

from faas_blueprint.definition import Pricing
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_blueprint.tangle import protocol, service_request, staking
from faas_blueprint.tangle.abi import Function
from faas_operator.approver import Approver
from faas_operator.chain.discovery import active_services
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.requests import WINDOW_SECONDS
from faas_operator.devnet.provision import anvil_account
from faas_operator.devnet.shared_service import register_operator
from faas_operator.happenings import HAPPENINGS
from faas_operator.node import Node, approval_policy
from faas_operator.settings import Settings
from faas_operator.store import Store

pytestmark = pytest.mark.chain

ALL_IS_ENOUGH = {"approval_floor_percent": 0}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def approving(chain, *, blueprint_id=None, account=None, on_duty=True, **settings):
    """An approver, and its clock."""
    deployment = chain.deployment
    place = deployment.blueprint_id if blueprint_id is None else blueprint_id
    operator = account or chain.operator()
    async with await EvmAdapter.connect(
        deployment.rpc_url, deployment.tangle, place, operator, attempts=2
    ) as adapter:
        made, clock = Settings(**settings), Clock()
        yield Approver(adapter, approval_policy(made), made, clock, lambda: on_duty), clock


async def standing(chain, request_id: int):
    return await chain.rpc.read(chain.deployment.tangle, service_request.service_request(request_id))


async def is_approved(chain, request_id: int) -> bool:
    return (await standing(chain, request_id)).approval_count == 1


async def nonce(chain, account: str | None = None) -> int:
    name = account or chain.deployment.operator
    return int(await chain.rpc.request("eth_getTransactionCount", name, "latest"), 16)


def gauge(verdict: str) -> float | None:
    return HAPPENINGS.get_sample_value("faas_service_requests", {"verdict": verdict})


async def test_what_the_policy_allows_is_approved_once(fresh_chain, caplog) -> None:
    caplog.set_level(logging.INFO, "faas_operator.approver")
    deployment = fresh_chain.deployment
    request_id = await ask(fresh_chain)
    async with approving(fresh_chain) as (approver, clock):
        await approver.once()
        assert await is_approved(fresh_chain, request_id)
        found = await active_services(fresh_chain.rpc, deployment.tangle, deployment.blueprint_id)
        assert [item.service_id for item in found] == [deployment.service_id + 1, deployment.service_id]
        sent = await nonce(fresh_chain)
        for _ in range(3):
            clock.now += 3600
            await fresh_chain.rpc.request("anvil_mine", "0x1")
            await approver.once()
    async with approving(fresh_chain) as (approver, _):  # a node that starts again
        await approver.once()
    assert await nonce(fresh_chain) == sent
    assert [record.message for record in caplog.records] == ["service request approved"]
    assert caplog.records[0].faas_fields == {"request": request_id}


async def test_what_it_refuses_costs_nothing_and_is_told_once(fresh_chain, caplog) -> None:
    caplog.set_level(logging.INFO, "faas_operator.approver")
    deployment = fresh_chain.deployment
    before = await nonce(fresh_chain)
    request_id = await ask(fresh_chain)
    # the devnet's jobs pay 10^15 each: enough for the dearest, not for 535 percent of it
    async with approving(fresh_chain, approval_floor_percent=535) as (approver, clock):
        for _ in range(3):
            await approver.once()
            clock.now += 3600
        assert (gauge("refused"), gauge("approved")) == (1, 0)
        assert b'faas_service_requests{verdict="refused"} 1.0' in generate_latest(HAPPENINGS)
    assert await nonce(fresh_chain) == before
    assert not await is_approved(fresh_chain, request_id)
    (record,) = caplog.records
    fields = record.faas_fields
    assert (record.levelname, fields["request"], fields["requester"]) == (
        "WARNING",
        request_id,
        deployment.customer,
    )
    assert fields["reason"].startswith("job 0 pays 1000000000000000, the floor is 100")
    assert fields["todo"].endswith(f"faas operator approve {request_id}")
    async with approving(fresh_chain, approval_floor_percent=534) as (approver, _):
        await approver.once()
    assert await is_approved(fresh_chain, request_id)
    assert (gauge("refused"), gauge("approved")) == (0, 1)


async def test_it_takes_services_up_to_its_capacity_and_more_when_one_ends(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    first, second = await ask(fresh_chain), await ask(fresh_chain)
    async with approving(fresh_chain, services_at_most=2, **ALL_IS_ENOUGH) as (approver, clock):
        await approver.once()
        assert [await is_approved(fresh_chain, item) for item in (first, second)] == [True, False]
        await fresh_chain.send(protocol.TERMINATE_SERVICE.encode(deployment.service_id))
        await approver.once()  # it was looked at a moment ago
        assert not await is_approved(fresh_chain, second)
        clock.now += 60
        await approver.once()
        assert await is_approved(fresh_chain, second)


async def test_a_request_that_waits_for_others_counts_as_served(fresh_chain, tmp_path) -> None:
    deployment = fresh_chain.deployment
    other = anvil_account(7)
    await register_operator(fresh_chain.rpc, deployment, other)
    shared = await ask(fresh_chain, operators=(deployment.operator, address(other.address)))
    alone = await ask(fresh_chain)
    async with approving(fresh_chain, services_at_most=2, **ALL_IS_ENOUGH) as (approver, _):
        await approver.once()
        assert [await is_approved(fresh_chain, item) for item in (shared, alone)] == [True, False]
    async with approving(fresh_chain, services_at_most=2, **ALL_IS_ENOUGH) as (approver, _):
        await approver.once()  # likewise after a restart
        assert gauge("approved") == 1
    assert not await is_approved(fresh_chain, alone)
    (first, second) = (await Commands(fresh_chain, tmp_path).json("requests"))["requests"]
    assert (first["request_id"], first["standing"], first["policy"]) == (shared, "approved", "done")
    assert (second["request_id"], second["policy"]) == (alone, "approve")


async def test_two_operators_make_it_twice_as_dear(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    other = anvil_account(7)
    await register_operator(fresh_chain.rpc, deployment, other)
    shared = await ask(fresh_chain, operators=(deployment.operator, address(other.address)))
    async with approving(fresh_chain, approval_floor_percent=268) as (approver, _):
        await approver.once()
    assert not await is_approved(fresh_chain, shared)
    async with approving(fresh_chain, approval_floor_percent=267) as (approver, _):
        await approver.once()
    assert await is_approved(fresh_chain, shared)


async def test_others_requests_old_ones_and_other_blueprints_are_let_be(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    other = anvil_account(7)
    await register_operator(fresh_chain.rpc, deployment, other)
    before = await nonce(fresh_chain)
    old = await ask(fresh_chain)
    await fresh_chain.rpc.request("evm_increaseTime", WINDOW_SECONDS + 1)
    foreign = await ask(fresh_chain, operators=(address(other.address),))
    async with approving(fresh_chain, **ALL_IS_ENOUGH) as (approver, _):
        await approver.once()
        assert (gauge("refused"), gauge("approved")) == (0, 0)
    async with approving(fresh_chain, blueprint_id=0, **ALL_IS_ENOUGH) as (approver, _):
        await approver.once()
    assert await nonce(fresh_chain) == before
    assert not await is_approved(fresh_chain, old)
    assert not await is_approved(fresh_chain, foreign)


async def test_it_waits_for_confirmations_and_for_its_turn(fresh_chain) -> None:
    request_id = await ask(fresh_chain)
    async with approving(fresh_chain, on_duty=False) as (approver, _):
        await approver.once()
    assert not await is_approved(fresh_chain, request_id)
    async with approving(fresh_chain, confirmations=3) as (approver, _):
        await approver.once()
        assert not await is_approved(fresh_chain, request_id)
        await fresh_chain.rpc.request("anvil_mine", "0x2")
        await approver.once()
        assert await is_approved(fresh_chain, request_id)


async def test_after_a_reorganisation_it_approves_what_is_there_then(fresh_chain) -> None:
    rpc = fresh_chain.rpc
    async with approving(fresh_chain) as (approver, clock):
        before = await rpc.request("evm_snapshot")
        request_id = await ask(fresh_chain)
        between = await rpc.request("evm_snapshot")
        await approver.once()
        assert await is_approved(fresh_chain, request_id)
        await rpc.request("evm_revert", between)  # the approval is gone, the request is not
        await rpc.request("anvil_mine", "0x3")
        clock.now += 60
        await approver.once()
        assert await is_approved(fresh_chain, request_id)
        await rpc.request("evm_revert", before)  # both are gone, and the id is another request's
        await rpc.request("anvil_mine", "0x3")
        assert await ask(fresh_chain, tee=1) == request_id
        sent = await nonce(fresh_chain)
        clock.now += 60
        await approver.once()
        assert await nonce(fresh_chain) == sent
        assert not await is_approved(fresh_chain, request_id)


async def test_two_at_once_approve_once(fresh_chain) -> None:
    """Such as a person and the node, in the same moment: Tangle takes one, and neither ends over it."""
    request_id = await ask(fresh_chain)
    async with approving(fresh_chain) as (one, first), approving(fresh_chain) as (other, second):
        await asyncio.gather(one.once(), other.once(), return_exceptions=True)
        sent = await nonce(fresh_chain)
        for approver, clock in ((one, first), (other, second)):
            clock.now += 60
            await approver.once()
    assert await is_approved(fresh_chain, request_id)
    assert await nonce(fresh_chain) == sent


async def test_an_approval_that_tangle_refuses_is_told_and_tried_later(
    fresh_chain, caplog, monkeypatch
) -> None:
    """A double of the pre-check, which says yes to a request that was rejected meanwhile."""
    caplog.set_level(logging.WARNING, "faas_operator.approver")
    request_id = await ask(fresh_chain)
    async with approving(fresh_chain) as (approver, clock):
        seen = await approver._requests.look_at(request_id)
        await registration(fresh_chain).reject(request_id)
        sent = await nonce(fresh_chain)

        async def stale(_requests, item: int):
            return seen if item == request_id else None

        monkeypatch.setattr(type(approver._requests), "look_at", stale)
        await approver.once()
        await approver.once()  # not at once again
        (record,) = caplog.records
        assert "ServiceRequestAlreadyProcessed" in str(record.faas_fields["error"])
        clock.now += 0.5
        await approver.once()
        clock.now += 0.5
        await approver.once()
        assert len(caplog.records) == 2
        clock.now += 0.5
        await approver.once()
        assert len(caplog.records) == 3
        assert await nonce(fresh_chain) == sent


async def test_a_view_that_is_not_there_ends_no_node(fresh_chain, caplog, monkeypatch) -> None:
    """A double of an earlier router, which knows no pricing."""
    caplog.set_level(logging.WARNING, "faas_operator.approver")
    request_id = await ask(fresh_chain)
    unknown = Function("noSuchView", ("uint64",), ("uint64",))
    with monkeypatch.context() as patch:
        patch.setattr(service_request, "blueprint_pricing", lambda item: unknown.read(lambda _: None, item))
        async with approving(fresh_chain) as (approver, _):
            await approver.once()
            await approver.once()
    (record,) = caplog.records
    assert "UnknownSelector" in str(record.faas_fields["error"])
    assert not await is_approved(fresh_chain, request_id)


async def test_it_rejects_only_when_told_to_and_only_for_good_reasons(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    enclave, second = await ask(fresh_chain, tee=1), await ask(fresh_chain)
    async with approving(fresh_chain, services_at_most=1) as (approver, _):
        await approver.once()
    assert not (await standing(fresh_chain, enclave)).rejected
    settings = {"services_at_most": 1, "reject_requests": True}
    async with approving(fresh_chain, **settings) as (approver, _):
        await approver.once()
    assert (await standing(fresh_chain, enclave)).rejected
    assert not (await standing(fresh_chain, second)).rejected  # there may be room for it later
    head = (await fresh_chain.rpc.head()).block.number
    topics = (service_request.SERVICE_REJECTED.topic,)
    (entry,) = await fresh_chain.rpc.logs(deployment.tangle, topics, deployment.first_block, head)
    assert service_request.SERVICE_REJECTED.decode(entry.log) == (enclave, deployment.operator)


async def test_services_that_are_paid_once_are_paid_by_the_hour(fresh_chain, caplog) -> None:
    caplog.set_level(logging.WARNING, "faas_operator.approver")
    blueprint_id = await new_blueprint(fresh_chain, Pricing.PAY_ONCE)
    hour = 187_166_625_000_000  # 187,166,625 nanocredits (tests/operator/test_approval.py), 10^6 wei each
    cheap = await ask(fresh_chain, blueprint_id=blueprint_id, ttl=7200, amount=2 * hour - 1)
    endless = await ask(fresh_chain, blueprint_id=blueprint_id, amount=10**18)
    enough = await ask(fresh_chain, blueprint_id=blueprint_id, ttl=7200, amount=2 * hour)
    token = fresh_chain.deployment.payment_token
    await fresh_chain.send(staking.approve(fresh_chain.deployment.tangle, 10**9), to=token)
    foreign = await ask(fresh_chain, blueprint_id=blueprint_id, ttl=7200, token=token, amount=10**9)
    async with approving(fresh_chain, blueprint_id=blueprint_id) as (approver, _):
        await approver.once()
    asked = (cheap, endless, enough, foreign)
    assert [await is_approved(fresh_chain, item) for item in asked] == [False, False, True, False]
    reasons = [record.faas_fields["reason"] for record in caplog.records]
    assert reasons == [
        f"it pays {2 * hour - 1} for 7200 s, the floor is {2 * hour}",
        "it is paid for once and has no end",
        f"it pays in {token}, for which FAAS_CREDIT_RATES has no rate",
    ]
    rates = {"credit_rates": {ZERO_ADDRESS: 10**15, token: 10**6}}
    async with approving(fresh_chain, blueprint_id=blueprint_id, **rates) as (approver, _):
        await approver.once()
    assert await is_approved(fresh_chain, foreign)


async def test_subscriptions_pay_by_the_interval(fresh_chain, caplog) -> None:
    caplog.set_level(logging.WARNING, "faas_operator.approver")
    hour = 187_166_625_000_000
    blueprint_id = await new_blueprint(fresh_chain, Pricing.SUBSCRIPTION, rate=hour, interval=3600)
    paid = await ask(fresh_chain, blueprint_id=blueprint_id, amount=hour)
    unpaid = await ask(fresh_chain, blueprint_id=blueprint_id, amount=hour - 1)
    async with approving(fresh_chain, blueprint_id=blueprint_id, approval_floor_percent=101) as (approver, _):
        await approver.once()
    assert "an interval of 3600 s pays" in caplog.records[0].faas_fields["reason"]
    assert not await is_approved(fresh_chain, paid)
    async with approving(fresh_chain, blueprint_id=blueprint_id) as (approver, _):
        await approver.once()
    assert [await is_approved(fresh_chain, item) for item in (paid, unpaid)] == [True, False]
    assert "the first deposit is" in caplog.records[-1].faas_fields["reason"]


async def test_what_tangle_would_refuse_is_told_as_the_reason(fresh_chain, caplog) -> None:
    """A request for stake in another asset, which this node does not commit."""
    caplog.set_level(logging.WARNING, "faas_operator.approver")
    deployment = fresh_chain.deployment
    wants = ((1, deployment.payment_token), 1000, 10_000)
    await fresh_chain.send(
        REQUEST_WITH_SECURITY.encode(
            deployment.blueprint_id, (deployment.operator,), (wants,), b"", (), 0, ZERO_ADDRESS, 0, 0
        )
    )
    before = await nonce(fresh_chain)
    async with approving(fresh_chain, reject_requests=True) as (approver, _):
        await approver.once()
    (record,) = caplog.records
    assert record.faas_fields["reason"].startswith("SecurityCommitmentsRequired(")
    assert await nonce(fresh_chain) == before


REQUEST_WITH_SECURITY = protocol.Function(
    "requestServiceWithSecurity",
    (
        *("uint64", "address[]", "((uint8,address),uint16,uint16)[]", "bytes", "address[]"),
        *("uint64", "address", "uint256", "uint8"),
    ),
)


async def test_requests_are_listed_with_what_the_policy_says_and_answered_by_hand(
    fresh_chain, tmp_path: Path
) -> None:
    deployment = fresh_chain.deployment
    faas = Commands(fresh_chain, tmp_path, FAAS_APPROVAL_FLOOR_PERCENT="535")
    assert await faas("requests") == (0, "no service request waits for this operator\n")
    first, second = await ask(fresh_chain), await ask(fresh_chain)
    listed = (await faas.json("requests"))["requests"]
    assert [item["request_id"] for item in listed] == [first, second]
    assert listed[0] | {"created_at": 0} == {
        "request_id": first,
        "standing": "open",
        "requester": deployment.customer,
        "created_at": 0,
        "ttl": 0,
        "operators": 1,
        "pricing": "event_driven",
        "asset": ZERO_ADDRESS,
        "amount": 0,
        "rate": 0,
        "interval": 0,
        "job_rates": dict.fromkeys(map(str, range(6)), deployment.event_rate_wei),
        "policy": "refuse",
        "reason": listed[1]["reason"],
    }
    _, text = await faas("requests")
    assert f"request {first}: open, by {deployment.customer}, 1 operators, pays by the job in 0x00" in text
    assert "policy: refuse: job 0 pays 1000000000000000, the floor is" in text

    code, text = await faas("approve", str(first))
    assert code == 0, text
    assert "against the policy: job 0 pays" in text
    assert f"service {deployment.service_id + 1} is active" in text
    assert await is_approved(fresh_chain, first)
    error = await faas.refused("approve", str(first))
    assert error["code"] == "NOT_FOUND"
    assert f"no request {first} of blueprint" in error["message"]

    rejected = await faas.json("reject", str(second))
    assert (rejected["answer"], rejected["service_id"]) == ("rejected", None)
    assert (await standing(fresh_chain, second)).rejected
    assert (await faas.refused("reject", str(second)))["code"] == "NOT_FOUND"
    assert (await faas.json("requests"))["requests"] == []


async def test_the_settings_say_which_node_approves(chain, tmp_path) -> None:
    async with await chain.adapter() as adapter:
        with closing(Store.open(f"sqlite:///{tmp_path}/operator.sqlite")) as store:

            def approver(**settings: object) -> Approver | None:
                return Node(adapter, None, None, store, Settings(home=tmp_path, **settings)).approver()

            assert approver() is not None
            assert approver(approve="none") is None
            assert approver(service_id=chain.deployment.service_id) is None


async def test_registering_approves_by_the_same_policy(fresh_chain) -> None:
    request_id = await ask(fresh_chain)
    settings = Settings(approval_floor_percent=535)
    place = fresh_chain.deployment.blueprint_id
    approvals = await registration(fresh_chain).approve_all(place, approval_policy(settings))
    assert approvals.approved == ()
    assert "the floor is" in approvals.refused[request_id]
    approvals = await registration(fresh_chain).approve_all(place, approval_policy(Settings()))
    assert approvals.approved == (request_id,)
    with pytest.raises(InvalidRequest, match="AlreadyApproved"):
        await registration(fresh_chain).approve(request_id)
