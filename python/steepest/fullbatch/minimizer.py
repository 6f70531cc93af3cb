"""What the full-batch methods share: the loop of points, line search, acceptance and stopping,
turned inside out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from steepest import _cpu, check
from steepest.fullbatch.armijo import armijo
from steepest.fullbatch.arrays import Array, empty_like, scalar, vector
from steepest.fullbatch.exact import exact
from steepest.fullbatch.points import LOWEST, NO_MORE_KNOWN, Direction, G, Points
from steepest.fullbatch.primitives import combine, inner
from steepest.fullbatch.search import (
    CHECK,
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
from steepest.fullbatch.state import MADE_ANEW, load, restore, save
from steepest.fullbatch.wolfe import wolfe

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

    from steepest.fullbatch.differences import Differences
    from steepest.fullbatch.objective import Objective

C1, C2 = 1e-4, 0.9
BY_VALUES = ("armijo", "exact")  # the searches that use no slopes
MAX_STALLED = 10  # iterations in a row without a lower f; one that creeps counts for 5
FEW, MANY = 3, 12  # trials of one search, in the domain: longer than most; all but in vain
SHORT = 1e-3  # an iteration creeps if f hardly falls and its step is below this of the first trial
ANOTHER_THREAD = "tell: another thread is inside this run"
CONVERGED, LIMIT, STUCK, NOT_FINITE, FELL_WITHOUT_BOUND, CALLED_OFF = 0, 1, 2, 3, 4, 99
Gradient = Callable[[Array], Array]


class Stop(Exception):
    """(status, message): a method has no direction, and the run ends."""


class Minimizer(Points):
    """Base of the methods: tell it f and g at `x` until it is `done`.

    The subclass answers the direction from an accepted point (`_direction`), with vectors of its
    own in the workspace's further rows. All else, from what is told to the next `x`, is here.
    """

    method: ClassVar[str]
    _too_long: ClassVar[str] = "the steps are too long; use a line search"
    _saved: ClassVar[tuple[str, ...]] = ()  # what a saved run of the subclass needs beside SHARED

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
        self.f = self._least = math.nan  # of the last accepted point; of all of them
        self.nit = self.nfev = self._stalled = self._spared = 0  # spared: of no gradient
        self.done, self.status, self.message = False, -1, "the run has not ended"
        self._search: Search | None = None
        self._trials: list[Trial] = []
        self._f0 = self._slope0 = 0.0
        self._lowest: Trial | None = None
        self._lowest_gradient: Gradient | None = None  # of the lowest trial, not called yet
        self._eager = False  # whether this search has met a gradient that is not finite
        self._passed: tuple[float, Array, Array] | None = None  # f, x, g from where full steps rose
        self._inside: int | None = None  # the thread that is in `tell`

    # What users see

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
            If the run has ended, or another thread is in this call.
        KeyboardInterrupt
            On Ctrl-C in it; `x` is then the best point, which is to be told again.
        """
        if self.done:
            raise RuntimeError(f"tell: the run has ended ({self.message}); start another")
        f = scalar("f", f)
        if not (later := callable(g)):
            g = vector("g", g, self._rows[0])
            g = g if self.box is None else self.box.known_gradient(g)
        me, inside = get_ident(), self._inside  # me, where `Newton.tell` has come here
        if inside is not None and inside != me:
            raise RuntimeError(ANOTHER_THREAD)
        self._inside = me  # Ctrl-C does not come between this and `try`
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
        finally:
            self._inside = inside

    def _called(self, gradient: Gradient, x: Array) -> Array:
        g = vector("g(x)", gradient(x), self._rows[0])
        self._spared -= 1
        return g if self.box is None else self.box.known_gradient(g)

    def _may_wait(self) -> bool:
        """Whether the search goes on without the gradient: by values, and none was told to it."""
        by_values = self.line_search in BY_VALUES and self._slope0 != 0 and not self._eager
        return by_values and (self._lowest is None or self._lowest_gradient is not None)

    def _settle(self) -> bool:
        """Call for the gradient at the lowest trial; True where it is not finite: there is none."""
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

    def _stop(self, status: int, message: str) -> None:
        """End the run at the lowest point so far, unless it has ended."""
        if not self.done:
            self._take_lowest()
            self._finish(status, message)
            self._go_back()

    def _go_back(self) -> None:
        """To the lowest point, unless the run converged at the last: full steps may rise."""
        if self._passed is not None and self.status != CONVERGED and not self.f <= self._passed[0]:
            self.message += f"; x is the lowest point, the last had f = {self.f:g}"
            self.f, self._rows[self._x][...], self._rows[G][...] = self._passed

    def _risen(self, least: float) -> bool:
        """Whether full steps have led up, by more than rounding and `least`."""
        if self._passed is None:
            return False
        last = self._trials[-1].f if self.done and self._trials else self.f
        return not last - self._passed[0] <= max(least, noise(self._passed[0], self._eps))

    def _take_lowest(self) -> None:
        self._settle()
        if self._lowest is not None:
            self._place(self._rows[self._x], self._lowest.step)
            self.f = self._lowest.f
            self._rows[G][...] = self._rows[LOWEST]

    def _stop_at_limit(self, max_nfev: int) -> None:
        """End the run because its evaluations are spent."""
        self._stop(LIMIT, f"max_nfev = {max_nfev} evaluations reached")

    def _judge(self, objective: Objective, differences: Differences, accepted: bool) -> None:
        """Stop where gradients by differences mislead, and go on from the lowest point where better
        ones are to be had. `accepted`: the point told last ended an iteration."""
        if self._risen(1e3 * differences.noise):  # the steps are too long, or noise not known yet
            if objective.sharpen(self.best_x, self.f, math.inf):
                self._restart_from_lowest()
                self._eps = differences.unit(self.f, objective.eps / 2)
            return
        told = sum(math.isfinite(trial.f) for trial in self._trials)
        hidden = accepted and differences.note_iteration(self.f, noise(self.f, self._eps))
        vain = self._lowest is None or self.line_search != "exact"  # which is long by its nature
        long = vain and told >= MANY and self._step < self._trials[0].step
        if hidden or (differences.rough and long):
            self._stop(STUCK, "differences no longer show a way down")
        stuck, longer_than_most = self.status == STUCK, not self.done and told == FEW
        lower = self._trials[-1:] == [self._lowest]  # a step that is too short yet
        fall = 0.0 if stuck else math.inf if lower else -self._slope0
        if (stuck or longer_than_most) and objective.sharpen(self.best_x, self.f, fall):
            self._restart_from_lowest()
        self._eps = differences.unit(self.f, objective.eps / 2)
        if self.status == STUCK:
            as_told = self.message.replace(CHECK, "differences are not exact enough, give jac")
            self.message = differences.noise_told(self.f) or as_told

    def _restart_from_lowest(self) -> None:
        """Go on after the end, or before it, where a better gradient is to be had now."""
        if not self.done:
            self._take_lowest()
        if self._passed is not None:
            self.f, self._rows[self._x][...], self._rows[G][...] = self._passed
            self._passed = None
        self._resume()

    def _resume(self) -> None:
        """Ask for the best point again, and drop what was learned; after an interrupt, too."""
        self._rows[self._trial][...] = self._rows[self._x]
        self._forget()
        self._search, self._trials, self._lowest, self._handed = None, [], None, None
        self._slope0, self._stalled, self._lowest_gradient = 0.0, 0, None
        self.done, self.status, self.message = False, -1, "the run has not ended"

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
        self._settle()
        return {name: value for name, value in vars(self).items() if name not in MADE_ANEW}

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, state)

    def __copy__(self) -> Minimizer:
        return copy.deepcopy(self)  # two runs cannot share a workspace

    # What a method says

    def _direction(self, at: Trial, g: Array) -> Direction:
        """Learn from the accepted point (its x is in place, row G still holds the gradient before),
        copy g to row G, and put the next direction in row d."""
        raise NotImplementedError

    def _first_direction(self) -> Direction:
        """The direction at the accepted point where nothing is learned: steepest descent, with a
        first step of length min(1, |g|); of length 1 where rounding would hide what f falls by."""
        g = self._rows[G]
        square = self._free_square(g)
        normal = 0 < square < math.inf
        scale = 1 / (math.sqrt(square) if normal else float(self._xp.max(self._xp.abs(g))))
        hidden = self.nit == 0 and square <= noise(self.f, self._eps)
        return self._downhill(scale if hidden else min(1.0, scale))

    def _first_direction_again(self, at: Trial) -> Direction:
        """The first direction, twice as long as the last step at least: nothing tells how far."""
        least = 2 * at.step * self._length()
        self._first_direction()
        return self._at_least(least)

    def _downhill(self, scale: float) -> Direction:
        """-scale g."""
        combine(self._w, [G], [], np.array([[-scale]]), [self._rows[self._d]])
        return NO_MORE_KNOWN

    def _fast_direction(self, f: float, g: Array) -> Direction | None:
        """`_direction`, where the first point of a search is accepted as it is and does not end the
        run, in one go if the method can; None, and nothing has changed, if not."""
        return None

    def _forget(self) -> bool:
        """Drop what the method has learned; False if there was nothing."""
        return False

    # The loop

    def _begin(self, f: float, g: Array) -> None:
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
        """Take a trial, whose gradient a callable g gives once it is needed."""
        if self._search is None:
            self._search = self._new_search(self._f0, self._slope0, self._step)
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
        """The search has ended: take its point, or start again along steepest descent."""
        last = self._trials[-1]
        if end.step == last.step:
            return self._accept(last, g, square, end.failure)
        if self._settle():  # again, by all gradients
            self._eager, self._search, self._trials, self._step = True, None, [], 1.0
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
            told = [at._replace(slope=slope0) for at in told] if callable(g) else told  # by values
            self._finish(STUCK, explain(told, f0, slope0, self._eps))

    def _accept(self, at: Trial, g: Array, square: float, failure: str | None) -> None:
        if self.line_search is None and at.f > self.f and self._passed is None:
            self._passed = self.f, self._copy(self._x), self._copy(G)
        elif self._passed is not None and at.f < self._passed[0]:
            self._passed = None
        before, self.f = self.f, at.f
        self._x = self._trial
        self.nit += 1
        hardly = before - at.f <= math.sqrt(self._eps) * abs(before)
        if hardly and at.step < SHORT * self._trials[0].step:
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
        """Whether the accepted point ends the run."""
        change = before - self.f
        most = self.ftol and self.ftol * max(abs(before), abs(self.f), 1.0)
        if largest <= self.gtol:
            self._finish(CONVERGED, f"largest |g| {largest:.3g} is at most gtol {self.gtol:g}")
        elif most and -max(most, noise(before, self._eps)) <= change <= most:
            told = f"f {'fell' if change >= 0 else 'rose'} by {abs(change):.3g}"
            self._finish(CONVERGED, f"{told}, which is at most ftol max(|f|, 1) = {most:.3g}")
        elif self.nit >= self.maxiter:
            self._finish(LIMIT, f"maxiter = {self.maxiter} iterations reached")
        elif self._stalled >= MAX_STALLED:
            lowest = self.f if self._passed is None else self._passed[0]
            line = self._trials[-1], self._f0, self._slope0, self._eps
            too_long = None if self.line_search else self._too_long
            self._finish(STUCK, explain_stall(self.f, lowest, *line, MAX_STALLED, too_long))
        return self.done

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

    def _new_search(self, *line: float) -> Search:
        if self.line_search == "wolfe":
            return wolfe(*line, c1=C1, c2=C2, eps=self._eps, weak=True)
        if self.line_search == "armijo":
            return armijo(*line, c1=C1, eps=self._eps)
        if self.line_search == "exact":
            return exact(*line, eps=self._eps)
        return full_step(*line)

    def _curvature_ratio(self, at: Trial) -> float:
        """φ'' at the accepted point over its mean along the step, by the cubic through φ and φ' at
        both ends; 1 where the cubic is not convex between them or rounding would show."""
        return _cpu.curvature_ratio(self._f0, self._slope0, at.f, at.slope, at.step, self._eps)

    def _finish(self, status: int, message: str) -> None:
        self.done, self.status, self.message = True, status, message
        self._search = self._handed = None
