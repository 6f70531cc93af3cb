"""The four vector kernels under the full-batch methods: compiled for NumPy, generic for the rest.

Vectors are rows of a workspace, an array (k, n) that is picked from by number, or arrays (n,) of
their own. Each kernel reads what it is given once, whatever it computes from it.
"""

from __future__ import annotations

import numpy as np

from steepest import _cpu
from steepest.fullbatch.arrays import Array, from_host, namespace, to_host

__all__ = ["combine", "inner", "rank_two", "symmetric_product"]


def inner(workspace: Array, picks: list[int], vectors: list[Array]) -> np.ndarray:
    """Inner products of the picked rows, then of the vectors, with the vectors, in one pass.

    Returns a float64 NumPy array (len(picks) + len(vectors), len(vectors)).
    """
    if type(workspace) is np.ndarray:
        products: np.ndarray = _cpu.inner(workspace, picks, vectors)
        return products
    return generic_inner(workspace, picks, vectors)


def combine(
    workspace: Array,
    picks: list[int],
    vectors: list[Array],
    coefficients: np.ndarray,
    outs: list[Array],
) -> None:
    """outs[j][:] = Σᵢ coefficients[j, i] vᵢ, v the picked rows and then the vectors, in one pass.

    A vector whose coefficients are all zero is not read. An out may be one of the vectors or a row
    of the workspace. `coefficients` is float64, (len(outs), len(picks) + len(vectors)).
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


def generic_inner(workspace: Array, picks: list[int], vectors: list[Array]) -> np.ndarray:
    rows = gather(workspace, picks, vectors)
    return to_host(rows @ rows[len(picks) :, :].T)


def generic_combine(
    workspace: Array,
    picks: list[int],
    vectors: list[Array],
    coefficients: np.ndarray,
    outs: list[Array],
) -> None:
    read = np.any(coefficients != 0, axis=0)
    kept = [pick for pick, used in zip(picks, read, strict=False) if used]
    others = [v for v, used in zip(vectors, read[len(picks) :], strict=True) if used]
    if not kept and not others:
        for out in outs:
            out[...] = 0.0
        return
    sums = from_host(coefficients[:, read], workspace) @ gather(workspace, kept, others)
    for j, out in enumerate(outs):
        out[...] = sums[j, :]


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
