"""The entry point of `faas`: Ctrl-C is quiet before there is a command, too.

Not here: the commands (`main`), whose modules take a moment to import.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command; while its modules are imported, Ctrl-C ends the process without a traceback."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # and not ignored, as of a command in a script's background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from faas_cli.main import main as run

    signal.signal(signal.SIGINT, usual)
    run()


if __name__ == "__main__":
    main()
