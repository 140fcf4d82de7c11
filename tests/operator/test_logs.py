"""Log lines: readable, or an object each."""

from __future__ import annotations

import io
import json
import logging

import pytest

from faas_blueprint.receipt import CallReference, address
from faas_operator.logs import about, configure_logging

CALL = CallReference(31337, address("0x" + "22" * 20), 3, 14)


@pytest.fixture(autouse=True)
def restored():
    names = ("faas_operator", "faas_api", "faas_microvm", "uvicorn")
    before = [(logging.getLogger(n), list(logging.getLogger(n).handlers)) for n in names]
    yield
    for logger, handlers in before:
        logger.handlers[:] = handlers
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def test_lines_name_service_and_call():
    stream = io.StringIO()
    configure_logging(stream)
    logging.getLogger("faas_operator.service").info("job seen", extra=about(CALL, error="two words"))
    assert stream.getvalue().endswith('faas_operator.service job seen service=3 call=14 error="two words"\n')


def test_an_object_a_line():
    stream = io.StringIO()
    configure_logging(stream, log_format="json")
    logger = logging.getLogger("faas_microvm.pool")
    logger.warning("a %s\nb", "line", extra=about(CALL, message="not this one", size=2, call_back=CALL))
    try:
        raise ValueError("a bug")
    except ValueError:
        logger.exception("it ended")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["message"], first["level"], first["logger"]) == (
        "a line\nb",
        "warning",
        "faas_microvm.pool",
    )
    assert (first["service"], first["call"], first["size"]) == (3, 14, 2)
    assert first["time"].endswith("+00:00")
    assert "ValueError: a bug" in second["exception"]
