"""What a check says, and what to do about it."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum

from faas_blueprint.errors import FaaSError


class Standing(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """The node can work; this should be mended."""
    FAILED = "failed"
    """The node cannot do its duty until this is mended."""
    SKIPPED = "skipped"
    """It could not be looked at; `detail` says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result; holds no secret."""

    check: str
    standing: Standing
    detail: str
    mend: str = ""
    """What to do; given unless there is nothing to mend."""

    def to_json(self) -> dict[str, str]:
        """A JSON-safe object."""
        return {"check": self.check, "standing": self.standing, "detail": self.detail, "mend": self.mend}


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, Standing.OK, detail)


def warning(check: str, detail: str, mend: str) -> Finding:
    """It works, but."""
    return Finding(check, Standing.WARNING, detail, mend)


def failed(check: str, detail: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(check, Standing.FAILED, detail, mend)


def skipped(check: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding(check, Standing.SKIPPED, why)


async def examined(check: str, work: Awaitable[Finding], mend: str) -> Finding:
    """The finding of a check; an error on the way is a failure of it, to be mended by `mend`."""
    try:
        return await work
    except FaaSError as error:
        return failed(check, error.message, mend)
    except OSError as error:
        return failed(check, f"{type(error).__name__}: {error.strerror}", mend)
