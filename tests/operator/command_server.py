"""Runs `faas operator …`, each command in a process of its own, without importing everything for each again.

    command_server.py

Reads lines of JSON from stdin: `arguments`, `environment` and the file `output` for what is printed; answers
each with a line, the exit code, once the command has ended. Ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from faas_cli import main as cli
from faas_cli import operator, operator_session
from faas_operator import departure, node, registration

IMPORTED = operator, operator_session, departure, node, registration
"""What commands import once they run; the child has them from here."""


def run(arguments: list[str], environment: dict[str, str], output: str) -> int:
    """The exit code of a command in a child process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.environ.clear()
            os.environ.update(environment)
            printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for descriptor, file in enumerate((os.open(os.devnull, os.O_RDONLY), printed, printed)):
                os.dup2(file, descriptor)
            sys.argv = ["faas", *arguments]
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # noqa: BLE001 (as the interpreter does at its end)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        print(run(**json.loads(line)), flush=True)
