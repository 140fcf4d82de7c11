"""Tests that the documents name as proof are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
NAMED = re.compile(r"`(test\w+|Test\w+)`")


def _defined() -> set[str]:
    files = [*(CHECKOUT / "tests").glob("*/*.py"), *(CHECKOUT / "contracts/test").glob("*.sol")]
    definition = re.compile(r"(?:def|function|class) (\w+)|^(Test\w+) = ", re.MULTILINE)
    return {name for file in files for found in definition.findall(file.read_text()) for name in found}


@pytest.mark.parametrize("document", ["pipeline.md", "contracts.md"])
def test_tests_that_a_document_names_exist(document: str) -> None:
    named = set(NAMED.findall((CHECKOUT / "docs" / document).read_text()))
    assert len(named) >= 9
    assert named - _defined() == set()
