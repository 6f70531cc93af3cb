"""Gradient descent: a fixed rate, a schedule, or the best rate along each direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from steepest import check
from steepest.fullbatch.arrays import Array
from steepest.fullbatch.iteration import LIMIT, MAX_STALLED, STUCK, Stop
from steepest.fullbatch.minimizer import Minimizer
from steepest.fullbatch.points import Direction, G
from steepest.fullbatch.search import Trial

LONGEST = 100.0  # a step over the last one


class GradientDescent(Minimizer):
    """Gradient descent on the full batch by reverse communication: ask for `x`, tell it f and g,
    until it is `done`.

    x ← x - αₖ g, with αₖ from `lr` or from a line search: with "exact", Cauchy's steepest descent
    (1847), the optimal learning rate. An exact search starts from the last αₖ, and Armijo's, which
    only shortens, from twice that. The search for the Wolfe conditions takes any step that is long
    enough, so it starts from the one that promises the same decrease as the last step (Nocedal &
    Wright 2006, section 3.5), but not below the last αₖ.

    Parameters
    ----------
    x0, bounds, gtol, ftol, maxiter, max_nfev
        As `LBFGS`.
    lr : float or callable, optional
        The learning rate, above 0; or a schedule lr(k) -> float, k being the number of steps taken,
        whose value may be 0 (ten such steps in a row end the run). There is no line search then,
        so f may rise; ten steps in a row that do not lower it end the run.
    line_search : {"wolfe", "armijo", "exact"} or None
        The search for the learning rate where `lr` is not given; None only with `lr`.

    Raises
    ------
    TypeError, ValueError
        For arguments of another kind, shape or range, or neither `lr` nor a line search, or both.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> s = st.GradientDescent(np.array([4.0, 2.0]), lr=0.25)
    >>> while not s.done:
    ...     x = s.x
    ...     s.tell((x**2).sum(), 2 * x)
    >>> s.success, s.nit
    (True, 20)
    """

    method: ClassVar[str] = "gd"
    _too_long: ClassVar[str] = "the steps are too long; lower lr, or use a line search"
    _saved: ClassVar[tuple[str, ...]] = ("_scale",)

    def __init__(
        self,
        x0: Array,
        *,
        lr: float | Callable[[int], float] | None = None,
        bounds: Any = None,
        line_search: str | None = "wolfe",
        gtol: float = 1e-5,
        ftol: float = 0.0,
        maxiter: int | None = None,
        max_nfev: int | None = None,
    ) -> None:
        if lr is None and line_search is None:
            raise ValueError("line_search: None is not allowed without lr; give one of the two")
        if lr is not None and line_search not in ("wolfe", None):
            raise ValueError(f"line_search: {line_search!r} with lr; expected one of the two")
        self.lr = lr if lr is None or callable(lr) else check.number("lr", lr, above=0)
        self._scale = 0.0
        self._idle = 0  # iterations in a row with a rate of 0
        super().__init__(
            x0,
            bounds=bounds,
            line_search=line_search if lr is None else None,
            gtol=gtol,
            ftol=ftol,
            maxiter=maxiter,
            max_nfev=max_nfev,
        )

    def _rate(self) -> float:
        if callable(self.lr):
            return check.number(f"lr({self.nit})", self.lr(self.nit), at_least=0)
        assert self.lr is not None
        return self.lr

    def _first_direction(self) -> Direction:
        if self.lr is None:
            return super()._first_direction()
        self._idle = 0
        while (rate := self._rate()) == 0:  # a warm-up's first step, or a schedule's end
            self._idle, self.nit = self._idle + 1, self.nit + 1
            if self.nit >= self.maxiter:
                raise Stop(LIMIT, f"maxiter = {self.maxiter} iterations reached")
            if self._idle == MAX_STALLED:
                raise Stop(STUCK, f"lr has been 0 for {MAX_STALLED} iterations")
        return self._downhill(rate)

    def _follows_gradients(self) -> bool:
        return not (self.done and self._idle)  # no gradient moves x by a rate of 0

    def _downhill(self, scale: float) -> Direction:
        self._scale = scale  # d = -scale g
        return super()._downhill(scale)

    def _direction(self, at: Trial, g: Array) -> Direction:
        promised = -self._slope0 * at.step
        self._rows[G][...] = g
        if self.lr is not None:
            return self._first_direction()
        longer = 1.0
        if self.line_search == "armijo":
            longer = 2.0
        elif self.line_search == "wolfe":
            square = at.step * self._scale * self._free_square(g)
            longer = min(max(1.0, promised / square), LONGEST) if square > 0 else 1.0
        return self._downhill(longer * at.step * self._scale)
