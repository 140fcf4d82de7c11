import hashlib
import numpy as np

rng = np.random.default_rng()
print(rng.random(3), np.random.rand(3), np.random.default_rng(7).normal(size=3))
a = np.linspace(-40, 40, 4001)
for f in (np.sin, np.cos, np.tan, np.exp, np.tanh, np.arctan, np.cbrt, np.sqrt, np.log1p, np.sinh):
    for kind in (np.float16, np.float32, np.float64, np.longdouble, np.complex128):
        with np.errstate(all="ignore"):
            try:
                found = f(a.astype(kind))
            except TypeError:
                continue
        # the padding of a long double is whatever was there
        digest = hashlib.sha256(repr(found.tolist()).encode() if kind is np.longdouble else found.tobytes())
        print(f.__name__, np.dtype(kind), digest.hexdigest()[:16])
m = np.random.default_rng(1).random((40, 40))
for name, found in (
    ("inverse", np.linalg.inv(m)), ("eigenvalues", np.linalg.eigvals(m)), ("singular", np.linalg.svd(m)[1]),
    ("product", m @ m), ("solve", np.linalg.solve(m, m[0])), ("fft", np.fft.fft2(m)), ("float32", (m.astype("f") @ m.astype("f"))),
    ("sum", m.sum()), ("pairwise", np.float32(m.ravel().astype("f").sum())), ("dot", m[0].dot(m[1])),
):
    print(name, hashlib.sha256(np.asarray(found).tobytes()).hexdigest()[:16])
print(np.sort(np.random.default_rng(2).integers(0, 1 << 62, 5000)).tobytes()[:8].hex(), np.argsort(m[0])[:5])
print(np.empty(64).tobytes()[:64].hex(), id(m) % 16)
