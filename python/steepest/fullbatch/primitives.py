"""The four vector kernels under the full-batch methods: compiled for NumPy, generic for the rest.

Vectors are rows of a workspace, an array (k, n) that is picked from by number, or arrays (n,) of
their own. Each kernel reads what it is given once, whatever it computes from it.
"""

from __future__ import annotations

import numpy as np

from steepest import _cpu
from steepest.fullbatch.arrays import Array, from_host, namespace, to_host


def inner(
    workspace: Array, picks: list[int], vectors: list[Array], minus: Array | None = None
) -> np.ndarray:
    """Inner products of the picked rows, then of the vectors, with the vectors, in one pass.

    With `minus`, the difference of the first vector and `minus` is one vector more and stands
    before the others. Returns a float64 NumPy array, a column for each vector.
    """
    if type(workspace) is np.ndarray:
        products: np.ndarray = _cpu.inner(workspace, picks, vectors, minus)
        return products
    return generic_inner(workspace, picks, vectors, minus)


def combine(
    workspace: Array,
    picks: list[int],
    vectors: list[Array],
    coefficients: np.ndarray,
    outs: list[Array],
) -> None:
    """outs[j][:] = Σᵢ coefficients[j, i] vᵢ, v the picked rows and then the vectors, in one pass.

    A vector whose coefficient is zero is not read. An out may be one of the vectors or of the
    picked rows: sums up to its own have its old value, those of later outs the new one.
    `coefficients` is float64, (len(outs), len(picks) + len(vectors)).
    """
    if type(workspace) is np.ndarray:
        _cpu.combine(workspace, picks, vectors, coefficients, outs)
    else:
        generic_combine(workspace, picks, vectors, coefficients, outs)


def symmetric_product(a: Array, vectors: list[Array], outs: list[Array]) -> None:
    """outs[j][:] = A vectors[j], all in one read of the lower triangle of `a`, (n, n)."""
    if type(a) is np.ndarray:
        _cpu.symmetric_product(a, vectors, outs)
    else:
        generic_symmetric_product(a, vectors, outs)


def rank_two(a: Array, u: Array, v: Array) -> None:
    """A ← A + u vᵀ + v uᵀ in the lower triangle of `a`, (n, n), in one pass."""
    if type(a) is np.ndarray:
        _cpu.rank_two(a, u, v)
    else:
        generic_rank_two(a, u, v)


def generic_inner(
    workspace: Array, picks: list[int], vectors: list[Array], minus: Array | None
) -> np.ndarray:
    if minus is not None:
        vectors = [vectors[0] - minus, *vectors]
    rows = gather(workspace, picks, vectors)
    return to_host(rows @ rows[len(picks) :, :].T)


def generic_combine(
    workspace: Array,
    picks: list[int],
    vectors: list[Array],
    coefficients: np.ndarray,
    outs: list[Array],
) -> None:
    for c, out in zip(coefficients, outs, strict=True):
        read = c != 0
        kept = [pick for pick, used in zip(picks, read, strict=False) if used]
        others = [v for v, used in zip(vectors, read[len(picks) :], strict=True) if used]
        if kept or others:
            out[...] = from_host(c[read], workspace) @ gather(workspace, kept, others)
        else:
            out[...] = 0.0


def generic_symmetric_product(a: Array, vectors: list[Array], outs: list[Array]) -> None:
    xp = namespace(a)
    full = xp.tril(a) + xp.tril(a, k=-1).T
    products = full @ xp.stack(vectors, axis=1)
    for j, out in enumerate(outs):
        out[...] = products[:, j]


def generic_rank_two(a: Array, u: Array, v: Array) -> None:
    product = u[:, None] * v[None, :]
    a += product + product.T


def gather(workspace: Array, picks: list[int], vectors: list[Array]) -> Array:
    """The picked rows and the vectors as one array."""
    xp = namespace(workspace)
    return xp.stack([*(workspace[i, :] for i in picks), *vectors])
