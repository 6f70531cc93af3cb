"""What users see of a run of a full-batch method, beside `tell`; and the run saved and copied."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from steepest import check
from steepest.fullbatch.arrays import Array
from steepest.fullbatch.iteration import CONVERGED, LIMIT, Iteration
from steepest.fullbatch.state import MADE_ANEW, load, restore, save

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult


class Minimizer(Iteration):
    """Base of the methods: tell it f and g at `x` until it is `done`.

    The subclass answers the direction from an accepted point (`_direction`), with vectors of its
    own in the workspace's further rows.
    """

    def __repr__(self) -> str:
        state = "done" if self.done else "waits for f and g at x"
        so_far = "" if math.isnan(self.f) else f", iteration {self.nit}, f {self.f:.6g}"
        return f"{type(self).__name__}({check.counted(self.n, 'parameter')}, {state}{so_far})"

    @property
    def x(self) -> Array:
        """A copy of the point to evaluate next; when done, of the answer."""
        if self._handed is not None:
            x, self._handed = self._handed, None
            return x
        return self._copy(self._x if self.done else self._trial)

    @property
    def success(self) -> bool:
        """Whether the run has ended at its tolerances."""
        return self.status == CONVERGED

    def result(self) -> OptimizeResult:
        """The state as SciPy's OptimizeResult."""
        from scipy.optimize import OptimizeResult

        return OptimizeResult(
            x=self.best_x,
            fun=self.f,
            jac=self.g,
            nfev=self.nfev,
            njev=self.nfev - self._spared,
            nit=self.nit,
            status=self.status,
            success=self.success,
            message=self.message,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything the run needs to go on, copied: plain values and arrays, for `pickle`."""
        return save(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict` of the same method, size and options.

        A run that ended at `maxiter` or `max_nfev` goes on where the present ones are larger, from
        its best point, which is asked for again.

        Raises
        ------
        TypeError, ValueError
            If it is no dict, or of another method, shape, dtype or line search; nothing has changed
            then.
        """
        load(self, state)
        spent = self.max_nfev is not None and self.nfev >= self.max_nfev
        if self.status == LIMIT and self.nit < self.maxiter and not spent:
            self._resume()

    def __getstate__(self) -> dict[str, Any]:
        self._fetch_lowest_gradient()
        return {name: value for name, value in vars(self).items() if name not in MADE_ANEW}

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, state)

    def __copy__(self) -> Minimizer:
        return copy.deepcopy(self)  # two runs cannot share a workspace
