"""All twelve jobs on a Substrate chain: called as Fields, answered by a real node, and verified again.

The double checks arguments and results by the types that the blueprint was created with.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from answering import call_job
from genesis import SERVICE_ID
from test_adapter import call_of
from test_pipeline import configured, running, until_state
from tests.e2e.test_chain_jobs import UNKNOWN, VALUES, create, run

from faas_blueprint import tlv
from faas_blueprint.digests import ZERO_DIGEST
from faas_blueprint.job import Mode, encode_job, make_job
from faas_blueprint.operation import (
    CreateBranch,
    ForkRecord,
    JobKind,
    MergeBranches,
    RestoreSnapshot,
    Strategy,
    kind_of,
)
from faas_blueprint.operation_payload import PARAMETERS, encode_operation, tag_of
from faas_blueprint.outcome import Status
from faas_blueprint.result import decode_result
from faas_microvm.engine import Engine, EngineSettings
from faas_operator.node import open_node
from faas_operator.pipeline import State
from faas_verifier.posted import posted_results
from faas_verifier.rpc import Rpc
from faas_verifier.verdict import Conclusion
from faas_verifier.verify import verify_posted

__all__ = ["configured"]  # a fixture

pytestmark = [pytest.mark.machine, pytest.mark.slow]

LONG = "é" * 700
"""1,400 bytes: two chunks, cut where a character ends."""


class Place:
    """A chain, and the node that serves it."""

    def __init__(self, double, node, engine) -> None:
        self._double, self._node, self._engine = double, node, engine
        self._next_call = 40

    async def answer(self, kind, payload, verdict=Conclusion.VERIFIED):
        """The result that the chain has for a new call, its verdict as expected."""
        call_job(self._double, payload, job_index=int(kind))
        call = call_of(self._double, self._next_call)
        self._next_call += 1
        record = await until_state(self._node, call, State.FINAL)
        assert record.submitted.inputs == payload
        async with Rpc(self._double.http_url) as rpc:
            (posted,) = await posted_results(rpc, None, SERVICE_ID, call.call_id)
        assert (posted.job_index, posted.inputs) == (kind, payload)
        found = await verify_posted(posted, lambda: nullcontext(self._engine))
        assert found.conclusion is verdict, found.findings
        return decode_result(posted.payload)

    async def perform(self, operation, verdict=Conclusion.VERIFIED):
        return await self.answer(kind_of(operation), encode_operation(operation), verdict)


async def test_every_job_is_answered(double, configured, faas_home, tmp_path):
    settings, secrets = configured
    engine_settings = EngineSettings(waiting=0, store=str(tmp_path / "store"))
    double.produce(0.1)
    async with (
        await Engine.open(faas_home, settings=engine_settings) as engine,
        open_node(settings, secrets, engine) as node,
        running(node),
    ):
        place = Place(double, node, engine)
        program = make_job("bash", "head -c 3 /dev/stdin; printf '%1500s' x >&2", stdin=LONG.encode())
        plain = await place.answer(JobKind.EXECUTE, encode_job(program))
        assert plain.output.stdout == LONG.encode()[:3]
        assert len(plain.output.stderr) == 1500

        made = await place.perform(create(f"echo '{LONG}' > file"))
        on_it = await place.perform(run("cat file", made.state_root))
        assert on_it.output.stdout == f"{LONG}\n".encode()
        fork = ForkRecord(identity=b"fork")
        in_a_fork = run("echo more >> file", made.state_root, Mode.BRANCHED, fork)
        assert (await place.perform(in_a_fork)).snapshot == made.state_root
        await place.perform(RestoreSnapshot(made.state_root, 7))
        forks = [
            await place.perform(CreateBranch(made.state_root, ForkRecord(identity=name)))
            for name in (b"left", b"right")
        ]
        left = await place.perform(run("echo left > left", forks[0].state_root, Mode.CHECKPOINTED))
        merged = await place.perform(
            MergeBranches(made.state_root, (left.state_root, forks[1].state_root), Strategy.THREE_WAY)
        )
        assert merged.outcome.exit_code == 0
        both = await place.perform(run("cat left", merged.state_root))
        assert both.output.stdout == b"left\n"

        for kind in (kind for kind in JobKind if kind >= JobKind.START_INSTANCE):
            values = {field.name: VALUES[field.name] for field in PARAMETERS[kind]} | {"kind": tag_of(kind)}
            refused = await place.answer(kind, tlv.encode(PARAMETERS[kind], values))
            assert refused.outcome.status is Status.FAILED
            assert refused.output.stderr.startswith(b"NOT_SERVED")
        wrong = {"kind": tag_of(JobKind.MERGE_BRANCHES), "base": ZERO_DIGEST, "branches": [], "strategy": "?"}
        payload = tlv.encode(PARAMETERS[JobKind.MERGE_BRANCHES], wrong)
        invalid = await place.answer(JobKind.MERGE_BRANCHES, payload)
        assert invalid.output.stderr.startswith(b"INVALID_REQUEST")
        unknown = await place.perform(run("true", UNKNOWN), Conclusion.UNCHECKED)
        assert unknown.output.stderr.startswith(b"NOT_FOUND")
