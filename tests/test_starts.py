"""What every solver takes as a start, and what none does."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import steepest as st
from steepest import check

T = np.arange(5.0)


def residual(x):
    return x - 3


def value_and_gradient(x):
    return float(residual(x) @ residual(x)), 2 * residual(x)


def fitted(p0):
    return st.curve_fit(lambda t, a, b: a * t + b, T, T + T * T, p0, bounds=(0, 9))[0]


SOLVERS = {
    "least_squares": lambda x: st.least_squares(residual, x).x,
    "LeastSquares": lambda x: st.LeastSquares(x).x,
    "curve_fit": fitted,
    "minimize": lambda x: st.minimize(value_and_gradient, x, jac=True).x,
    "LBFGS": lambda x: st.LBFGS(x).x,
    "line_search": lambda x: (
        st.line_search(
            lambda x: value_and_gradient(x)[0], lambda x: value_and_gradient(x)[1], x, x
        ).jac
    ),
}
STARTS = {
    "bool": np.array([True, True]),
    "int": [1, 1],
    "float16": np.ones(2, np.float16),
    "longdouble": np.ones(2, np.longdouble),
    "object": np.array([1.0, 1], object),
    "fractions": [Fraction(1), Decimal(1)],
}


def error_of(solve):
    """As SciPy's least_squares, and else of a wrong dtype."""
    return ValueError if solve in [*SOLVERS.values()][:2] else TypeError


solvers = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)


@solvers
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_start_of_any_real_numbers_is_one_of_float64(solve, start):
    got, want = solve(start), solve(np.ones(2))
    assert got.dtype == np.float64 and got.tobytes() == want.tobytes()


@solvers
@pytest.mark.parametrize("order", "<>")
def test_a_start_of_float32_stays_one_in_either_byte_order(solve, order):
    got = solve(np.ones(2, f"{order}f4"))
    assert got.dtype == (np.float64 if solve is fitted else np.float32)


@solvers
@pytest.mark.parametrize(
    "start",
    [
        ["1", "1"],
        np.array(["1", b"1"], object),
        [1j, 1],
        np.array([np.complex128(1), 1], object),
        [1.0, None],
        [10**400, 1],
        np.ones(2, "m8[s]"),
    ],
    ids=lambda start: str(start)[:20],
)
def test_what_is_no_real_number_is_refused(solve, start):
    with pytest.raises(error_of(solve), match="^(x0|p0|x): dtype .*; expected real numbers$"):
        solve(start)


@solvers
@pytest.mark.parametrize(
    "start", [{1.0, 2.0}, {"a": 1.0}, iter([1.0, 2.0]), object()], ids=lambda x: type(x).__name__
)
def test_what_is_no_array_is_named(solve, start):
    words = f"{check.kind(start)}; expected real numbers"
    with pytest.raises(error_of(solve), match=f"^(x0|p0|x): {words}$"):
        solve(start)
