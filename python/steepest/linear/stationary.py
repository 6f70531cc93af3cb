"""Stationary methods: x ← x + M⁻¹(b − A x) for a fixed M. Saad, Iterative Methods (2003), ch. 4."""

from __future__ import annotations

from array_api_compat import device

from steepest.linear.progress import Progress
from steepest.linear.sweeps import sweeps_of
from steepest.linear.system import Array, System, copied, diagonal_of


def jacobi(system: System, progress: Progress) -> Array:
    """x ← x + D⁻¹(b − A x)."""
    d = diagonal_of(system, "jacobi")
    if system.b.ndim == 2:
        d = d[:, None]
    x, r, over = begin(system, progress)
    while not over:
        x = x + r / d
        r = system.b - system.times(x)
        if progress.call(x):
            progress.history.append(progress.norms(r))
            break
        over = progress.record_residual(r)
    return x


def gauss_seidel(system: System, progress: Progress, order: str, omega: float) -> Array:
    """A row at a time: x_i ← x_i + ω (b_i − a_i x)/a_ii, forward, backward or one after the other.

    A sweep yields the residual of the iterate that it started from (the one read of A serves
    both), so the last sweep only confirms: its start is returned.
    """
    a = system.matrix("gauss-seidel")
    diagonal_of(system, "gauss-seidel")
    xp, one_column = system.xp, system.b.ndim == 1
    sweeps = sweeps_of(xp, a, omega)
    b, x = as_rows(system, system.b), as_rows(system, start(system))

    def shown(rows: Array) -> Array:
        return rows[0, :] if one_column else rows.T

    while True:
        before = copied(xp, x)
        r = sweeps.sweep_with_residual(b, x, before, backward=order == "backward")
        if progress.record_residual(shown(r)):
            return shown(before)
        if order == "symmetric":
            sweeps.sweep(b, x, backward=True)
        if progress.call(shown(x)):
            r = sweeps.sweep_with_residual(b, copied(xp, x), x)
            progress.history.append(progress.norms(shown(r)))
            return shown(x)


def begin(system: System, progress: Progress) -> tuple[Array, Array, bool]:
    """A first iterate, its residual, and whether the iteration is over there."""
    x = start(system)
    if system.x0 is None:
        return x, system.b, progress.record(progress.norms_b)
    r = system.b - system.times(x)
    return x, r, progress.record(progress.norms(r))


def start(system: System) -> Array:
    """A first iterate of our own: x0, or zero; zero, too, in a column where b is zero."""
    if system.x0 is None:
        return system.xp.zeros_like(system.b)
    zero = system.xp.all(system.b == 0, axis=0)
    return system.xp.where(zero, system.xp.zeros_like(system.x0), system.x0)


def as_rows(system: System, v: Array) -> Array:
    """A copy with the right-hand sides as contiguous rows, shape (k, n)."""
    xp = system.xp
    rows = v[None, :] if v.ndim == 1 else v.T
    out = xp.zeros(rows.shape, dtype=rows.dtype, device=device(rows))
    out[...] = rows
    return out
