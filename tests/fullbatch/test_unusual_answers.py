"""Starts and answers that are no plain arrays, and values that are no plain numbers."""

import copy
import warnings

import array_api_strict as strict
import numpy as np
import pytest

import steepest as st

START, MASKED = np.zeros(3), np.ma.masked_array(np.ones(3), [0, 1, 0])


def fun(x):
    return ((x - 1) ** 2).sum()


def jac(x):
    return 2 * (x - 1)


@pytest.mark.parametrize(
    ("x0", "options", "error", "message"),
    [
        (MASKED, {}, TypeError, "x0: a masked array, whose mask would be ignored"),
        ([[1], [1, 2]], {}, ValueError, r"x0: \[\[1\], \[1, 2\]\] is not an array"),
        (START, {"jac": lambda x: MASKED}, TypeError, r"jac\(x\): a masked array"),
        (START, {"jac": lambda x: [[1], [1, 2]]}, ValueError, r"jac\(x\): .* is not an array"),
        (START, {"method": "newton", "hess": lambda x: None}, TypeError, "hess: got None"),
        (START, {"fun": lambda x: np.ma.masked}, TypeError, r"fun\(x\): a masked array"),
        (START, {"fun": lambda x: 10**400}, ValueError, r"fun\(x\): 1000.*: int too large"),
        (START, {"constraints": object()}, ValueError, "constraints: not supported"),
        (START, {"constraints": [{"type": "eq"}]}, ValueError, "constraints: not supported"),
        (START, {"tol": -1.0}, ValueError, "^tol: -1.0 is not allowed"),
        (START, {"bounds": [(0, 1, 2)] * 3}, ValueError, r"bounds\[0\]: \(0, 1, 2\); expected a"),
        (START, {"bounds": [(0, 1), (0,), (0, 1)]}, ValueError, r"bounds\[1\]: \(0,\); expected"),
    ],
)
def test_what_is_refused(x0, options, error, message):
    with pytest.raises(error, match=message):
        st.minimize(x0=x0, **{"fun": fun, "jac": jac, **options})


def with_gaps(g):
    return np.repeat(g, 2)[::2]


def misaligned(g):
    memory = np.zeros(g.nbytes + 1, np.uint8)
    memory[1:] = g.view(np.uint8)
    return memory[1:].view(g.dtype)


@pytest.mark.parametrize("lay", [with_gaps, misaligned])
@pytest.mark.parametrize("run", [st.LBFGS, st.BFGS, st.GradientDescent])
def test_a_gradient_may_lie_in_memory_as_it_likes(run, lay):
    ways = []
    for laid in (np.copy, lay):
        s, way = run(START), []
        while not s.done and s.nfev < 20:
            way.append(s.x)
            g = jac(way[-1]) * [1, 2, 3]
            s.tell(np.sum([1, 2, 3] * (way[-1] - 1) ** 2), laid(g))
        ways.append(way)
    np.testing.assert_array_equal(*ways)


def test_dtypes_of_another_namespace():
    one, turned = strict.asarray([1, 2]), strict.asarray([1j, 2])

    def both(x):
        return float(strict.sum(x * x)), 2 * x

    found = st.minimize(both, one, jac=True)
    assert found.success and found.x.dtype == strict.float64
    with pytest.raises(TypeError, match="^x0: dtype .*complex128; expected real"):
        st.minimize(both, turned, jac=True)
    with pytest.raises(TypeError, match=r"^fun\(x\)\[1\]: dtype .*complex128; expected real"):
        st.minimize(lambda x: (1.0, turned), one, jac=True)


def test_a_function_need_not_compare_with_words():
    """The name of a scheme, say; one of an array library may answer element by element."""

    class Slope:
        def __init__(self, of):
            self.of = of

        def __call__(self, x):
            return self.of(x)

        def __eq__(self, other):
            return np.array([False, False])

    assert st.minimize(fun, START, jac=Slope(jac)).success
    assert st.least_squares(lambda x: x - 1, START, Slope(lambda x: np.eye(3))).success


def test_the_slope_of_one_variable_may_be_a_number():
    for slope in (lambda x: 2 * float(x[0]) - 2, lambda x: np.array(2 * x[0] - 2)):
        assert st.minimize(lambda x: (x[0] - 1) ** 2, [3.0], jac=slope).success
    with pytest.raises(ValueError, match=r"jac\(x\): shape \(\); expected \(3,\)"):
        st.minimize(fun, START, jac=lambda x: np.array(1.0))


class Labelled:
    """As much of pandas' `frame.sum()`, a Series of one number, as counts here."""

    shape, dtype = (1,), np.dtype(float)

    def __init__(self, value):
        self.iat = np.array([value])

    def __getitem__(self, label):
        raise KeyError(label)


def test_the_value_may_be_a_column_of_one_number():
    assert st.minimize(lambda x: Labelled(fun(x)), START, jac=jac).success
    assert st.line_search(lambda x: Labelled(fun(x)), jac, START, np.ones(3)).success


@pytest.mark.parametrize(("scheme", "rtol"), [("2-point", 1e-6), ("3-point", 1e-9), ("cs", 1e-14)])
@pytest.mark.parametrize("at", [1.0, 1.1, 1e9])
def test_difference_steps_suit_the_size_of_x(scheme, rtol, at):
    r = st.minimize(lambda x: (x[0] / at) ** 3, [at], jac=scheme, maxiter=0, gtol=0)
    assert float(r.jac[0]) == pytest.approx(3 / at, rel=rtol)


def test_differences_take_what_room_there_is():
    """The box is narrower than their step, and x stands on its upper side."""
    assert st.minimize(fun, START, jac=False).success  # as SciPy takes it
    asked = []

    def line(x):
        asked.append(float(x[0]))
        return 5 * x[0]

    r = st.minimize(line, [1.0], bounds=[(1 - 1e-9, 1)], maxiter=0)
    assert float(r.jac[0]) == pytest.approx(5, rel=1e-5)
    assert 1 - 1e-9 <= min(asked) <= max(asked) <= 1


def test_no_differences_are_taken_where_f_has_no_value():
    outside = []

    def fun_inside(x):
        if x.max() < 0.5:
            return fun(x)
        outside.append(x)
        return np.inf

    r = st.minimize(fun_inside, START, maxiter=3)
    assert outside and r.nfev == 4 * r.njev - 3 * len(outside)


@pytest.mark.parametrize("real", [lambda x: float(fun(x).real), lambda x: np.abs(x).sum()])
def test_a_real_answer_at_a_complex_point_is_no_gradient_of_zero(real):
    with pytest.raises(TypeError, match=r"fun\(x\): .* is real at a complex x"):
        st.minimize(real, START, jac="cs")


@pytest.mark.parametrize("search", ["armijo", "exact", "no such rule"])
def test_a_rate_and_a_search_are_one_too_many(search):
    def refused():
        return pytest.raises(ValueError, match=f"line_search: '{search}' with lr; expected one")

    assert st.GradientDescent(START, lr=0.1, line_search=None).lr == 0.1
    with refused():
        st.GradientDescent(START, lr=0.1, line_search=search)
    with refused():
        st.minimize(fun, START, jac=jac, method="gd", lr=0.1, line_search=search)


@pytest.mark.parametrize("hess", [2.0, [2.0], [[2.0]]])
def test_a_hessian_of_one_variable_may_be_a_number(hess):
    res = st.minimize(fun, 0.0, jac=jac, hess=lambda x: hess, method="newton")
    assert res.success and res.nit == 1


def test_bounds_of_any_width_are_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        res = st.minimize(fun, START, jac=jac, bounds=[(-1e308, 1e308)] * 3)
        copy.deepcopy(st.LBFGS(START, bounds=[(-1e308, 1e308)] * 3))
    np.testing.assert_allclose(res.x, 1)
    assert st.LBFGS(np.float32(START), bounds=[(0, 1)] * 3).x.dtype == np.float32


def test_variables_that_cannot_move_are_not_asked_for_rounding():
    bounds = [(1, 1), (2, 2)]
    for jac in ["2-point", "3-point"]:
        assert st.minimize(lambda x: np.hypot(*x), (1.0, 3.0), jac=jac, bounds=bounds).nfev == 1


def test_an_unknown_derivative_is_nan():
    bounds = [(0.5, 0.5), (None, None), (0, 0.5)]
    res = st.minimize(fun, START, bounds=bounds)
    np.testing.assert_allclose(res.x, [0.5, 1, 0.5], atol=1e-6)
    np.testing.assert_array_equal(np.isnan(res.jac), [True, False, False])  # as SciPy's
    res = st.minimize(fun, START, jac=jac, bounds=bounds)
    np.testing.assert_allclose(res.jac, [-1, 0, -1], atol=1e-5)
    run = st.LBFGS(START, bounds=bounds)
    run.tell(1.0, np.array([np.nan, np.nan, 1.0]))  # the second is free
    assert run.done and run.status == 3


@pytest.mark.parametrize("rule", ["wolfe", "armijo", "exact"])
def test_minus_infinity_ends_a_line_search(rule):
    def falls(x):
        return -np.inf if x[0] > 0.5 else fun(x)

    res = st.line_search(falls, jac, START, -jac(START), rule=rule)
    assert (res.success, res.step, res.fun, res.nfev) == (False, 1.0, -np.inf, 2)
    assert "falls without bound" in res.message


@pytest.mark.parametrize(
    "fun, x0, options, message",
    [
        ([1.0, 1.0], np.sum, {}, r"fun: \[1.0, 1.0\] is a list; expected a callable"),
        (
            lambda x: (x @ x, 2 * x),
            [1.0],
            {},
            r"fun\(x\): returned a tuple; for \(f, g\) pass jac=True",
        ),
        (np.sum, None, {}, "x0: got None; expected numbers"),
        (
            np.sum,
            [1.0],
            {"jac": lambda x: None},
            r"jac\(x\): got None; expected .* without `return`",
        ),
    ],
)
def test_mistakes_of_a_first_call_are_named(fun, x0, options, message):
    with pytest.raises(TypeError, match=message):
        st.minimize(fun, x0, **options)
