"""Recipes: which files an image gets, and what its name on this host depends on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import COMPILED_LANGUAGES
from faas_microvm.base import find_recipe, recipe_home
from faas_microvm.image import guest_sources
from faas_microvm.recipe import BASE, RECIPES, TOOLCHAINS


def test_every_compiled_language_has_a_toolchain():
    assert set(TOOLCHAINS) == set(COMPILED_LANGUAGES)


def test_an_unknown_recipe_is_refused_by_name():
    with pytest.raises(InvalidRequest, match="cobol"):
        find_recipe("cobol")


def test_toolchains_have_a_place_of_their_own(tmp_path: Path):
    assert recipe_home(BASE, tmp_path) == tmp_path
    assert len({recipe_home(name, tmp_path) for name in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize(
    ("recipe", "path", "kept"),
    [
        ("base", "usr/bin/node", True),
        ("base", "usr/share/doc/bash/copyright", False),
        ("base", "usr/share/document", True),
        ("rust", "usr/bin/rustc", True),
        ("rust", "usr/bin/x86_64-linux-gnu-strip", False),
        ("rust", "usr/lib/rustlib/x86_64-unknown-linux-gnu/lib/libstd-a5a48102fbd58791.rlib", True),
        ("rust", "usr/lib/rustlib/x86_64-unknown-linux-gnu/lib/libstd-a5a48102fbd58791.so", False),
        ("rust", "usr/lib/rustlib/x86_64-unknown-linux-gnu/lib/libtest-8bb3380c32c2be31.rlib", False),
        ("go", "usr/lib/go-1.19/pkg/linux_amd64/net/http.a", True),
        ("go", "usr/lib/go-1.19/pkg/linux_amd64/cmd/go/internal/work.a", False),
        ("typescript", "usr/share/nodejs/typescript/lib/typescript.js", True),
        ("typescript", "usr/share/nodejs/typescript/lib/tsserver.js", False),
    ],
)
def test_what_an_image_keeps(recipe: str, path: str, kept: bool):
    assert RECIPES[recipe].keeps(path) == kept


def test_what_prepares_an_image_is_not_in_it():
    strip = "usr/bin/x86_64-linux-gnu-strip"
    assert RECIPES["rust"].needs(strip)
    assert not RECIPES["rust"].keeps(strip)


def test_a_recipe_changes_with_its_own_files_only(tmp_path: Path):
    sources = tmp_path / "guest"
    shutil.copytree(guest_sources(), sources)
    before = {name: recipe.digest(sources) for name, recipe in RECIPES.items()}
    assert len(set(before.values())) == len(RECIPES)
    with (sources / "runners" / "compile.js").open("a") as script:
        script.write("// more\n")
    after = {name: recipe.digest(sources) for name, recipe in RECIPES.items()}
    assert [name for name in RECIPES if before[name] != after[name]] == ["typescript"]
    assert replace(RECIPES["go"], kernel_arguments="quiet").digest(sources) != after["go"]
