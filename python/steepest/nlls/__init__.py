"""Dense nonlinear least squares: Gauss-Newton, Levenberg, Levenberg-Marquardt."""

from __future__ import annotations

__all__ = ["LeastSquares", "LeastSquaresResult", "check_jacobian", "least_squares"]

_HOME = {
    "LeastSquares": "inside_out",
    "LeastSquaresResult": "result",
    "check_jacobian": "jacobian_check",
    "least_squares": "loop",
}


def __getattr__(name: str) -> object:
    import importlib

    if name not in _HOME:
        raise AttributeError(f"module 'steepest.nlls' has no attribute {name!r}")
    return getattr(importlib.import_module(f"steepest.nlls.{_HOME[name]}"), name)
