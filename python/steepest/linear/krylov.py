"""Conjugate gradients. Hestenes & Stiefel 1952, J. Res. NBS 49, 409-436, algorithm (3:1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import device

from steepest import _cpu
from steepest.linear.progress import Progress
from steepest.linear.stationary import begin
from steepest.linear.system import Array, Product, System


def conjugate_gradients(system: System, progress: Progress, precondition: Product | None) -> Array:
    """Solve by cg, or by pcg with the product z = M⁻¹ r; the columns of b go side by side.

    The recursion's residual drifts from b − A x by rounding, so b − A x is computed at the end: if
    it misses the tolerance, the method restarts from there, as long as this still helps.
    """
    x, r, over = begin(system, progress)
    if over:
        return x
    verified = np.inf
    descend = _descend_compiled if type(r) is np.ndarray and r.ndim == 1 else _descend_generic
    while True:
        x = descend(system, progress, precondition, x, r)
        r = system.b - system.times(x)
        progress.history[-1] = progress.norms(r)
        if progress.converged or progress.stopped:
            return x
        if progress.excess > 0.5 * verified:
            progress.stopped = "the residual is at the rounding level of the working precision"
            return x
        verified = progress.excess


def _descend_compiled(
    system: System, progress: Progress, precondition: Product | None, x: Array, r: Array
) -> Array:
    """Iterate from x with residual r until the recursion's residual ends it; for one right-hand
    side in NumPy.

    Apart from its products an iteration is one call, or two with a preconditioner: a product with a
    large A empties the caches, after which a call, or a line of Python, takes ten times as long.
    """
    vectors = np.zeros((3, r.shape[0]), r.dtype)
    vectors[0], vectors[1] = x, r
    x, r, p = vectors
    times, plain = system.times, precondition is None
    who, formula = _between(precondition)
    z = r if precondition is None else precondition(r)
    rho = _cpu.cg_turn(vectors, z, 0.0)
    while True:
        if not 0 < rho < math.inf:
            _refuse(system, progress, [rho], r, z, who, formula)
        q = times(p)
        product, square = _cpu.cg_advance(vectors, q, rho, plain)
        if not 0 < product < math.inf:
            _refuse(system, progress, [product], p, q, "A", "pᵀAp")
        ordinary = progress.record_ordinary(square)
        over = not ordinary and progress.record(progress.norms(r, [square]))
        if progress.call(x) or over:
            return x.copy()
        z = r if precondition is None else precondition(r)
        rho = square if precondition is None else _cpu.cg_turn(vectors, z, rho)


def _descend_generic(
    system: System, progress: Progress, precondition: Product | None, x: Array, r: Array
) -> Array:
    """The same over the array namespace; the columns of b go side by side."""
    p: Array = None
    rho: Array = None
    who, formula = _between(precondition)
    while True:
        active = progress.active
        z = r if precondition is None else precondition(r)
        rho_before, rho = rho, _positive(system, progress, r, z, who, formula)
        p = z if p is None else z + _ratio(system, active, rho, rho_before) * p
        q = system.times(p)
        product = _positive(system, progress, p, q, "A", "pᵀAp")
        alpha = _ratio(system, active, rho, product)
        x = x + alpha * p
        r = r - alpha * q
        over = progress.record_residual(r)
        if progress.call(x) or over:
            return x


def _between(precondition: Product | None) -> tuple[str, str]:
    """What to blame where the product of r and z is not positive, and how to write it."""
    return ("the preconditioner", "rᵀM⁻¹r") if precondition else ("A", "rᵀr")


def _positive(
    system: System, progress: Progress, u: Array, v: Array, who: str, formula: str
) -> Array:
    """uᵀv of each column, which is positive where the operator between them is definite."""
    product = system.xp.vecdot(u, v, axis=-u.ndim)
    _refuse(system, progress, progress.columns(product), u, v, who, formula)
    return product


def _refuse(
    system: System,
    progress: Progress,
    products: list[float],
    u: Array,
    v: Array,
    who: str,
    formula: str,
) -> None:
    """An error if uᵀv is not positive, or not finite, in a column that still iterates."""
    for k, (value, active) in enumerate(zip(products, progress.active, strict=True)):
        if not active or 0 < value < math.inf:
            continue
        seen = f"{formula} = {value:.3g} in iteration {progress.nit + 1}"
        if value == math.inf or _lost_by_size(progress, value, u, v, k):
            raise np.linalg.LinAlgError(f"{seen}: out of the range of {system.dtype}; scale A or b")
        if math.isnan(value):
            raise np.linalg.LinAlgError(f"{who} gives NaN: {seen}")
        remedy = system.remedy if who == "A" else "pass another"
        raise np.linalg.LinAlgError(f"{who} is not positive definite: {seen}; {remedy}")


def _lost_by_size(progress: Progress, value: float, u: Array, v: Array, column: int) -> bool:
    """Whether uᵀv under- or overflows, so that nothing can be said of the operator between them."""
    a, b = progress.norms(u)[column], progress.norms(v)[column]
    if math.isnan(value):  # of ∞ - ∞
        return math.isfinite(b)
    return 0 < b and a * b < progress.least_square


def _ratio(system: System, active: list[bool], numerator: Array, denominator: Any) -> Array:
    """The quotient in each column; 0 in columns that have converged, which then stay unchanged."""
    if all(active):
        return numerator / denominator
    xp = system.xp
    going = xp.asarray(active, device=device(numerator))
    return xp.where(going, numerator / xp.where(going, denominator, 1), 0)
