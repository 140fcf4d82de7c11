"""What the system costs on this machine, as named figures: `scripts/bench`.

Every group measures the real thing through the doors that the node itself uses. Not here: whether
what is measured is right (`tests/`).
"""
