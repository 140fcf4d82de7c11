"""`faas demo`: a job's whole way in one command, with any program, and whenever it is interrupted."""

from __future__ import annotations

import json
import signal
import time

import pytest

pytestmark = [pytest.mark.machine, pytest.mark.chain]

KEYS = {
    "service_id", "call_id", "language", "stdout", "exit_code", "receipt", "result_tx", "verified", "timings",
}  # fmt: skip
RECEIPT_KEYS = {
    "version", "profile_id", "snapshot", "toolchain", "job_digest", "outcome_digest", "state_root",
    "virtual_ns", "chain_id", "tangle", "service_id", "call_id", "operator", "signature",
}  # fmt: skip
ENDS_WITHIN_SECONDS = 15


def report_of(command) -> dict[str, object]:
    assert command.wait() == 0, command.stderr
    assert command.stdout.count("\n") == 1
    report = json.loads(command.stdout)
    assert set(report) >= KEYS
    assert report["verified"] is True
    assert "\033" not in command.stderr
    return report


def test_the_built_in_program(start_faas):
    command = start_faas("demo", "--json")
    report = report_of(command)
    assert report["language"] == "python"
    assert report["stdout"].startswith("Hello from a machine")
    assert report["exit_code"] == 0
    assert set(report["receipt"]) == RECEIPT_KEYS
    assert (report["service_id"], report["call_id"]) == tuple(
        report["receipt"][name] for name in ("service_id", "call_id")
    )
    assert len(bytes.fromhex(report["result_tx"].removeprefix("0x"))) == 32
    assert len(bytes.fromhex(report["receipt"]["signature"].removeprefix("0x"))) == 65
    assert all(seconds >= 0 for seconds in report["timings"].values())
    steps = [line for line in command.stderr.splitlines() if line[:1].isdigit()]
    assert [line.split(".")[0] for line in steps] == [str(number) for number in range(1, len(steps) + 1)]
    assert 6 <= len(steps) <= 10
    assert any("verified" in line for line in steps)


def test_for_people_nothing_is_on_stdout_but_what_was_asked_for(start_faas):
    command = start_faas("demo")
    assert command.wait() == 0, command.stderr
    assert command.stdout == ""


@pytest.mark.parametrize(
    ("language", "name", "code", "exit_code", "stdout", "stderr"),
    [
        ("javascript", "own.txt", "console.log('own', 6 * 7); process.exit(3)", 3, "own 42\n", ""),
        ("python", "sleep.py", "print('a', flush=True)\nimport time; time.sleep(99)", 124, "a\n", ""),
        ("python", "broken.py", "print(1\n", 1, "", "SyntaxError"),
    ],
)
def test_whatever_a_program_does_is_verified(
    start_faas, tmp_path, language, name, code, exit_code, stdout, stderr
):
    (tmp_path / name).write_text(code)
    report = report_of(start_faas("demo", "--json", "--code", str(tmp_path / name), "--language", language))
    assert (report["language"], report["exit_code"], report["stdout"]) == (language, exit_code, stdout)
    assert stderr in report["stderr"]


def test_two_at_once(start_faas):
    first, second = start_faas("demo", "--json"), start_faas("demo", "--json")
    reports = [report_of(first), report_of(second)]
    assert reports[0]["receipt"]["snapshot"] == reports[1]["receipt"]["snapshot"]


MOMENTS = {
    "loading the machine": "loading the base snapshot",
    "starting the chain": "1. ",
    "starting the operator": "2. ",
    "waiting for the result": "4. ",
    "verifying": "5. ",
}


@pytest.mark.parametrize(
    ("moment", "number"),
    [*((moment, signal.SIGINT) for moment in MOMENTS), ("waiting for the result", signal.SIGTERM)],
)
def test_an_interrupted_demo_leaves_nothing_behind(start_faas, moment, number):
    command = start_faas("demo", "--json")
    command.await_text("stderr", MOMENTS[moment])
    time.sleep(0.05)
    command.interrupt(number)
    assert command.wait(ENDS_WITHIN_SECONDS) == 130, command.stderr
    assert command.stdout == ""
    assert "Traceback" not in command.stderr


PYTHON_CANNOT_START = ("Could not import runpy module", "Fatal Python error: init_")


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.7, 0.8, 0.9])
def test_interrupted_right_after_the_start(start_faas, seconds):
    """Among it while it waits for short programs, which the same Ctrl-C ends."""
    command = start_faas("demo", "--json")
    time.sleep(seconds)
    command.interrupt(signal.SIGINT)
    # before Python has got as far as our code it ends by the signal itself, which shells show as 130, or says
    # that it cannot start
    status = command.wait(ENDS_WITHIN_SECONDS)
    cannot_start = status == 1 and command.stderr.startswith(PYTHON_CANNOT_START)
    assert cannot_start or status in (130, -signal.SIGINT), command.stderr
    assert command.stdout == ""


def test_the_demo_after_an_interrupted_one_works(start_faas):
    command = start_faas("demo", "--json")
    command.await_text("stderr", "4. ")
    command.interrupt(signal.SIGINT)
    assert command.wait(ENDS_WITHIN_SECONDS) == 130
    report_of(start_faas("demo", "--json"))


def test_a_liar_among_three_operators(start_faas):
    report = report_of(start_faas("demo", "--operators", "3", "--liar", "--json"))
    operators, agreed, marked = report["operators"], report["agreed"], report["marked"]
    assert (len(operators), len(agreed), len(marked)) == (3, 2, 1)
    assert set(operators) == {*agreed, *marked}
    assert report["receipt"]["operator"] in agreed
    assert report["stdout"].startswith("Hello from a machine")
    assert report["slash_proposed"] is True
    slash = report["slash"]
    assert (slash["operator"], slash["kind"], slash["share_bps"]) == (marked[0], "equivocation", 10_000)


def test_the_same_lie_is_refuted_by_bisection(start_faas):
    report = report_of(start_faas("demo", "--operators", "3", "--liar", "--same-lie", "--json"))
    (marked,) = report["marked"]
    assert report["slash_proposed"] is True
    slash, found = report["slash"], report["refutation"]
    assert (slash["operator"], slash["kind"], slash["share_bps"]) == (marked, "refuted", 2_500)
    assert (found["operator"], found["milestone"]) == (marked, 1)
    assert found["right"]["root"] != found["wrong"]["root"]
    assert found["right"]["outcome_digest"] is None


def test_an_interrupted_demo_of_several_leaves_nothing_behind(start_faas):
    command = start_faas("demo", "--operators", "3", "--liar", "--same-lie", "--json")
    command.await_text("stderr", "5. ")
    command.interrupt(signal.SIGINT)
    assert command.wait(3 * ENDS_WITHIN_SECONDS) == 130, command.stderr
    assert command.stdout == ""
    assert "Traceback" not in command.stderr


def test_a_liar_takes_two_who_outvote_it(start_faas):
    command = start_faas("demo", "--operators", "2", "--liar")
    assert command.wait() == 2
    assert "--operators 3" in command.stderr
