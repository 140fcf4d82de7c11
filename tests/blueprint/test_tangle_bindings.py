"""The 0.19 epoch against the ABI that the protocol publishes with version 0.20.0.

The ABI comes with `scripts/setup-chain`, which checks its hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faas_blueprint.tangle import (
    credits,
    epoch_0_10,
    epoch_0_19,
    evidence,
    membership,
    protocol,
    rewards,
    service_manager,
    service_request,
    staking,
)
from faas_blueprint.tangle.abi import Event, Function


def fragments(path: Path) -> list[dict[str, Any]]:
    assert path.exists(), "Tangle's ABI is missing: run scripts/setup-chain"
    entries: list[dict[str, Any]] = json.loads(path.read_text())["abi"]
    return entries


def type_of(parameter: dict[str, Any]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(type_of(part) for part in parameter['components'])}){kind[5:]}"


def types_of(parameters: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(type_of(parameter) for parameter in parameters)


@pytest.fixture(scope="module")
def tangle(faas_home: Path) -> list[dict[str, Any]]:
    return fragments(faas_home / "tangle/abi/ITangleFull.json")


@pytest.fixture(scope="module")
def staking_abi(faas_home: Path) -> list[dict[str, Any]]:
    return fragments(faas_home / "tangle/abi/IMultiAssetDelegation.json")


def members(kind: type, *modules: object) -> Iterator[Any]:
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, kind) and not name.startswith("_"):  # those are of an earlier epoch
                yield value


ROUTER = (protocol, epoch_0_19, service_request, membership, rewards)


# Not in the published interface, but answered by every router that we have met.
UNPUBLISHED = {
    "facetForSelector(bytes4)",
    *(function.signature for function in rewards.VAULT_FUNCTIONS),
    "lastRoundAdvance()",
}
UNPUBLISHED_EVENTS = {"OperatorCommissionClaimed", "ExitScheduled", "ExitForced"}
ERC20 = {"approve", "transfer", "balanceOf"}


@pytest.mark.parametrize(
    "function", [f for f in members(Function, *ROUTER) if f.signature not in UNPUBLISHED]
)
def test_functions_are_published(function: Function, tangle: list[dict[str, Any]]) -> None:
    published = {
        (entry["name"], types_of(entry["inputs"])): types_of(entry["outputs"])
        for entry in tangle
        if entry["type"] == "function"
    }
    assert published[function.name, function.inputs] == function.outputs


@pytest.mark.parametrize("event", [e for e in members(Event, *ROUTER) if e.name not in UNPUBLISHED_EVENTS])
def test_events_are_published(event: Event, tangle: list[dict[str, Any]]) -> None:
    published = [e for e in tangle if e["type"] == "event" and e["name"] == event.name]
    assert [types_of(entry["inputs"]) for entry in published] == [event.types]
    indexed = tuple(place for place, part in enumerate(published[0]["inputs"]) if part["indexed"])
    # upstream's ABI marks the job index as indexed; the contracts do not index it
    assert indexed == ((0, 1, 2) if event is protocol.JOB_SUBMITTED else event.indexed)


@pytest.mark.parametrize(
    "function",
    [f for f in members(Function, staking) if f.name not in ERC20 and f.signature not in UNPUBLISHED],
)
def test_staking_functions_are_published(function: Function, staking_abi: list[dict[str, Any]]) -> None:
    published = {
        (entry["name"], types_of(entry["inputs"])): types_of(entry["outputs"])
        for entry in staking_abi
        if entry["type"] == "function"
    }
    assert published[function.name, function.inputs] == function.outputs


def test_what_the_older_epoch_differs_in_is_gone(tangle: list[dict[str, Any]]) -> None:
    published = {(e["name"], types_of(e["inputs"])) for e in tangle if e["type"] == "function"}
    for function in (epoch_0_10.APPROVE_SERVICE, epoch_0_10.CREATE_BLUEPRINT):
        assert (function.name, function.inputs) not in published


def test_the_manager_has_the_hooks_that_may_fail_closed(faas_home: Path) -> None:
    published = {
        (entry["name"], types_of(entry["inputs"]))
        for entry in fragments(faas_home / "tangle/abi/IBlueprintServiceManager.json")
    }
    artifact = Path(__file__).resolve().parents[2] / "contracts/artifacts/FaaSServiceManager.json"
    ours = {
        (entry["name"], types_of(entry["inputs"]))
        for entry in json.loads(artifact.read_text())["abi"]
        if entry["type"] == "function"
    }
    needed = {
        *("onBlueprintCreated", "onRegister", "onRequest", "onJobCall", "onJobResult"),
        *("requiresAggregation", "queryIsPaymentAssetAllowed", "querySlashingOrigin"),
        "getRequiredResultCount",
    }
    hooks = {hook for hook in published if hook[0] in needed}
    assert len(hooks) == len(needed)
    assert hooks <= ours


@pytest.mark.parametrize(
    ("name", "modules"),
    [("FaaSServiceManager", (service_manager, evidence)), ("FaaSCredits", (credits,))],
)
def test_our_contracts_calls_are_those_of_their_artifacts(name: str, modules: tuple[object, ...]) -> None:
    artifact = Path(__file__).resolve().parents[2] / f"contracts/artifacts/{name}.json"
    entries = json.loads(artifact.read_text())["abi"]
    functions = {
        (entry["name"], types_of(entry["inputs"]), types_of(entry["outputs"]))
        for entry in entries
        if entry["type"] == "function"
    }
    for function in members(Function, *modules):
        assert (function.name, function.inputs, function.outputs) in functions
    events = {
        (
            entry["name"],
            types_of(entry["inputs"]),
            tuple(place for place, part in enumerate(entry["inputs"]) if part["indexed"]),
        )
        for entry in entries
        if entry["type"] == "event"
    }
    for event in members(Event, *modules):
        assert (event.name, event.types, event.indexed) in events
