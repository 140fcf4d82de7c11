"""One table prices everything: runs, `/pricing`, the verifier, and quotes for jobs and services on-chain.

Each figure of a table of the test's own is another than the platform's, so whatever is priced by the
platform's is found out.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import fields, replace
from types import SimpleNamespace

import httpx
import pytest

from faas_api.app import create_app
from faas_blueprint.definition import DEFAULT_EVENT_RATE_WEI
from faas_blueprint.digests import sha256
from faas_blueprint.job import LIMIT_RANGES, Limits, Mode, encode_job, make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_blueprint.prices import (
    PRICES,
    PriceTable,
    Reserved,
    execution_cost,
    most_use_of,
    price_table_to_json,
    use_of,
)
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference
from faas_microvm.execution import Execution
from faas_operator.execution_record import ExecutionStatus
from faas_operator.executions import ExecutionService
from faas_operator.node import Node, terms_of
from faas_operator.placing import Placement
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_operator.tariff import Tariff
from faas_verifier.price import PriceQuestion, cost_of, load_price_table

OWN = PriceTable(2, *(getattr(PRICES, field.name) * 3 + 7 for field in fields(PriceTable)[1:]))
OUTCOME = Outcome(
    Status.EXITED, 0, 0, 145_000_000, Stream(b"x" * 1000), Stream(), sha256(b"root"),
    (OutputFile("a", b"x" * 500),),
)  # fmt: skip


def settings_of(tmp_path, **more) -> Settings:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(price_table_to_json(OWN)))
    return Settings(home=tmp_path, billing=True, starting_credits=1000, price_table=path, **more)


@pytest.mark.parametrize("mode", Mode)
async def test_the_verifier_works_out_what_a_run_was_charged(tmp_path, mode) -> None:
    settings = settings_of(tmp_path)
    job = replace(make_job("python", "print(1)"), keep=mode.keeps)
    with closing(Store.open("sqlite://", terms_of(settings))) as store:
        number = store.executions.begin("exec_1", "acct_1", job, Placement(mode))
        most = execution_cost(OWN, mode, most_use_of(job)).total
        assert store.usage.current("acct_1").held == most
        receipt, signature = Signer(b"\x01" * 32).attest(
            profile_id=sha256(b"profile"), snapshot=sha256(b"snapshot"), job_digest=sha256(b"job"),
            outcome=OUTCOME, call=CallReference(0, ZERO_ADDRESS, 0, number),
        )  # fmt: skip
        run = Execution(OUTCOME, sha256(b"profile"), sha256(b"snapshot"), 12.5)
        store.executions.finish(number, ExecutionStatus.COMPLETED, run, receipt, signature)
        charged = store.executions.get("exec_1", "acct_1").cost
        app = create_app(
            ExecutionService(None, Signer(b"\x01" * 32), store), settings, Secrets.with_api_keys("alice")
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answer = (await client.get("/api/v1/pricing")).raise_for_status().json()
    assert charged == execution_cost(OWN, mode, use_of(job, OUTCOME.summary()))
    told = tmp_path / "told.json"
    told.write_text(json.dumps(answer))
    question = PriceQuestion(mode, load_price_table(told))
    assert question.table == OWN
    bundle = SimpleNamespace(job=encode_job(job), outcome=OUTCOME.summary())
    assert cost_of(SimpleNamespace(bundle=bundle), question) == charged


@pytest.mark.chain
async def test_quotes_are_by_the_table_that_runs_are_charged_by(chain, tmp_path) -> None:
    settings = settings_of(tmp_path, quotes=True)
    signer = Signer.from_account(chain.operator())
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}", terms_of(settings))) as store:
        (tmp_path / "prices.json").write_text(
            json.dumps(price_table_to_json(PRICES))
        )  # from the next start on
        async with await chain.adapter() as adapter:
            quoting = Node(adapter, None, signer, store, settings).quoting()
    tariff = Tariff(OWN, settings.credit_rates, settings.quote_markup_percent, settings.quote_floor)
    assert quoting._tariff == quoting.services._tariff == tariff
    job, reserved = make_job("python", "1"), Reserved(3600, 1, 512)
    theirs = replace(tariff, prices=PRICES)
    assert tariff.price(job, Mode.CACHED, ZERO_ADDRESS) > theirs.price(job, Mode.CACHED, ZERO_ADDRESS)
    assert tariff.service_price(reserved, ZERO_ADDRESS) > theirs.service_price(reserved, ZERO_ADDRESS)


def test_the_blueprints_rate_covers_the_dearest_job() -> None:
    """At the rate of a credit that nodes begin with."""
    limits = Limits(**{name: most for name, (_, most) in LIMIT_RANGES.items()})
    dearest = replace(make_job("python", "0"), limits=limits)
    tariff = Tariff(PRICES, Settings().credit_rates)
    assert all(tariff.price(dearest, mode, ZERO_ADDRESS) <= DEFAULT_EVENT_RATE_WEI for mode in Mode)
