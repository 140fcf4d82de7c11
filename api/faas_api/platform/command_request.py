"""The older form of `POST /execute`: a shell command in an image, as earlier clients of the platform send it.

There is one machine and no images: the name is checked against what that machine can stand in for.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Literal

from pydantic import AliasChoices, Discriminator, Field, Tag

from faas_api.platform.describing import matching
from faas_api.platform.requests import (
    ENVIRONMENT,
    Asked,
    ExecuteRequest,
    Text,
    in_names_of_the_request,
    limit,
)
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Job, Limits, make_job

IMAGES = ("alpine", "bash", "busybox", "debian", "node", "python", "ubuntu")
"""Whose shell, Python 3 or Node a command may expect."""

_IMAGE_NAME = re.compile(r"(?:.*/)?([a-z0-9._-]+)(?::[^/]*)?")

FORMS = ("code-form", "command-form")

ImageName = Annotated[Text, matching(f"^(.*/)?({'|'.join(IMAGES)})(:[^/]*)?$")]
Pair = Annotated[list[Text], Field(min_length=2, max_length=2)]


class CommandRequest(Asked):
    """Run a command with the machine's shell, Python 3 and Node. Answers in the fields of both forms."""

    command: Text | list[Text] = Field(description="For `bash`, or its words")
    image: ImageName = Field(
        "debian", description=f"One of {', '.join(IMAGES)}, with any tag; all are one machine"
    )
    runtime: Literal["auto", "docker", "firecracker", "microvm"] = Field(
        "auto", description="Every run is in a microVM"
    )
    timeout_ms: int = limit("timeout_ms", "Virtual milliseconds")
    env_vars: list[Pair] | dict[Text, Text] | None = Field(None, description="Pairs, or a map")
    working_dir: Text | None = Field(None, description="Relative; made if it is not there")
    payload: Text | list[int] | None = Field(
        None, validation_alias=AliasChoices("payload", "stdin"), description="Standard input: text, or bytes"
    )
    cache_key: Text | None = Field(None, description="Not used: a job is known by its content")

    def job(self) -> Job:
        """The job of the command. Raises InvalidRequest."""
        self._check_image()
        seed, epoch = self.chosen()
        command = self.command if isinstance(self.command, str) else shlex.join(self.command)
        with in_names_of_the_request(ENVIRONMENT):
            return make_job(
                "bash",
                self._folder() + command,
                stdin=self._stdin(),
                environment=self._environment(),
                seed=seed,
                epoch=epoch,
                limits=Limits(timeout_ms=self.timeout_ms),
            )

    def _environment(self) -> dict[str, str]:
        if isinstance(self.env_vars, dict):
            return self.env_vars
        return {pair[0]: pair[1] for pair in self.env_vars or ()}

    def _check_image(self) -> None:
        found = _IMAGE_NAME.fullmatch(self.image)
        if found is None or found[1] not in IMAGES:
            raise InvalidRequest(
                f"image {self.image!r} is not served: a command may name {', '.join(IMAGES)}; "
                "for compiled languages send code and language instead",
                {"field": "image", "served": list(IMAGES)},
            )

    def _folder(self) -> str:
        folder = self.working_dir
        if folder is None or folder in ("", ".", "/work"):
            return ""
        if folder.startswith("/") or ".." in folder.split("/"):
            raise InvalidRequest("working_dir must be relative, without '..'", {"field": "working_dir"})
        quoted = shlex.quote(folder)
        return f"mkdir -p -- {quoted} && cd -- {quoted} || exit\n"

    def _stdin(self) -> bytes:
        if self.payload is None or isinstance(self.payload, str):
            return (self.payload or "").encode()
        try:
            return bytes(self.payload)
        except (ValueError, OverflowError) as error:
            raise InvalidRequest("payload's numbers must be bytes", {"field": "payload"}) from error


def _form(body: object) -> str:
    is_command = isinstance(body, CommandRequest) or (isinstance(body, dict) and "command" in body)
    return FORMS[1 if is_command else 0]


AnyExecuteRequest = Annotated[
    Annotated[ExecuteRequest, Tag(FORMS[0])] | Annotated[CommandRequest, Tag(FORMS[1])], Discriminator(_form)
]
"""The body of `POST /execute`: the form with `code` and `language`, or the older one with `command`."""
