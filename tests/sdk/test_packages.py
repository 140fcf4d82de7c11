"""The TypeScript SDK's own tests, and both SDKs as strangers install them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def run(*command: str, cwd: Path, seconds: float = 300, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests(typescript_sdk, compiled):
    names = sorted(path.name for path in compiled.glob("*.test.js"))
    output = run("node", "--test", "--test-reporter=tap", *names, cwd=compiled)
    passed = re.search(r"^# pass (\d+)$", output, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 150
    assert "# fail 0\n" in output


def test_its_types_are_those_of_the_description(typescript_sdk, compiled):
    described = json.loads((CHECKOUT / "api/openapi.json").read_text())
    declared = (typescript_sdk / "dist/esm/schema.d.ts").read_text()
    for operation in (op for item in described["paths"].values() for op in item.values()):
        assert f"    {operation['operationId']}: {{" in declared
    for name in described["components"]["schemas"]:
        assert re.search(rf"^        {name}: ", declared, re.MULTILINE), name


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, str]]:
    """The environment that tells an SDK of a node that runs meanwhile."""
    node = CHECKOUT / "tests/api/served_node.py"
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, str(node), f"sqlite:///{folder}/store.sqlite"], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            yield {"FAAS_ENDPOINT": f"http://127.0.0.1:{port}", "FAAS_API_KEY": "alice"}
        finally:
            process.kill()


def first_example(readme: Path, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", readme.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_no_committed_file_names_a_registry():
    lock = json.loads((CHECKOUT / "sdk/typescript/package-lock.json").read_text())
    assert all("resolved" not in entry for entry in lock["packages"].values())


@pytest.mark.machine
def test_the_npm_package_in_an_empty_project(typescript_sdk, compiled, served, tmp_path):
    output = run("npm", "pack", "--json", "--pack-destination", str(tmp_path), cwd=typescript_sdk)
    packed = json.loads(output[output.index("[\n") :])
    contents = {file["path"] for file in packed[0]["files"]}
    assert {"README.md", "dist/esm/index.js", "dist/cjs/index.js", "dist/esm/index.d.ts"} <= contents
    assert not [path for path in contents if not path.startswith(("dist/", "README", "package.json"))]
    project = tmp_path / "project"
    project.mkdir()
    (project / "package.json").write_text('{"private": true, "type": "module"}')
    options = ("--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts")
    run("npm", "install", *options, str(tmp_path / packed[0]["filename"]), cwd=project)
    (project / "first.js").write_text(first_example(typescript_sdk / "README.md", "typescript"))
    assert run("node", "first.js", cwd=project, **served) == "0\n1\n2\nexit code 0\n"
    (project / "second.cjs").write_text("console.log(typeof require('@faas/sdk').TangleFaaSClient)")
    assert run("node", "second.cjs", cwd=project) == "function\n"


@pytest.mark.machine
def test_the_wheel_in_an_empty_environment(served, tmp_path):
    source = CHECKOUT / "sdk/python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", "env", cwd=tmp_path)
    python = str(tmp_path / "env/bin/python")
    run(*pip, "--python", python, "install", "--no-compile", str(wheel), cwd=tmp_path)
    (tmp_path / "first.py").write_text(first_example(source / "README.md", "python"))
    printed = run(python, "first.py", cwd=tmp_path, **served).splitlines()
    assert printed[0] == "Hello World"
    assert re.fullmatch(r" 0 \d+ exec_\w+", printed[1])
