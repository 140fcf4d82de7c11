"""The command line: help, mistakes, exit codes, and `faas run` on a real machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main

from faas_cli import main as cli
from faas_microvm.sandbox import CGROUPS

FAAS = [sys.executable, "-m", "faas_cli.main"]
RUN_KEYS = {
    "stdout",
    "stderr",
    "exit_code",
    "virtual_ns",
    "state_root",
    "measurement",
    "profile_id",
    "wall_ms",
}
COMMANDS = {
    "demo", "up", "devnet", "run", "verify", "audit", "dispute", "verify-proof", "image build", "image list",
    "snapshot measure", "machine build", "machine show", "snapshot list", "snapshot show",
    "snapshot delete", "snapshot collect",
    "snapshot branch", "snapshot fork", "snapshot resume", "snapshot diff", "snapshot merge",
    "snapshot prove",
    "accounts create", "accounts list", "accounts show", "accounts limit", "accounts close", "accounts open",
    "accounts audit", "keys create", "keys list", "keys revoke",
    "job submit", "job snapshot", "job restore", "job branch",
    "job merge", "job wait", "job show", "quote job", "quote service", "quote take",
    "operator doctor", "operator register", "operator run",
    "operator database", "operator show-config", "operator status", "operator claim", "operator slashes",
    "operator dispute-slash",
    "operator approve",
    "operator join",
    "operator leave",
    "operator reject",
    "operator requests",
    "operator stake",
    "operator unregister",
    "operator unstake",
}  # fmt: skip


def commands(command, *names: str) -> Iterator[tuple[str, Any]]:
    """Every command below one, by its words."""
    children = getattr(command, "commands", None)
    if children is not None:
        for name, child in children.items():
            yield from commands(child, *names, name)
    else:
        yield " ".join(names), command


def test_commands_start_without_what_few_of_them_need():
    """A chain's clients, a database, a server: each takes longer to import than all the rest."""
    heavy = "aiohttp", "eth_account", "fastapi", "httpx", "sqlalchemy", "web3"
    code = f"import sys, faas_cli.main; print(*sorted(sys.modules.keys() & {set(heavy)}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "\n"


@pytest.mark.parametrize("ignored", [False, True], ids=["usual", "ignored"])
def test_ctrl_c_during_the_imports_is_quiet(ignored):
    code = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        f"if {ignored}: signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['faas', '--version']\n"
        "from faas_cli.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0 if ignored else -signal.SIGINT, "")


ALL = dict(commands(typer.main.get_command(cli.app)))


@pytest.fixture
def faas(monkeypatch, capsys, tmp_path):
    """The command in this process, in an empty home and folder; gives exit code, stdout and stderr."""
    for name in (
        "FAAS_RPC_URL",
        "FAAS_TANGLE",
        "FAAS_BLUEPRINT_ID",
        "FAAS_KEYSTORE",
        "FAAS_KEYSTORE_PASSWORD",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FAAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.py").write_text("print(1)\n")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe")
    (tmp_path / "what.rb").write_text("puts 1\n")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["faas", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        out, err = capsys.readouterr()
        return (code if isinstance(code, int) else 0), out, err

    return call


def test_the_commands_are_the_documented_ones():
    assert set(ALL) == COMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_names_every_option(faas, name):
    code, out, _ = faas(*name.split(), "--help")
    assert code == 0
    options = [word for part in ALL[name].params for word in part.opts if word.startswith("--")]
    assert [option for option in options if option not in out] == []


@pytest.mark.parametrize("name", ["", "job", "operator", "image", "machine", "snapshot", "accounts", "keys"])
def test_a_group_lists_its_commands(faas, name):
    code, out, _ = faas(*name.split(), "--help")
    assert code == 0
    prefix = f"{name} " if name else ""
    for command in COMMANDS:
        if command.startswith(prefix):
            assert command.removeprefix(prefix).split()[0] in out


def test_version(faas):
    assert faas("--version") == (0, f"faas {version('tangle-faas')}\n", "")


MISTAKES = [
    (("run", "nowhere.py"), "cannot read nowhere.py"),
    (("run", "binary.py"), "cannot read binary.py"),
    (("run", "-l", "python", "."), "cannot read ."),
    (("run", "what.rb"), "cannot tell the language of what.rb: give --language"),
    (("run", "[/red].x"), "cannot tell the language of [/red].x"),
    (("run", "ok.py", "--language", "ruby"), "'ruby' is not served"),
    (("run", "ok.py", "--env", "NAME"), "--env takes NAME=VALUE, got 'NAME'"),
    (("run", "ok.py", "--stdin", "nowhere"), "cannot read nowhere"),
    (("run", "ok.py", "--file", "nowhere"), "cannot read nowhere"),
    (("run", "ok.py", "--output", "."), "is not empty: give a new or empty folder"),
    (("run", "ok.py", "--output", "ok.py"), "cannot write into ok.py"),
    (("run", "ok.py", "--timeout-ms", "0"), "timeout_ms must be an integer from 1"),
    (("run", "ok.py", "--memory-mb", "99999"), "memory_mb must be an integer from 16"),
    (("run", "ok.py", "--seed", "-1"), "seed must be"),
    (("run", "ok.py", "--mode", "persistent"), "--mode persistent takes --branch, the session's name"),
    (("run", "ok.py", "--mode", "persistent", "-b", "a", "-s", "base"), "and no --snapshot"),
    (("run", "ok.py", "--mode", "branched"), "--mode branched takes --snapshot or --branch"),
    (("demo", "--code", "nowhere.py"), "cannot read nowhere.py"),
    (("demo", "--code", "what.rb"), "cannot tell the language of what.rb"),
    (("demo", "--language", "ruby"), "'ruby' is not served"),
    (("job", "submit"), "give a file or --code"),
    (("job", "submit", "ok.py", "--code", "1"), "give a file or --code"),
    (("job", "submit", "--code", "1"), "--code needs --language"),
    (("job", "submit", "ok.py"), "start a local chain with `faas up`"),
    (("job", "show", "0"), "start a local chain with `faas up`"),
    (("job", "wait", "0"), "start a local chain with `faas up`"),
    (("operator", "status"), "start a local chain with `faas up`"),
    (("operator", "register"), "start a local chain with `faas up`"),
    (("job", "show", "0", "--rpc", "http://127.0.0.1:1"), "give --rpc, --tangle and --blueprint"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_named_in_one_line(faas, arguments, said):
    code, out, err = faas(*arguments)
    assert (code, out) == (1, "")
    first, *details = err.splitlines()
    assert first.startswith("error: ")
    assert said in first
    assert all(line.startswith("  ") for line in details)
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "option"), [("up", "--api-port"), ("up", "--chain-port"), ("devnet", "--port")]
)
def test_a_port_in_use_is_named_before_any_work(command, option):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        free = ("--api-port", "0", "--chain-port", "0") if command == "up" else ()
        done = subprocess.run(
            [*FAAS, command, *free, option, str(port)], capture_output=True, text=True, timeout=60
        )
    said = f"error: port {port} is in use: stop the other `faas up`, or give {option} 0\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "nowhere.py", "--json"), "INVALID_REQUEST", "cannot read nowhere.py"),
        (("demo", "--language", "ruby", "--json"), "INVALID_REQUEST", "'ruby' is not served"),
        (("job", "submit", "ok.py", "--json"), "INTERNAL_ERROR", "faas up"),
    ],
)
def test_errors_as_json(faas, arguments, code, said):
    exit_code, out, err = faas(*arguments)
    assert (exit_code, err) == (1, "")
    error = json.loads(out)["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["code"] == code
    assert said in error["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify",), "give a receipt file, or --rpc, --service and --call"),
        (("verify", "--rpc", "http://127.0.0.1:1"), "give a receipt file"),
        (("verify", "x.json", "--call", "1"), "--service and --call need --rpc"),
        (("run",), "file"),
        (("run", "ok.py", "--seed", "x"), "integer"),
        (("job", "show", "x"), "integer"),
        (("bogus",), "No such command 'bogus'"),
        (("run", "--bogus", "ok.py"), "--bogus"),
    ],
)
def test_wrong_usage_is_exit_code_2(faas, arguments, said):
    code, out, err = faas(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_what_cannot_be_checked_is_exit_code_2(faas):
    assert faas("verify", "nowhere.json")[0] == 2
    code, out, _ = faas("verify", "--rpc", "http://127.0.0.1:1", "--service", "1", "--call", "0", "--json")
    assert code == 2
    assert json.loads(out)["verified"] is False


def run(*arguments: str, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`faas run` as a process of its own, on the real machine."""
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    return subprocess.run(
        [*FAAS, "run", *arguments], cwd=cwd, env=environment, input=stdin, capture_output=True, timeout=300
    )


PROGRAMS = {
    "python": ("hello.py", "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(7)\n"),
    "javascript": ("hello.js", "console.log('out'); console.error('err'); process.exitCode = 7;\n"),
}


@pytest.mark.machine
@pytest.mark.parametrize("language", PROGRAMS)
def test_run_as_json(tmp_path, language):
    name, code = PROGRAMS[language]
    (tmp_path / name).write_text(code)
    reports = []
    for _ in range(2):
        done = run(name, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(done.stdout))
    first, second = reports
    assert set(first) >= RUN_KEYS
    assert (first["stdout"], first["stderr"], first["exit_code"]) == ("out\n", "err\n", 7)
    assert first["virtual_ns"] > 0
    assert first["wall_ms"] > 0
    for key in ("state_root", "measurement", "profile_id"):
        assert len(bytes.fromhex(first[key].removeprefix("0x"))) == 32
    del first["wall_ms"], second["wall_ms"]
    assert first == second


@pytest.mark.machine
@pytest.mark.parametrize("language", PROGRAMS)
def test_run_passes_on_streams_and_exit_code(tmp_path, language):
    name, code = PROGRAMS[language]
    (tmp_path / name).write_text(code)
    done = run(name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (7, b"out\n")
    assert b"err\n" in done.stderr


def test_run_says_what_its_exit_codes_mean(faas):
    _, out, _ = faas("run", "--help")
    said = " ".join(out.split())
    assert "124 at the limit of virtual time" in said
    assert "With --json it is 0 however the program ended" in said


@pytest.mark.machine
def test_run_hands_in_every_input(tmp_path):
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    (tmp_path / "typed").write_bytes(b"from a file")
    code = (
        "import os, sys, time, random\n"
        "print(sys.argv[1:], os.environ['A'], os.environ['B'], sys.stdin.read(), int(time.time()) // 60)\n"
        "print(open('data.bin', 'rb').read() == bytes(range(256)), random.random())\n"
    )
    options = [
        "--env",
        "A=1",
        "--env",
        "B=x=y",
        "--file",
        "data.bin",
        "--stdin",
        "typed",
        "--epoch",
        "1700000040",
    ]
    outputs = []
    for seed in ("1", "1", "2"):
        done = run(*options, "--seed", seed, "-l", "python", "-", "--", "one", "--two", cwd=tmp_path,
                   stdin=code.encode())  # fmt: skip
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.decode().splitlines())
    assert outputs[0][0] == "['one', '--two'] 1 x=y from a file 28333334"
    assert outputs[0][1].startswith("True 0.")
    assert outputs[0] == outputs[1] != outputs[2]


@pytest.mark.machine
def test_run_says_which_limit_ended_the_program(tmp_path):
    (tmp_path / "sleep.py").write_text("import time; time.sleep(100)")
    done = run("sleep.py", "--timeout-ms", "200", cwd=tmp_path)
    assert done.returncode == 124
    assert b"limit of 200 virtual milliseconds" in done.stderr


@pytest.mark.machine
def test_ctrl_c_stops_everything_and_says_so_once(tmp_path):
    (tmp_path / "loop.py").write_text("print('begun', flush=True)\nwhile True: pass")
    with subprocess.Popen(
        [*FAAS, "run", "loop.py", "--timeout-ms", "600000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGINT)  # to the whole group, as a terminal sends it
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("interrupted; everything that was started has been stopped\n") == 1
    assert "control group" not in err
    assert list(CGROUPS.glob(f"**/faas-{process.pid}-*")) == []
