"""The container file builds, and what it builds runs a job: as its user, in its own file system and sandbox.

Registries of images are out of reach here, so the Debian that it starts from is made from Debian's packages.
It takes some minutes, 3 GB for a while, and the package index from inside the build: `FAAS_TEST_CONTAINER=1`
asks for it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
BASE = "docker.io/library/debian:12-slim"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.machine,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not os.environ.get("FAAS_TEST_CONTAINER"), reason="FAAS_TEST_CONTAINER=1 builds the container"
    ),
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("buildah") is None or shutil.which("mmdebstrap") is None,
        reason="building containers takes root, buildah and mmdebstrap",
    ),
]

ENTER = """
mount --bind "$1" "$1" && cd "$1" && mkdir -p old cache
mount --bind -o ro "$2" cache && mount -t proc proc proc && mount --rbind /dev dev && mount --rbind /sys sys
pivot_root . old && umount -l /old
shift 2
exec setpriv --reuid faas --regid faas --clear-groups "$@"
"""
"""$1: the container's root; $2: this host's image and snapshots; then the command."""


@dataclass(frozen=True)
class Container:
    """Built, and mounted."""

    root: Path
    configuration: dict[str, list[str]]
    home: Path
    """This host's image and base snapshot, which a first start would make in minutes."""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The entry point with these arguments."""
        inside = ("env", "-i", *self.configuration["Env"], *self.configuration["Entrypoint"], *arguments)
        own = ("unshare", "--mount", "--pid", "--fork")
        return subprocess.run(
            [*own, "sh", "-euc", ENTER, "enter", self.root, self.home, *inside],
            capture_output=True,
            text=True,
            timeout=200,
        )


def checked(*command: str | Path, seconds: float = 1500) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def container(tmp_path_factory, faas_home: Path) -> Iterator[Container]:
    folder = tmp_path_factory.mktemp("containers")
    state = ("--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs")

    def buildah(command: str, *arguments: str | Path) -> str:
        return checked("buildah", *state, command, *arguments)

    authority = os.environ.get("PIP_CERT")  # of a host that reaches the package index through one of its own
    volumes: list[str] = []
    if authority:
        (folder / "pip.conf").write_text("[global]\ncert = /etc/authority.crt\n")
        volumes = ["-v", f"{folder}/pip.conf:/etc/pip.conf:ro", "-v", f"{authority}:/etc/authority.crt:ro"]
    checked("mmdebstrap", "--quiet", "--variant=minbase", "bookworm", folder / "base.tar")
    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, folder / "base.tar", "/")
    buildah("commit", "--quiet", "--rm", base, BASE)
    building = ("--isolation", "chroot", "--pull-never", *volumes, "-f", CHECKOUT / "deploy/Containerfile")
    buildah("bud", *building, "-t", "faas-operator", CHECKOUT)
    name = buildah("from", "--pull-never", "localhost/faas-operator")
    root = Path(buildah("mount", name))
    configuration = json.loads(buildah("inspect", name))["OCIv1"]["config"]
    for item in ("images", "snapshots", "base.json"):
        (root / "var/lib/faas" / item).symlink_to(f"/cache/{item}")
    try:
        yield Container(root, configuration, faas_home)
    finally:
        shutil.rmtree(folder)


def test_it_runs_as_its_own_user_and_is_told_to_drain(container: Container) -> None:
    said = container.configuration
    assert (said["User"], said["StopSignal"], said["Cmd"]) == ("faas", "SIGTERM", ["operator", "run"])
    assert "FAAS_API_HOST=0.0.0.0" in said["Env"]
    assert sorted(said["ExposedPorts"]) == ["8080/tcp"]
    assert "FAAS_HOME                /var/lib/faas" in container.run("operator", "show-config").stdout


def test_it_has_the_sources_and_nothing_that_a_checkout_has_gathered(container: Container) -> None:
    copied = {path.name for path in (container.root / "opt/faas").iterdir()}
    assert {"microvm", "pyproject.toml", ".venv"} <= copied
    assert not {".cache", ".git", "docs", "sdk", "tools"} & copied


def test_its_golden_job_comes_out_as_everywhere(container: Container) -> None:
    done = container.run("operator", "doctor", "--json")
    findings = {item["check"]: item for item in json.loads(done.stdout)["checks"]}
    for check in ("sandbox", "base snapshot", "golden job"):
        assert findings[check]["standing"] == "ok", findings[check]


def test_every_module_is_whole(container: Container) -> None:
    program = (
        "import importlib, pkgutil\n"
        "for name in ('faas_operator', 'faas_api', 'faas_verifier', 'faas_cli', 'faas_microvm'):\n"
        "    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, name + '.'):\n"
        "        if '.migrations.' not in module.name:\n"
        "            importlib.import_module(module.name)\n"
        "print('whole')\n"
    )
    python = Container(
        container.root, {**container.configuration, "Entrypoint": ["python", "-c"]}, container.home
    )
    done = python.run(program)
    assert done.stdout == "whole\n", done.stderr
