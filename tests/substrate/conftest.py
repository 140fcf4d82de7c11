"""The double, running."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.tangle.fields import encode_types

sys.path.insert(0, str(Path(__file__).parent))  # the double's modules import each other by name

from genesis import make_genesis
from people import CUSTOMER, OPERATOR, OTHER_CUSTOMER, REGISTERED_ONLY, SECOND_OPERATOR, Person
from runtime_metadata import Runtime, load_runtime
from substrate_double import SubstrateDevnetDouble


@functools.cache
def _runtime(path: Path) -> Runtime:
    return load_runtime(path)


@pytest.fixture(scope="session")
def runtime(faas_home: Path) -> Runtime:
    """The real runtime's metadata."""
    path = faas_home / "substrate/tangle-runtime.scale"
    assert path.exists(), "run scripts/setup-substrate"
    return _runtime(path)


def _made(runtime: Runtime, *callers: Person) -> SubstrateDevnetDouble:
    def keyed(*people: Person) -> list[tuple[bytes, bytes]]:
        return [(person.account, person.receipt_key) for person in people]

    definition = faas_blueprint_definition()
    state, jobs = make_genesis(
        runtime,
        jobs=[(encode_types(job.parameters), encode_types(job.result)) for job in definition.jobs],
        operators=keyed(OPERATOR, SECOND_OPERATOR),
        registered=keyed(REGISTERED_ONLY),
        callers=[person.account for person in callers],
    )
    return SubstrateDevnetDouble(runtime, state, jobs)


@pytest.fixture
def double(runtime: Runtime) -> Iterator[SubstrateDevnetDouble]:
    """A chain of the test's own."""
    with _made(runtime, CUSTOMER, OTHER_CUSTOMER) as running:
        running.make_block()
        yield running


@pytest.fixture
def other_chain(runtime: Runtime) -> Iterator[SubstrateDevnetDouble]:
    """Another chain of the same runtime, which is further than the first."""
    with _made(runtime, CUSTOMER) as running:
        for _ in range(9):
            running.make_block()
        yield running
