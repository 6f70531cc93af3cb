"""Update parameters fast, in place, on NumPy and CuPy arrays.

Everything public hangs on this module; names load on first use, so that ``import steepest``
costs little and pulls in neither SciPy nor CuPy.
"""

from __future__ import annotations

import importlib
from typing import Any

from steepest import _cpu

__version__: str = _cpu.version

# public name -> the module that defines it
_HOME = {
    "BackendError": "steepest.errors",
    "LeastSquares": "steepest.nlls.inside_out",
    "check_jacobian": "steepest.nlls.jacobian_check",
    "confidence_band": "steepest.nlls.bands",
    "curve_fit": "steepest.nlls.curve",
    "least_squares": "steepest.nlls.loop",
    "prediction_band": "steepest.nlls.bands",
}
_MODULES: tuple[str, ...] = ()

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"steepest.{name}")
    else:
        raise AttributeError(f"module 'steepest' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
