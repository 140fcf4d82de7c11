"""Checks of the host: emulator, sandbox, control groups, disk, clock, database."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from faas_blueprint.errors import DatabaseUnavailable, MissingPrerequisite
from faas_microvm.emulator import choose_emulator, emulators_folder
from faas_microvm.sandbox import Cgroup, HostLimits, sandbox_command
from faas_operator import schema
from faas_operator.database import connect, let_go
from faas_operator.doctor.finding import Finding, failed, ok, skipped, warning
from faas_operator.settings import Secrets, Settings, database_url

DISK_LEAST = 2 << 30
"""An image and its base snapshot need about half of it."""
DISK_ENOUGH = 10 << 30
EARLIEST = 1_767_225_600
"""2026-01-01: every clock that shows less was never set."""

_SPACES = ("user", "mnt", "net", "pid", "ipc")
_CGROUP_NUMBER = 2_000_000
"""Apart from those of a node's machines; see `pool`."""


async def check_emulator(home: Path) -> Finding:
    """Which emulator machines run on."""
    return await asyncio.to_thread(_look_at_emulator, home)


def _look_at_emulator(home: Path) -> Finding:
    emulator = choose_emulator(home)
    if emulator.forks:
        return ok("emulator", f"machines run on {emulator.name}")
    builds = emulators_folder(home)
    stale = builds.is_dir() and any(builds.iterdir())
    why = "our build is of another version or other patches" if stale else "our build is not there"
    return warning(
        "emulator",
        f"machines run on {emulator.name}, where jobs that wait may end some nanoseconds off: {why}",
        "run `faas machine build` (docs/fork-server.md)",
    )


async def check_sandbox() -> Finding:
    """Whether a process can be locked in: started, and in namespaces of its own."""
    return await asyncio.to_thread(_try_sandbox)


def _try_sandbox() -> Finding:
    mend = "install bubblewrap, and let this user make user namespaces (docs/runbook.md, 'no sandbox')"
    program = shutil.which("bwrap")
    if program is None:
        return failed("sandbox", "bwrap is not installed", mend)
    links = [f"/proc/self/ns/{space}" for space in _SPACES]
    reading, writing = os.pipe()
    try:
        limits = HostLimits(cpu_seconds=5, memory_bytes=1 << 28)
        command = sandbox_command(["/usr/bin/readlink", *links], writing, limits)
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, pass_fds=(writing,))
    except subprocess.TimeoutExpired:
        return failed("sandbox", "bwrap does not come to an end", mend)
    finally:
        os.close(reading)
        os.close(writing)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return failed("sandbox", f"bwrap ends with {done.returncode}: {last}", mend)
    shared = set(done.stdout.split()) & {os.readlink(link) for link in links}
    if shared:
        return failed("sandbox", f"a process in it shares {', '.join(sorted(shared))} with the host", mend)
    return ok("sandbox", "a process in it has its own " + ", ".join(_SPACES) + " namespaces")


async def check_control_groups() -> Finding:
    """Whether machines can be held to memory, processes and one processor by the kernel."""
    limits = HostLimits(cpu_seconds=5, memory_bytes=1 << 28)
    cgroup = await asyncio.to_thread(Cgroup.create, _CGROUP_NUMBER, limits)
    if cgroup is None:
        return warning(
            "control groups",
            "none can be made: machines are held by resource limits only",
            "run the node as root, or give it a delegated control group (docs/runbook.md)",
        )
    cgroup.remove()
    return ok("control groups", "machines can be limited")


async def check_disk(home: Path) -> Finding:
    """Free space where images, snapshots and the database are."""
    return await asyncio.to_thread(_look_at_disk, home)


def _look_at_disk(home: Path) -> Finding:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    detail = f"{free / (1 << 30):.1f} GiB free at {home}"
    mend = "make room, `faas snapshot collect`, or set FAAS_HOME or FAAS_STORE to a larger disk"
    if free < DISK_LEAST:
        return failed("disk", detail, mend)
    return ok("disk", detail) if free >= DISK_ENOUGH else warning("disk", detail, mend)


async def check_clock(now: float | None = None) -> Finding:
    """Whether the clock was ever set. Whether it is right, the chain's head tells."""
    now = time.time() if now is None else now
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < EARLIEST:
        return failed("clock", f"it shows {shown}", "set the clock; run an NTP client")
    return ok("clock", f"it shows {shown}")


async def check_database(settings: Settings, secrets: Secrets) -> Finding:
    """Whether the store opens and answers; one that is not there yet is not made."""
    return await asyncio.to_thread(_look_at_database, settings, secrets)


def _look_at_database(settings: Settings, secrets: Secrets) -> Finding:
    default = settings.home / "operator.sqlite"
    if secrets.database_url is None and not default.exists():
        return skipped("database", f"there is none yet; the first start makes {default}")
    mend = "check FAAS_DATABASE_URL, and that the server runs"
    try:
        engine = connect(database_url(settings, secrets))
        try:
            found = schema.state(engine)
        finally:
            let_go(engine)
    except (DatabaseUnavailable, MissingPrerequisite) as error:
        return failed("database", error.message, mend)
    except (SQLAlchemyError, ImportError) as error:
        # the error's text may hold what FAAS_DATABASE_URL holds
        return failed("database", f"it does not answer: {type(error).__name__}", mend)
    match found.standing:
        case schema.Standing.CURRENT:
            return ok("database", f"it answers; its tables are at revision {found.revision}")
        case schema.Standing.EMPTY:
            return ok("database", "it answers; the first start makes its tables")
        case schema.Standing.OLDER:
            return ok("database", "it answers; back it up: the next start changes its tables")
        case schema.Standing.NEWER:
            return failed("database", "its tables are a newer version's", "start the version that made them")
        case schema.Standing.FOREIGN:
            return failed("database", f"its tables are an earlier version's: {found.sign}", "see the runbook")
