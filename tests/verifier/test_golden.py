"""Golden receipts: made once, they verify wherever the tests run, on any make of processor.

Their snapshot is a matter of Debian's packages as they stood when they were made. Where the archive
has moved on, the base image is another one and they cannot be re-executed; then they must come out as
*unchecked*, never as refuted, and the skipped test says to make them anew.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from faas_microvm.engine import Engine
from faas_verifier.bundle import load_bundle
from faas_verifier.verdict import Conclusion
from faas_verifier.verify import verify_bundle

GOLDEN = Path(__file__).parents[1] / "vectors" / "golden"
FILES = sorted(GOLDEN.glob("*.json"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(faas_home: Path):
    async with await Engine.open(faas_home) as opened:
        yield opened


def test_every_program_has_its_receipt():
    programs = sorted(path.name + ".json" for path in (GOLDEN / "programs").iterdir())
    assert [path.name for path in FILES] == programs
    assert len(programs) >= 15


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_job_and_program_are_the_same(file: Path):
    program = (GOLDEN / "programs" / file.stem).read_bytes()
    assert program in load_bundle(file).job


@pytest.mark.machine
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_golden_receipt_verifies(engine: Engine, file: Path):
    @asynccontextmanager
    async def machine():
        yield engine

    bundle = load_bundle(file)
    verdict = await verify_bundle(bundle, machine)
    if bundle.receipt.snapshot != engine.measurement or bundle.receipt.profile_id != engine.profile_id:
        assert verdict.conclusion is Conclusion.UNCHECKED
        pytest.skip("the packages or the emulator have moved on: run tests/vectors/make_golden.py")
    assert verdict.conclusion is Conclusion.VERIFIED, [finding.detail for finding in verdict.findings]
