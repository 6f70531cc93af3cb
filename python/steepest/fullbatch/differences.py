"""Finite differences inside a box, with steps that see through the noise of values.

The usual steps are SciPy's: √ε max(1, |xᵢ|) for "2-point" and ε^(1/3) max(1, |xᵢ|) for "3-point",
with ε the rounding unit. They are too long for an xᵢ that its unit makes far smaller than 1. So no
step is longer than 2e-5 of the scale of xᵢ. That is the larger of |xᵢ| and the least |f| / |gᵢ| so
far, with |f| no less than at the start; |xᵢ| alone while no slope is known, and where the step
would leave the domain. If the first step is so short that rounding hides its effect, since xᵢ is
small by chance and not by its unit, the usual one is tried, too. If only one end of a central step
is in the domain, the difference is from x to that end.

The values of a simulator, or of a function that computes in float32, have more noise than rounding,
and then such differences are noise. So where a search takes long, or finds no way down, the values
along a short line are used to tell noise from curvature (Moré and Wild, SIAM J. Sci. Comput. 33
(2011) 1292-1314). Where no step changes f, longer ones tell whether it is rounded. Once noise is
found, differences are central. Their steps bend f by so many times the noise that the error left in
the gradient moves the minimum by less than can be seen in f.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from steepest.fullbatch.arrays import Array, copied, empty_like, namespace
from steepest.fullbatch.box import Box

Value = Callable[[Array], float]

NOISE_FLOOR = 64  # rounding errors of f: a difference below is not called noise
SEEN_AGAIN = 1e-3  # of the change at which noise was last looked for: a smaller one may show it
BEND = (30, 3000)  # times the noise: how much a step should bend f, at least and at most
WALL = 1000  # times f, here or at the start: what rises by more is a penalty outside the domain
ENOUGH_CHANGE = 1000  # times the noise: a step that changes f by more need not be longer
LINE_PARTS = 6  # parts of the line along which noise is looked for
MAX_RELATIVE_NOISE = 1e-2  # of f: more noise counts as this
SMALL_CHANGE = 1e-2  # of f: a usual step that changes f by more is too long for xᵢ
LONGEST_STEP = 2e-5  # of the scale of xᵢ: a longer step may not see how f bends
MAX_SEARCHES = 6  # for other noise than is known that may end in longer steps
STALLED_ITERATIONS = {"2-point": 2, "3-point": 6}  # that do not lower f by more than shows


class Differences:
    """Gradients of a function by "2-point" or "3-point" differences; `eps`: its rounding unit."""

    def __init__(self, scheme: str, eps: float, box: Box | None) -> None:
        self.scheme, self.noise = scheme, 0.0  # the standard deviation of noise in f
        self._eps, self._box = eps, box
        # Of the last gradient:
        self._f = math.nan  # f at x
        self._last_steps: list[float] = []  # the steps from x, by variable
        self._changes: list[float] = []  # how much f changed over each
        # Whether f was the same at both ends and at x: at a minimum, the ends alone may be equal.
        self._unchanged: list[bool] = []
        self._searched_change = math.inf  # the largest change of f when noise was last looked for
        self._steps: dict[int, float] = {}  # of the right length for the noise, by variable
        self._times_found = 0  # noise, by searches for other than was known
        # |f| at the start; and for each variable the least |f| / |gᵢ|, inf if no step changed f.
        self._first_size, self._scales = 0.0, dict[int, float]()
        # Whether a run by central differences may start again where it is stuck.
        self._fresh_start_left = scheme == "2-point"
        # The lowest f whose gradient was taken before noise was found: it may be only noise.
        self._lowest_before = math.inf
        # The last f that was lower by more than rounding or noise, and the iterations since.
        self._level, self._since = math.inf, 0

    @property
    def rough(self) -> bool:
        """Whether gradients may mislead a search."""
        return self.scheme == "2-point" or self.noise > 0

    def note_iteration(self, f: float, hidden: float) -> bool:
        """Count an iteration that ended at f. Whether too many in a row have not lowered f by more
        than `hidden`."""
        lower = self._level - f > hidden
        self._level, self._since = (f, 0) if lower else (self._level, self._since + 1)
        return self.rough and self._since == STALLED_ITERATIONS[self.scheme]

    def relative_noise(self, f: float) -> float:
        """The noise over |f|, as far as it counts."""
        return min(self.noise / abs(f), MAX_RELATIVE_NOISE) if f else 0.0

    def noise_told(self, f: float) -> str:
        """The message where no point is lower than f, for its noise; "" where it has none."""
        if not self.noise:
            return ""
        what = f"noise, or kinks, of about {self.noise:.1g}, which hide the rest"
        return f"no lower point: f = {f:.6g} has {what}"

    def gradient(self, value: Value, x: Array, f: float) -> Array:
        """g at x, where value(x) is f."""
        g = self._gradient(value, x, f)
        if not self.noise and self._flat(x, g) and self._find_rounding(value, x, f):
            g = self._gradient(value, x, f)
        if not self.noise:
            self._lowest_before = min(f, self._lowest_before)
        return g

    def _flat(self, x: Array, g: Array) -> bool:
        """Whether no step has changed f, but for variables that are pushed against their bounds."""
        if self._box is None or not any(self._changes):
            return not any(self._changes)
        return not bool(namespace(x).any(self._box.projected_gradient(x, g) != 0))

    def sharpen(self, value: Value, x: Array, f: float, fall: float) -> bool:
        """Try to make later gradients better; whether they will be. `fall`: by how much f should
        fall along the present search from x, which takes long; 0: there is no way down from x;
        inf: only noise may be to blame."""
        find = self._find_at_first if fall else self._find_better
        close = fall <= math.sqrt(self._eps) * abs(f)  # too little for forward differences to show
        better = find(value, x, f) or (close and self._go_central(fall == 0))
        if not better and fall == 0 and self.noise and f == self._lowest_before:
            better, self._lowest_before = True, math.inf  # the gradient at x, taken anew
        if better:
            self._since = 0
        return better

    def _find_at_first(self, value: Value, x: Array, f: float) -> bool:
        """Look for noise, unless it is known, or was looked for when f changed by hardly more."""
        change = max(self._changes)
        if self.noise or not change <= SEEN_AGAIN * self._searched_change:
            return False
        self._searched_change = change
        return self._find_noise(value, x, f, 1) or self._find_rounding(value, x, f)

    def _find_better(self, value: Value, x: Array, f: float) -> bool:
        """Look for noise, also if some is known: it may have changed."""
        known = self.noise
        for longer in (1 / 8, 16) if known else (100,):  # it may be less, or jumps farther apart
            if self._find_noise(value, x, f, longer):
                self._times_found += 1
                if self._times_found <= MAX_SEARCHES and not known / 8 < self.noise < 8 * known:
                    return True
        return not known and self._find_rounding(value, x, f)

    def _go_central(self, stuck: bool) -> bool:
        """Change to central differences. Whether that is new; or whether they are stuck for the
        first time, and the method is to start again with them."""
        new = self.scheme == "2-point" or (stuck and self._fresh_start_left and not self.noise)
        self.scheme = "3-point"
        self._fresh_start_left = self._fresh_start_left and not stuck
        return new

    def _gradient(self, value: Value, x: Array, f: float) -> Array:
        unit, g = step_unit(self.scheme, self._eps), empty_like(x)
        longer = step_unit(self.scheme, max(self._eps, self.relative_noise(f)))
        self._f, self._last_steps, self._changes, self._unchanged = f, [], [], []
        size_of_f = max(abs(f), self._first_size)
        self._first_size = self._first_size or size_of_f
        for i in range(x.shape[0]):
            size = abs(float(x[i]))
            usual = unit * max(1.0, size)
            if self.noise:
                h, shortest = longer * max(1.0, size), fitting(usual, size)
                high, low, step = self._through_noise(value, x, f, i, h, shortest)
            if not self.noise or not math.isfinite(high - low):  # out of the domain
                hidden = NOISE_FLOOR * self._eps * abs(f)
                high, low, step = self._in_units(value, x, f, i, usual, hidden)
            self._last_steps.append(step if low is f else step / 2)
            self._changes.append(abs(high - low))
            self._unchanged.append(step != 0 and high == low == f)
            g[i] = slope = (high - low) / step if step else 0
            if slope and math.isfinite(slope):
                self._scales[i] = min(self._scales.get(i, math.inf), size_of_f / abs(slope))
        return g

    def _in_units(
        self, value: Value, x: Array, f: float, i: int, usual: float, hidden: float
    ) -> tuple[float, float, float]:
        """`ends` over the usual step, or over a shorter one that fits the scale of xᵢ. Changes of f
        up to `hidden` may be rounding."""
        size, known = abs(float(x[i])), i in self._scales
        h = fitting(usual, max(size, self._scales.get(i, 0.0)))
        short = ends(value, x, f, i, h, self.scheme, self._box)
        if not math.isfinite(short[0] - short[1]):  # an end is out of the domain
            if (shorter := fitting(usual, size)) < h:
                short = ends(value, x, f, i, shorter, self.scheme, self._box)
            short = one_sided(*short, f)
        if h == usual or known or not abs(short[0] - short[1]) <= hidden:
            return short
        high, low, step = ends(value, x, f, i, usual, self.scheme, self._box)
        change = abs(high - low)
        if math.isfinite(change):
            self._scales[i] = abs(f) * abs(step) / change if change > hidden else math.inf
        return (high, low, step) if change <= SMALL_CHANGE * abs(f) else short

    def _through_noise(
        self, value: Value, x: Array, f: float, i: int, h: float, shortest: float
    ) -> tuple[float, float, float]:
        """`ends` over a step of the right length, which is searched from h on, and kept."""
        # With this bend the errors by noise and by curvature are alike, if x moves by about its own
        # size until f has bent by its own.
        wanted = min(max((abs(f) / self.noise) ** (1 / 3), BEND[0]), BEND[1]) * self.noise
        longest = max(1.0, abs(float(x[i])))
        h = self._steps.get(i, h)
        for _ in range(4):
            below, above = room(x, i, self._box)
            near = min(-below, above)
            if near < h / 4:  # one-sided, where a shorter step is best
                return ends(value, x, f, i, h / 6, "2-point", self._box)
            high, low, step = ends(value, x, f, i, min(h, near), "3-point", self._box)
            bend = abs(high - f + (low - f))
            if not math.isfinite(bend):  # out of the domain, where 0 may be an edge of it
                h = max(min(h, abs(float(x[i])) or h) / 8, shortest)
                continue
            factor = math.sqrt(wanted / max(bend, self.noise))
            if abs(high - low) > ENOUGH_CHANGE * self.noise:
                factor = min(factor, 1)
            last, h = h, min(h * max(1 / 8, min(factor, 8)), longest)
            if 1 / 4 < h / last < 4:
                break
        self._steps[i] = h
        return high, low, step

    def _find_noise(self, value: Value, x: Array, f: float, longer: float) -> bool:
        """Look for noise along the last steps, times `longer`.

        A difference of order k of noise alone has binomial(2k, k) times its variance, while those
        of a smooth function become smaller with each order. They do not where the line comes from a
        pole; but then all have one sign, unlike those of noise.
        """
        line = [self._inside(x, i, longer * h) for i, h in enumerate(self._last_steps)]
        shares = [k / LINE_PARTS for k in range(1, LINE_PARTS + 1)]
        values = [f, *(value(self._moved(x, line, share)) for share in shares)]
        size = max(abs(f), self._first_size)
        if size and not max(values) - f <= WALL * size:
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            third = np.diff(values, 3)
            fourth = np.diff(third)
            bent, rough = float(np.mean(third**2)) / 20, float(np.mean(fourth**2)) / 70
        if not bent / 16 < rough < math.inf or (one_sign(third) and one_sign(fourth)):
            return False
        noise = math.sqrt(rough)
        if not noise > NOISE_FLOOR * self._eps * max(map(abs, values)):  # f may be 0
            return False
        self.scheme, self.noise = "3-point", noise
        return True

    def _find_rounding(self, value: Value, x: Array, f: float) -> bool:
        """Look for float or half inside the function, along variables that have not changed f:
        whether f changes over steps that these types can see. Not on a plateau far above the start,
        as exponents that are cut off make it."""
        if abs(f) > WALL * self._first_size:
            return False
        # Not along x, or all ones, where f may be the same by its symmetry.
        parts = (1 - 0.5 * (0.618 * i % 1) for i in range(len(self._unchanged)))
        moves = zip(parts, self._unchanged, strict=True)
        still = [(float(x[i]) or 1.0) * part * same for i, (part, same) in enumerate(moves)]
        if any(still) and self._f != f:  # it may have been flat there, or large, and not here
            steps = [h * same for h, same in zip(self._last_steps, self._unchanged, strict=True)]
            if f not in (value(self._moved(x, steps, by)) for by in (1.0, -1.0)):
                return False
        for eps in (2.0**-23, 2.0**-10) if any(still) else ():
            h = math.sqrt(eps)
            up, down = (value(self._moved(x, still, by)) for by in (h, -h))
            size = max(abs(f), abs(up))
            if 8 * eps * size < abs(up - down) < size / 2:  # more: a penalty outside the domain
                self.scheme, self.noise = "3-point", eps * size
                return True
            if 0 < min(abs(up - f), abs(down - f)) < size / 2**12:  # half would hide such changes
                return False
        return False

    def _moved(self, x: Array, by: list[float], times: float) -> Array:
        """A copy of x, moved, in the box."""
        y = copied(x)
        for i, h in enumerate(by):
            y[i] = float(x[i]) + times * h
        return y if self._box is None else self._box.project(y)

    def _inside(self, x: Array, i: int, h: float) -> float:
        """h, or -h, or 0, whichever has room: a line that the box cuts would have a kink."""
        below, above = room(x, i, self._box)
        return next((step for step in (h, -h) if below <= step <= above), 0.0)


def one_sign(v: Any) -> bool:
    """Whether all are positive, or all negative."""
    return bool((v > 0).all() or (v < 0).all())


def step_unit(scheme: str, eps: float) -> float:
    """The length of difference steps over max(1, |xᵢ|): a power of the rounding unit, 1/2 for
    2-point and the complex step, 1/3 for 3-point."""
    return float(eps ** (1 / 3 if scheme == "3-point" else 1 / 2))


def fitting(usual: float, scale: float) -> float:
    """The usual step, or a shorter one where the variable's scale is small, but not 0."""
    return min(usual, max(usual, LONGEST_STEP) * scale) or usual


def room(x: Array, i: int, box: Box | None) -> tuple[float, float]:
    """How far xᵢ may go down (negative or 0) and up."""
    if box is None:
        return -math.inf, math.inf
    return float(box.lower[i]) - float(x[i]), float(box.upper[i]) - float(x[i])


def ends(
    fun: Callable[[Array], Any], x: Array, f: Any, i: int, h: float, scheme: str, box: Box | None
) -> tuple[Any, Any, float]:
    """fun at both ends of a step h along xᵢ inside the box, and the step; 0 if xᵢ is fixed.

    Where there is no room for a central step, it starts at x, where fun is f.
    """
    below, above = room(x, i, box)
    central = scheme == "3-point" and below <= -h and h <= above
    if above < h:  # no room above: step down, or as far as there is room
        h = -h if below <= -h else max(below, above, key=abs)
    if h == 0:
        return f, f, 0.0
    y, up = moved(x, i, h, box)
    high, low, down = fun(y), f, 0.0
    if central:
        y, down = moved(x, i, -h, box)
        low = fun(y)
    return high, low, up - down


def one_sided(high: float, low: float, step: float, f: float) -> tuple[float, float, float]:
    """The finite half of a central step from x, where fun is f; all of it if that is finite."""
    if math.isfinite(high - low) or low is f:
        return high, low, step
    return (high, f, step / 2) if math.isfinite(high) else (f, low, step / 2)


def moved(x: Array, i: int, by: float, box: Box | None) -> tuple[Array, float]:
    """A copy of x with xᵢ moved, and the step as it was rounded, which does not cross a bound."""
    y, at = copied(x), float(x[i])
    to = at + by
    y[i] = to if box is None else min(max(to, float(box.lower[i])), float(box.upper[i]))
    return y, float(y[i]) - at
