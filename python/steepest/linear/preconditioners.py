"""Preconditioners of conjugate gradients: r → z ≈ A⁻¹ r, symmetric and positive definite."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from steepest.linear.stationary import as_rows
from steepest.linear.sweeps import sweeps_of
from steepest.linear.system import Array, Product, System, diagonal_entry, diagonal_of, user_product


def make_preconditioner(
    system: System, choice: str | Callable[[Array], Array], omega: float
) -> Product:
    """The product with M⁻¹ on arrays of b's shape."""
    product = user_product(choice)
    if product is not None:
        return functools.partial(system.applied, product, "preconditioner")
    if choice == "jacobi":
        return _jacobi(system, _positive_diagonal(system))
    a = system.matrix("ssor", "preconditioner")
    return _ssor(system, a, _positive_diagonal(system), omega)


def _positive_diagonal(system: System) -> Array:
    xp = system.xp
    d = diagonal_of(system, "pcg")
    if d.shape[0] and float(d[at := int(xp.argmin(d))]) < 0:
        entry = diagonal_entry(system, at)
        raise np.linalg.LinAlgError(
            f"A is not positive definite: {entry} = {float(d[at]):.3g}; {system.remedy}"
        )
    return d


def _jacobi(system: System, d: Array) -> Product:
    """M = D."""
    d = d if system.b.ndim == 1 else d[:, None]
    return lambda r: r / d


def _ssor(system: System, a: Array, d: Array, omega: float) -> Product:
    """M = (D/ω + L) D⁻¹ (D/ω + U): one forward and one backward sweep from zero.

    Axelsson 1972 (BIT 12, 443-467), but for the factor ω/(2−ω), which cg's steps do not depend on.
    Each sweep reads one triangle of A.
    """
    sweeps = sweeps_of(system.xp, a, omega)

    def apply(r: Array) -> Array:
        y = sweeps.triangle(r[None, :] if r.ndim == 1 else as_rows(system, r))
        z = sweeps.triangle(d * y, backward=True)
        return z[0, :] if r.ndim == 1 else z.T

    return apply
