"""What `POST /execute` takes, and the job that it asks for."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import U64_MAX, Job, Limits, make_job

SERVED_MODES = ("ephemeral",)
KNOWN_MODES = ("ephemeral", "cached", "checkpointed", "branched", "persistent")

RANDOM_SEED_BITS = 53
"""Seeds of our own choice stay exact in clients whose numbers are doubles."""


def _check_text(text: str) -> str:
    """JSON can spell lone surrogates, which are no text."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must be valid Unicode (no lone surrogates)")
    return text


Text = Annotated[str, AfterValidator(_check_text)]
Unsigned64 = Annotated[int, Field(ge=0, le=U64_MAX)]


_DEFAULTS = Limits()


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Resources(_Strict):
    """What a run may use; the job's own limits say the ranges."""

    cpu_cores: int | float = 1
    memory_mb: int = _DEFAULTS.memory_mb
    timeout_ms: int = _DEFAULTS.timeout_ms
    gpu_count: int = 0


class ExecuteRequest(_Strict):
    """The body of `POST /execute`."""

    code: Text
    language: Text
    mode: Text = "ephemeral"
    resources: Resources = Resources()
    env_vars: dict[Text, Text] = Field(default_factory=dict)
    files: dict[Text, Text] = Field(default_factory=dict, description="Path to base64 content")
    stdin: Text = ""
    arguments: list[Text] = Field(default_factory=list)
    seed: Unsigned64 | None = Field(None, description="Default: a random number, told in the answer")
    epoch: Unsigned64 | None = Field(None, description="Unix seconds; default: now, told in the answer")

    def job(self) -> Job:
        """The job; seed and epoch are chosen where the request leaves them open. Raises InvalidRequest."""
        self._check_mode()
        self._check_machine()
        return make_job(
            self.language,
            self.code,
            stdin=self.stdin.encode(),
            arguments=tuple(self.arguments),
            environment=self.env_vars,
            files={path: decode_base64(path, text) for path, text in self.files.items()},
            seed=secrets.randbits(RANDOM_SEED_BITS) if self.seed is None else self.seed,
            epoch=int(time.time()) if self.epoch is None else self.epoch,
            limits=Limits(timeout_ms=self.resources.timeout_ms, memory_mb=self.resources.memory_mb),
        )

    def _check_mode(self) -> None:
        if self.mode in SERVED_MODES:
            return
        problem = "is not served here yet" if self.mode in KNOWN_MODES else "does not exist"
        served = list(SERVED_MODES)
        raise InvalidRequest(
            f"mode {self.mode!r} {problem}; choose one of: {', '.join(served)}",
            {"field": "mode", "served": served},
        )

    def _check_machine(self) -> None:
        if self.resources.cpu_cores != 1:
            raise InvalidRequest(
                "cpu_cores must be 1: a deterministic machine has one processor",
                {"field": "resources.cpu_cores"},
            )
        if self.resources.gpu_count != 0:
            raise InvalidRequest("gpu_count must be 0", {"field": "resources.gpu_count"})


def decode_base64(path: str, text: str) -> bytes:
    """A file's content: standard alphabet, padded, nothing else. Raises InvalidRequest."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"file {path!r} is not valid base64", {"field": f"files.{path}"}) from error
