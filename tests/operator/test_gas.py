"""The gas tables of docs/contracts.md hold: through the protocol on the devnet, and in forge's report."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.operator.test_agreement import CONTRACTS, FORGE, LIE, TRUTH, WINDOW, Trio, trio_on

from faas_blueprint.receipt import CallReference
from faas_blueprint.tangle import evidence
from faas_blueprint.tangle.service_manager import Assurance
from faas_operator.chain.sender import TransactionReceipt

pytestmark = pytest.mark.chain

DOCUMENT = CONTRACTS.parent / "docs/contracts.md"
NEARLY = 0.005
"""Addresses and signatures differ from run to run in how many of their bytes are zero."""


def documented() -> dict[str, list[list[int]]]:
    """Of each table row in the chapter its first cell, and the numbers of each other cell."""
    chapter = DOCUMENT.read_text().split("\n## Gas\n")[1].split("\n## ")[0]
    rows = {}
    for line in chapter.splitlines():
        if line.startswith("| `") or line.startswith("| deployment"):
            label, *cells = (cell.strip() for cell in line.strip("| ").split(" | "))
            rows[label] = [[int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", cell)] for cell in cells]
    return rows


def assert_holds(measured: Mapping[str, Sequence[Sequence[int]]], nearly: float) -> None:
    rows = documented()
    wrong = [
        f"| {label} | " + " | ".join("; ".join(f"{gas:,}" for gas in cell) or "–" for cell in cells) + " |"
        for label, cells in measured.items()
        if not _near(rows.get(label, []), cells, nearly)
    ]
    assert not wrong, "docs/contracts.md should say\n" + "\n".join(wrong)


def _near(said: Sequence[Sequence[int]], found: Sequence[Sequence[int]], nearly: float) -> bool:
    if [len(cell) for cell in said] != [len(cell) for cell in found]:
        return False
    pairs = [pair for cells in zip(said, found, strict=True) for pair in zip(*cells, strict=True)]
    return all(abs(told - gas) <= nearly * gas for told, gas in pairs)


async def gas_of(trio: Trio, transaction: str) -> tuple[int, int]:
    """What a transaction used, and of it the manager's hooks that change something."""
    rpc, manager = trio.chain.rpc, trio.chain.deployment.manager.lower()
    trace = await rpc.request("debug_traceTransaction", transaction, {"tracer": "callTracer"})

    def hooks(call: Mapping[str, Any]) -> int:
        if call["to"].lower() == manager:
            return int(call["gasUsed"], 16) if call["type"] == "CALL" else 0
        return sum(map(hooks, call.get("calls", ())))

    return int(trace["gasUsed"], 16), hooks(trace)


async def used_by(trio: Trio, receipt: TransactionReceipt) -> tuple[int, int]:
    """The same, of one that is in a block."""
    whole, hooks = await gas_of(trio, receipt.transaction_hash)
    assert whole == receipt.gas_used
    return whole, hooks


async def submitted(trio: Trio) -> tuple[CallReference, tuple[int, int]]:
    """A call, and what asking for it used."""
    call = await trio.submit()
    block = await trio.chain.rpc.request("eth_getBlockByNumber", "latest", False)
    return call, await gas_of(trio, block["transactions"][0])


def row(*used: tuple[int, int]) -> list[list[int]]:
    """The cells of transactions that share a row."""
    return [[whole for whole, _ in used], [hook for _, hook in used if hook]]


async def test_a_call_whose_first_answer_is_final(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance())
    call, asked = await submitted(trio)
    posted = await trio.post(0, call, TRUTH)
    first, _, signature = trio.receipt(1, call, TRUTH)
    second, _, other = trio.receipt(1, call, LIE)
    proven = await trio.manage(evidence.prove_equivocation(first, signature, second, other))
    assert_holds(
        {
            "`submitJob`": row(asked),
            "`submitResult`, default, first answer is final (paid out to three operators)": row(
                await used_by(trio, posted)
            ),
            "`proveEquivocation`": row((proven.gas_used, 0)),
        },
        NEARLY,
    )


async def test_a_call_that_two_of_three_decide(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance(agreeing=2, answers=3))
    call, _ = await submitted(trio)
    posted = [await trio.post(number, call, text) for number, text in enumerate((TRUTH, LIE, TRUTH))]
    used = row(*[await used_by(trio, receipt) for receipt in posted])
    assert_holds({"`submitResult`, 2 of 3: first, second (a lie), third (final)": used}, NEARLY)


async def test_a_call_with_a_window(fresh_chain) -> None:
    trio = await trio_on(fresh_chain, Assurance(answers=1, window_seconds=WINDOW))
    call, _ = await submitted(trio)
    posted = await trio.post(0, call, LIE)
    brought = [await trio.bring(number, call, TRUTH) for number in (1, 2)]
    assert_holds(
        {
            "`submitResult`, with a window (proposed)": row(await used_by(trio, posted)),
            "`bringReceipt`: challenge, overrule": row(*[(receipt.gas_used, 0) for receipt in brought]),
        },
        NEARLY,
    )


def test_forges_own_report() -> None:
    """Of the tests with fixed arguments, the dearest call of each."""
    done = subprocess.run(
        [FORGE, "test", "--gas-report", "--json", "--no-match-test", "testFuzz|invariant"],
        cwd=CONTRACTS,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    report = {item["contract"].partition(":")[2]: item for item in json.loads(done.stdout)}
    dearest = {
        signature.partition("(")[0]: used["max"]
        for name in ("FaaSServiceManager", "FaaSCredits")
        for signature, used in report[name]["functions"].items()
    }
    measured = {
        label: [[dearest[name] for name in re.findall(r"`(\w+)`", label)]]
        for label in documented()
        if label.startswith("`") and "submit" not in label and label not in _THROUGH_THE_PROTOCOL
    }
    assert len(measured) >= 9
    measured["deployment of the manager, of the credits"] = [
        [report[name]["deployment"]["gas"] for name in ("FaaSServiceManager", "FaaSCredits")]
    ]
    assert_holds(measured, 0.0)


_THROUGH_THE_PROTOCOL = ("`bringReceipt`: challenge, overrule", "`proveEquivocation`")
