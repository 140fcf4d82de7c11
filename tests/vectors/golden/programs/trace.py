"""Runs for more than two seconds, so its receipt commits to states on the way."""
import hashlib
import time

digest = hashlib.sha256()
for step in range(9):
    for number in range(4_000):
        digest.update(b"%d" % number)
    time.sleep(0.25)
    print(step, time.monotonic_ns(), digest.hexdigest(), flush=True)
