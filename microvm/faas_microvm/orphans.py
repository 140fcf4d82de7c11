"""Machines that have outlived the process that started them.

A machine ends with its process: its sandbox asks the kernel for that, some milliseconds after its start. A
process that is killed before leaves it behind, half made, for ever. So each machine's command line says
whose it is, and whoever comes next on this host ends those of the dead.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
from functools import cache
from pathlib import Path

_MARK = re.compile(rb"\0faas-machine-of-(\d+)-(\d+)-(\d+)\0")

_log = logging.getLogger(__name__)


def owner_mark() -> str:
    """A word for the command line of what this process starts: its process id and when it started."""
    own = os.getpid()
    return f"faas-machine-of-{process_numbering()}-{own}-{process_started(own)}"


def process_started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks since it was booted; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def end_orphans() -> int:
    """Kill what processes of the same numbering started that have ended. Returns how many there were."""
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                count += _end_orphan(int(folder.name))
    if count:
        _log.warning("ended %d processes of machines whose node had been killed", count)
    return count


def _end_orphan(pid: int) -> bool:
    process = os.pidfd_open(pid)
    try:
        mark = _MARK.search(Path(f"/proc/{pid}/cmdline").read_bytes())
        if mark is None:
            return False
        numbering, owner, started = (word.decode() for word in mark.groups())
        if int(numbering) != process_numbering() or process_started(int(owner)) == started:
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
        return True
    finally:
        os.close(process)


@cache
def process_numbering() -> int:
    """Names this process's namespace of process ids: a container's are not the host's."""
    return os.stat("/proc/self/ns/pid").st_ino
