"""The warm-up corpus: programs that a fork server runs before its first job.

They touch what jobs touch, so that it is translated once. They decide how fast a job is, and
nothing else: translated code is not machine state. Versioned with the code, a folder per language.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from faas_blueprint.job import Language, Limits, make_job
from faas_microvm.mailbox import Program, Runner, encode_request

_RUNNERS = {
    Language.PYTHON: (Runner.PYTHON, ".py.txt"),
    Language.JAVASCRIPT: (Runner.JAVASCRIPT, ".js.txt"),
    Language.BASH: (Runner.BASH, ".sh.txt"),
}
_FOLDER = Path(__file__).parent
_LIMITS = Limits(timeout_ms=60_000)


def corpus() -> tuple[bytes, ...]:
    """Requests to run one after the other, each from the snapshot.

    A language's shortest program is its last: what the others left changed is translated again.
    All of these come first, too: what every job needs then lies together among the translations.
    """
    programs = [list(_requests(language)) for language in _RUNNERS]
    return (*(requests[-1] for requests in programs), *(request for each in programs for request in each))


def _requests(language: Language) -> Iterator[bytes]:
    runner, suffix = _RUNNERS[language]
    for path in sorted((_FOLDER / language.value).glob(f"*{suffix}")):
        code = path.read_text()
        yield encode_request(make_job(language, code, limits=_LIMITS), Program(runner, code.encode()))
