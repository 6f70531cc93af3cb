"""Moré, Garbow and Hillstrom's 35 test problems (ACM Trans. Math. Softw. 7 (1981) 17-41).

`PROBLEMS` has each once, in the paper's order; `VARIANTS` has further dimensions of some. The
same problems without constraints, f = Σ rᵢ², are `Problem.value` and `Problem.gradient`.

>>> rosenbrock = PROBLEMS[0]
>>> round(rosenbrock.value(rosenbrock.start), 6), rosenbrock.gradient(rosenbrock.start)
(24.2, array([-215.6,  -88. ]))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from problems import mgh_fixed as fixed
from problems import mgh_variable as variable


@dataclass(frozen=True)
class Problem:
    """Residuals r(x) of length m, their Jacobian (m, n), the start, and known minima of Σ rᵢ².

    `minima` has the global one first, then the local ones (some only in a limit at infinity) that
    the paper lists; its six digits, refined to ten.
    """

    number: int
    name: str
    r: Callable[[np.ndarray], np.ndarray]
    dr: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    minima: tuple[float, ...]

    @property
    def n(self) -> int:
        return self.start.size

    @property
    def m(self) -> int:
        return self.residual(self.start).size

    def __str__(self) -> str:
        return f"{self.number}-{self.name.replace(' ', '-')}-n{self.n}"

    def scaled_start(self, factor: float) -> np.ndarray:
        """`factor` times the standard start; from a start of zeros, `factor` in each component.

        The rule of the paper's own driver (subroutine INITPT).
        """
        if factor != 1 and not self.start.any():
            return np.full(self.n, float(factor))
        return factor * self.start

    def residual(self, x: np.ndarray) -> np.ndarray:
        """r(x); far from the start it may overflow to inf, without a warning."""
        with np.errstate(all="ignore"):
            return self.r(np.asarray(x))

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """∂rᵢ/∂xⱼ, exact, (m, n)."""
        with np.errstate(all="ignore"):
            return np.asarray(self.dr(np.asarray(x)), dtype=float)

    def value(self, x: np.ndarray) -> float:
        """Σ rᵢ² (twice a least-squares cost)."""
        r = self.residual(x)
        with np.errstate(all="ignore"):
            return float(r @ r)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """2 Jᵀr."""
        with np.errstate(all="ignore"):
            return 2 * self.jacobian(x).T @ self.residual(x)

    def solved(self, x: np.ndarray) -> bool:
        """The cost ½ Σ rᵢ² is within 1e-6, relatively, of a known minimum, or below 1e-10."""
        f = self.value(x)
        return f / 2 < 1e-10 or any(abs(f - low) <= 1e-6 * low for low in self.minima)


def named(number: int, name: str, module, stem: str, start, *minima: float, **keywords) -> Problem:
    """A problem from the pair of functions `stem` and `stem_jac`."""
    r, dr = getattr(module, stem), getattr(module, f"{stem}_jac")
    if keywords:
        r, dr = partial(r, **keywords), partial(dr, **keywords)
    return Problem(number, name, r, dr, np.array(start, dtype=float), minima)


def watson(n: int, minimum: float) -> Problem:
    return named(20, "Watson", variable, "watson", np.zeros(n), minimum)


def penalty1(n: int, minimum: float) -> Problem:
    return named(23, "Penalty I", variable, "penalty1", np.arange(1, n + 1), minimum)


def penalty2(n: int, minimum: float) -> Problem:
    return named(24, "Penalty II", variable, "penalty2", np.full(n, 0.5), minimum)


def linear(number: int, n: int, m: int) -> Problem:
    """The three linear problems; minima of the paper's closed forms."""
    name, stem, minimum = {
        32: ("Linear full rank", "linear_full_rank", m - n),
        33: ("Linear rank 1", "linear_rank1", m * (m - 1) / (2 * (2 * m + 1))),
        34: ("Linear rank 1 with zeros", "linear_zeros", (m**2 + 3 * m - 6) / (2 * (2 * m - 3))),
    }[number]
    return named(number, name, variable, stem, np.ones(n), minimum, m=m)


def chebyquad(n: int, *minima: float) -> Problem:
    return named(35, "Chebyquad", variable, "chebyquad", np.arange(1, n + 1) / (n + 1), *minima)


TEN = np.arange(1, 11)
GRID = TEN / 11
PROBLEMS = (
    named(1, "Rosenbrock", fixed, "rosenbrock", [-1.2, 1], 0),
    named(2, "Freudenstein Roth", fixed, "freudenstein_roth", [0.5, -2], 0, 48.98425367924),
    named(3, "Powell badly scaled", fixed, "powell_badly_scaled", [0, 1], 0),
    named(4, "Brown badly scaled", fixed, "brown_badly_scaled", [1, 1], 0),
    named(5, "Beale", fixed, "beale", [1, 1], 0),
    named(6, "Jennrich Sampson", fixed, "jennrich_sampson", [0.3, 0.4], 124.3621823556),
    named(7, "Helical valley", fixed, "helical_valley", [-1, 0, 0], 0),
    named(8, "Bard", fixed, "bard", [1, 1, 1], 8.214877306579e-3, 17.42869333333),
    named(9, "Gaussian", fixed, "gaussian", [0.4, 1, 0], 1.127932769619e-8),
    named(10, "Meyer", fixed, "meyer", [0.02, 4000, 250], 87.94585517069),
    named(11, "Gulf", fixed, "gulf", [5, 2.5, 0.15], 0),
    named(12, "Box", fixed, "box", [0, 10, 20], 0),
    named(13, "Powell singular", fixed, "powell_singular", [3, -1, 0, 1], 0),
    named(14, "Wood", fixed, "wood", [-3, -1, -3, -1], 0),
    named(
        15,
        "Kowalik Osborne",
        fixed,
        "kowalik_osborne",
        [0.25, 0.39, 0.415, 0.39],
        3.075056038492e-4,
        1.027343049e-3,
    ),
    named(16, "Brown Dennis", fixed, "brown_dennis", [25, 5, -5, -1], 85822.20162636),
    named(17, "Osborne 1", fixed, "osborne1", [0.5, 1.5, -1, 0.01, 0.02], 5.464894697482e-5),
    named(18, "Biggs EXP6", fixed, "biggs", [1, 2, 1, 1, 1, 1], 0, 5.65564993e-3),
    named(
        19,
        "Osborne 2",
        fixed,
        "osborne2",
        [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5],
        4.013773629355e-2,
    ),
    watson(6, 2.287670053552e-3),
    named(21, "Extended Rosenbrock", variable, "extended_rosenbrock", [-1.2, 1] * 5, 0),
    named(22, "Extended Powell singular", variable, "extended_powell", [3, -1, 0, 1] * 3, 0),
    penalty1(4, 2.2499775009e-5),
    penalty2(4, 9.376293007355e-6),
    named(25, "Variably dimensioned", variable, "variably_dimensioned", 1 - TEN / 10, 0),
    named(26, "Trigonometric", variable, "trigonometric", np.full(10, 0.1), 0, 2.795056121878e-5),
    named(27, "Brown almost linear", variable, "brown_almost_linear", np.full(10, 0.5), 0, 1),
    named(28, "Discrete boundary value", variable, "boundary_value", GRID * (GRID - 1), 0),
    named(29, "Discrete integral equation", variable, "integral_equation", GRID * (GRID - 1), 0),
    named(30, "Broyden tridiagonal", variable, "broyden_tridiagonal", -np.ones(10), 0),
    named(31, "Broyden banded", variable, "broyden_banded", -np.ones(10), 0),
    linear(32, 5, 10),
    linear(33, 5, 10),
    linear(34, 5, 10),
    chebyquad(8, 3.516873725678e-3),
)
VARIANTS = (
    watson(9, 1.39976013809e-6),
    watson(12, 4.7223811e-10),
    penalty1(10, 7.08765146709e-5),
    penalty2(10, 2.936605374567e-4),
    linear(32, 5, 50),
    linear(33, 5, 50),
    linear(34, 5, 50),
    chebyquad(1, 0),
    chebyquad(7, 0),
    chebyquad(9, 0),
    chebyquad(10, 6.503954800882e-3),
)
