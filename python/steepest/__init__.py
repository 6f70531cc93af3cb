"""Update parameters fast, in place, on NumPy and CuPy arrays.

Everything public is reached through this module; names load on first use, so that
``import steepest`` costs little and pulls in neither SciPy nor CuPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from steepest import _cpu

if TYPE_CHECKING:  # the names of _HOME for type checkers and editors, which import nothing
    from steepest import functional as functional
    from steepest import schedules as schedules
    from steepest.batches import minibatches as minibatches
    from steepest.errors import BackendError as BackendError
    from steepest.errors import ConvergenceError as ConvergenceError
    from steepest.fullbatch.bfgs import BFGS as BFGS
    from steepest.fullbatch.gradient_descent import GradientDescent as GradientDescent
    from steepest.fullbatch.lbfgs import LBFGS as LBFGS
    from steepest.fullbatch.line_search import line_search as line_search
    from steepest.fullbatch.minimize import minimize as minimize
    from steepest.fullbatch.newton import Newton as Newton
    from steepest.linear import solve as solve
    from steepest.nlls.bands import confidence_band as confidence_band
    from steepest.nlls.bands import prediction_band as prediction_band
    from steepest.nlls.curve import curve_fit as curve_fit
    from steepest.nlls.inside_out import LeastSquares as LeastSquares
    from steepest.nlls.jacobian_check import check_jacobian as check_jacobian
    from steepest.nlls.loop import least_squares as least_squares
    from steepest.rules import SGD as SGD
    from steepest.rules import Adadelta as Adadelta
    from steepest.rules import Adagrad as Adagrad
    from steepest.rules import Adam as Adam
    from steepest.rules import AdaMax as AdaMax
    from steepest.rules import AdamW as AdamW
    from steepest.rules import AMSGrad as AMSGrad
    from steepest.rules import Lion as Lion
    from steepest.rules import Momentum as Momentum
    from steepest.rules import NAdam as NAdam
    from steepest.rules import Nesterov as Nesterov
    from steepest.rules import RAdam as RAdam
    from steepest.rules import RMSProp as RMSProp
    from steepest.system import get_num_threads as get_num_threads
    from steepest.system import info as info
    from steepest.system import set_flush_denormals as set_flush_denormals
    from steepest.system import set_num_threads as set_num_threads

__version__: str = _cpu.version

# the module that defines them -> public names
_NAMES = {
    "batches": "minibatches",
    "errors": "BackendError ConvergenceError",
    "fullbatch.bfgs": "BFGS",
    "fullbatch.gradient_descent": "GradientDescent",
    "fullbatch.lbfgs": "LBFGS",
    "fullbatch.line_search": "line_search",
    "fullbatch.minimize": "minimize",
    "fullbatch.newton": "Newton",
    "linear": "solve",
    "nlls.bands": "confidence_band prediction_band",
    "nlls.curve": "curve_fit",
    "nlls.inside_out": "LeastSquares",
    "nlls.jacobian_check": "check_jacobian",
    "nlls.loop": "least_squares",
    "rules": "SGD Momentum Nesterov RMSProp Adam AMSGrad AdamW Adagrad Adadelta AdaMax NAdam RAdam "
    "Lion",
    "system": "get_num_threads info set_flush_denormals set_num_threads",
}
_HOME = {name: f"steepest.{home}" for home, names in _NAMES.items() for name in names.split()}
_MODULES: tuple[str, ...] = ("functional", "schedules")

__all__ = ["__version__", *_HOME, *_MODULES]


if not TYPE_CHECKING:  # to a type checker a name that is not above is an error

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
