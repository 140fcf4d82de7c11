"""What the packages import comes with the distribution, with the extra that a user is told to install."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

SUBSTRATE = {"scalecodec", "xxhash"}
"""What reading Substrate chains takes; the verifier names the extra where it is missing."""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str | None) -> list[Requirement]:
    """What the bare distribution asks for, or that with an extra."""
    found = list(map(Requirement, PROJECT["dependencies"]))
    for item in map(Requirement, () if extra is None else EXTRAS[extra]):
        if item.name == PROJECT["name"]:
            found += [other for name in item.extras for other in declared(name)]
        else:
            found.append(item)
    return found


def installed_with(wanted: Iterable[Requirement]) -> set[str]:
    """The distributions that an installation of these has, whatever brings them."""
    found: set[tuple[str, str]] = set()
    waiting = [(item, extra) for item in wanted for extra in ("", *item.extras)]
    while waiting:
        item, extra = waiting.pop()
        if (_plain(item.name), extra) in found:
            continue
        found.add((_plain(item.name), extra))
        try:
            needed = requires(item.name) or []
        except PackageNotFoundError:
            continue  # for another Python or platform
        for other in map(Requirement, needed):
            if other.marker is None or other.marker.evaluate({"extra": extra}):
                waiting += [(other, name) for name in ("", *other.extras)]
    return {name for name, _ in found}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Modules that are not Python's own nor ours, with the file that wants them."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            for top in {name.partition(".")[0] for name in names}:
                if top not in sys.stdlib_module_names and not top.startswith("faas_"):
                    yield top, str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize(
    ("extra", "folders"),
    [
        (None, ("blueprint/faas_blueprint", "microvm/faas_microvm", "verifier/faas_verifier")),
        ("operator", ("operator/faas_operator",)),
        ("api", ("api/faas_api", "cli/faas_cli")),
    ],
)
def test_every_import_is_installed(extra: str | None, folders: tuple[str, ...]) -> None:
    has, owners = installed_with(declared(extra)), packages_distributions()
    missing = {
        (module, file)
        for folder in folders
        for module, file in imported(CHECKOUT / folder)
        if module not in SUBSTRATE and not {_plain(owner) for owner in owners.get(module, ("nobody",))} & has
    }
    assert missing == set()
