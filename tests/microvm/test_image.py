"""The image: made of what its manifest says, the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faas_blueprint.errors import FatalError
from faas_microvm import archive
from faas_microvm.base import images_folder
from faas_microvm.engine import Engine
from faas_microvm.image import build_image, list_images, load_image
from faas_microvm.recipe import RECIPES


@pytest.mark.machine
@pytest.mark.slow
def test_building_again_gives_the_same_bytes(tmp_path: Path, faas_home: Path, engine: Engine):
    """As those of the image that this home's base snapshot was booted from, whenever that was built."""
    said: list[str] = []
    built = build_image(RECIPES["base"], tmp_path / "images", said.append)
    used = load_image(images_folder(faas_home) / json.loads((faas_home / "base.json").read_text())["image"])
    if used.manifest.packages != built.manifest.packages:  # Debian has moved on since
        used = build_image(RECIPES["base"], tmp_path / "again", said.append)
    assert used.folder.name == built.folder.name
    assert used.manifest == built.manifest
    assert list_images(built.folder.parent) == [built]
    for image in (used, built):
        assert archive.file_sha256(image.initrd) == image.manifest.initrd_sha256
        assert archive.file_sha256(image.kernel) == image.manifest.kernel_sha256
        assert load_image(image.folder) == image
        assert set(image.manifest.guest) == {
            "init",
            "faas/exec",
            "faas/leave.node",
            "faas/runner.py",
            "faas/runner.js",
        }
        assert image.manifest.packages["python3"].startswith("3.11")
    assert "writing the image" in said
    manifest = built.folder / "manifest.json"
    values = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**values, "initrd_sha256": "00"}))
    with pytest.raises(FatalError, match="damaged"):
        load_image(built.folder)


def test_an_archive_is_the_same_whatever_the_order(tmp_path: Path):
    entries = {
        "b/c": archive.Entry(archive.FILE | 0o644, b"content"),
        "a": archive.Entry(archive.LINK | 0o777, b"b/c"),
        "d": archive.Entry(archive.FOLDER | 0o755, b""),
    }
    archive.write_archive(tmp_path / "one", entries)
    archive.write_archive(tmp_path / "two", dict(reversed(entries.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_unpacked_is_what_was_listed(tmp_path: Path):
    entries = {
        "bin/tool": archive.Entry(archive.FILE | 0o755, b"#!"),
        "link": archive.Entry(archive.LINK | 0o777, b"bin/tool"),
        "empty": archive.Entry(archive.FOLDER | 0o755, b""),
    }
    archive.unpack(tmp_path, entries)
    assert (tmp_path / "link").read_bytes() == b"#!"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "empty").is_dir()
