"""What minimize refuses before its first call, and of the answers."""

import array_api_strict as strict
import numpy as np
import pytest
from fullbatch_methods import START
from scipy.optimize import Bounds

import steepest as st


def no(x):
    raise AssertionError("not to be called")


@pytest.mark.parametrize(
    ("x0", "options", "error", "message"),
    [
        (START * 1j, {}, TypeError, "x0: dtype complex128; expected real numbers"),
        (["1", "2"], {}, TypeError, "x0: dtype <U1; expected real numbers"),
        (np.ones((2, 2)), {}, ValueError, r"x0: shape \(2, 2\); expected one dimension"),
        (np.ones(0), {}, ValueError, r"x0: shape \(0,\); expected at least one element"),
        (np.array([1, np.nan]), {}, ValueError, "x0: an element is not finite"),
        (START, {"method": "BFGS"}, ValueError, "method: 'BFGS' is not allowed; expected one"),
        (START, {"jac": "4-point"}, ValueError, "jac: '4-point' is not allowed; expected a cal"),
        (START, {"hess": no}, ValueError, "hess, hessp: method 'l-bfgs' takes neither; they are"),
        (START, {"method": "newton"}, ValueError, "hess, hessp: method 'newton' takes one of hess"),
        (START, {"method": "bfgs", "bounds": []}, ValueError, "bounds: method 'bfgs' has none"),
        (START, {"lr": 0.1}, ValueError, "lr: method 'l-bfgs' has a line search; lr is for 'gd'"),
        (START, {"method": "gd", "lr": -1.0}, ValueError, "lr: -1.0 is not allowed; .* above 0"),
        (START, {"method": "gd", "line_search": None}, ValueError, "line_search: None is not all"),
        (
            START,
            {"method": "gd", "lr": 1.0, "line_search": "exact"},
            ValueError,
            "with lr; expected",
        ),
        (START, {"method": "gd", "history": 3}, ValueError, "history: method 'gd' stores no pairs"),
        (START, {"method": "gd", "history": START}, ValueError, "history: method 'gd' stores no"),
        (START, {"gtol": START, "tol": 0.1}, TypeError, "gtol: array.* expected a finite number"),
        (START, {"history": 0}, ValueError, "history: 0 is not allowed; .* at least 1"),
        (START, {"history": 2**63}, ValueError, "history: 9.* is not allowed; .*, at most 10000"),
        (START, {"line_search": "best"}, ValueError, "line_search: 'best' is not allowed"),
        (START, {"gtol": -1}, ValueError, "gtol: -1.0 is not allowed"),
        (START, {"ftol": np.nan}, ValueError, "ftol: nan is not allowed"),
        (START, {"maxiter": np.nan}, ValueError, "maxiter: nan is not allowed; expected"),
        (START, {"max_nfev": 0}, ValueError, "max_nfev: 0 is not allowed; .* at least 1"),
        (START, {"verbose": -1}, ValueError, "verbose: -1 is not allowed; .* at least 0"),
        (START, {"callback": 3}, TypeError, "callback: 3 is an int; expected a callable"),
        (START, {"constraints": [{}]}, ValueError, "constraints: not supported; use bounds"),
        (START, {"bounds": [(0, 1)]}, ValueError, "bounds: 1 entries; expected a scipy.optimize"),
        (START, {"bounds": [(1, 0)] * 4}, ValueError, r"bounds\[0\]: lower 1 and upper 0; expec"),
        (
            START,
            {"bounds": [(np.inf,) * 2] * 4},
            ValueError,
            r"bounds\[0\]: lower inf and upper inf",
        ),
        (
            START,
            {"bounds": [(-np.inf,) * 2] * 4},
            ValueError,
            r"lower -inf and upper -inf; exp",
        ),
        (
            START,
            {"bounds": Bounds([0, 0], [1, 1])},
            ValueError,
            r"bounds: shapes \(2,\) and \(2,\); expected 4 lower and 4 upper bounds",
        ),
        (
            START,
            {"bounds": 3},
            TypeError,
            "bounds: 3; expected a scipy.optimize.Bounds or 4 pairs",
        ),
        (
            START,
            {"bounds": [("a", 1)] * 4},
            TypeError,
            "bounds: .*'a'.*; expected numbers or None",
        ),
        (
            START,
            {"bounds": [(0, 10**400)] * 4},
            TypeError,
            "bounds: .*000.*; expected numbers or None",
        ),
        (
            START,
            {"bounds": np.ones((4, 2)) + 1j},
            TypeError,
            "(?s)bounds: .*1.j.*; expected numbers or None",
        ),
        (
            START,
            {"bounds": Bounds(np.ones(4) * 1j, 1)},
            TypeError,
            "bounds: .*; expected numbers or None",
        ),
        (
            START,
            {"jac": START},
            ValueError,
            r"jac: array\(.*\) is not allowed; expected a callable",
        ),
        (
            START,
            {"method": "newton", "hess": "cs"},
            ValueError,
            "hess: 'cs' is not allowed; expected one of '2-point', '3-point'",
        ),
        (
            START,
            {"method": "newton", "hess": "2-point", "jac": None},
            ValueError,
            "hess: '2-point' is by differences of jac; allowed where jac is given",
        ),
        (START, {"method": "newton", "hess": 3}, TypeError, "hess: 3 is an int; expected a call"),
        (
            START,
            {"method": "newton", "hessp": START},
            TypeError,
            "hessp: array.* is an ndarray; exp",
        ),
    ],
)
def test_arguments_are_checked_before_the_first_call(x0, options, error, message):
    with pytest.raises(error, match=message):
        st.minimize(no, x0, **{"jac": no, **options})


@pytest.mark.parametrize(
    ("answer", "jac", "error", "message"),
    [
        (lambda x: x, lambda x: x, ValueError, r"fun\(x\): shape \(4,\); expected a scalar"),
        (lambda x: None, lambda x: x, TypeError, r"fun\(x\): got None; expected a real"),
        (lambda x: 1j, lambda x: x, TypeError, r"fun\(x\): 1j is complex; expected a real"),
        (lambda x: "1.0", lambda x: x, TypeError, r"fun\(x\): '1.0' is a str; expected a real"),
        (lambda x: 1.0, lambda x: x[:3], ValueError, r"jac\(x\): shape \(3,\); expected \(4,\)"),
        (lambda x: 1.0, True, TypeError, r"fun\(x\): got a float; with jac=True expected a pair"),
        (lambda x: (x, x), True, ValueError, r"fun\(x\)\[0\]: shape \(4,\); expected a scalar"),
        (lambda x: (1.0, x * 1j), True, TypeError, r"fun\(x\)\[1\]: dtype complex128; expected"),
    ],
)
def test_answers_are_checked(answer, jac, error, message):
    with pytest.raises(error, match=message):
        st.minimize(answer, START, jac=jac)


def test_the_gradient_comes_in_the_library_of_x0():
    with pytest.raises(TypeError, match=r"jac\(x\): got an ndarray; expected the array type of x0"):
        st.minimize(lambda x: 1.0, strict.ones(3), jac=lambda x: np.ones(3))


def test_the_default_history_is_no_option_of_another_method():
    res = st.minimize(
        lambda x: x @ x, START, method="bfgs", jac=lambda x: 2 * x, history=np.int64(10)
    )
    assert res.success


@pytest.mark.parametrize("hess", [[[1.0], [1.0, 2.0]], [[1.0, 0.0], [0.0]]])
def test_a_hessian_that_is_no_array_is_named(hess):
    for call in (
        lambda: st.Newton(START[:2]).tell(1.0, np.ones(2), hess),
        lambda: st.minimize(
            lambda x: x @ x, START[:2], method="newton", jac=lambda x: 2 * x, hess=lambda x: hess
        ),
    ):
        with pytest.raises(ValueError, match="^hess: .* is not an array: "):
            call()


def test_a_jac_of_thousands_of_digits_is_refused_as_what_it_is():
    with pytest.raises(TypeError, match="^jac: what was given is an int; expected a callable"):
        st.line_search(lambda x: x @ x, 10**5000, np.ones(2), -np.ones(2))
