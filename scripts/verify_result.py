#!/usr/bin/env python3
"""Verify a result without the rest of the command line: the same arguments as `faas verify`."""

from faas_verifier.command import main

if __name__ == "__main__":
    main()
