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


def corpus() -> Iterator[bytes]:
    """Requests to run one after the other, each from the snapshot; short programs come last."""
    for language, (runner, suffix) in _RUNNERS.items():
        for path in sorted((_FOLDER / language.value).glob(f"*{suffix}")):
            code = path.read_text()
            yield encode_request(make_job(language, code, limits=_LIMITS), Program(runner, code.encode()))
