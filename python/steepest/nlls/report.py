"""What a fit tells while it runs: the user's callback, the table of iterations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steepest import check
from steepest.nlls.result import LeastSquaresResult


class Watcher:
    """Called after each iteration: calls the user's callback, keeps the rows of the table."""

    def __init__(self, solver: Any, callback: Callable[..., Any] | None, verbose: int) -> None:
        self.solver, self.verbose = solver, verbose
        self.callback = None if callback is None else by_signature(callback)
        self.rows: list[tuple[str, ...]] = []
        self.first_cost: float | None = None

    def __call__(self) -> None:
        s = self.solver
        if self.first_cost is None:
            self.first_cost = s.cost
        if self.verbose == 2:
            moved = s.nit > 0
            self.rows.append(
                (
                    str(s.nit),
                    str(s.nfev),
                    f"{s.cost:.6e}",
                    f"{s.reduction:.2e}" if moved else "",
                    f"{s.step_norm:.2e}" if moved else "",
                    f"{s.optimality:.2e}",
                    f"{s.damping:.1e}",
                )
            )
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
        if self.rows:
            print_table(self.rows)
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


def print_table(rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("nit", "nfev", "cost", "reduction", "step", "optimality", "λ"):
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
