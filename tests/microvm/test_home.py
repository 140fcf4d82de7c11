"""Working folders: gone at the end, whatever the end was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faas_microvm.home import working_folder

MAKES_ONE_AND_WAITS = """
import sys, time
from pathlib import Path
from faas_microvm.home import working_folder
with working_folder(Path(sys.argv[1]), "test") as working:
    (working / "part").write_text("half")
    print(working, flush=True)
    time.sleep(60)
"""


def folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir())


def test_what_is_made_in_one_can_be_moved_away(tmp_path: Path):
    with working_folder(tmp_path / "parent", "test") as working:
        (working / "part").write_text("whole")
        working.rename(tmp_path / "parent" / "made")
    assert folders(tmp_path / "parent") == [tmp_path / "parent" / "made"]


def test_an_error_leaves_nothing(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), working_folder(tmp_path, "test") as working:
        (working / "part").write_text(str(1 / 0))
    assert folders(tmp_path) == []


def test_one_of_a_killed_process_goes_with_the_next_and_one_in_use_stays(tmp_path: Path):
    command = [sys.executable, "-c", MAKES_ONE_AND_WAITS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        with working_folder(tmp_path, "test") as ours:
            assert folders(tmp_path) == sorted([ours, theirs])
        assert (theirs / "part").read_text() == "half"
        process.send_signal(signal.SIGKILL)
    with working_folder(tmp_path, "other"):
        assert theirs in folders(tmp_path)
    with working_folder(tmp_path, "test") as ours:
        assert folders(tmp_path) == [ours]
    assert folders(tmp_path) == []
