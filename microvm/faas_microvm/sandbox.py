"""The boundary around a machine's process.

The emulator promises no security against its guest, so its process gets nothing to misuse: its own
user, mount, network, process and IPC namespaces, no capabilities, no network, a read-only /usr and
nothing else of the file system, a seccomp filter, resource limits, and a cgroup where the host
lets us make one. When the node runs as root the process runs as nobody.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faas_microvm.profile import ENVIRONMENT

NOBODY = 65534

SECCOMP = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
"""Arguments that make the emulator put a seccomp filter on itself."""

SECCOMP_FORKING = tuple(argument.replace("spawn=deny", "spawn=allow") for argument in SECCOMP)
"""The same for a fork server; each of its children puts a much stricter one on itself."""

_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
"""Before a command. Python would copy the node's whole memory map to change the user by itself."""

CGROUPS = Path("/sys/fs/cgroup")

_PREFIX = "faas-"
_CPU_PERIOD = 100_000
"""Microseconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What one machine's process may use of the host; hitting one ends the machine, with no result."""

    cpu_seconds: int
    memory_bytes: int
    processes: int = 64
    open_files: int = 256
    file_bytes: int = 64 << 20
    processors: int = 1
    """As much of the host's time as so many processors have; for the control group."""

    def command(self) -> list[str]:
        """The start of a command that puts the limits on whatever follows."""
        return [
            "prlimit",
            f"--cpu={self.cpu_seconds}",
            f"--nofile={self.open_files}",
            f"--fsize={self.file_bytes}",
            "--core=0",
        ]


def sandbox_command(
    command: Sequence[str], info_fd: int, limits: HostLimits, bindings: Sequence[str] = ()
) -> list[str]:
    """The command inside its sandbox; bubblewrap reports the process id on `info_fd`.

    `bindings` are further arguments of bubblewrap's: files that the command sees besides /usr.
    """
    variables = [word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)]
    return [
        *(_AS_NOBODY if os.geteuid() == 0 else ()),
        *limits.command(),
        "bwrap",
        *("--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"),
        *("--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL", "--hostname", "machine"),
        *("--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
        *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
        *bindings,
        *("--proc", "/proc", "--dev", "/dev", "--chdir", "/", "--info-fd", str(info_fd)),
        *variables,
        "--",
        *command,
    ]


class Cgroup:
    """A control group for one machine at a time: memory, number of processes, time of processors."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    @classmethod
    def create(cls, number: int, limits: HostLimits) -> Cgroup | None:
        """A group of this process (version 2 or 1), or None where the host does not allow it.

        `number` tells groups of one process apart. Groups of processes that were killed are removed.
        """
        name = f"{_PREFIX}{os.getpid()}-{number}"
        folders = []
        try:
            for parent, values in _wanted(limits).items():
                folders.append(_make_group(parent, name, values))
        except OSError as error:
            _log.info("no control groups for machines on this host, resource limits only: %s", error)
            cls(folders).remove()
            return None
        try:
            for parent, values in _wanted_processors(limits).items():
                folder = _make_group(parent, name, values)
                if folder not in folders:
                    folders.append(folder)
        except OSError as error:
            _log.info("no processor limit for machines on this host: %s", error)
        return cls(folders)

    def add(self, pid: int) -> None:
        """Move a process in; it must not have started others yet. Without the group it goes on, noted."""
        for folder in self._folders:
            try:
                (folder / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                _log.warning("machine runs without control group %s: %s", folder, error)

    def remove(self) -> None:
        """Delete the group once its processes have ended."""
        for folder in self._folders:
            try:
                folder.rmdir()
            except OSError as error:
                _log.warning("control group %s stays: %s", folder, error)


def _wanted(limits: HostLimits) -> dict[Path, dict[str, int | str]]:
    """Parents of a machine's groups, with the files to write there."""
    if (CGROUPS / "cgroup.controllers").is_file():
        return {CGROUPS: {"memory.max": limits.memory_bytes, "pids.max": limits.processes}}
    return {
        CGROUPS / "memory": {"memory.limit_in_bytes": limits.memory_bytes},
        CGROUPS / "pids": {"pids.max": limits.processes},
    }


def _wanted_processors(limits: HostLimits) -> dict[Path, dict[str, int | str]]:
    """The same for the limit of processor time."""
    quota = limits.processors * _CPU_PERIOD
    if (CGROUPS / "cgroup.controllers").is_file():
        return {CGROUPS: {"cpu.max": f"{quota} {_CPU_PERIOD}"}}
    return {CGROUPS / "cpu": {"cpu.cfs_period_us": _CPU_PERIOD, "cpu.cfs_quota_us": quota}}


def _make_group(parent: Path, name: str, values: Mapping[str, int | str]) -> Path:
    _remove_orphans(parent)
    folder = parent / name
    new = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        for file, value in values.items():
            (folder / file).write_text(str(value))
    except OSError:
        if new:
            folder.rmdir()
        raise
    return folder


def _remove_orphans(parent: Path) -> None:
    for folder in parent.glob(_PREFIX + "*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()
