"""Systems with known answers, and the methods that are run over them."""

import array_api_strict
import numpy as np

NAMESPACES = [np, array_api_strict]
DIRECT = ["cholesky", "lu", "qr"]
ITERATIVE = {
    "jacobi": {"method": "jacobi"},
    "gauss-seidel": {"method": "gauss-seidel"},
    "gauss-seidel backward": {"method": "gauss-seidel", "sweep": "backward"},
    "gauss-seidel symmetric": {"method": "gauss-seidel", "sweep": "symmetric"},
    "sor": {"method": "gauss-seidel", "omega": 1.2},
    "cg": {"method": "cg"},
    "pcg jacobi": {"method": "pcg"},
    "pcg ssor": {"method": "pcg", "preconditioner": "ssor"},
    "pcg ssor relaxed": {"method": "pcg", "preconditioner": "ssor", "omega": 1.3},
}


def definite(n, dtype=np.float64, seed=0):
    """Symmetric positive definite and diagonally dominant, so that every method converges."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, n))
    a = (a + a.T) / 2
    np.fill_diagonal(a, np.abs(a).sum(axis=1) + rng.uniform(0.5, 1, n))
    return a.astype(dtype)


def dominant(n, dtype=np.float64, seed=0):
    """As `definite`, but far from symmetric: what takes A for its transpose shows."""
    a = np.random.default_rng(seed).standard_normal((n, n))
    np.fill_diagonal(a, np.abs(a).sum(axis=1) + 1)
    return a.astype(dtype)


def right_hand_side(n, columns, dtype=np.float64, seed=1):
    shape = (n,) if columns is None else (n, columns)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def hilbert(n):
    i = np.arange(1, n + 1)
    return 1.0 / (i[:, None] + i - 1)
