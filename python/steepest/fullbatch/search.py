"""What a line search is here: a generator over steps along one line.

φ(α) is the objective at x + α d. A search yields the step to try, is sent (φ, φ') there, and
returns where it ends. So the caller owns the evaluations, and a search that was saved is brought
back by telling it the same values again.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import NamedTuple


class Trial(NamedTuple):
    """A point of the line: the step, φ and φ' there."""

    step: float
    f: float
    slope: float


class End(NamedTuple):
    """Where a search ended: a step that was tried (0: none is lower), and why, unless it met its
    conditions."""

    step: float
    failure: str | None = None


Search = Generator[float, tuple[float, float], End]

ROUNDING = "the objective changes by no more than rounding"
UNBOUNDED = "the objective falls without bound along the direction"
SHRINK = 0.2  # of the step, where a trial was not finite


def finite(f: float, slope: float) -> bool:
    """Whether a trial lies in the domain of the objective."""
    return math.isfinite(f) and math.isfinite(slope)


def noise(f: float, eps: float) -> float:
    """How far rounding may have moved a value f computed with unit roundoff `eps`."""
    return 10 * eps * abs(f)
