"""Disputes on the real machine: who is refuted, where, and what the evidence is worth to somebody else.

`tampered_run` is a double for faults: an operator whose memory was changed amid a run, and who ran on from
there. Everything that it says afterwards is true of its machine.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import pytest_asyncio
from eth_keys.datatypes import PrivateKey
from rich.console import Console

from faas_blueprint.agreement import agreement_digest
from faas_blueprint.bundle import bundle_to_json, make_bundle
from faas_blueprint.digests import ZERO_DIGEST, keccak256, sha256
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import Limits, Mode, encode_job, make_job
from faas_blueprint.merkle import PAGE_SIZE
from faas_blueprint.operation import CreateBranch, ForkRecord, JobKind, Program, RestoreSnapshot, Run
from faas_blueprint.outcome import Stream
from faas_blueprint.receipt import address, make_receipt
from faas_blueprint.result import encode_result, make_result
from faas_microvm.engine import Engine
from faas_microvm.memory import hash_pages
from faas_microvm.performing import start_of_run
from faas_microvm.tracing import run_on, run_to_milestone
from faas_verifier.blobs import Endpoints
from faas_verifier.dispute import Standing, judge_sides
from faas_verifier.dispute_command import check_file
from faas_verifier.dispute_report import print_check, print_dispute
from faas_verifier.disputed_call import Contested, dispute_call
from faas_verifier.evidence import PostedResult
from faas_verifier.evidence_bundle import read_evidence, write_evidence
from faas_verifier.legs import TracedRun, job_and_start, own_machines
from faas_verifier.sides import Side, Sides, bundle_fault, gather_sides
from faas_verifier.verdict import Conclusion

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="module")]

CODE = """
import time
open("note.txt", "w").write("all is as it was\\n" * 100)
time.sleep(1.5)
open("other.txt", "w").write("seen\\n")
time.sleep(1)
print(open("note.txt").read()[:40])
"""
JOB = make_job("python", CODE)
WRITTEN = b"all is as it was\n"

COMPILED = {
    "rust": make_job(
        "rust",
        """
use std::{fs, thread::sleep, time::Duration};
fn main() {
    fs::write("note.txt", "all is as it was\\n".repeat(100)).unwrap();
    sleep(Duration::from_millis(1500));
    sleep(Duration::from_secs(1));
    print!("{}", &fs::read_to_string("note.txt").unwrap()[..40]);
}
""",
    ),
    "go": make_job(
        "go",
        """
package main

import ("fmt"; "os"; "strings"; "time")

func main() {
    os.WriteFile("note.txt", []byte(strings.Repeat("all is as it was\\n", 100)), 0o644)
    time.Sleep(1500 * time.Millisecond)
    time.Sleep(time.Second)
    text, _ := os.ReadFile("note.txt")
    fmt.Print(string(text[:40]))
}
""",
    ),
}
"""The same in languages whose programs are compiled first, in a machine of their own."""

KEYS = [PrivateKey(keccak256(f"operator {number} of a dispute".encode())) for number in range(4)]
HONEST, LIAR, SECOND, STRANGER = (address(key.public_key.to_address()) for key in KEYS)
NO_ENDPOINTS = Endpoints(())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(faas_home):
    async with await Engine.open(faas_home) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(engine):
    """The true run, and one that was tampered with at its second milestone."""
    true = await engine.run(JOB)
    assert len(true.outcome.trace) == 2, true.outcome
    reached = await run_to_milestone(engine, JOB, None, 2)
    index = next(index for index, page in reached.end.overlay.items() if page.startswith(WRITTEN))
    changed = reached.end.with_bytes(index * PAGE_SIZE + 4, b"was")
    trace = (*reached.trace[:1], changed.measurement)
    lied = await run_on(engine, changed, engine.library.base, trace, JOB)
    assert lied.outcome.stdout.content != true.outcome.stdout.content
    return SimpleNamespace(true=true.outcome, lied=lied.outcome, page=index, tampered=changed)


@pytest.fixture
def attest(engine, make_receipts):
    """A receipt file of an outcome, signed by an operator."""

    def make(outcome, key, *, job=JOB, trace=True, snapshot=None, toolchain=ZERO_DIGEST):
        payload = encode_job(job)
        receipt = make_receipt(
            profile_id=engine.profile_id,
            snapshot=snapshot or engine.measurement,
            toolchain=toolchain,
            job_digest=keccak256(payload),
            outcome=outcome,
            call=make_receipts.CALL,
            operator=address(key.public_key.to_address()),
        )
        bundle = make_bundle(receipt, make_receipts.sign(receipt, key), payload, outcome)
        return bundle if trace else replace(bundle, trace=None)

    return make


def posted(bundle, outcome) -> PostedResult:
    payload = encode_result(make_result(bundle.receipt, outcome, bundle.signature))
    return PostedResult(bundle.call, bundle.job, payload, bundle.receipt.operator, True, "0x1", "0x2")


def contested(*bundles, final=None) -> Contested:
    """A call with these sides."""
    claims: dict[bytes, list] = {}
    for bundle in bundles:
        claims.setdefault(agreement_digest(bundle.receipt), []).append(bundle)
    sides = tuple(Side(tuple(group)) for group in claims.values())
    first = PostedResult(bundles[0].call, bundles[0].job, b"", HONEST, True, "0x1", "0x2")
    return Contested(Sides(bundles[0].call, sides), (first,), None, final)


@contextmanager
def operators_api(*bundles) -> Iterator[list[str]]:
    """An API each that shows a receipt file, and nothing else."""
    servers = []
    for bundle in bundles:
        body = json.dumps(bundle_to_json(bundle)).encode()

        class Handler(BaseHTTPRequestHandler):
            content = body

            def do_GET(self) -> None:
                shown = self.path.endswith("/receipt")
                self.send_response(200 if shown else 404)
                self.send_header("Content-Length", str(len(self.content) if shown else 0))
                self.end_headers()
                self.wfile.write(self.content if shown else b"")

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        servers.append((server, thread))
    try:
        yield [f"http://127.0.0.1:{server.server_port}" for server, _ in servers]
    finally:
        for server, thread in servers:
            server.shutdown()
            thread.join()
            server.server_close()


async def test_a_run_that_was_tampered_with_is_refuted_at_its_leg(engine, runs, attest, faas_home) -> None:
    honest, liar = attest(runs.true, KEYS[0]), attest(runs.lied, KEYS[1])
    final = agreement_digest(honest.receipt)
    found = await dispute_call(contested(honest, liar, final=final), NO_ENDPOINTS, faas_home)
    assert [judged.standing for judged in found.judged] == [Standing.RIGHT, Standing.REFUTED]
    (refutation,) = found.refutations
    report = refutation.report
    assert (report.operator, report.milestone) == (LIAR, 1)
    assert (report.start, report.established) == (runs.true.trace[0], final)
    assert (report.right.root, report.wrong.root) == (runs.true.trace[1], runs.lied.trace[1])
    assert 1_000_000_000 <= refutation.virtual_ns < 1_100_000_000
    assert (refutation.start_place, refutation.difference) == ("run from the start", None)


async def test_what_differs_is_named_where_the_machine_is_shown(
    engine, runs, attest, faas_home, tmp_path
) -> None:
    await engine.library.keep(runs.tampered, engine.library.base, "checkpoint")
    try:
        honest, liar = attest(runs.true, KEYS[0]), attest(runs.lied, KEYS[1])
        found = await dispute_call(contested(honest, liar), NO_ENDPOINTS, faas_home)
    finally:
        await engine.library.store.delete(runs.tampered.measurement)
    (refutation,) = found.refutations
    difference = refutation.difference
    assert difference is not None
    assert (difference.registers, difference.pages, difference.files) == ({}, (runs.page,), ("note.txt",))
    (page,) = difference.first
    assert (page.index, page.offset, page.own, page.claimed) == (runs.page, 4, ord("i"), ord("w"))
    path = tmp_path / "evidence.zip"
    write_evidence(refutation.evidence, path)
    checked = await check_file(path, NO_ENDPOINTS, faas_home, lambda _: None)
    assert checked.verdict.conclusion is Conclusion.VERIFIED, checked.verdict.findings
    assert checked.difference == difference
    text = StringIO()
    print_dispute(found, Console(file=text, width=200))
    print_check(checked, Console(file=text, width=200))
    print(text.getvalue())
    for said in (
        f"{LIAR} is refuted:",
        "after milestone 1, 1.0",
        f"page {runs.page} from byte 4 on: 0x69, claimed 0x77, of file note.txt",
        "file    note.txt",
        f"REFUTED: {LIAR}",
        "5. ✓ re-execution",
        "THE EVIDENCE HOLDS",
    ):
        assert said in text.getvalue(), text.getvalue()


async def test_a_claimed_machine_with_a_made_up_device_state_hides_nothing(
    engine, runs, attest, faas_home, tmp_path
) -> None:
    stream = runs.tampered.devices.stream.replace(b"\x03cpu\0", b"\x03CPU\0")
    made_up = replace(runs.tampered.devices, stream=stream)
    machine = runs.tampered.derived(runs.tampered.overlay, hash_pages(dict(runs.tampered.overlay)), made_up)
    await engine.library.keep(machine, engine.library.base, "checkpoint")
    lie = replace(runs.true, trace=(runs.true.trace[0], machine.measurement))
    try:
        found = await dispute_call(
            contested(attest(runs.true, KEYS[0]), attest(lie, KEYS[1])), NO_ENDPOINTS, faas_home
        )
    finally:
        await engine.library.store.delete(machine.measurement)
    (refutation,) = found.refutations
    assert refutation.difference is not None
    assert (refutation.difference.registers, refutation.difference.pages) == (None, (runs.page,))
    assert refutation.difference.to_json()["registers"] is None
    write_evidence(refutation.evidence, tmp_path / "evidence.zip")
    conclusion, reason = await check(tmp_path / "evidence.zip", faas_home)
    assert conclusion is Conclusion.VERIFIED, reason
    print_dispute(found, Console(file=(text := StringIO()), width=200))
    assert "registers of the claimed machine cannot be read" in text.getvalue()


async def test_nobody_honest_is_refuted_whatever_a_liar_withholds_or_invents(
    engine, runs, attest, faas_home
) -> None:
    true, invented = runs.true, sha256(b"no machine")
    lies = {
        "end": replace(true, state_root=invented),
        "output": replace(true, stdout=Stream(b"lie\n")),
        "virtual time": replace(true, virtual_ns=true.virtual_ns + 1),
        "first milestone": replace(true, trace=(invented, *true.trace[1:])),
        "no milestones": replace(true, trace=()),
        "one too many": replace(true, trace=(*true.trace, invented)),
        "one too few": replace(true, trace=true.trace[:1]),
    }
    milestones = {"end": 2, "output": 2, "virtual time": 2, "one too many": 2, "one too few": 1}
    run = TracedRun(engine, JOB, engine.library.base, own_machines(engine))
    honest = Side((attest(true, KEYS[0]),))
    for name, lie in lies.items():
        for withheld in (False, True):
            liar = Side((attest(lie, KEYS[1], trace=not withheld),))
            first, second = await judge_sides((liar, honest), run, None)
            assert (first.standing, second.standing) == (Standing.REFUTED, Standing.RIGHT), (name, withheld)
            assert first.report is not None
            assert first.report.milestone == (0 if withheld else milestones.get(name, 0)), name
            assert first.report.established == honest.agreement


async def test_a_withheld_trace_of_an_honest_operator_is_found_by_running(engine, runs, attest) -> None:
    run = TracedRun(engine, JOB, engine.library.base, own_machines(engine))
    honest, liar = Side((attest(runs.true, KEYS[0], trace=False),)), Side((attest(runs.lied, KEYS[1]),))
    first, second = await judge_sides((honest, liar), run, None)
    assert (first.standing, second.standing) == (Standing.RIGHT, Standing.REFUTED)
    assert second.report is not None
    assert second.report.milestone == 1  # and not the whole run


async def test_two_liars_who_agree_on_a_milestone_are_both_refuted(engine, runs, attest) -> None:
    invented = sha256(b"no machine")
    run = TracedRun(engine, JOB, engine.library.base, own_machines(engine))
    lies = [
        replace(runs.true, trace=(invented, sha256(bytes([number]))), state_root=sha256(b"end"))
        for number in range(2)
    ]
    sides = [Side((attest(lie, key),)) for lie, key in zip(lies, KEYS[1:], strict=False)]
    honest = Side((attest(runs.true, KEYS[0]),))
    for group in (sides, [*sides, honest]):
        judged = await judge_sides(group, run, None)
        assert [one.standing for one in judged[:2]] == [Standing.REFUTED] * 2
        assert {one.report.right.root for one in judged[:2]} == {runs.true.trace[0]}
    assert judged[2].standing is Standing.RIGHT
    assert {one.report.established for one in judged[:2]} == {honest.agreement}


class LateOnceRun(TracedRun):
    """Its first leg ends a nanosecond late, as with the host's QEMU now and then. For this fault only."""

    async def leg(self, prefix):
        leg = await super().leg(prefix)
        if LATE.pop("once", False):
            late = replace(leg.ran.outcome, virtual_ns=leg.ran.outcome.virtual_ns + 1)
            return replace(leg, ran=replace(leg.ran, outcome=late))
        return leg


LATE: dict[str, bool] = {}


async def test_a_leg_that_ends_as_neither_says_is_run_once_more(engine, runs, attest) -> None:
    LATE["once"] = True
    run = LateOnceRun(engine, JOB, engine.library.base, own_machines(engine))
    honest = Side((attest(runs.true, KEYS[0]),))
    liar = Side((attest(replace(runs.true, stdout=Stream(b"lie\n")), KEYS[1]),))
    judged = await judge_sides((honest, liar), run, None)
    assert not LATE
    assert [one.standing for one in judged] == [Standing.RIGHT, Standing.REFUTED]


async def test_what_starts_elsewhere_contradicts_nothing(engine, runs, attest, faas_home) -> None:
    honest = attest(runs.true, KEYS[0])
    other = attest(runs.lied, KEYS[1], snapshot=sha256(b"another"))
    found = await dispute_call(contested(honest, other), NO_ENDPOINTS, faas_home)
    assert [judged.standing for judged in found.judged] == [Standing.OPEN, Standing.OPEN]
    assert not found.refutations


async def test_sides_are_what_operators_signed_and_nothing_else(engine, runs, attest) -> None:
    honest, liar = attest(runs.true, KEYS[0]), attest(runs.lied, KEYS[1])
    answers = [posted(honest, runs.true), posted(liar, runs.lied)]
    forged = replace(liar, receipt=replace(liar.receipt, operator=HONEST))
    two_faced = attest(runs.true, KEYS[1])
    unposted, stranger = attest(runs.true, KEYS[2]), attest(runs.lied, KEYS[3])
    swapped = replace(liar, trace=runs.true.trace)
    everyone = frozenset({HONEST, LIAR, SECOND})
    with operators_api(honest, forged, two_faced, unposted, stranger, swapped) as apis:
        found = await gather_sides(honest.call, answers, Endpoints([*apis, "http://127.0.0.1:1"]), everyone)
    right, wrong = found.sides
    assert (right.operators, right.trace) == ((HONEST, SECOND), runs.true.trace)
    assert (wrong.operators, wrong.trace) == ((LIAR,), None)  # its genuine trace was shown by nobody
    assert found.equivocation is not None
    assert found.equivocation[0].receipt.operator == LIAR
    with operators_api(liar) as apis:
        found = await gather_sides(honest.call, answers, Endpoints(apis), everyone)
    assert [side.trace for side in found.sides] == [None, runs.lied.trace]
    assert found.equivocation is None


async def test_roots_that_do_not_hash_to_the_outcomes_are_no_trace(runs, attest) -> None:
    liar = attest(runs.lied, KEYS[1])
    assert bundle_fault(liar) is None
    assert "trace" in (bundle_fault(replace(liar, trace=runs.true.trace)) or "")
    with pytest.raises(InvalidRequest, match="trace"):
        Side((replace(liar, trace=None),)).with_trace(runs.true.trace)


@pytest_asyncio.fixture(loop_scope="module")
async def evidence(engine, runs, attest, faas_home):
    """True evidence against the one that was tampered with."""
    found = await dispute_call(
        contested(attest(runs.true, KEYS[0]), attest(runs.lied, KEYS[1])), NO_ENDPOINTS, faas_home
    )
    return found.refutations[0].evidence


async def check(path: Path, faas_home) -> tuple[Conclusion, str]:
    checked = await check_file(path, NO_ENDPOINTS, faas_home, lambda _: None)
    return checked.verdict.conclusion, checked.verdict.reason


async def test_evidence_holds_for_anyone(evidence, faas_home, tmp_path) -> None:
    write_evidence(evidence, tmp_path / "a.zip")
    write_evidence(evidence, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert read_evidence(tmp_path / "a.zip") == evidence
    conclusion, reason = await check(tmp_path / "a.zip", faas_home)
    assert conclusion is Conclusion.VERIFIED, reason


async def test_evidence_that_was_tampered_with_does_not_hold(
    evidence, runs, attest, faas_home, tmp_path
) -> None:
    report, start = evidence.report, evidence.start
    flipped = bytearray(start.pages)
    flipped[-1] ^= 1
    honest = evidence.established
    against_honest = replace(
        report,
        operator=HONEST,
        established=report.refuted,
        refuted=report.established,
        right=report.wrong,
        wrong=report.right,
    )
    lies = {
        "the start's pages": (replace(evidence, start=replace(start, pages=bytes(flipped))), "measures"),
        "the start's devices": (
            replace(evidence, start=replace(start, devices=start.devices + b"\0")),
            "measures",
        ),
        "no start": (replace(evidence, start=None), "not in the bundle"),
        "rows out of order": (replace(evidence, start=replace(start, pages=start.pages * 2)), "order"),
        "half a row": (replace(evidence, start=replace(start, pages=start.pages[:-1])), "no rows"),
        "another milestone": (replace(evidence, report=replace(report, milestone=2)), "another machine"),
        "what was not claimed": (
            replace(evidence, report=replace(report, wrong=replace(report.wrong, root=sha256(b"x")))),
            "does not say",
        ),
        "what our run does not give": (
            replace(
                evidence,
                established=None,
                report=replace(report, established=bytes(32), right=replace(report.right, root=sha256(b"x"))),
            ),
            "root",
        ),
        "no difference": (replace(evidence, report=replace(report, right=report.wrong)), "alike"),
        "another operator": (replace(evidence, report=replace(report, operator=SECOND)), "operator"),
        "a forged receipt": (
            replace(evidence, refuted=replace(evidence.refuted, signature=honest.signature)),
            "signature",
        ),
        "another trace": (
            replace(evidence, refuted=replace(evidence.refuted, trace=runs.true.trace)),
            "trace",
        ),
        "an honest operator accused": (
            replace(evidence, report=against_honest, refuted=honest, established=evidence.refuted),
            "as the refuted receipt says|ends where the refuted receipt says",
        ),
    }
    for name, (lie, said) in lies.items():
        path = tmp_path / "lie.zip"
        write_evidence(lie, path)
        conclusion, reason = await check(path, faas_home)
        assert conclusion is Conclusion.REFUTED, (name, reason)
        assert any(part in reason for part in said.split("|")), (name, reason)


async def test_no_report_accuses_an_honest_operator(evidence, runs, faas_home, tmp_path) -> None:
    """Whatever points of its run somebody mixes up."""
    honest, report = evidence.established, evidence.report
    row = Side((honest,)).row
    accusations = [
        replace(
            report, operator=HONEST, established=bytes(32), refuted=report.established,
            milestone=milestone, start=start, right=right, wrong=wrong,
        )
        for milestone, start in ((0, evidence.base), (1, row[0].root))
        for right in (*row, report.wrong)
        for wrong in row
        if right != wrong
    ]  # fmt: skip
    for accusation in accusations:
        path = tmp_path / "accusation.zip"
        accused = replace(evidence, report=accusation, refuted=honest, established=None)
        write_evidence(accused, path)
        conclusion, reason = await check(path, faas_home)
        assert conclusion is Conclusion.REFUTED, (accusation, reason)


async def test_evidence_on_a_withheld_trace(engine, runs, attest, faas_home, tmp_path) -> None:
    honest, liar = attest(runs.true, KEYS[0]), attest(runs.lied, KEYS[1], trace=False)
    found = await dispute_call(contested(honest, liar), NO_ENDPOINTS, faas_home)
    (refutation,) = found.refutations
    assert "withheld" in refutation.judged.reason
    assert (refutation.report.milestone, refutation.evidence.start) == (0, None)
    write_evidence(refutation.evidence, tmp_path / "evidence.zip")
    conclusion, reason = await check(tmp_path / "evidence.zip", faas_home)
    assert conclusion is Conclusion.VERIFIED, reason


async def test_evidence_on_a_kept_machine_brings_it(attest, engine, faas_home, tmp_path, monkeypatch) -> None:
    first = await engine.run(make_job("python", "x = 20", keep=True))
    job = make_job("python", "import time\ntime.sleep(1.5)\nprint(x + 1)", limits=Limits(timeout_ms=5000))
    true = (await engine.run(job, first.snapshot)).outcome
    assert (true.stdout.content, len(true.trace)) == (b"21\n", 1)
    lie = replace(true, stdout=Stream(b"22\n"))
    bundles = [
        attest(outcome, key, job=job, snapshot=first.snapshot)
        for outcome, key in ((true, KEYS[0]), (lie, KEYS[1]))
    ]
    found = await dispute_call(contested(*bundles), NO_ENDPOINTS, faas_home)
    (refutation,) = found.refutations
    assert (refutation.report.operator, refutation.report.milestone) == (LIAR, 1)
    write_evidence(refutation.evidence, tmp_path / "evidence.zip")
    monkeypatch.setenv("FAAS_STORE", str(tmp_path / "another"))
    conclusion, reason = await check(tmp_path / "evidence.zip", faas_home)
    assert conclusion is Conclusion.VERIFIED, reason
    without = replace(refutation.evidence, origin=None)
    write_evidence(without, tmp_path / "without.zip")
    conclusion, reason = await check(tmp_path / "without.zip", faas_home)
    assert (conclusion, "not in the bundle" in reason) == (Conclusion.REFUTED, True)


@pytest.mark.parametrize("language", sorted(COMPILED))
async def test_evidence_on_a_program_that_is_compiled(engine, attest, faas_home, tmp_path, language) -> None:
    """The first leg differs, so that whoever runs it compiles the program first."""
    job = COMPILED[language]
    ran = await engine.run(job)
    lie = replace(ran.outcome, trace=(sha256(b"no machine"), *ran.outcome.trace[1:]))

    def sides(toolchain):
        asked = {"job": job, "toolchain": toolchain}
        return attest(ran.outcome, KEYS[0], **asked), attest(lie, KEYS[1], **asked)

    found = await dispute_call(contested(*sides(ran.toolchain)), NO_ENDPOINTS, faas_home)
    (refutation,) = found.refutations
    report = refutation.report
    assert (report.operator, report.milestone, report.right.root) == (LIAR, 0, ran.outcome.trace[0])
    path = tmp_path / "evidence.zip"
    write_evidence(refutation.evidence, path)
    conclusion, reason = await check(path, faas_home)
    assert conclusion is Conclusion.VERIFIED, reason

    other = sides(sha256(b"another compiler"))
    with pytest.raises(NotFound, match="the receipt's toolchain is 0x"):
        await dispute_call(contested(*other), NO_ENDPOINTS, faas_home)
    established, refuted = (agreement_digest(bundle.receipt) for bundle in other)
    accused = replace(report, established=established, refuted=refuted)
    bundle = replace(refutation.evidence, report=accused, established=other[0], refuted=other[1])
    write_evidence(bundle, tmp_path / "other.zip")
    conclusion, reason = await check(tmp_path / "other.zip", faas_home)
    assert conclusion is Conclusion.UNCHECKED
    assert "the receipt's toolchain is 0x" in reason


async def test_a_run_in_a_fork_starts_where_the_engine_starts_it(engine) -> None:
    record = ForkRecord(seed=7, epoch=1_800_000_000, identity=b"a branch")
    program = Program(make_job("python", "print(1)", keep=Mode.BRANCHED.keeps))
    forked = Run(JobKind.EXECUTE_WITH_OPTIONS, program, mode=Mode.BRANCHED, fork=record)
    for operation in (forked, RestoreSnapshot(None, 9)):
        job, start = job_and_start(operation, {}, engine.library.base)
        assert (job, start.measurement) == await start_of_run(engine, operation, {})
    with pytest.raises(InvalidRequest, match="no program"):
        job_and_start(CreateBranch(None, record), {}, engine.library.base)


def hostile(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


async def test_hostile_bundles_are_refused(evidence, tmp_path, faas_home) -> None:
    write_evidence(evidence, tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as file:
        good = {name: file.read(name) for name in file.namelist()}
    about = json.loads(good["dispute.json"])
    without = {name: content for name, content in good.items() if name != "refuted.json"}
    bombs = {
        "a path upwards": ({**good, "../../etc/cron.d/x": b"x"}, "no entry"),
        "an absolute path": ({**good, "/etc/passwd": b"x"}, "no entry"),
        "an unknown name": ({**good, "more.json": b"{}"}, "no entry"),
        "too much": ({**good, "dispute.json": b" " * (2 << 20)}, "more than it may have"),
        "too many": ({**good, **{f"inputs/{n:064x}": b"" for n in range(1100)}}, "entries at the most"),
        "another input": ({**good, f"inputs/{0:064x}": b"x"}, "something else"),
        "no receipt": (without, "no refuted.json"),
        "half a machine": ({**good, "origin.pages": b""}, "belong together"),
        "no JSON": ({**good, "dispute.json": b"{"}, "not JSON"),
        "deep JSON": ({**good, "dispute.json": b"[" * 100_000}, "not JSON"),
        "another format": ({**good, "dispute.json": json.dumps({**about, "format": 9}).encode()}, "format"),
        "a number that is none": (
            {
                **good,
                "dispute.json": json.dumps(
                    {**about, "report": {**about["report"], "milestone": True}}
                ).encode(),
            },
            "not a number",
        ),
        "a digest that is none": (
            {**good, "dispute.json": json.dumps({**about, "base": "0x12"}).encode()},
            "hexadecimal",
        ),
    }
    for name, (entries, said) in bombs.items():
        path = hostile(tmp_path / "hostile.zip", entries)
        with pytest.raises(InvalidRequest, match=said):
            read_evidence(path)
        assert (await check(path, faas_home))[0] is Conclusion.UNCHECKED, name
    (tmp_path / "text.zip").write_bytes(b"this is no zip file")
    with pytest.raises(InvalidRequest, match="no evidence bundle"):
        read_evidence(tmp_path / "text.zip")
    cut = (tmp_path / "good.zip").read_bytes()
    for damaged in (cut[: len(cut) // 2], cut[:200] + bytes(50) + cut[250:]):
        (tmp_path / "cut.zip").write_bytes(damaged)
        with pytest.raises(InvalidRequest):
            read_evidence(tmp_path / "cut.zip")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_evidence(tmp_path / "missing.zip")


async def test_a_size_that_is_a_lie_unpacks_no_more_than_it_says(evidence, tmp_path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("start.pages", bytes(64 << 20))
    content = path.read_bytes()
    honest_size = (64 << 20).to_bytes(4, "little")
    path.write_bytes(content.replace(honest_size, (16).to_bytes(4, "little")))
    with pytest.raises(InvalidRequest, match="no evidence bundle"):
        read_evidence(path)
