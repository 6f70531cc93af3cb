"""Newton's method where the user's hess or hessp raise: the run stays as it was, and goes on."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st

START = np.array([-1.2, 1.0])


class Failing:
    """rosen's Hessian, but an error at the call ``at``."""

    def __init__(self, at, error):
        self.left, self.error = at, error

    def hess(self, x):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return rosen_hess(x)

    def hessp(self, x, p):
        return self.hess(x) @ p


def run(solver, **hessian):
    """The points of a run, in which a point whose Hessian fails is told again."""
    points, errors = [], 0
    while not solver.done:
        x = solver.x
        try:
            solver.tell(rosen(x), rosen_der(x), **hessian)
            points.append(x)
        except (ZeroDivisionError, FloatingPointError, KeyboardInterrupt):
            errors += 1
            np.testing.assert_array_equal(solver.x, x)
    return np.array(points), errors


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("bounds", [None, [(-2, 2), (-2, 2)]])
@pytest.mark.parametrize("name", ["hess", "hessp"])
@pytest.mark.parametrize("at", [1, 2, 3, 9])
def test_a_run_goes_on_as_if_the_error_had_not_been(at, name, bounds, line_search):
    options = {"bounds": bounds, "line_search": line_search}
    error = KeyboardInterrupt if at == 2 else ZeroDivisionError("no Hessian")
    failing, whole = st.Newton(START, **options), st.Newton(START, **options)
    points, errors = run(failing, **{name: getattr(Failing(at, error), name)})
    want, none = run(whole, **{name: getattr(Failing(0, error), name)})
    assert (errors, none) == (1, 0)
    np.testing.assert_array_equal(points, want)
    counts = [(s.nit, s.nfev, s.nhev, s.status, s.f) for s in (failing, whole)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["hess", "hessp"])
@pytest.mark.parametrize("at", [1, 3])
def test_a_floating_point_error_of_the_users_is_no_end_of_the_run(at, name):
    error = FloatingPointError("overflow encountered in exp")
    with pytest.raises(FloatingPointError) as caught:
        functions = {name: getattr(Failing(at, error), name)}
        st.minimize(rosen, START, method="newton", jac=rosen_der, **functions)
    assert caught.value is error


def test_a_hessian_that_is_none_is_refused_at_the_point():
    solver = st.Newton(START)
    with pytest.raises(ValueError, match="hess: not symmetric"):
        solver.tell(rosen(START), rosen_der(START), lambda x: np.array([[1.0, 2.0], [0.0, 1.0]]))
    assert (solver.nfev, solver.nhev, solver.nit) == (0, 0, 0)
    np.testing.assert_array_equal(solver.x, START)
