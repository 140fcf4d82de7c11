"""Runs a scenario of `scenario.json` with this SDK: `scenario_runner.py FILE PART`.

The node's places stand in the environment. Prints one JSON object: what each step reported. Fails at the
first step that differs. The TypeScript SDK's runner is `sdk/typescript/tests/scenario.ts`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import reduce
from pathlib import Path

from faas_sdk import ApiError, FaaSClient, Fork, TangleFaaSClient, TerminalSize


class RestCalls:
    """The scenario's words that are not a method's name."""

    def __init__(self, client: FaaSClient) -> None:
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def output_file(self, **arguments):
        return self._client.output_file(**arguments).decode()

    def usage(self, **arguments):
        return self._client.usage.get_metrics(**arguments)

    def current_usage(self):
        return self._client.usage.get_current()

    def pricing(self):
        return self._client.usage.pricing()

    def stream(self, execution_id):
        events = list(self._client.stream(execution_id))
        output = "".join(event.data for event in events)
        return {"output": output, "last": events[-1].type, "exit_code": events[-1].exit_code}

    def start(self, **arguments):
        if "terminal" in arguments:
            arguments["terminal"] = TerminalSize(**arguments["terminal"])
        return self._client.start(**arguments)

    def answer(self, execution_id, typed):
        output, answers, waits = "", iter(typed), 0
        for event in self._client.stream(execution_id):
            output += event.data
            if event.wants_input:
                waits += 1
                answer = next(answers)
                if isinstance(answer, str):
                    self._client.send_input(execution_id, answer)
                else:
                    self._client.resize(execution_id, **answer)
        return {"output": output, "last": event.type, "exit_code": event.exit_code, "waits": waits}


class TangleCalls(RestCalls):
    """Likewise, on-chain."""

    def verify(self, result):
        return self._client.verify(result)

    def create_branch(self, snapshot, seed, identity):
        return self._client.create_branch(snapshot, Fork(seed, 0, identity.encode()))


def at(value, path):
    """What stands at a path such as `receipt.state_root` or `items.0.id`."""
    return value if path == "." else reduce(_inner, path.split("."), value)


def _inner(value, name):
    if name == "length":
        return len(value)
    if isinstance(value, Mapping):
        return value[name]
    return value[int(name)] if name.isdigit() else getattr(value, name)


def filled(value, answers):
    """With `$name.path` replaced by what an earlier step answered."""
    if isinstance(value, dict):
        return {name: filled(item, answers) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, answers) for item in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    name, _, path = value[1:].partition(".")
    return at(answers[name], path or ".")


def run(steps, calls):
    """The reports by step."""
    answers, reports = {}, {}
    for step in steps:
        name = step["name"]
        try:
            answer = getattr(calls, step["call"])(**filled(step.get("with", {}), answers))
        except ApiError as error:
            if {"code": error.code, "status": error.status} != step.get("error"):
                raise AssertionError(f"{name}: {error.status} {error.code}: {error}") from error
            continue
        assert "error" not in step, f"{name}: no error"
        if "as" in step:
            answers[step["as"]] = answer
        for path, expected in step.get("expect", {}).items():
            assert at(answer, path) == filled(expected, answers), f"{name}: {path} is {at(answer, path)!r}"
        if "report" in step:
            reports[name] = [at(answer, path) for path in step["report"]]
    return reports


def main(file: str, part: str) -> None:
    steps = json.loads(Path(file).read_text())[part]
    if part in ("tangle", "substrate"):
        client = TangleFaaSClient(
            os.environ["FAAS_RPC_URL"],
            blueprint_id=int(os.environ["FAAS_BLUEPRINT_ID"]),
            private_key=os.environ["FAAS_PRIVATE_KEY"],
            tangle=os.environ.get("FAAS_TANGLE"),
            endpoint=os.environ.get("FAAS_ENDPOINT"),
            poll_interval=0.05,
        )
        with client:
            print(json.dumps(run(steps, TangleCalls(client))))
        return
    with FaaSClient(timeout=120) as client:
        print(json.dumps(run(steps, RestCalls(client))))


if __name__ == "__main__":
    main(*sys.argv[1:])
