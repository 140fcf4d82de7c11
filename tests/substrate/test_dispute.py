"""`faas dispute` and `faas audit --intervals` on a Substrate chain: real runs, the double's blocks, one liar.

The liar is an operator whose machine's memory was changed amid its run (`run_on` goes on from there).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from answering import call_job, post, signed_result
from genesis import SERVICE_ID
from people import OPERATOR, SECOND_OPERATOR
from test_adapter import call_of
from test_verify import address_of
from tests.verifier.test_dispute import CODE, COMPILED, WRITTEN, operators_api
from typer.testing import CliRunner

from faas_blueprint.bundle import make_bundle
from faas_blueprint.digests import ZERO_DIGEST, keccak256
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.merkle import PAGE_SIZE
from faas_cli.main import app
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.tracing import run_on, run_to_milestone
from faas_operator.signer import Signer

pytestmark = [pytest.mark.machine, pytest.mark.slow]

JOBS = {"python": make_job("python", CODE), **COMPILED}
PAYLOAD = encode_job(JOBS["python"])


@pytest.fixture(params=sorted(JOBS))
async def receipts(request, double, faas_home):
    """A call that the two operators answer differently; the receipt files that they show."""
    job = JOBS[request.param]
    payload = encode_job(job)
    async with await Engine.open(faas_home, settings=EngineSettings(waiting=0)) as engine:
        ran = await engine.run(job)
        true = ran.outcome
        assert len(true.trace) == 2, true.stderr
        reached = await run_to_milestone(engine, job, None, 2)
        page = next(index for index, page in reached.end.overlay.items() if page.startswith(WRITTEN))
        changed = reached.end.with_bytes(page * PAGE_SIZE + 4, b"was")
        trace = (*reached.trace[:1], changed.measurement)
        lied = (await run_on(engine, changed, engine.library.base, trace, job)).outcome
        place = {
            "profile_id": engine.profile_id,
            "snapshot": engine.measurement,
            "toolchain": ran.toolchain,
        }
    assert (ran.toolchain != ZERO_DIGEST) == (request.param in COMPILED)
    call_job(double, payload)
    double.make_block()
    files = []
    for person, outcome in ((OPERATOR, true), (SECOND_OPERATOR, lied)):
        post(double, 40, signed_result(double, payload, 40, person, outcome=outcome, **place), person)
        double.make_block()
        receipt, signature = Signer(person.seed).attest(
            job_digest=keccak256(payload), outcome=outcome, call=call_of(double), **place
        )
        files.append(replace(make_bundle(receipt, signature, payload, outcome), trace=outcome.trace))
    return files


async def faas(*arguments: str) -> tuple[int, dict]:
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


async def test_the_liar_is_refuted_where_its_run_left_the_other(double, receipts, faas_home, tmp_path: Path):
    path = tmp_path / "evidence.zip"
    with operators_api(*receipts) as apis:
        asked = [part for api in apis for part in ("--blobs", api)]
        where = ("--rpc", double.websocket_url, "--home", str(faas_home), *asked)
        code, report = await faas("dispute", str(SERVICE_ID), "40", *where, "--output", str(path))
        assert (code, report["verdict"], report["final"]) == (1, "refuted", None), report
        assert [side["standing"] for side in report["sides"]] == ["right", "refuted"]
        (refutation,) = report["refutations"]
        assert (refutation["operator"], refutation["milestone"]) == (address_of(SECOND_OPERATOR), 1)
        assert refutation["trace_withheld"] is False

        propose = ("--output", str(path), "--propose", "--key", "0x" + "11" * 32)
        code, report = await faas("dispute", str(SERVICE_ID), "40", *where, *propose)
        (proposal,) = report["proposals"]
        assert (code, proposal["proposed"], proposal["transaction"]) == (1, False, None)
        assert "Services.slash" in proposal["reason"]

        audit = ("audit", "--service", str(SERVICE_ID), "--jobs", "0", "--intervals", "6")
        code, report = await faas(*audit, *where)
        verdicts = {(leg["operator"], leg["milestone"]): leg["verdict"] for leg in report["intervals"]}
        assert (code, report["legs"]) == (1, 6)
        liars = [verdicts.pop((address_of(SECOND_OPERATOR), milestone)) for milestone in (0, 1)]
        assert liars == ["verified", "refuted"]
        assert {verdicts[address_of(OPERATOR), milestone] for milestone in range(3)} == {"verified"}
    code, checked = await faas("dispute", "--check", str(path), "--home", str(faas_home))
    assert (code, checked["verdict"]) == (0, "holds"), checked


async def test_what_is_not_there_cannot_be_judged(double, faas_home):
    where = ("--rpc", double.websocket_url, "--home", str(faas_home))
    for call_id, said in (("40", "no result yet"), ("41", "no call 41 in a final block")):
        call_job(double, PAYLOAD) if call_id == "40" else None
        double.make_block()
        code, report = await faas("dispute", str(SERVICE_ID), call_id, *where)
        assert (code, report["verdict"]) == (2, "unchecked")
        assert said in report["reason"]
