"""Replays a recorded deployment transaction by transaction, comparing every receipt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from faas_blueprint.errors import ChainUnavailable, Divergence
from faas_operator.chain.rpc import Rpc
from faas_operator.devnet.fixture import Fixture, Recorded, logs_of

Progress = Callable[[str], None]

_GAS = 16_000_000
"""Plenty: with an estimate, calls whose failure Tangle swallows would run out of gas."""


async def replay(rpc: Rpc, fixture: Fixture, progress: Progress) -> None:
    """Send everything from anvil's unlocked accounts. Raises Divergence at the first receipt that differs."""
    total = len(fixture.transactions)
    said = time.monotonic()
    for place, recorded in enumerate(fixture.transactions):
        receipt = await _send(rpc, recorded)
        _compare(place, recorded, receipt)
        if time.monotonic() - said > 1:
            said = time.monotonic()
            progress(f"replaying Tangle's deployment: {place + 1} of {total} transactions")
    progress(f"replayed Tangle's deployment: {total} transactions, every receipt as recorded")


async def _send(rpc: Rpc, recorded: Recorded) -> Mapping[str, Any]:
    fields = {
        "from": recorded.sender,
        "value": hex(recorded.value),
        "data": recorded.data,
        "nonce": hex(recorded.nonce),
        "gas": hex(_GAS),
    }
    if recorded.to is not None:
        fields["to"] = recorded.to
    name = await rpc.request("eth_sendTransaction", fields)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        receipt = await rpc.request("eth_getTransactionReceipt", name)
        if receipt is not None:
            return dict(receipt)
        await asyncio.sleep(0.002)
    raise ChainUnavailable(f"transaction {name} of the replay is not mined")


def _compare(place: int, recorded: Recorded, receipt: Mapping[str, Any]) -> None:
    contract = receipt.get("contractAddress")
    found = {
        "status": int(receipt["status"], 16),
        "contract": contract.lower() if contract else None,
        "logs": logs_of(receipt),
    }
    expected = {"status": recorded.status, "contract": recorded.contract, "logs": recorded.logs}
    if found != expected:
        differs = [name for name in expected if found[name] != expected[name]]
        raise Divergence(
            f"transaction {place} of the recorded deployment came out differently: {', '.join(differs)}",
            {"transaction": place, "recorded": repr(expected), "found": repr(found)},
        )
