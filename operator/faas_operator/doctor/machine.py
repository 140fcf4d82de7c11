"""Checks of the machine: its image and base snapshot, and a job whose outcome is known.

The golden receipt is one of `tests/vectors/golden`: a program that goes where hosts differ.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from faas_blueprint.bundle import Bundle, bundle_from_json
from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import FatalError
from faas_blueprint.job import decode_job
from faas_microvm import base
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.recipe import BASE
from faas_operator.doctor.finding import Finding, failed, ok, skipped, warning

_GOLDEN = "x87.py.json"
"""Sine, cosine and tangent of the x87 unit: the emulator takes them from the host's libm."""

_NO_SNAPSHOT = "no base snapshot of this machine profile is there yet"


def golden_receipt() -> Bundle:
    """The receipt that comes with this program: in the checkout, or in the installed package."""
    here = Path(__file__).parents[1]
    for folder in (here.parents[1] / "tests" / "vectors" / "golden", here / "golden"):
        if (folder / _GOLDEN).is_file():
            return bundle_from_json(json.loads((folder / _GOLDEN).read_text()))
    raise FatalError("the golden receipt is missing from this installation")


async def known_measurement(home: Path) -> Digest | None:
    """Of the base snapshot; None while it must be made first. Raises MissingPrerequisite."""
    return await asyncio.to_thread(base.known_measurement, BASE, home)


async def check_image(home: Path, measured: Digest | None) -> Finding:
    """Whether image and base snapshot are those of this host's emulator and this program."""
    if measured is None:
        mend = "`faas snapshot measure` makes image and snapshot, in minutes; so does the first start"
        return warning("base snapshot", _NO_SNAPSHOT, mend)
    golden = golden_receipt().receipt
    if measured != golden.snapshot:
        return warning(
            "base snapshot",
            f"{to_hex(measured)}, not that of the golden receipts, {to_hex(golden.snapshot)}",
            "the packages or the emulator have moved on: operators of one service must agree on one",
        )
    return ok("base snapshot", f"{to_hex(measured)}, that of the golden receipts")


async def check_golden_job(home: Path, measured: Digest | None) -> Finding:
    """Run a job whose outcome is known, and compare every bit of it."""
    if measured is None:
        return skipped("golden job", _NO_SNAPSHOT)
    bundle = golden_receipt()
    begun = time.perf_counter()
    async with await Engine.open(home, settings=EngineSettings(sessions=1)) as engine:
        opened = time.perf_counter() - begun
        if (engine.profile_id, engine.measurement) != (bundle.receipt.profile_id, bundle.receipt.snapshot):
            return skipped("golden job", "the golden receipts are of another base snapshot")
        execution = await engine.run(decode_job(bundle.job))
    taken = f"engine opened in {opened:.1f} s, job run in {execution.wall_ms:.0f} ms"
    found = (execution.outcome.summary(), execution.outcome.state_root)
    if found != (bundle.outcome, bundle.receipt.state_root):
        return failed(
            "golden job",
            f"this host computes otherwise than the golden receipt ({taken})",
            "do not serve: every receipt would be refuted; see 'golden job' in docs/runbook.md",
        )
    return ok("golden job", f"the outcome is the golden receipt's; {taken}")
