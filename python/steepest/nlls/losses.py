"""Residuals told together with a user's loss of them: ρ, ρ', ρ'' at z = (f / f_scale)²."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steepest.nlls import arrays
from steepest.nlls.arguments import Options
from steepest.nlls.arrays import Array, as_array, as_dtype, residual


def tell_residual(solver: Any, f: Any, options: Options) -> int:
    """Tell the solver residuals, with a user's loss of them; the phase that follows."""
    if callable(options.loss):
        f = residual(f, solver.point().dtype)
        phase: int = solver.tell_residual(f, evaluate(options.loss, f, options.f_scale))
    else:
        phase = solver.tell_residual(f)
    return phase


def evaluate(loss: Callable[[Array], Any], f: Array, f_scale: float) -> Array:
    """`loss(z)` as a (3, m) array; it must return ρ(z), ρ'(z), ρ''(z) in its rows."""
    with arrays.out_of_range():  # after a step that went too far
        z = (f / f_scale) ** 2
    _, rho = as_array("loss", loss(z))
    if rho.shape != (3, f.size):
        raise ValueError(
            f"loss: returned shape {rho.shape}; expected (3, {f.size}), rows of rho, rho', rho''"
        )
    return as_dtype("loss", rho, f.dtype)
