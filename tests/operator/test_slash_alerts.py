"""Slash proposals against the devnet's operator: told of, answered, disputed, on the real contracts."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi.abi import encode
from prometheus_client import generate_latest

from faas_blueprint.agreement import agreement_digest
from faas_blueprint.digests import keccak256
from faas_blueprint.errors import DatabaseUnavailable
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import ZERO_ADDRESS, address, make_receipt
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle import evidence, protocol, slashing
from faas_blueprint.tangle.slashing import SlashProposal, SlashStatus
from faas_operator.chain.slashes import slashes_against, standing_of
from faas_operator.happenings import HAPPENINGS
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.slash_alerts import SlashAlerts, answer_file, answers_folder, prepared
from faas_operator.store import Store

pytestmark = pytest.mark.chain

EVIDENCE = b"\x07" * 32


async def propose(chain) -> int:
    """By the service's owner."""
    deployment = chain.deployment
    call = slashing.PROPOSE_SLASH.encode(deployment.service_id, deployment.operator, 1000, EVIDENCE)
    logs = (await chain.send(call)).logs
    return int(protocol.SLASH_PROPOSED.find(logs)[0])


@asynccontextmanager
async def watching(chain, tmp_path: Path, on_duty: bool = True, **settings):
    async with await chain.adapter() as adapter:
        with closing(Store.open(f"sqlite:///{tmp_path}/operator.sqlite")) as store:
            made = Settings(home=tmp_path, start_block=chain.deployment.first_block, **settings)
            yield SlashAlerts(adapter, store, "test", made, lambda: on_duty)


def answers(chain, tmp_path: Path) -> Path:
    return answers_folder(tmp_path, chain.deployment.chain_id, chain.deployment.tangle)


def gauge(standing: str) -> float | None:
    return HAPPENINGS.get_sample_value("faas_slash_proposals", {"standing": standing})


async def test_a_proposal_is_told_once_with_an_answer_laid_ready(fresh_chain, tmp_path, caplog) -> None:
    caplog.set_level(logging.ERROR, "faas_operator.slash_alerts")
    deployment = fresh_chain.deployment
    async with watching(fresh_chain, tmp_path) as alerts:
        await alerts.once()
        assert not caplog.records
        assert gauge("pending") == 0
        slash_id = await propose(fresh_chain)
        await alerts.once()
        await alerts.once()
        await fresh_chain.rpc.request("anvil_mine", "0x1")
        await alerts.once()
        assert gauge("pending") == 1
        assert b'faas_slash_proposals{standing="pending"} 1.0' in generate_latest(HAPPENINGS)
    (record,) = caplog.records
    fields = record.faas_fields
    assert (fields["slash"], fields["service"], fields["proposer"]) == (
        slash_id,
        deployment.service_id,
        deployment.customer,
    )
    assert fields["execute_after"] > (await fresh_chain.rpc.head()).timestamp
    assert 0 < fields["share_bps"] <= 1000
    assert f"dispute-slash {slash_id}" in fields["todo"]
    answer = json.loads(answer_file(answers(fresh_chain, tmp_path), slash_id).read_text())
    assert answer["proposal"]["evidence"] == "0x" + EVIDENCE.hex()
    assert (answer["call_id"], answer["own"], answer["said_on_chain"]) == (None, [], [])
    assert answer["transaction"]["input"].startswith("0x" + slashing.PROPOSE_SLASH.selector.hex())

    caplog.clear()  # a node that starts again says it again
    async with watching(fresh_chain, tmp_path) as alerts:
        await alerts.once()
    assert len(caplog.records) == 1


async def test_evidence_of_our_manager_is_answered_with_the_call_and_both_receipts(
    fresh_chain, tmp_path
) -> None:
    deployment, account = fresh_chain.deployment, fresh_chain.operator()
    call = await fresh_chain.submit(encode_job(make_job("python", "print(1)")))
    digest = keccak256(b"anything")

    def signed(text: bytes):
        outcome = Outcome(Status.EXITED, 0, 0, 1000, Stream(text), Stream(), digest)
        receipt = make_receipt(
            profile_id=digest,
            snapshot=digest,
            job_digest=digest,
            outcome=outcome,
            call=call,
            operator=deployment.operator,
        )
        signature = Signer.from_account(account).sign(receipt)
        return receipt, signature, encode_result(make_result(receipt, outcome, signature))

    (first, one, payload), (second, two, _) = signed(b"1\n"), signed(b"2\n")
    assert agreement_digest(first) != agreement_digest(second)
    await fresh_chain.send(protocol.submit_result(call.service_id, call.call_id, payload), account=account)
    proof = evidence.prove_equivocation(first, one, second, two)
    await fresh_chain.send(proof, to=deployment.manager)
    async with watching(fresh_chain, tmp_path) as alerts:
        await alerts.once()
    (path,) = answers(fresh_chain, tmp_path).glob("*.json")
    answer = json.loads(path.read_text())
    assert answer["proposal"]["proposer"] == deployment.manager
    assert answer["call_id"] == call.call_id
    assert [item["signature"] for item in answer["said_on_chain"]] == ["0x" + one.hex()]
    assert answer["transaction"]["input"] == "0x" + proof.hex()  # both receipts are in it


async def test_one_that_vanishes_in_a_reorganisation_counts_no_more(fresh_chain, tmp_path) -> None:
    rpc = fresh_chain.rpc
    async with watching(fresh_chain, tmp_path) as alerts:
        before = await rpc.request("evm_snapshot")
        await propose(fresh_chain)
        await alerts.once()
        assert gauge("pending") == 1
        await rpc.request("evm_revert", before)
        await rpc.request("anvil_mine", "0x3")
        await alerts.once()
        assert gauge("pending") == 0


async def test_it_waits_for_confirmations_and_for_its_turn(fresh_chain, tmp_path) -> None:
    slash_id = await propose(fresh_chain)
    path = answer_file(answers(fresh_chain, tmp_path), slash_id)
    async with watching(fresh_chain, tmp_path, on_duty=False) as alerts:
        await alerts.once()
        assert not path.exists()
    async with watching(fresh_chain, tmp_path, confirmations=3) as alerts:
        await alerts.once()
        assert not path.exists()
        await fresh_chain.rpc.request("anvil_mine", "0x2")
        await alerts.once()
        assert path.exists()


async def test_what_cannot_be_written_is_tried_again_and_what_is_broken_passed_over(
    fresh_chain, tmp_path
) -> None:
    slash_id = await propose(fresh_chain)
    folder = answers(fresh_chain, tmp_path)
    (tmp_path / "slashes").write_text("in the way")
    async with watching(fresh_chain, tmp_path) as alerts:
        with pytest.raises(DatabaseUnavailable, match="cannot be written"):
            await alerts.once()
        (tmp_path / "slashes").unlink()
        await alerts.once()
        assert answer_file(folder, slash_id).exists()
        answer_file(folder, 99).write_text("{")
        anothers = json.loads(answer_file(folder, slash_id).read_text())
        anothers["proposal"]["operator"] = fresh_chain.deployment.customer
        answer_file(folder, 100).write_text(json.dumps(anothers))
        assert [item.slash_id for item in prepared(folder, fresh_chain.deployment.operator)] == [slash_id]
        await fresh_chain.rpc.request("anvil_mine", "0x1")
        await alerts.once()
        assert gauge("pending") == 1


class Commands:
    """`faas operator …` as the devnet's operator."""

    def __init__(self, chain, home: Path) -> None:
        self._deployment = chain.deployment
        self._home = home

    async def __call__(self, *arguments: str, tangle: str | None = None) -> tuple[int, str]:
        """Exit code and what was printed."""
        deployment = self._deployment
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("faas")), "operator", *arguments),
            *("--rpc", deployment.rpc_url, "--tangle", tangle or deployment.tangle),
            *("--blueprint", str(deployment.blueprint_id), "--keystore", deployment.operator_keystore),
            env=os.environ
            | {"FAAS_HOME": str(self._home), "FAAS_KEYSTORE_PASSWORD": deployment.operator_password},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, output.decode()


async def test_slashes_are_listed_and_disputed(fresh_chain, tmp_path) -> None:
    deployment, rpc = fresh_chain.deployment, fresh_chain.rpc
    faas = Commands(fresh_chain, tmp_path)
    assert await faas("slashes") == (0, "no slash was proposed against this operator\n")
    slash_id = await propose(fresh_chain)
    async with watching(fresh_chain, tmp_path) as alerts:
        await alerts.once()
        (listed,) = json.loads((await faas("slashes", "--json"))[1])["slashes"]
        assert (listed["slash_id"], listed["standing"]) == (slash_id, "pending")
        assert Path(listed["answer"]) == answer_file(answers(fresh_chain, tmp_path), slash_id)

        code, output = await faas("dispute-slash", str(slash_id), "--reason", " ")
        assert code != 0
        assert "give a reason" in output
        code, output = await faas("dispute-slash", str(slash_id), "--reason", "the job was run", "--json")
        assert code == 0, output
        assert json.loads(output)["bond_wei"] == 0
        last = (await rpc.head()).block.number
        ((proposal, _),) = await slashes_against(rpc, deployment.tangle, deployment.operator, 0, last)
        assert await standing_of(rpc, deployment.tangle, proposal) is SlashStatus.DISPUTED
        other = replace(proposal, evidence=bytes(32))
        assert await standing_of(rpc, deployment.tangle, other) is None
        await alerts.once()
        assert (gauge("pending"), gauge("disputed")) == (0, 1)
    assert f"slash {slash_id}: disputed" in (await faas("slashes"))[1]
    code, output = await faas("dispute-slash", str(slash_id), "--reason", "once more")
    assert code != 0
    assert "was refused" in output


async def test_the_bond_is_sent_exactly_where_one_is_asked_for(fresh_chain, tmp_path) -> None:
    """The devnet's epoch has no bonds: a double stands for one that has, and takes whatever it is sent."""
    asks_for_12345_wei = "0x600160005261303960805260c06000f3"  # and has every selector
    double = "0x" + "d0" * 20
    await fresh_chain.rpc.request("anvil_setCode", double, asks_for_12345_wei)
    faas = Commands(fresh_chain, tmp_path)
    code, output = await faas("dispute-slash", "0", "--reason", "no", "--json", tangle=double)
    assert code == 0, output
    sent = await fresh_chain.rpc.request("eth_getTransactionByHash", json.loads(output)["transaction"])
    assert int(sent["value"], 16) == 12345
    assert sent["input"] == "0x" + slashing.dispute_slash(0, "no").hex()


@pytest.mark.parametrize("status", list(SlashStatus))
def test_a_stored_proposal_of_the_newer_epoch(status: SlashStatus) -> None:
    """Even of service 32, whose number is how a text's place begins in the older layout."""
    one, other = address("0x" + "01" * 20), address("0x" + "02" * 20)
    proposal = SlashProposal(5, 32, one, other, 1000, 500, EVIDENCE, 77)
    stored = (32, one, other, 1000, 500, EVIDENCE, 77, int(status), ZERO_ADDRESS, 0, 0)
    assert (
        slashing.slash_status(proposal).decode(encode(slashing.GET_SLASH_PROPOSAL.outputs, [stored]))
        is status
    )
    gone = slashing.slash_status(replace(proposal, service_id=33))
    assert gone.decode(encode(slashing.GET_SLASH_PROPOSAL.outputs, [stored])) is None
