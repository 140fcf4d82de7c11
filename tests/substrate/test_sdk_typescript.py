"""TangleFaaSClient of the TypeScript SDK on a Substrate chain, with polkadot.js as its users have it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from answering import call_job, post, signed_result, until
from extrinsics import parse_signed
from genesis import BLUEPRINT_ID, SERVICE_ID, fund
from people import CUSTOMER, OPERATOR, OTHER_CUSTOMER, REGISTERED_ONLY, SECOND_OPERATOR, STRANGER
from test_sdk_python import REFUSALS

from faas_blueprint.digests import keccak256
from faas_blueprint.job import EXECUTE_PARAMETERS, encode_job, make_job
from faas_blueprint.tangle.fields import from_fields

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
MNEMONIC = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
JOB = {"code": "print(42)", "language": "python", "seed": 5, "epoch": 1_700_000_000}


@pytest.fixture(scope="module")
def project(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the SDK and, as the only one of its optional packages, polkadot.js."""
    modules = tmp_path_factory.mktemp("project") / "node_modules"
    package = modules / "@faas/sdk"
    package.mkdir(parents=True)
    shutil.copy(compiled.parent / "package.json", package)
    for folder in ("dist", ".build"):
        shutil.copytree(compiled.parent / folder, package / folder)
    for name in ("viem", "@noble"):
        (modules / name).symlink_to(compiled.parent / "node_modules" / name)
    (modules / "@polkadot").symlink_to(HERE / "polkadot/node_modules/@polkadot")
    return modules.parent


class Driven:
    """The SDK in a process of its own; calls are made one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._pool = ThreadPoolExecutor(1)

    def begin(self, *call: object) -> Future:
        """A call under way."""
        return self._pool.submit(self._ask, call)

    def call(self, *call: object) -> dict:
        """What came of a call: `answer`, or `error` with `reason` and `message`."""
        return self.begin(*call).result(120)

    def _ask(self, call: tuple[object, ...]) -> dict:
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read()
        return json.loads(line)


@contextmanager
def driven(project: Path, double, person=CUSTOMER, module="esm", **changes) -> Iterator[Driven]:
    options = {
        "rpcUrl": double.http_url,
        "blueprintId": BLUEPRINT_ID,
        "privateKey": "0x" + person.seed.hex(),
        "keyType": person.scheme,
        "pollInterval": 20,
    } | changes
    shutil.copy(HERE / "drive_sdk.mjs", project)
    (project / "cjs.cjs").write_text("module.exports = require('@faas/sdk');\n")
    (project / "esm.mjs").write_text("export * from '@faas/sdk';\n")
    path = str(project / {"esm": "esm.mjs", "cjs": "cjs.cjs"}[module])
    with subprocess.Popen(
        ["node", "drive_sdk.mjs", path, json.dumps(options)],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Driven(process)
            process.stdin.close()
            assert process.wait(30) == 0, process.stderr.read()  # no connection keeps it
        finally:
            process.kill()


def submit(double, sdk, **changes) -> dict:
    """A job in a final block of its own."""
    future = sdk.begin("submitJob", JOB | changes)
    until(lambda: double.tree.pool or future.done(), "a job in the pool")
    double.make_block()
    return future.result(120)["answer"]


def post_final(double, call_id, fields, person=OPERATOR):
    post(double, call_id, fields, person)
    double.make_block()


@pytest.mark.parametrize(
    ("person", "module"), [(CUSTOMER, "esm"), (OTHER_CUSTOMER, "cjs")], ids=["sr25519-esm", "ed25519-cjs"]
)
def test_a_job_and_its_results(double, project, person, module):
    stdin, text = "0x41 ü" * 900, "é" * 3000
    with driven(project, double, person, module) as sdk:
        assert sdk.call("findService") == {"answer": SERVICE_ID}
        job = submit(double, sdk, stdin=stdin, arguments=[text], files={"a/b": "c"})
        assert (job["callId"], job["serviceId"], job["priceWei"]) == (40, SERVICE_ID, 0)
        signed = parse_signed(double.tree.best.extrinsics[1])
        assert (signed.hash, signed.signer, signed.era[0]) == (job["transactionHash"], person.account, 64)
        state = double.tree.best.state
        stored = state.entries[state.key("Services", "JobCalls", SERVICE_ID, 40)]
        inputs = from_fields(EXECUTE_PARAMETERS, stored[9:])
        assert inputs.hex() == job["inputs"]
        foreign = signed_result(double, inputs, 40, REGISTERED_ONLY, b"lie\n")
        post_final(double, 40, foreign, REGISTERED_ONLY)  # registered, but not of the service
        post(double, 40, signed_result(double, inputs, 40))
        double.make_block(finalise=False)
        assert sdk.call("waitForResult", 40, {"timeout": 0})["error"] == "ResultTimeout"
        double.finalise()
        post_final(double, 40, foreign, REGISTERED_ONLY)  # what stands in storage now
        post_final(double, 40, signed_result(double, inputs, 40, SECOND_OPERATOR), SECOND_OPERATOR)
        result = sdk.call("waitForResult", {"of": 1}, {"timeout": 0})["answer"]
        operators = ["0x" + keccak256(one.receipt_key[1:])[-20:].hex() for one in (OPERATOR, SECOND_OPERATOR)]
        assert (result["stdout"], result["exitCode"], result["operator"]) == ("42\n", 0, operators[0])
        assert sdk.call("verify", {"of": 3})["answer"]["passed"] is True
        assert sdk.call("verify", 40)["answer"]["passed"] is True
        shown = sdk.call("show", 40)["answer"]
        assert [one["operator"] for one in shown["results"]] == operators
        assert (shown["completed"], shown["caller"]) == (True, "0x" + person.account.hex())
        assert shown["transactionHash"] == job["transactionHash"]


def test_a_copied_receipt_does_not_verify(double, project):
    with driven(project, double) as sdk:
        first, second = submit(double, sdk), submit(double, sdk, seed=6)
        good = signed_result(double, bytes.fromhex(first["inputs"]), 40)
        post_final(double, 41, good, SECOND_OPERATOR)
        verdict = sdk.call("verify", second["callId"])["answer"]
        failed = {finding["name"] for finding in verdict["findings"] if finding["status"] == "failed"}
        assert (verdict["passed"], failed) == (False, {"signature", "job"})
        assert sdk.call("show", 42)["error"] == "TangleError"


def test_the_call_id_is_that_of_the_final_block(double, project):
    with driven(project, double) as sdk:
        future = sdk.begin("submitJob", JOB)
        until(lambda: double.tree.pool or future.done(), "the job in the pool")
        double.make_block(finalise=False)
        double.swallow = True
        double.reorganise(lose=True)
        call_job(double, encode_job(make_job("python", "2")), OTHER_CUSTOMER)
        double.make_block()  # somebody else's job has the number 40 now
        double.swallow = False
        until(lambda: double.tree.pool, "the job handed in again")
        double.make_block()
        assert future.result(60)["answer"]["callId"] == 41
        double.swallow = True
        future = sdk.begin("submitJob", JOB)
        before = len(double.requests)
        until(lambda: "author_submitExtrinsic" in double.requests[before:], "the second job handed in")
        for _ in range(65):
            double.make_block()
        died = future.result(60)
        assert died["error"] == "TransactionFailed"
        assert "submit the job again" in died["message"]


def test_a_call_that_fails_in_its_block_is_told(double, project):
    with driven(project, double) as sdk:
        future = sdk.begin("submitJob", JOB)
        until(lambda: double.tree.pool or future.done(), "the job in the pool")
        with double.lock:
            double.tree._jobs[BLUEPRINT_ID] = []
        double.make_block()
        failed = future.result(60)
        assert failed["error"] == "TransactionFailed"
        assert "services.JobDefinitionNotFound" in failed["message"]


NAMES = {"service_id": "serviceId", "private_key": "privateKey"}


def test_nothing_is_sent_that_would_be_lost(double, project):
    start = double.tree.best.state
    for reason, (changes, spoil) in REFUSALS.items():
        kept = dict(start.entries)
        spoil(double)
        double.make_block()
        with driven(project, double, **{NAMES[name]: value for name, value in changes.items()}) as sdk:
            assert sdk.call("submitJob", JOB)["reason"] == reason
        double.tree.best.state.entries.clear()
        double.tree.best.state.entries.update(kept)
    large = "\0" * (1 << 20)
    fund(double.tree.best.state, CUSTOMER.account, 10**21)
    double.make_block()
    with driven(project, double) as sdk:
        for parts in ({"stdin": large + "x"}, {"files": dict.fromkeys("abc", large)}):
            refused = sdk.call("submitJob", JOB | parts)
            assert (refused["reason"], "by their hash" in refused["message"]) == ("too_large", True)
        assert sdk.call("submitJob", JOB | {"valueWei": 1})["reason"] == "wrong_value"
        for asked in (("getQuote", JOB), ("getServiceQuote", {"ttlSeconds": 7200})):
            assert sdk.call(*asked)["reason"] == "no_quotes"
    assert "author_submitExtrinsic" not in double.requests


def test_a_mnemonic_is_an_account(double, project):
    with driven(project, double, privateKey=MNEMONIC) as sdk:
        refused = sdk.call("findService")
        assert refused["reason"] == "no_service"
        assert "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV" in refused["message"]


def test_without_the_package_it_says_what_to_install(double, project):
    (project / "node_modules/@polkadot").rename(project / "away")
    try:
        with driven(project, double, STRANGER) as sdk:
            assert sdk.call("findService")["error"] == "SubstrateNotInstalled"
    finally:
        (project / "away").rename(project / "node_modules/@polkadot")
