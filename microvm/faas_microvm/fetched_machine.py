"""Putting a published machine together from pieces that came from anywhere, and measuring it.

Complete or not at all: what is below `fetched` in the home was measured when it was stored, and is again
whenever it is loaded. That it was fetched stays visible by its place: whether its measurement is to be
trusted is for the caller, who has it from a chain. Where pieces come from is the caller's too. A machine
that a job has left (`derived_manifest`) is put together on its base, and kept by nobody but the caller.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import FatalError, InvalidRequest, MachineFailure
from faas_microvm.derived_manifest import DerivedManifest, decode_pages
from faas_microvm.devices import DeviceState
from faas_microvm.home import exclusive, working_folder
from faas_microvm.machine_manifest import MachineManifest, Piece
from faas_microvm.memory import hash_pages
from faas_microvm.profile import RAM_BYTES, MachineProfile, detect_profile
from faas_microvm.snapshot import Snapshot, load_snapshot

ReadPiece = Callable[[Piece], Awaitable[bytes]]
"""A piece's bytes, checked against its hash and size."""


def fetched_folder(home: Path, measurement: Digest) -> Path:
    """Where a fetched machine is, once it is there."""
    return home / "fetched" / measurement.hex()


async def fetch_machine(home: Path, manifest: MachineManifest, read: ReadPiece) -> Snapshot:
    """The machine of a manifest, its pieces read, stored and measured.

    Raises FatalError when it measures otherwise than the manifest says; nothing is kept then.
    """
    target = fetched_folder(home, manifest.measurement)
    with working_folder(target.parent, "fetched") as folder:
        working = folder / manifest.measurement.hex()
        working.mkdir()
        with (working / "ram").open("wb") as file:
            file.truncate(RAM_BYTES)
            for extent in manifest.memory:
                file.seek(extent.offset)
                file.write(await read(extent.piece))
        (working / "devices").write_bytes(await read(manifest.devices))
        described = {"format": 1, "profile": asdict(manifest.profile)}
        (working / "manifest.json").write_text(json.dumps(described, indent=2) + "\n")
        snapshot = load_snapshot(working)
        try:
            with exclusive(target.parent, "fetched"):
                if target.is_dir():
                    shutil.rmtree(target)
                working.rename(target)
        except BaseException:
            snapshot.close()
            raise
    return snapshot


async def fetch_derived(base: Snapshot, manifest: DerivedManifest, read: ReadPiece) -> Snapshot:
    """The machine of a derived manifest, put together on its base and measured; it is in memory only.

    Raises FatalError when it measures otherwise than the manifest says, or cannot be put together.
    """
    pages: dict[int, bytes] = {}
    try:
        for part in manifest.pages:
            pages |= await asyncio.to_thread(decode_pages, await read(part.piece), part.count)
        devices = DeviceState.from_stream(await read(manifest.devices))
    except (InvalidRequest, MachineFailure) as error:
        raise FatalError(f"the pieces of {to_hex(manifest.measurement)}: {error.message}") from error
    snapshot = base.derived(pages, await asyncio.to_thread(hash_pages, pages), devices)
    if snapshot.measurement != manifest.measurement:
        raise FatalError(
            f"the pieces of {to_hex(manifest.measurement)} measure {to_hex(snapshot.measurement)}"
        )
    return snapshot


def load_fetched(home: Path, measurement: Digest) -> Snapshot | None:
    """A machine that was fetched before, measured anew; None when it is not there or damaged."""
    folder = fetched_folder(home, measurement)
    if not folder.is_dir():
        return None
    try:
        return load_snapshot(folder)
    except FatalError:
        shutil.rmtree(folder, ignore_errors=True)
        return None


def require_profile(profile: MachineProfile) -> None:
    """Raises FatalError where this host's machines compute otherwise than those of a profile, and
    MissingPrerequisite where it has none."""
    detected = detect_profile(profile.kernel_sha256)
    own = replace(detected, kernel_command_line=profile.kernel_command_line)  # of the boot, which is over
    if own != profile:
        theirs, ours = to_hex(profile.profile_id), to_hex(own.profile_id)
        raise FatalError(f"the machine's profile is {theirs}, this host's would be {ours}")
