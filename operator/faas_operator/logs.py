"""Log lines as `message key=value …` or as JSON objects, so that one call can be followed."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

from faas_blueprint.receipt import CallReference

_KEY = "faas_fields"


def about(call: CallReference | None = None, **fields: object) -> dict[str, object]:
    """The `extra` of a log call: service and call id, then whatever else it is about."""
    place: dict[str, object] = {} if call is None else {"service": call.service_id, "call": call.call_id}
    return {_KEY: {**place, **fields}}


class KeyValueFormatter(logging.Formatter):
    """Time, level, logger, message, then the fields of `about`; values with spaces are JSON strings."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, _KEY, {})
        return " ".join([super().formatMessage(record), *(f"{k}={_value(v)}" for k, v in fields.items())])


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the fields of `about`, and `exception` if any."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, _KEY, {})
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: value for name, value in fields.items() if name not in told}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def configure_logging(stream: TextIO, level: int = logging.INFO, log_format: str = "text") -> None:
    """Send the node's log lines to a stream; calling it again replaces the stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else KeyValueFormatter())
    for name in ("faas_operator", "faas_api", "faas_microvm", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level if name.startswith("faas_") else max(level, logging.WARNING))
        logger.propagate = False


def _value(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "\n\\') else text
