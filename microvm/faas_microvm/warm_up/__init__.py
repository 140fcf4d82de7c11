"""The warm-up corpus: programs that a fork server runs before its first job.

They touch what jobs touch, so that it is translated once. They decide how fast a job is, and
nothing else: translated code is not machine state. Versioned with the code, a folder per language.
One fork server serves the jobs of one language: what they translate and change is much the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from faas_blueprint.job import Language, Limits, make_job
from faas_microvm.mailbox import INTERPRETERS, Program, encode_request

_FOLDER = Path(__file__).parent
_LIMITS = Limits(timeout_ms=60_000)


def warm_language(runner: int | None) -> Language:
    """The language whose corpus is the nearest to what a `mailbox.Runner` runs; None: that is not known."""
    if runner is None:
        return Language.PYTHON
    return next((language for language, of in INTERPRETERS.items() if of == runner), Language.BASH)


def corpus(language: Language) -> tuple[bytes, ...]:
    """Requests to run one after the other, each from the snapshot. Raises IndexError if it has none.

    The shortest program is the last: what the others left changed is translated again. It comes
    first, too: what every job needs then lies together among the translations.
    """
    requests = tuple(_requests(language))
    return (requests[-1], *requests)


def _requests(language: Language) -> Iterator[bytes]:
    for path in sorted((_FOLDER / language.value).glob("*.txt")):
        code = path.read_text()
        program = Program(INTERPRETERS[language], code.encode())
        yield encode_request(make_job(language, code, limits=_LIMITS), program)
