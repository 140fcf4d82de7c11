#!/usr/bin/env python3
"""Verify a result without the rest of the command line: the same arguments as `faas verify`."""

import os
import sys
from pathlib import Path

try:
    from faas_verifier.command import main
except ModuleNotFoundError:
    environment = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
    if not environment.exists() or Path(sys.prefix) == environment.parents[1]:
        sys.exit("the verifier is not installed: run scripts/setup, or `pip install tangle-faas`")
    os.execv(environment, [str(environment), __file__, *sys.argv[1:]])

if __name__ == "__main__":
    main()
