"""The iteration of the full-batch methods, turned inside out: it asks for a point, and is told f
and g there.

    tell          the first point, one that is accepted at once, or a trial of a search
    _search_on    the search asks for another trial, or ends
    _accept       the trial becomes the accepted point; the run ends, or has a next direction
    _start        the next line to search
"""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import get_ident
from typing import Any, ClassVar

import numpy as np

from steepest import _cpu, check
from steepest.fullbatch.arrays import Array, empty_like, scalar, vector
from steepest.fullbatch.points import LOWEST, NO_MORE_KNOWN, Direction, G, Points
from steepest.fullbatch.primitives import combine, inner
from steepest.fullbatch.search import (
    UNBOUNDED,
    End,
    Search,
    Trial,
    explain,
    explain_stall,
    finite,
    full_step,
    noise,
)
from steepest.fullbatch.searches.armijo import armijo
from steepest.fullbatch.searches.exact import exact
from steepest.fullbatch.searches.wolfe import wolfe

C1, C2 = 1e-4, 0.9
BY_VALUES = ("armijo", "exact")  # the searches that use no slopes
MAX_STALLED = 10  # iterations in a row without a lower f; one that creeps counts for 5
SHORT = 1e-3  # an iteration creeps if f hardly falls and its step is below this of a full one
CONVERGED, LIMIT, STUCK, NOT_FINITE, FELL_WITHOUT_BOUND, CALLED_OFF = 0, 1, 2, 3, 4, 99
Gradient = Callable[[Array], Array]


class Stop(Exception):
    """(status, message): a method has no direction, and the run ends."""


class Iteration(Points):
    """The iteration that all methods share; a method says which direction to search."""

    method: ClassVar[str]
    _saved: ClassVar[tuple[str, ...]] = ()  # what a saved run needs beside state.SHARED
    _too_long: ClassVar[str] = "the steps are too long; use a line search"

    def __init__(
        self,
        x0: Array,
        *,
        own_rows: int = 0,
        bounds: Any = None,
        line_search: str | None,
        gtol: float,
        ftol: float,
        maxiter: int | None,
        max_nfev: int | None,
    ) -> None:
        super().__init__(x0, own_rows, bounds)
        if line_search is not None:
            check.choice("line_search", line_search, ("wolfe", "armijo", "exact"))
        self.line_search = line_search
        self.gtol = check.number("gtol", gtol, at_least=0)
        self.ftol = check.number("ftol", ftol, at_least=0)
        self.maxiter = 15_000 if maxiter is None else check.limit("maxiter", maxiter, at_least=0)
        self.max_nfev = None if max_nfev is None else check.limit("max_nfev", max_nfev, at_least=1)
        self.done, self.status, self.message = False, -1, "the run has not ended"
        self.nit = self.nfev = self._stalled = 0
        self._spared = 0  # points whose gradient has not been called for
        self.f = self._least = math.nan  # f at the last accepted point; the least at any of them
        # With full steps, where f has risen since: f, x and g of the lowest point before.
        self._passed: tuple[float, Array, Array] | None = None
        # The present line, from `_start` to the next or `_resume`.
        self._f0 = self._slope0 = 0.0  # φ and φ' at its start; where there is no line, φ' is 0
        self._step = 0.0  # of the trial to be told next
        self._search: Search | None = None  # not needed where the first trial is taken at once
        self._trials: list[Trial] = []  # that were told
        self._lowest: Trial | None = None  # among those below f0
        self._lowest_gradient: Gradient | None = None  # gives its gradient, if not called yet
        self._eager = False  # whether gradients are called for at each trial
        # The present call.
        self._inside: list[int] = []  # the threads in `tell`: the first, and those to be refused
        self._asking = False  # whether a function of the user is being called

    # What a method says

    def _direction(self, at: Trial, g: Array) -> Direction:
        """Learn from the accepted point (its x is in place, row G still holds the gradient before),
        copy g to row G, and put the next direction in row d."""
        raise NotImplementedError

    def _first_direction(self) -> Direction:
        """Where nothing is learned yet: steepest descent, with a first step of length min(1, |g|);
        of length 1 at the start if rounding would otherwise hide the fall that is due."""
        g = self._rows[G]
        square = self._free_square(g)
        normal = 0 < square < math.inf
        scale = 1 / (math.sqrt(square) if normal else float(self._xp.max(self._xp.abs(g))))
        hidden = self.nit == 0 and square <= noise(self.f, self._roundoff)
        return self._downhill(scale if hidden else min(1.0, scale))

    def _first_direction_again(self, at: Trial) -> Direction:
        """The same, at least twice as long as the last step, which has shown no curvature."""
        least = 2 * at.step * self._length()
        self._first_direction()
        length = self._length()
        if 0 < length < least < math.inf:
            self._rows[self._d][...] *= least / length
        return NO_MORE_KNOWN

    def _downhill(self, scale: float) -> Direction:
        """-scale g."""
        combine(self._w, [G], [], np.array([[-scale]]), [self._rows[self._d]])
        return NO_MORE_KNOWN

    def _fast_direction(self, f: float, g: Array) -> Direction | None:
        """`_direction` in one go, if the method can do so and the first trial of a search is to be
        accepted and does not end the run. Else None, with nothing changed."""
        return None

    def _forget(self) -> bool:
        """Drop what the method has learned; False if there was nothing."""
        return False

    def _follows_gradients(self) -> bool:
        """Whether better gradients might have led the run elsewhere."""
        return True

    # An iteration

    def tell(self, f: Any, g: Array | Gradient) -> None:
        """Take the value and the gradient at `x`, both copied, and choose the next `x`.

        Parameters
        ----------
        f : scalar
            The objective at `x`; inf or NaN where it has no value.
        g : array, shape (n,), or callable
            Its gradient; or g(x) -> array, which "armijo" and "exact" call at accepted points only.

        Raises
        ------
        TypeError, ValueError
            If f is not a real scalar or g not n real numbers; nothing has changed then. Where g is
            a callable that fails, `x` is then the best point, which is to be told again.
        RuntimeError
            If the run has ended, or another thread is in this call, or a function that it calls.
        KeyboardInterrupt
            On Ctrl-C in it; `x` is then the best point, which is to be told again.
        """
        f = scalar("f", f)
        if not (later := callable(g)):
            g = vector("g", g, self._rows[0])
            g = g if self.box is None else self.box.known_gradient(g)
        me = get_ident()
        try:
            self._inside.append(me)
            self._check_turn(me)
            self._take(f, g, later)
        finally:
            if me in self._inside:  # Ctrl-C may have come before
                self._inside.remove(me)

    def _check_turn(self, me: int) -> None:
        """Refuse `tell` where another thread came first, in a function that it calls, or at the
        end."""
        if self._inside[0] != me:
            raise RuntimeError("tell: another thread is inside this run")
        if self._asking:
            raise RuntimeError("tell: called by a function that a tell of this run has called")
        if self.done:
            raise RuntimeError(f"tell: the run has ended ({self.message}); start another")

    def _take(self, f: float, g: Array | Gradient, later: bool) -> None:
        """`tell`, of one thread. later: whether g is a function."""
        try:
            self.nfev += 1
            if later:
                self._spared += 1
                if not self._may_wait():
                    g = self._called(g, self._copy(self._trial))
            try:
                if self._slope0 == 0:  # no line to search yet
                    self._begin(f, g)
                elif self._trials or f >= self._least or not (d := self._fast_direction(f, g)):
                    self._search_on(f, g)
                else:
                    self._x = self._trial
                    self.f, self._least, self._stalled = f, f, 0
                    self.nit += 1
                    self._start(d)
            except Stop as stop:
                self._finish(*stop.args)
            if self.max_nfev is not None and self.nfev >= self.max_nfev:
                self._stop_at_limit(self.max_nfev)
            if self.done:
                self._go_back()
        except BaseException:  # Ctrl-C has left a search, or a step, half done
            self._resume()
            raise

    def _begin(self, f: float, g: Array) -> None:
        """From x0, or from a best point that was asked for again: there is no line yet."""
        self._rows[G][...] = g
        self.f = self._least = f
        largest = self._largest(g)
        if not finite(f, largest):
            what = f"the objective is {f}" if not math.isfinite(f) else "the gradient is not finite"
            where = "x, the best point" if self.nit else "x0"  # after a second start
            return self._finish(NOT_FINITE, f"{what} at {where}")
        if not self._stopped(math.nan, largest):  # f has not fallen yet
            self._start(self._first_direction())

    def _search_on(self, f: float, g: Array | Gradient) -> None:
        """Tell the search what its trial gave; a callable g is called once it is needed."""
        if self._search is None:
            self._search = self._new_search(self._f0, self._slope0)
            next(self._search)
        slope, square = (math.nan, math.nan) if callable(g) else self._slope(f, g, self._step)
        end: End | None = None
        if f == -math.inf:
            end = End(self._step, UNBOUNDED)
        else:
            try:
                step = self._search.send((f, slope))
            except StopIteration as stop:
                end = stop.value
        if end is not None and end.step == self._step and callable(g):
            g = self._called(g, self._copy(self._trial))
            slope, square = self._slope(f, g, self._step)
        self._trials.append(Trial(self._step, f, slope))
        if end is not None:
            return self._end_search(end, g, square)
        lower = f < (self._lowest.f if self._lowest else self.f)
        if lower and math.isfinite(f) and (callable(g) or math.isfinite(slope)):
            self._lowest = self._trials[-1]
            if callable(g):
                self._lowest_gradient = g
            else:
                self._rows[LOWEST][...], self._lowest_gradient = g, None
        self._step = step
        self._try(step)

    def _end_search(self, end: End, g: Array | Gradient, square: float) -> None:
        """The search has ended: accept its point, or start again along steepest descent."""
        last = self._trials[-1]
        if end.step == last.step:
            return self._accept(last, g, square, end.failure)
        if self._fetch_lowest_gradient():  # it is not finite: again, with each trial's gradient
            self._start((self._slope0, True, None))
            self._eager = True
            return self._try(1.0)
        if (lowest := self._lowest) is not None:
            self._place(self._rows[self._trial], lowest.step)
            self._accept(lowest, self._rows[LOWEST], math.nan, end.failure)
        elif not finite(last.f, last.slope) and self.line_search is None:
            what = f"the slope is {last.slope}" if math.isfinite(last.f) else f"f is {last.f}"
            self._finish(NOT_FINITE, f"{what} after a full step: {self._too_long}")
        elif self._forget():
            self._start(self._first_direction())
        else:
            f0, slope0, told = self._f0, self._slope0, self._trials
            if callable(g):  # a search by values: no trial has a slope
                told = [at._replace(slope=slope0) for at in told]
            self._finish(STUCK, explain(told, f0, slope0, self._roundoff))

    def _accept(self, at: Trial, g: Array, square: float, failure: str | None) -> None:
        """Make a trial the accepted point; end the run there, or search along the next direction.
        `square`: g . g, or NaN; `failure`: why the search ended, unless it met its conditions."""
        if self.line_search is None and at.f > self.f and self._passed is None:
            self._passed = self.f, self._copy(self._x), self._copy(G)
        elif self._passed is not None and at.f < self._passed[0]:
            self._passed = None
        before, self.f = self.f, at.f
        self._x = self._trial
        self.nit += 1
        hardly = before - at.f <= math.sqrt(self._roundoff) * abs(before)
        if hardly and at.step < SHORT:
            self._stalled += MAX_STALLED // 2  # many trials for next to nothing
        else:
            least = self._least if self.line_search else before  # rounding leads up and down
            self._stalled = 0 if at.f < least else self._stalled + 1
        self._least = min(self._least, at.f)
        if failure == UNBOUNDED:
            self._rows[G][...] = g
            return self._finish(FELL_WITHOUT_BOUND, f"{failure}: {at.f:g} at step {at.step:g}")
        # |g| / sqrt(n) <= largest |g_i|: most iterations need no pass for the largest
        far = self.box is None and square > self.n * self.gtol * self.gtol
        if self._stopped(before, math.inf if far else self._largest(g)):
            self._rows[G][...] = g
        else:
            self._start(self._direction(at, g))

    def _stopped(self, before: float, largest: float) -> bool:
        """End the run if the accepted point is its last; whether it is."""
        change = before - self.f
        most = self.ftol and self.ftol * max(abs(before), abs(self.f), 1.0)
        if largest <= self.gtol:
            self._finish(CONVERGED, f"largest |g| {largest:.3g} is at most gtol {self.gtol:g}")
        elif most and change <= most and self._level(before, most):
            told = f"f {'fell' if change >= 0 else 'rose'} by {abs(change):.3g}"
            self._finish(CONVERGED, f"{told}, which is at most ftol max(|f|, 1) = {most:.3g}")
        elif self.nit >= self.maxiter:
            self._finish(LIMIT, f"maxiter = {self.maxiter} iterations reached")
        elif self._stalled >= MAX_STALLED:
            lowest = self.f if self._passed is None else self._passed[0]
            line = self._trials[-1], self._f0, self._slope0, self._roundoff
            too_long = None if self.line_search else self._too_long
            self._finish(STUCK, explain_stall(self.f, lowest, *line, MAX_STALLED, too_long))
        return self.done

    def _level(self, before: float, most: float) -> bool:
        """Whether f has risen by no more than `most`, or rounding, in the last iteration, and since
        the lowest point that full steps have left."""
        lowest = before if self._passed is None else min(before, self._passed[0])
        return self.f - lowest <= max(most, noise(before, self._roundoff))

    def _start(self, direction: Direction) -> None:
        """Start a search with a full step; along the first direction if this one leads nowhere."""
        slope0, placed, free = direction
        if self.box is not None and not placed:
            self._cut(free)
        if slope0 is None:
            slope0 = float(inner(self._w, [self._d], [self._rows[G]])[0, 0])
        if not -math.inf < slope0 < 0:
            if self._forget():
                return self._start(self._first_direction())
            if not slope0 >= 0:  # -inf or NaN
                why = "the gradient is too large, or NaN" if self.line_search else self._too_long
                return self._finish(NOT_FINITE, f"the slope along the step is {slope0:g}: {why}")
            return self._finish(STUCK, f"no direction of descent: the slope is {slope0:g}")
        self._f0, self._slope0, self._step = self.f, slope0, 1.0
        self._search, self._trials, self._lowest, self._lowest_gradient = None, [], None, None
        self._eager = False
        if not placed:
            self._try(1.0)

    def _new_search(self, f0: float, slope0: float) -> Search:
        line = f0, slope0, 1.0  # a full step first
        if self.line_search == "wolfe":
            return wolfe(*line, c1=C1, c2=C2, roundoff=self._roundoff, weak=True)
        if self.line_search == "armijo":
            return armijo(*line, c1=C1, roundoff=self._roundoff)
        if self.line_search == "exact":
            return exact(*line, roundoff=self._roundoff)
        return full_step()

    def _curvature_ratio(self, at: Trial) -> float:
        """φ'' at the accepted point over its mean along the step, by the cubic through φ and φ' at
        both ends; 1 where the cubic is not convex between them or rounding would show."""
        return _cpu.curvature_ratio(self._f0, self._slope0, at.f, at.slope, at.step, self._roundoff)

    # Gradients that are called for only once they are needed

    def _called(self, gradient: Gradient, x: Array) -> Array:
        """gradient(x), checked."""
        g = vector("g(x)", self._ask(gradient, x), self._rows[0])
        self._spared -= 1
        return g if self.box is None else self.box.known_gradient(g)

    def _ask(self, function: Callable[..., Any], *at: Array) -> Any:
        """What a function of the user answers, which may not tell this run."""
        self._asking = True
        try:
            return function(*at)
        finally:
            self._asking = False

    def _may_wait(self) -> bool:
        """Whether the search can go on without the gradient: it is by values, and has none yet."""
        by_values = self.line_search in BY_VALUES and self._slope0 != 0 and not self._eager
        return by_values and (self._lowest is None or self._lowest_gradient is not None)

    def _fetch_lowest_gradient(self) -> bool:
        """Call for the gradient at the lowest trial, if that is still to be done. True where it is
        not finite: that trial no longer counts."""
        if self._lowest is None or self._lowest_gradient is None:
            return False
        step, f, _ = self._lowest
        x = empty_like(self._rows[0])
        self._place(x, step)
        g = self._called(self._lowest_gradient, x)
        slope, _ = self._slope(f, g, step)
        self._rows[LOWEST][...] = g
        self._lowest = Trial(step, f, slope) if math.isfinite(slope) else None
        self._lowest_gradient = None
        return self._lowest is None

    # Ends, and what may follow them

    def _finish(self, status: int, message: str) -> None:
        self.done, self.status, self.message = True, status, message
        self._handed = None

    def _take_lowest(self) -> None:
        """Make the lowest trial of the present search the accepted point, if there is one."""
        self._fetch_lowest_gradient()
        if self._lowest is not None:
            self._place(self._rows[self._x], self._lowest.step)
            self.f = self._lowest.f
            self._rows[G][...] = self._rows[LOWEST]

    def _go_back(self) -> None:
        """Back to the lowest point, if full steps have left it, unless the run has converged."""
        if self._passed is not None and self.status != CONVERGED and not self.f <= self._passed[0]:
            self.message += f"; x is the lowest point, the last had f = {self.f:g}"
            self.f, self._rows[self._x][...], self._rows[G][...] = self._passed

    def _stop(self, status: int, message: str) -> None:
        """End the run at the lowest point so far, unless it has ended."""
        if not self.done:
            self._take_lowest()
            self._finish(status, message)
            self._go_back()

    def _stop_at_limit(self, max_nfev: int) -> None:
        """End the run because its evaluations are spent."""
        self._stop(LIMIT, f"max_nfev = {max_nfev} evaluations reached")

    def _resume(self) -> None:
        """Ask for the best point again, without what was learned; as after an interrupt."""
        self._rows[self._trial][...] = self._rows[self._x]
        self._forget()
        # No line; the rest of one is read only while there is one.
        self._slope0, self._trials, self._lowest, self._lowest_gradient = 0.0, [], None, None
        self._handed, self._stalled, self._asking = None, 0, False
        self.done, self.status, self.message = False, -1, "the run has not ended"
