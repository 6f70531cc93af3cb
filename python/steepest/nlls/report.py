"""What a fit reports while it runs: the user's callback, one line per iteration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from steepest import check
from steepest.nlls.arrays import to_host
from steepest.nlls.result import LeastSquaresResult

HEAD = "   nit    nfev          cost   reduction        step  optimality  damping"


class Watcher:
    """Called where an iteration may have ended: prints a line of it, calls the user's callback."""

    def __init__(self, solver: Any, callback: Callable[..., Any] | None, verbose: int) -> None:
        self.solver, self.verbose = solver, verbose
        self.callback = None if callback is None else by_signature(callback)
        self.first_cost: float | None = None
        self.nit = -1
        self.x = np.zeros(0)  # of the line before

    def __call__(self) -> None:
        s = self.solver
        if s.nit == self.nit:  # another Jacobian of the same point, or a step that was rejected
            return
        self.nit = s.nit
        if self.first_cost is None:
            self.first_cost = s.cost
            if self.verbose == 2:
                print(HEAD)
        if self.verbose == 2:
            before, self.x = self.x, to_host(s.x())
            moved = f"{s.reduction:12.2e}{math.dist(self.x, before):12.2e}" if s.nit else " " * 24
            print(f"{s.nit:6}{s.nfev:8}{s.cost:14.6e}{moved}{s.optimality:12.2e}{s.damping:9.1e}")
        if self.callback is None or s.nit == 0:
            return
        try:
            stop = self.callback(s)
        except StopIteration:
            stop = True
        if isinstance(stop, (bool, np.bool_)) and stop:
            s.stop()

    def end(self, result: LeastSquaresResult) -> None:
        if not self.verbose:
            return
        print(result.message)
        print(
            f"Function evaluations {result.nfev}, initial cost {self.first_cost:.4e}, "
            f"final cost {result.cost:.4e}, first-order optimality {result.optimality:.2e}."
        )


def by_signature(callback: Callable[..., Any]) -> Callable[[Any], Any]:
    """SciPy's rule: `intermediate_result` by keyword if that is the parameter, else x."""
    if check.names_intermediate_result(callback):
        return lambda s: callback(intermediate_result=intermediate(s))
    return lambda s: callback(s.x())


def intermediate(solver: Any) -> Any:
    """The state after an iteration."""
    from scipy.optimize import OptimizeResult

    return OptimizeResult(
        x=solver.x(), fun=solver.fun(), nit=solver.nit, nfev=solver.nfev, cost=solver.cost
    )
