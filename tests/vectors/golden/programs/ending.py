import sys
print("to stdout")
print("to stderr", file=sys.stderr)
def fail(depth):
    if depth == 0: raise RuntimeError("as intended")
    fail(depth - 1)
fail(3)
