"""Agreement of three operators through the real protocol: quorum, liar, window, evidence, callbacks."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_keys.datatypes import PrivateKey

from faas_blueprint.agreement import agreement_digest, contradict
from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256, sha256
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import Address, CallReference, Receipt, address, recover_signer
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle import evidence, protocol, service_manager
from faas_blueprint.tangle.abi import Event, Function, as_int
from faas_blueprint.tangle.service_manager import Assurance, Standing
from faas_operator import keystore
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionReceipt
from faas_operator.devnet.devnet import Devnet
from faas_operator.devnet.provision import OPERATOR_STAKE, BaseSnapshot, fund_operator
from faas_operator.registration import Registration
from faas_operator.signer import Signer

pytestmark = pytest.mark.chain

INPUTS = encode_job(make_job("python", "print(1)"))
PROFILE, SNAPSHOT = sha256(b"profile"), sha256(b"snapshot")
TRUTH, LIE = b"1\n", b"2\n"
CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
FORGE = CONTRACTS / "lib/@foundry-rs/forge-linux-amd64/bin/forge"
JOIN_SERVICE = Function("joinServiceWithCommitments", ("uint64", "uint16", "((uint8,address),uint16)[]"))
WINDOW = 3600


@dataclass
class Trio:
    """A service with three operators on a devnet of its own."""

    chain: object
    service_id: int
    operators: tuple[LocalAccount, ...]

    async def submit(self) -> CallReference:
        deployment = self.chain.deployment
        call = protocol.submit_job(self.service_id, 0, INPUTS)
        receipt = await self.chain.send(call, deployment.event_rate_wei)
        job = protocol.decode_job_submitted(
            next(log for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log))
        )
        return CallReference(deployment.chain_id, deployment.tangle, job.service_id, job.call_id)

    def receipt(self, number: int, call: CallReference, text: bytes) -> tuple[Receipt, Outcome, bytes]:
        outcome = Outcome(Status.EXITED, 0, 0, 1000, Stream(text), Stream(), sha256(text))
        receipt, signature = Signer.from_account(self.operators[number]).attest(
            profile_id=PROFILE,
            snapshot=SNAPSHOT,
            job_digest=keccak256(INPUTS),
            outcome=outcome,
            call=call,
        )
        return receipt, outcome, signature

    async def post(self, number: int, call: CallReference, text: bytes) -> TransactionReceipt:
        payload = encode_result(make_result(*self.receipt(number, call, text)))
        posting = protocol.submit_result(call.service_id, call.call_id, payload)
        return await self.chain.send(posting, account=self.operators[number])

    async def bring(self, number: int, call: CallReference, text: bytes) -> TransactionReceipt:
        receipt, _, signature = self.receipt(number, call, text)
        return await self.manage(service_manager.bring_receipt(receipt, signature))

    async def manage(self, call: bytes) -> TransactionReceipt:
        """A call to the manager by the customer, who is a stranger to it but for their own service."""
        return await self.chain.send(call, to=self.chain.deployment.manager)

    async def standing(self, call: CallReference) -> Standing:
        return (await self.kept(call)).standing

    async def kept(self, call: CallReference) -> service_manager.ManagedCall:
        read = service_manager.call_of(call.service_id, call.call_id)
        return await self.chain.rpc.read(self.chain.deployment.manager, read)

    async def completed(self, call: CallReference) -> bool:
        epoch = await probe_epoch(self.chain.rpc, call.tangle)
        job = await self.chain.rpc.read(call.tangle, epoch.job_call(call.service_id, call.call_id))
        return job.completed

    async def is_odd(self, call: CallReference, number: int) -> bool:
        read = service_manager.is_odd_one_out(call.service_id, call.call_id, self.name(number))
        return await self.chain.rpc.read(self.chain.deployment.manager, read)

    def name(self, number: int) -> Address:
        return address(self.operators[number].address)

    async def pass_time(self, seconds: int) -> None:
        await self.chain.rpc.request("evm_increaseTime", seconds)
        await self.chain.rpc.request("evm_mine")


async def new_operator(chain) -> LocalAccount:
    deployment = chain.deployment
    account: LocalAccount = Account.create()
    await fund_operator(chain.rpc, deployment.staking, address(account.address), OPERATOR_STAKE)
    registration = await registration_of(chain, account)
    await registration.stake(OPERATOR_STAKE)
    await registration.register(
        deployment.blueprint_id, keystore.public_key(account), "http://127.0.0.1:8080"
    )
    return account


async def registration_of(chain, account: LocalAccount) -> Registration:
    deployment = chain.deployment
    epoch = await probe_epoch(chain.rpc, deployment.tangle)
    return Registration(chain.rpc, chain.sender(account), epoch, deployment.tangle, deployment.staking)


async def trio_on(chain, assurance: Assurance, *, callers: tuple[Address, ...] = ()) -> Trio:
    operators = (chain.operator(), await new_operator(chain), await new_operator(chain))
    request = protocol.request_service(
        chain.deployment.blueprint_id,
        tuple(address(operator.address) for operator in operators),
        callers,
        configuration=service_manager.service_configuration(assurance),
    )
    requested = await chain.send(request)
    log = next(log for log in requested.logs if protocol.SERVICE_REQUESTED.matches(log))
    request_id = protocol.decode_service_requested(log).request_id
    for operator in operators:
        approved = await (await registration_of(chain, operator)).approve(request_id)
    log = next(log for log in approved.logs if protocol.SERVICE_ACTIVATED.matches(log))
    service_id = protocol.decode_service_activated(log).service_id
    chosen = await chain.rpc.read(chain.deployment.manager, service_manager.assurance_of(service_id))
    assert chosen == assurance
    return Trio(chain, service_id, operators)


def found(event: Event, receipt: TransactionReceipt) -> list:
    return [log for log in receipt.logs if event.matches(log)]


async def hook_failures(chain) -> list:
    failed = Event("ManagerHookFailed", ("address", "bytes4", "bytes"), (0, 1))
    head = (await chain.rpc.head()).block.number
    return await chain.rpc.logs(chain.deployment.tangle, (failed.topic,), 0, head)


async def test_two_of_three_agree_and_one_lies(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance(agreeing=2, answers=3))
    call = await trio.submit()
    assert found(protocol.JOB_COMPLETED, await trio.post(0, call, TRUTH)) == []
    assert found(protocol.JOB_COMPLETED, await trio.post(1, call, LIE)) == []
    assert await trio.standing(call) is Standing.OPEN
    posted = await trio.post(2, call, TRUTH)
    truth, lie = trio.receipt(0, call, TRUTH)[0], trio.receipt(1, call, LIE)[0]

    (log,) = found(service_manager.CALL_FINALISED, posted)
    finalised = service_manager.decode_finalised(log)
    assert (finalised.service_id, finalised.call_id) == (call.service_id, call.call_id)
    assert (finalised.agreement, finalised.votes) == (agreement_digest(truth), 2)
    (log,) = found(service_manager.ODD_ONE_OUT, posted)
    odd = service_manager.decode_odd_one_out(log)
    assert (odd.operator, odd.agreement) == (trio.name(1), agreement_digest(lie))
    assert len(found(protocol.JOB_COMPLETED, posted)) == 1
    assert await trio.completed(call)
    assert [await trio.is_odd(call, number) for number in range(3)] == [False, True, False]
    manager = fresh_chain.deployment.manager
    assert await fresh_chain.rpc.read(manager, service_manager.is_established(truth))
    assert not await fresh_chain.rpc.read(manager, service_manager.is_established(lie))
    assert await hook_failures(fresh_chain) == []


async def test_without_agreement_the_job_still_ends(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance(agreeing=2, answers=3))
    call = await trio.submit()
    for number, text in enumerate((TRUTH, LIE, b"3\n")):
        posted = await trio.post(number, call, text)
    assert len(found(service_manager.CALL_UNDECIDED, posted)) == 1
    assert await trio.standing(call) is Standing.UNDECIDED
    assert await trio.completed(call)


async def test_a_result_shown_with_too_little_gas_completes_nothing(fresh_chain) -> None:
    """From what a result needs, down to what it fails with: never a completed job without an answer."""
    trio = await trio_on(fresh_chain, Assurance())
    call = await trio.submit()
    payload = encode_result(make_result(*trio.receipt(0, call, TRUTH)))
    posting = protocol.submit_result(call.service_id, call.call_id, payload)
    rpc, operator = fresh_chain.rpc, trio.operators[0]
    await rpc.request("anvil_impersonateAccount", operator.address)
    for gas in range(900_000, 150_000, -50_000):
        snapshot = await rpc.request("evm_snapshot")
        fields = {"from": operator.address, "to": call.tangle, "data": "0x" + posting.hex(), "gas": hex(gas)}
        await rpc.request("eth_sendTransaction", fields)
        await rpc.request("evm_mine")
        assert not await trio.completed(call) or await trio.standing(call) is Standing.FINAL
        await rpc.request("evm_revert", snapshot)


async def test_a_challenged_proposal_is_overruled(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance(answers=1, window_seconds=WINDOW))
    call = await trio.submit()
    posted = await trio.post(0, call, LIE)
    assert len(found(service_manager.RESULT_PROPOSED, posted)) == 1
    assert await trio.completed(call)  # Tangle takes no more results; receipts go to the manager
    assert found(service_manager.RESULT_DISPUTED, await trio.bring(1, call, TRUTH))
    assert found(service_manager.CALL_FINALISED, await trio.bring(2, call, TRUTH))
    assert await trio.is_odd(call, 0)


async def test_an_unchallenged_proposal_is_final_after_its_window(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance(answers=1, window_seconds=WINDOW))
    call = await trio.submit()
    await trio.post(0, call, TRUTH)
    with pytest.raises(Reverted):
        await trio.manage(service_manager.settle(call.service_id, call.call_id))
    await trio.pass_time(WINDOW)
    with pytest.raises(Reverted):
        await trio.bring(1, call, LIE)
    settled = await trio.manage(service_manager.settle(call.service_id, call.call_id))
    assert found(service_manager.CALL_FINALISED, settled)
    assert (await trio.kept(call)).votes == 1


async def test_equivocation_is_slashed_by_the_protocol(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance())
    call = await trio.submit()
    first, _, first_signature = trio.receipt(1, call, TRUTH)
    second, _, second_signature = trio.receipt(1, call, LIE)
    assert contradict(first, second)
    proof = evidence.prove_equivocation(first, first_signature, second, second_signature)
    proven = await trio.manage(proof)
    (log,) = found(protocol.SLASH_PROPOSED, proven)
    _, service_id, operator, proposer, share, _, digest, _ = protocol.SLASH_PROPOSED.decode(log)
    assert (service_id, operator, share) == (call.service_id, trio.name(1), 10_000)
    assert proposer == fresh_chain.deployment.manager
    assert digest == keccak256(agreement_digest(first) + agreement_digest(second))
    assert len(found(evidence.EQUIVOCATION_PROVEN, proven)) == 1
    with pytest.raises(Reverted):
        await trio.manage(proof)
    other = replace(first, job_digest=ZERO_DIGEST)
    signed = Signer.from_account(trio.operators[1]).sign(other)
    with pytest.raises(Reverted):
        await trio.manage(evidence.prove_equivocation(other, signed, second, second_signature))


async def test_a_refuted_receipt_is_slashed_by_the_protocol(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance(agreeing=2, answers=3))
    call = await trio.submit()
    for number, text in enumerate((TRUTH, LIE, TRUTH)):
        await trio.post(number, call, text)
    established = trio.receipt(0, call, TRUTH)[0]
    refuted, _, signature = trio.receipt(1, call, LIE)
    report = sha256(b"the bisection's report")
    digest = evidence.refutation_digest(fresh_chain.deployment.manager, refuted, established, report)
    witnesses = sorted(
        ((trio.name(number), sign(trio.operators[number], digest)) for number in (0, 2)),
    )
    signatures = [signed for _, signed in witnesses]
    with pytest.raises(Reverted):
        await trio.manage(evidence.prove_refuted(refuted, signature, established, report, signatures[:1]))
    proven = await trio.manage(evidence.prove_refuted(refuted, signature, established, report, signatures))
    (log,) = found(protocol.SLASH_PROPOSED, proven)
    values = protocol.SLASH_PROPOSED.decode(log)
    assert (values[2], values[4]) == (trio.name(1), 2_500)


@pytest.fixture(scope="module")
def job_caller() -> bytes:
    """The code of a contract that submits jobs."""
    subprocess.run([FORGE, "build", "--quiet"], cwd=CONTRACTS, check=True, timeout=300)
    built = json.loads((CONTRACTS / "out/JobCaller.sol/JobCaller.json").read_text())
    return bytes.fromhex(built["bytecode"]["object"].removeprefix("0x"))


async def test_a_contract_is_told(fresh_chain, job_caller: bytes) -> None:
    """In the transaction of the deciding result; or later, when it would not listen then."""
    deployment = fresh_chain.deployment
    arguments = encode(["address", "address"], [deployment.tangle, deployment.manager])
    contract = (await fresh_chain.sender().send(None, job_caller + arguments)).contract
    trio = await trio_on(fresh_chain, Assurance(agreeing=2, answers=3), callers=(contract,))
    submit = Function("submit", ("uint64", "bytes")).encode(trio.service_id, INPUTS)
    told = Function("told", ("uint64", "uint64"), ("uint256",))

    for call_id, busy in enumerate((False, True)):
        await fresh_chain.send(submit, deployment.event_rate_wei, to=contract)
        await fresh_chain.send(Function("setBusy", ("bool",)).encode(busy), to=contract)
        call = CallReference(deployment.chain_id, deployment.tangle, trio.service_id, call_id)
        await trio.post(0, call, TRUTH)
        posted = await trio.post(1, call, TRUTH)
        (log,) = found(service_manager.CALLBACK_ATTEMPTED, posted)
        values = service_manager.CALLBACK_ATTEMPTED.decode(log)
        assert values == (call.service_id, call_id, contract, not busy)
        assert await trio.completed(call)
        if busy:
            await fresh_chain.send(Function("setBusy", ("bool",)).encode(False), to=contract)
            await trio.manage(service_manager.deliver_callback(call.service_id, call_id))
        assert await fresh_chain.rpc.read(contract, told.read(as_int, call.service_id, call_id)) == 1
        with pytest.raises(Reverted):
            await trio.manage(service_manager.deliver_callback(call.service_id, call_id))
    assert await hook_failures(fresh_chain) == []


async def test_nobody_joins_whom_the_owner_has_not_admitted(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    stranger = await new_operator(fresh_chain)
    commitments = (((1, deployment.bond_token), 1000),)
    join = JOIN_SERVICE.encode(deployment.service_id, 10_000, commitments)
    with pytest.raises(Reverted, match="Unauthorized"):
        await fresh_chain.send(join, account=stranger)
    admit = service_manager.admit_operator(deployment.service_id, address(stranger.address))
    with pytest.raises(Reverted):
        await fresh_chain.send(admit, account=stranger, to=deployment.manager)
    await fresh_chain.send(admit, to=deployment.manager)
    await fresh_chain.send(join, account=stranger)
    serves = protocol.is_service_operator(deployment.service_id, address(stranger.address))
    assert await fresh_chain.rpc.read(deployment.tangle, serves)


async def test_only_the_services_owner_chooses(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    choice = service_manager.set_assurance(deployment.service_id, Assurance(registered_only=True))
    owner = fresh_chain.account(deployment.owner_key)  # of the blueprint, not of the service
    with pytest.raises(Reverted):
        await fresh_chain.send(choice, account=owner, to=deployment.manager)
    with pytest.raises(Reverted):  # there is one operator
        await fresh_chain.send(
            service_manager.set_assurance(deployment.service_id, Assurance(2, 2)), to=deployment.manager
        )
    await fresh_chain.send(choice, to=deployment.manager)
    chosen = service_manager.assurance_of(deployment.service_id)
    assert (await fresh_chain.rpc.read(deployment.manager, chosen)).registered_only


async def test_a_request_for_what_cannot_be_had_is_refused(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    for configuration in (b"nonsense", service_manager.service_configuration(Assurance(2, 3))):
        request = protocol.request_service(
            deployment.blueprint_id, (deployment.operator,), (), configuration=configuration
        )
        with pytest.raises(Reverted, match="ManagerReverted"):
            await fresh_chain.send(request)


async def test_a_given_base_snapshot_is_registered(faas_home: Path) -> None:
    snapshot = BaseSnapshot(PROFILE, SNAPSHOT)
    async with Devnet(faas_home, base_snapshot=snapshot) as deployment, Rpc(deployment.rpc_url) as rpc:
        assert await rpc.read(deployment.manager, service_manager.is_profile(PROFILE))
        assert await rpc.read(deployment.manager, service_manager.is_snapshot(SNAPSHOT))


def sign(account: LocalAccount, digest: Digest) -> bytes:
    signature = PrivateKey(bytes(account.key)).sign_msg_hash(digest).to_bytes()
    return signature[:64] + bytes([27 + signature[64]])


def test_receipts_here_are_properly_signed() -> None:
    account: LocalAccount = Account.create()
    call = CallReference(31337, address("0x" + "44" * 20), 1, 2)
    trio = Trio(None, 1, (account,))
    receipt, _, signature = trio.receipt(0, call, TRUTH)
    assert recover_signer(receipt, signature) == address(account.address)
