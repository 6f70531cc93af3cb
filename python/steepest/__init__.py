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
    **dict.fromkeys(("BackendError", "ConvergenceError"), "steepest.errors"),
    **dict.fromkeys(
        (
            "SGD",
            "Momentum",
            "Nesterov",
            "RMSProp",
            "Adam",
            "AMSGrad",
            "AdamW",
            "Adagrad",
            "Adadelta",
            "AdaMax",
            "NAdam",
            "RAdam",
            "Lion",
        ),
        "steepest.rules",
    ),
    "minibatches": "steepest.batches",
    "LeastSquares": "steepest.nlls.inside_out",
    "check_jacobian": "steepest.nlls.jacobian_check",
    "curve_fit": "steepest.nlls.curve",
    "least_squares": "steepest.nlls.loop",
    "BFGS": "steepest.fullbatch.bfgs",
    "GradientDescent": "steepest.fullbatch.gradient_descent",
    "LBFGS": "steepest.fullbatch.lbfgs",
    "Newton": "steepest.fullbatch.newton",
    "line_search": "steepest.fullbatch.line_search",
    "minimize": "steepest.fullbatch.minimize",
    "solve": "steepest.linear",
    **dict.fromkeys(
        ("get_num_threads", "info", "set_flush_denormals", "set_num_threads"), "steepest.system"
    ),
}
_MODULES: tuple[str, ...] = ("functional", "schedules")

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
