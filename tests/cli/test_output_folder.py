"""Output files are written into a new or empty folder, and never past it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import OutputFile
from faas_cli import output_folder

FILES = (OutputFile("a/b/c.txt", b"one"), OutputFile("a/b/d", b""), OutputFile("é b", b"\0\xff"))


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["new", "deep/er/new"])
def test_a_new_folder_is_made(tmp_path, name):
    output_folder.prepare(tmp_path / name)
    output_folder.write(tmp_path / name, FILES)
    assert written(tmp_path / name) == {file.path: file.content for file in FILES}


def test_an_empty_folder_will_do(tmp_path):
    output_folder.prepare(tmp_path)
    output_folder.write(tmp_path, FILES)
    assert len(written(tmp_path)) == 3


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(InvalidRequest, match="not empty"):
        output_folder.prepare(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link", "file/below"):
        with pytest.raises(InvalidRequest, match="cannot write into"):
            output_folder.prepare(tmp_path / name)


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c.txt", "é b"])
def test_a_link_that_appears_meanwhile_is_not_followed(tmp_path, link):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "b").mkdir(parents=True)
    folder = tmp_path / "folder"
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(elsewhere)
    with pytest.raises(InvalidRequest, match="cannot write"):
        output_folder.write(folder, FILES)
    assert written(elsewhere) == {}


def test_no_file_is_written_over_another(tmp_path):
    (tmp_path / "é b").write_text("mine")
    with pytest.raises(InvalidRequest, match="exists"):
        output_folder.write(tmp_path, FILES)
    assert (tmp_path / "é b").read_text() == "mine"


def test_no_descriptor_is_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    output_folder.prepare(tmp_path)
    output_folder.write(tmp_path, FILES)
    assert len(os.listdir("/proc/self/fd")) == before
