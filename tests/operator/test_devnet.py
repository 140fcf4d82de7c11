"""The real protocol's behaviour on the devnet, and the devnet itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import pytest
from eth_abi.abi import encode

from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.errors import Divergence, FatalError, InvalidRequest, MissingPrerequisite
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.operation import JobKind
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_blueprint.tangle import protocol, staking
from faas_blueprint.tangle.abi import Function
from faas_blueprint.tangle.probe import EPOCHS
from faas_blueprint.tlv import encode_schema
from faas_operator import keystore
from faas_operator.approval import ApprovalPolicy, Approvals
from faas_operator.chain.discovery import active_services
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.epochs import probe_epoch
from faas_operator.devnet import deployment as deployments
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet
from faas_operator.devnet.fixture import pinned_fixture
from faas_operator.registration import Registration

pytestmark = pytest.mark.chain

INPUTS = encode_job(make_job("python", "print(1)"))


async def refusal(call: Awaitable[object]) -> str:
    with pytest.raises(Reverted) as caught:
        await call
    return caught.value.error.name


async def test_a_submitted_job_has_three_topics(chain) -> None:
    deployment = chain.deployment
    call = protocol.submit_job(deployment.service_id, 0, INPUTS)
    receipt = await chain.send(call, deployment.event_rate_wei)
    (log,) = [log for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)]
    assert len(log.topics) == 3
    job = protocol.decode_job_submitted(log)
    assert (job.service_id, job.job_index, job.caller) == (deployment.service_id, 0, deployment.customer)
    assert job.inputs == INPUTS


async def test_a_stranger_may_not_submit(chain) -> None:
    deployment = chain.deployment
    stranger = chain.account(deployment.owner_key)
    call = protocol.submit_job(deployment.service_id, 0, INPUTS)
    assert (
        await refusal(chain.send(call, deployment.event_rate_wei, account=stranger)) == "NotPermittedCaller"
    )


@pytest.mark.parametrize("difference", [-1, 1])
async def test_the_price_is_exact(chain, difference: int) -> None:
    price = chain.deployment.event_rate_wei
    assert await refusal(chain.submit(INPUTS, price + difference)) == "InvalidMsgValue"
    assert await refusal(chain.submit(INPUTS, 0)) == "InvalidMsgValue"


async def test_inputs_must_fit_the_schema(chain) -> None:
    abi_encoded = encode(["string", "string"], ["python", "print(1)"])
    for inputs in (abi_encoded, INPUTS[:-1], INPUTS + b"\0", b""):
        assert await refusal(chain.submit(inputs)) == "SchemaValidationFailed"


@pytest.mark.parametrize("kind", JobKind)
async def test_inputs_of_every_job_must_fit_its_schema(kind, chain) -> None:
    for inputs in (b"", b"\xff", INPUTS[:-1]):
        assert await refusal(chain.submit(inputs, job_index=kind)) == "SchemaValidationFailed"


async def test_there_are_twelve_jobs(chain) -> None:
    call = protocol.submit_job(chain.deployment.service_id, 12, INPUTS)
    assert await refusal(chain.send(call)) in ("InvalidJobIndex", "InvalidMsgValue")


async def test_the_epoch_and_the_definition(chain) -> None:
    deployment = chain.deployment
    epoch = await probe_epoch(chain.rpc, deployment.tangle)
    assert epoch.name == deployment.epoch == "0.10"
    stored = await chain.rpc.read(deployment.tangle, epoch.blueprint(deployment.blueprint_id))
    definition = faas_blueprint_definition()
    assert stored.manager == deployment.manager
    assert stored.event_rate_wei == definition.event_rate_wei == deployment.event_rate_wei
    assert [job.parameters for job in stored.jobs] == [
        encode_schema(job.parameters) for job in definition.jobs
    ]
    with pytest.raises(FatalError):
        await probe_epoch(chain.rpc, deployment.manager)
    with pytest.raises(FatalError):
        await probe_epoch(chain.rpc, deployment.customer)


async def test_the_blueprint_fits_into_one_transaction(chain) -> None:
    deployment, definition = chain.deployment, faas_blueprint_definition()
    epoch = await probe_epoch(chain.rpc, deployment.tangle)
    call = epoch.create_blueprint(definition, ZERO_ADDRESS, b"\1" * 32)
    query = {"from": deployment.owner, "to": deployment.tangle, "data": "0x" + call.hex()}
    gas = int(await chain.rpc.request("eth_estimateGas", query), 16)
    assert gas < 1 << 24, "the most that chains with EIP-7825 allow"


async def test_the_other_epochs_calls_are_not_taken(chain) -> None:
    call = EPOCHS["0.19"].approve_service(0)
    assert await refusal(chain.send(call)) == "UnknownSelector"


async def test_a_service_is_found_by_its_blueprint(chain) -> None:
    deployment = chain.deployment
    (found,) = await active_services(chain.rpc, deployment.tangle, deployment.blueprint_id)
    assert found.service_id == deployment.service_id
    assert found.operators == (deployment.operator,)
    assert found.activated_in_block == deployment.first_block
    assert found.service.owner == deployment.customer
    permitted = protocol.is_permitted_caller(found.service_id, deployment.customer)
    assert await chain.rpc.read(deployment.tangle, permitted)
    assert await active_services(chain.rpc, deployment.tangle, 77) == []


async def test_a_terminated_service_is_not_found(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    await fresh_chain.send(protocol.TERMINATE_SERVICE.encode(deployment.service_id))
    assert await active_services(fresh_chain.rpc, deployment.tangle, deployment.blueprint_id) == []


async def test_the_operators_key_is_the_staked_one(chain) -> None:
    deployment = chain.deployment
    operator = keystore.load(Path(deployment.operator_keystore), deployment.operator_password)
    assert address(operator.address) == deployment.operator
    assert await chain.rpc.read(deployment.staking, staking.is_operator_active(deployment.operator))


async def test_registering_again_changes_nothing(chain) -> None:
    deployment = chain.deployment
    operator = chain.operator()
    epoch = EPOCHS[deployment.epoch]
    sender = chain.sender(operator)
    registration = Registration(chain.rpc, sender, epoch, deployment.tangle, deployment.staking)
    before = (await chain.rpc.head()).block
    await registration.stake(1)
    await registration.register(deployment.blueprint_id, keystore.public_key(operator), "http://127.0.0.1")
    assert await registration.approve_all(deployment.blueprint_id, ApprovalPolicy()) == Approvals((), {})
    assert (await chain.rpc.head()).block == before


async def test_requests_are_found_and_approved(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    operator = fresh_chain.operator()
    sender = fresh_chain.sender(operator)
    epoch = EPOCHS[deployment.epoch]
    registration = Registration(fresh_chain.rpc, sender, epoch, deployment.tangle, deployment.staking)
    await fresh_chain.send(protocol.request_service(deployment.blueprint_id, (deployment.operator,), ()))
    approvals = await registration.approve_all(deployment.blueprint_id, ApprovalPolicy())
    assert (len(approvals.approved), approvals.refused) == (1, {})
    found = await active_services(fresh_chain.rpc, deployment.tangle, deployment.blueprint_id)
    assert [service.service_id for service in found] == [deployment.service_id + 1, deployment.service_id]


async def test_only_what_the_policy_allows_is_approved_and_it_says_why(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    sender, epoch = fresh_chain.sender(fresh_chain.operator()), EPOCHS[deployment.epoch]
    registration = Registration(fresh_chain.rpc, sender, epoch, deployment.tangle, deployment.staking)
    for _ in range(3):
        await fresh_chain.send(protocol.request_service(deployment.blueprint_id, (deployment.operator,), ()))

    async def approve(*policy: object) -> Approvals:
        return await registration.approve_all(deployment.blueprint_id, ApprovalPolicy(*policy))

    customer, other = deployment.customer, address("0x" + "01" * 20)
    strangers = await approve(frozenset({other}))
    assert strangers.approved == ()
    ids = list(strangers.refused)
    assert len(ids) == 3
    assert all(customer in reason for reason in strangers.refused.values())
    full = await approve(frozenset(), 1)  # the devnet's own service is open
    assert (full.approved, list(full.refused)) == ((), ids)
    second = await approve(frozenset({customer, other}), 2)
    assert (second.approved, list(second.refused)) == ((ids[0],), ids[1:])
    assert "FAAS_SERVICES_AT_MOST is 2" in second.refused[ids[1]]
    assert (await approve()).approved == tuple(ids[1:])


async def test_what_registration_refuses(chain) -> None:
    deployment = chain.deployment
    sender = chain.sender()
    epoch = EPOCHS[deployment.epoch]
    registration = Registration(chain.rpc, sender, epoch, deployment.tangle, deployment.staking)
    with pytest.raises(InvalidRequest, match="needed"):
        await registration.stake(10**30)
    key = keystore.public_key(chain.account())
    with pytest.raises(InvalidRequest, match="OperatorNotActive"):
        await registration.register(deployment.blueprint_id, key, "http://127.0.0.1")
    with pytest.raises(InvalidRequest, match="approving request 0"):
        await registration.approve(0)


async def test_a_stranger_cannot_use_the_manager(chain) -> None:
    """Neither a hook nor a blueprint of somebody else's with our manager in it."""
    deployment = chain.deployment
    hook = Function("onBlueprintCreated", ("uint64", "address", "address"))
    call = hook.encode(9, deployment.customer, deployment.tangle)
    with pytest.raises(Reverted):
        await chain.send(call, to=deployment.manager)
    theirs = EPOCHS[deployment.epoch].create_blueprint(
        faas_blueprint_definition(), deployment.manager, b"\1" * 32
    )
    assert await refusal(chain.send(theirs)) == "ManagerReverted"


async def test_a_second_devnet_starts_fast(faas_home: Path, devnet: Deployment) -> None:
    started = time.monotonic()
    async with Devnet(faas_home) as deployment:
        assert time.monotonic() - started < 2
        assert deployment.rpc_url != devnet.rpc_url
        assert deployment.operator == devnet.operator
        assert deployments.from_json(deployments.to_json(deployment)) == deployment


async def test_from_nothing(faas_home: Path, tmp_path: Path) -> None:
    """Replay, provisioning and cache in an empty home, with the fixture given as a path."""
    lines: list[str] = []
    fixture = pinned_fixture(faas_home)
    async with Devnet(tmp_path, fixture=fixture, chain_id=84532, progress=lines.append) as deployment:
        assert deployment.chain_id == 84532
    assert any("every receipt as recorded" in line for line in lines)
    lines.clear()
    async with Devnet(tmp_path, fixture=fixture, chain_id=84532, progress=lines.append) as again:
        assert again.operator == deployment.operator
    assert lines == ["loaded the chain's state from the cache"]


async def test_a_replay_that_differs_is_evidence(faas_home: Path, tmp_path: Path) -> None:
    broadcast = json.loads(pinned_fixture(faas_home).read_bytes())
    broadcast["receipts"][5]["logs"].append(broadcast["receipts"][50]["logs"][0])
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(broadcast))
    with pytest.raises(Divergence, match=r"transaction 5 .* logs"):
        await Devnet(tmp_path, fixture=changed).start()


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="setup-chain"):
        await Devnet(tmp_path).start()
    tampered = tmp_path / "tangle/localtestnet-broadcast.json"
    tampered.parent.mkdir()
    tampered.write_text("{}")
    with pytest.raises(FatalError, match="SHA-256"):
        await Devnet(tmp_path).start()
    with pytest.raises(FatalError, match="not a Foundry broadcast"):
        await Devnet(tmp_path, fixture=tampered).start()


def test_anvil_dies_with_its_parent(faas_home: Path, devnet: Deployment) -> None:
    program = (
        "import asyncio, sys, time\n"
        "from pathlib import Path\n"
        "from faas_operator.devnet.devnet import Devnet\n"
        "devnet = Devnet(Path(sys.argv[1]))\n"
        "asyncio.run(devnet.start())\n"
        "print(devnet.anvil.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, faas_home], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        anvil = int(parent.stdout.readline())
        os.kill(anvil, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while _alive(anvil):
        assert time.monotonic() < deadline, "anvil outlived its parent"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_port_that_is_taken(faas_home: Path, devnet: Deployment) -> None:
    port = int(devnet.rpc_url.rsplit(":", 1)[1])
    taken = Devnet(faas_home, port=port)
    with pytest.raises(FatalError, match=r"anvil exited with 1[^0-9]"):
        await taken.start()
    assert taken.anvil is None
    taken.stop()
