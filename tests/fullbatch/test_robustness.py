"""Hard functions, users that misbehave, saved runs, SciPy's conventions and what is refused."""

import copy
import pickle
import re
import warnings

import array_api_strict as strict
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st

START = np.array([-1.2, 1.0, -0.5, 0.8])
ALL = ["l-bfgs", "bfgs", "gd", "newton"]


def extra(method, hess):
    return {"hess": hess} if method == "newton" else {}


def eye(x):
    return np.eye(x.size)


# Hard functions


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ALL)
def test_a_start_without_a_value_is_a_failure(method, value):
    r = st.minimize(lambda x: value, np.ones(2), jac=lambda x: x, method=method,
                    **extra(method, eye))  # fmt: skip
    assert not r.success and r.status == 3
    assert r.message == f"the objective is {value} at x0"
    np.testing.assert_array_equal(r.x, [1, 1])


@pytest.mark.parametrize("method", ALL)
def test_a_start_without_a_gradient_is_a_failure(method):
    r = st.minimize(lambda x: 1.0, np.ones(2), jac=lambda x: np.array([1.0, np.nan]),
                    method=method, **extra(method, eye))  # fmt: skip
    assert not r.success and r.status == 3 and r.message == "the gradient is not finite at x0"


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "gd"])
def test_minus_infinity_is_unbounded_below(method, line_search):
    with np.errstate(over="ignore"):
        r = st.minimize(lambda x: -np.exp(-x), np.zeros(1), jac=lambda x: np.exp(-x),
                        method=method, line_search=line_search)  # fmt: skip
    assert not r.success and r.status == 4 and r.fun == -np.inf
    assert r.x[0] < -709 and r.message.startswith("the objective falls without bound")


@pytest.mark.parametrize("scale", [1e-50, 1e50])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_the_first_step_suits_functions_of_any_size(method, scale):
    r = st.minimize(lambda x: scale * (x[0] - 1) ** 2, np.array([-1.0]), gtol=1e-8 * scale,
                    jac=lambda x: 2 * scale * (x - 1), method=method)  # fmt: skip
    assert r.success and r.nit <= 3
    np.testing.assert_allclose(r.x, 1)


@pytest.mark.parametrize("unit", [1e-20, 1e-8, 1e8])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_the_first_step_suits_variables_of_any_unit(method, unit):
    r = st.minimize(lambda x: rosen(x / unit), START * unit, gtol=1e-6 / unit,
                    jac=lambda x: rosen_der(x / unit) / unit, method=method)  # fmt: skip
    assert r.success and r.nfev < 150
    np.testing.assert_allclose(r.x / unit, 1, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-200, 1e-100, 1e100, 1e150])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_squares_that_leave_the_range_end_in_words(method, scale):
    """Products of gradients under- and overflow here: the run may fall short, not break."""
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        r = st.minimize(lambda x: scale * rosen(x), START, jac=lambda x: scale * rosen_der(x),
                        method=method, gtol=1e-5 * scale, maxiter=200)  # fmt: skip
    assert r.message and np.isfinite(r.x).all() and rosen(r.x) <= rosen(START)
    assert r.success or scale in (1e-200, 1e150)


def barrier(x):  # finite for x > 0 alone
    with np.errstate(all="ignore"), warnings.catch_warnings():
        return float((x - np.log(x)).sum()), 1 - 1 / x


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ALL)
def test_trials_outside_the_domain_are_rejected(method, line_search):
    r = st.minimize(barrier, np.array([30.0, 1e-4, 5.0]), jac=True, method=method, gtol=1e-4,
                    line_search=line_search, maxiter=60_000,
                    **extra(method, lambda x: np.diag(1 / x**2)))  # fmt: skip
    assert r.success, r.message
    np.testing.assert_allclose(r.x, 1, atol=0.1 if method == "gd" else 1e-3)


@pytest.mark.parametrize("method", ALL)
def test_a_gradient_that_is_nan_where_f_is_finite_rejects_the_trial(method):
    def fun(x):
        g = 2 * (x - 3)
        return float(((x - 3) ** 2).sum()), np.where(x > 4, np.nan, g)

    r = st.minimize(fun, np.array([-40.0]), jac=True, method=method,
                    **extra(method, lambda x: np.eye(1) / 4))  # fmt: skip
    assert r.success
    np.testing.assert_allclose(r.x, 3, atol=1e-4)


@pytest.mark.parametrize("method", ALL)
def test_a_flat_function_is_at_its_minimum(method):
    r = st.minimize(lambda x: 7.0, np.ones(3), jac=np.zeros_like, method=method,
                    **extra(method, eye))  # fmt: skip
    assert r.success and r.nit == 0 and r.nfev == 1


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("power", [1, 2])
def test_a_function_without_a_minimum_is_a_failure(method, power):
    r = st.minimize(
        lambda x: -float((x**power).sum()), np.ones(2), jac=lambda x: -power * x ** (power - 1),
        method=method, **extra(method, lambda x: np.zeros((2, 2))),
    )  # fmt: skip
    assert not r.success and r.status == 4 and np.isfinite(r.fun)
    assert r.message.startswith("the objective falls without bound along the direction: -")


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ALL)
def test_a_wrong_gradient_is_named(method, line_search):
    r = st.minimize(rosen, START, jac=lambda x: -rosen_der(x), method=method,
                    line_search=line_search, **extra(method, eye))  # fmt: skip
    assert not r.success and r.status == 2 and r.fun == rosen(START)
    assert "check the gradient" in r.message


def test_a_gradient_wrong_in_one_component_is_named():
    def jac(x):
        g = rosen_der(x)
        g[1] += 50.0
        return g

    r = st.minimize(rosen, START, jac=jac)
    assert not r.success and r.status == 2 and "check the gradient" in r.message


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_the_limit_of_precision_is_not_called_a_wrong_gradient(method):
    r = st.minimize(lambda x: rosen(x) + 1e6, START, jac=rosen_der, method=method, gtol=1e-14)
    assert r.status in (0, 2) and "check the gradient" not in r.message
    assert r.fun - 1e6 == pytest.approx(0, abs=1e-8)


def test_float32_stops_where_float32_ends():
    x0 = START.astype(np.float32)
    r = st.minimize(rosen, x0, jac=rosen_der, gtol=0.0, maxiter=500)
    assert r.x.dtype == np.float32 and r.nit < 200 and r.status in (0, 2)
    np.testing.assert_allclose(r.x, 1, atol=2e-3)


def test_a_full_step_out_of_the_domain_is_a_failure():
    def fun(x):
        with np.errstate(over="ignore"):
            return float((x**4).sum()), 4 * x**3

    r = st.minimize(fun, np.full(2, 1e50), jac=True, method="gd", lr=1.0)
    assert not r.success and r.status == 3 and "after a full step" in r.message


def test_a_learning_rate_that_is_too_high_is_named():
    r = st.minimize(lambda x: (x @ x, 2 * x), np.ones(2), jac=True, method="gd", lr=10.0)
    assert not r.success and r.status == 2 and "take a lower lr" in r.message


# Users


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError("mine")])
def test_exceptions_propagate(method, error):
    calls = []

    def fun(x):
        calls.append(1)
        if len(calls) == 3:
            raise error
        return rosen(x)

    with pytest.raises(error if isinstance(error, type) else type(error)):
        st.minimize(fun, START, jac=rosen_der, method=method, **extra(method, rosen_hess))


@pytest.mark.parametrize("method", ALL)
def test_users_may_keep_and_overwrite_what_they_are_handed(method):
    kept, buffer = [], np.empty(4)

    def fun(x):
        f = rosen(x)
        buffer[:] = rosen_der(x)
        kept.append(x)
        x[:] = np.nan
        return f, buffer

    def hess(x):
        h = rosen_hess(x)
        x[:] = np.nan
        return h

    def callback(x):
        x[:] = np.nan
        buffer[:] = np.nan

    options = {"method": method, "maxiter": 40}
    x0 = START.copy()
    r = st.minimize(fun, x0, jac=True, callback=callback, **options, **extra(method, hess))
    want = st.minimize(rosen, START, jac=rosen_der, **options, **extra(method, rosen_hess))
    np.testing.assert_array_equal(r.x, want.x)
    assert len({id(x) for x in kept}) == r.nfev
    np.testing.assert_array_equal(x0, START)


def test_integers_scalars_and_arguments():
    r = st.minimize(lambda x, a, b: float(((x - a) ** 2).sum()) + b, [1, 2], args=(3.0, 4.0),
                    jac=lambda x, a, b: 2 * (x - a))  # fmt: skip
    np.testing.assert_allclose(r.x, 3, atol=1e-5)
    r = st.minimize(lambda x, a: np.array([(x[0] - a) ** 2]), 1, args=5.0)
    assert r.x.dtype == np.float64 and r.x[0] == pytest.approx(5, abs=1e-5)


def test_callbacks_are_scipys():
    seen = []

    def with_result(intermediate_result):
        seen.append((intermediate_result.nit, intermediate_result.fun, intermediate_result.x))
        if intermediate_result.nit == 3:
            raise StopIteration

    r = st.minimize(rosen, START, jac=rosen_der, callback=with_result)
    assert r.status == 99 and not r.success and r.nit == 3
    assert r.message == "`callback` raised `StopIteration`"
    assert [nit for nit, _, _ in seen] == [1, 2, 3]
    for _, f, x in seen:
        assert rosen(x) == f
    points = []
    r = st.minimize(rosen, START, jac=rosen_der, callback=points.append)
    assert len(points) == r.nit
    np.testing.assert_array_equal(points[-1], r.x)


@pytest.mark.parametrize("options", [{}, {"method": "bfgs"}, {"method": "gd", "maxiter": 9}])
def test_it_is_a_method_of_scipys_minimize(options):
    want = st.minimize(rosen, START, jac=rosen_der, gtol=1e-7, **options)
    r = scipy.optimize.minimize(
        rosen, START, jac=rosen_der, method=st.minimize, tol=1e-7, options=options
    )
    np.testing.assert_array_equal(r.x, want.x)
    both = scipy.optimize.minimize(
        lambda x: (rosen(x), rosen_der(x)), START, jac=True, method=st.minimize, tol=1e-7,
        options=options,
    )  # fmt: skip
    np.testing.assert_array_equal(both.x, want.x)


def test_limits():
    r = st.minimize(rosen, START, jac=rosen_der, maxiter=2.9)  # as SciPy's users write 1e4
    assert st.minimize(rosen, START, jac=rosen_der, maxiter=np.inf, max_nfev=1e6).success
    assert r.nit == 2 and r.status == 1 and r.message == "maxiter 2 iterations are done"
    r = st.minimize(rosen, START, jac=rosen_der, max_nfev=5)
    assert r.nfev == 5 and r.status == 1 and r.message == "max_nfev 5 evaluations are spent"
    assert r.fun < rosen(START) and r.fun == rosen(r.x)
    r = st.minimize(rosen, START, jac=rosen_der, maxiter=0)
    assert r.nit == 0 and r.nfev == 1 and r.status == 1
    r = st.minimize(rosen, START, jac=rosen_der, ftol=1e-3)
    assert r.success and "ftol" in r.message and r.nit < 40


def test_verbose(capsys):
    st.minimize(rosen, START, jac=rosen_der, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("iteration") and "gtol" in lines[1]
    r = st.minimize(rosen, START, jac=rosen_der, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == r.nit + 1 and f"iteration {r.nit:5d}" in lines[-2]  # told once
    st.minimize(rosen, START, jac=rosen_der, verbose=2, max_nfev=1)
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(ValueError, match="verbose: 3 is not allowed; .* at most 2"):
        st.minimize(rosen, START, jac=rosen_der, verbose=3)


def test_schedules_are_asked_for_the_number_of_steps_taken():
    asked = []

    def lr(k):
        asked.append(k)
        return 0.1 / (1 + k)

    r = st.minimize(lambda x: (x @ x, 2 * x), np.ones(2), jac=True, method="gd", lr=lr, maxiter=4)
    assert asked == [0, 1, 2, 3] and r.nit == 4
    want = np.prod([1 - 0.2 / (1 + k) for k in range(4)])
    np.testing.assert_allclose(r.x, want, rtol=1e-14)


def test_a_rate_of_zero_moves_nothing_and_asks_for_no_evaluation():
    def run(lr, **options):
        fun = lambda x: (x @ x, 2 * x)  # noqa: E731
        return st.minimize(fun, np.ones(2), jac=True, method="gd", lr=lr, **options)

    warm = run(st.schedules.linear_warmup(0.25, 2), maxiter=3)  # rates 0, 1/8, 1/4
    assert (warm.nit, warm.nfev, warm.status) == (3, 3, 1)
    np.testing.assert_allclose(warm.x, 0.75 * 0.5, rtol=1e-14)
    ended = run(st.schedules.cosine(0.01, 5))  # 0 from step 5 on
    assert (ended.nfev, ended.status) == (6, 2) and 0.9 < ended.x[0] < 1
    assert ended.message == "lr has been 0 for 10 iterations"
    assert run(lambda k: 0.0, maxiter=4).message == "maxiter 4 iterations are done"
    with pytest.raises(ValueError, match=r"^lr\(0\): -1.0 is not allowed; .* at least 0$"):
        run(lambda k: -1.0)


# Inside out


def make(method, **options):
    classes = {"l-bfgs": st.LBFGS, "bfgs": st.BFGS, "newton": st.Newton, "gd": st.GradientDescent}
    return classes[method](START, **options)


def tell(s):
    x = s.x
    if isinstance(s, st.Newton):
        s.tell(rosen(x), rosen_der(x), rosen_hess(x))
    else:
        s.tell(rosen(x), rosen_der(x))


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("after", [0, 1, 4, 13, 22])
def test_a_saved_run_goes_on_to_the_same_bits(method, after):
    options = {"line_search": "exact"} if method == "gd" else {}
    whole = make(method, maxiter=30, **options)
    for _ in range(after):
        tell(whole)
    state = pickle.loads(pickle.dumps(whole.state_dict()))
    resumed = make(method, maxiter=30, **options)
    resumed.load_state_dict(state)
    while not whole.done:
        tell(whole)
        tell(resumed)
        np.testing.assert_array_equal(whole.x, resumed.x)
    assert resumed.done and resumed.message == whole.message and resumed.nfev == whole.nfev


def test_a_saved_run_with_bounds_goes_on():
    bounds = [(-2, 0.5)] * 4
    start = np.minimum(START, 0.5)
    whole = st.LBFGS(start, bounds=bounds)
    for _ in range(9):
        tell(whole)
    resumed = st.LBFGS(start, bounds=bounds)
    resumed.load_state_dict(whole.state_dict())
    while not whole.done:
        tell(whole)
        tell(resumed)
    np.testing.assert_array_equal(whole.x, resumed.x)


def test_loading_refuses_another_run():
    state = make("l-bfgs").state_dict()
    for other, message in [
        (make("bfgs"), r"state_dict\['method'\]: 'l-bfgs'; allowed is 'bfgs', as here"),
        (make("l-bfgs", line_search="armijo"), r"state_dict\['line_search'\]: 'wolfe'; allowed is"),
        (make("l-bfgs", history=4), r"state_dict\['workspace'\]: shape \(25, 4\); allowed is"),
        (st.LBFGS(START[:3]), r"state_dict\['workspace'\]: shape \(25, 4\); allowed is \(25, 3\)"),
        (st.LBFGS(START.astype("f4")), "state_dict: dtype float64; allowed is float32"),
    ]:
        before = other.x
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(state)
        np.testing.assert_array_equal(other.x, before)
    with pytest.raises(ValueError, match="state_dict: the keys differ from those of 'bfgs' in d, "):
        make("bfgs").load_state_dict({})
    with pytest.raises(TypeError, match="^state_dict: a NoneType where a dict is due"):
        make("bfgs").load_state_dict(None)


def test_telling_checks_first_and_ends():
    s = make("l-bfgs")
    for f, g, error, message in [
        ("high", START, TypeError, "f: 'high' is a str; allowed is a real number"),
        (1j, START, TypeError, "f: 1j is complex; allowed is a real number"),
        (START, START, ValueError, r"f: shape \(4,\); allowed is a scalar"),
        (1.0, START[:2], ValueError, r"g: shape \(2,\); allowed is \(4,\)"),
        (1.0, START * 1j, TypeError, "g: dtype complex128; allowed are real numbers"),
    ]:
        with pytest.raises(error, match=message):
            s.tell(f, g)
    assert s.nfev == 0 and not s.done
    while not s.done:
        tell(s)
    assert s.success and s.optimality <= 1e-5
    with pytest.raises(RuntimeError, match="tell: the run has ended"):
        tell(s)


def test_newton_is_told_a_hessian():
    s = make("newton")
    with pytest.raises(TypeError, match="tell: give one of hess and hessp"):
        s.tell(1.0, START)
    with pytest.raises(ValueError, match="hess: not symmetric, entries differ .* by up to 1"):
        s.tell(1.0, START, np.triu(np.ones((4, 4))))
    with pytest.raises(ValueError, match=r"hess: shape \(3, 3\); allowed is \(4, 4\)"):
        s.tell(1.0, START, np.eye(3))
    assert s.nfev == 0
    with pytest.raises(TypeError, match="hess: a csr_array, sparse; allowed is a dense array"):
        s.tell(1.0, START, scipy.sparse.csr_array(np.eye(4)))
    s.tell(1.0, START, np.full((4, 4), np.nan))
    assert s.done and s.status == 3 and s.message == "the Hessian is not finite"


@pytest.mark.parametrize("method", ["l-bfgs", "newton", "gd"])
def test_a_start_outside_the_bounds_begins_at_the_nearest_point_inside(method):
    seen = []

    def fun(x):
        seen.append(x.copy())
        return float(x @ x), 2 * x

    r = st.minimize(fun, np.array([9.0, -9.0, 0.5]), jac=True, method=method,
                    bounds=[(1, 2), (-2, -1), (None, None)],
                    **extra(method, lambda x: 2 * np.eye(3)))  # fmt: skip
    np.testing.assert_array_equal(seen[0], [2, -2, 0.5])
    assert r.success
    np.testing.assert_allclose(r.x, [1, -1, 0], atol=1e-5)


def test_gtol_goes_before_tol_as_with_scipy():
    options = {"method": "bfgs", "gtol": 1e-3}
    want = st.minimize(rosen, START, jac=rosen_der, **options)
    got = scipy.optimize.minimize(
        rosen, START, jac=rosen_der, method=st.minimize, tol=1e-9, options=options
    )
    assert got.nit == want.nit and np.abs(got.jac).max() > 1e-9


def test_a_start_of_another_byte_order_is_the_same_start():
    want = st.minimize(rosen, START, jac=rosen_der)
    got = st.minimize(rosen, START.astype(">f8"), jac=lambda x: rosen_der(x).astype(">f8"))
    np.testing.assert_array_equal(got.x, want.x)
    assert got.x.dtype == np.float64 and got.nfev == want.nfev


# What is refused


def no(x):
    raise AssertionError("not to be called")


@pytest.mark.parametrize(
    ("x0", "options", "error", "message"),
    [
        (START * 1j, {}, TypeError, "x0: dtype complex128; allowed is float32, float64 or integ"),
        (START.astype("f2"), {}, TypeError, "x0: dtype float16; allowed is float32, float64"),
        (np.ones((2, 2)), {}, ValueError, r"x0: shape \(2, 2\); allowed is one dimension"),
        (np.ones(0), {}, ValueError, r"x0: shape \(0,\); allowed is at least one element"),
        (np.array([1, np.nan]), {}, ValueError, "x0: an element is not finite"),
        (START, {"method": "BFGS"}, ValueError, "method: 'BFGS' is not allowed; allowed is one"),
        (START, {"jac": "4-point"}, ValueError, "jac: '4-point' is not allowed; allowed is a cal"),
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
            "with lr; allowed",
        ),
        (START, {"method": "gd", "history": 3}, ValueError, "history: method 'gd' stores no pairs"),
        (START, {"history": 0}, ValueError, "history: 0 is not allowed; .* at least 1"),
        (START, {"line_search": "best"}, ValueError, "line_search: 'best' is not allowed"),
        (START, {"gtol": -1}, ValueError, "gtol: -1.0 is not allowed"),
        (START, {"ftol": np.nan}, ValueError, "ftol: nan is not allowed"),
        (START, {"maxiter": np.nan}, TypeError, "maxiter: nan is a float; allowed is"),
        (START, {"max_nfev": 0}, ValueError, "max_nfev: 0 is not allowed; .* at least 1"),
        (START, {"callback": 3}, TypeError, "callback: 3 is a int; allowed is a callable"),
        (START, {"constraints": [{}]}, ValueError, "constraints: not supported; allowed are bound"),
        (START, {"bounds": [(0, 1)]}, ValueError, "bounds: 1 entries; allowed is a scipy.optimize"),
        (START, {"bounds": [(1, 0)] * 4}, ValueError, r"bounds\[0\]: lower 1 and upper 0; allowed"),
        (
            START,
            {"bounds": [(np.inf,) * 2] * 4},
            ValueError,
            r"bounds\[0\]: lower inf and upper inf",
        ),
        (
            START,
            {"bounds": 3},
            TypeError,
            "bounds: 3; allowed is a scipy.optimize.Bounds or 4 pairs",
        ),
        (
            START,
            {"bounds": [("a", 1)] * 4},
            TypeError,
            "bounds: .*'a'.*; allowed are numbers, None",
        ),
        (
            START,
            {"jac": START},
            ValueError,
            r"jac: array\(.*\) is not allowed; allowed is a callable",
        ),
        (
            START,
            {"method": "newton", "hess": "2-point"},
            TypeError,
            "hess: '2-point' is a str; allo",
        ),
        (
            START,
            {"method": "newton", "hessp": START},
            TypeError,
            "hessp: array.* is a ndarray; all",
        ),
    ],
)
def test_arguments_are_checked_before_the_first_call(x0, options, error, message):
    with pytest.raises(error, match=message):
        st.minimize(no, x0, **{"jac": no, **options})


@pytest.mark.parametrize(
    ("answer", "jac", "error", "message"),
    [
        (lambda x: x, lambda x: x, ValueError, r"fun\(x\): shape \(4,\); allowed is a scalar"),
        (lambda x: None, lambda x: x, TypeError, r"fun\(x\): None is a NoneType; allowed is a rea"),
        (lambda x: 1j, lambda x: x, TypeError, r"fun\(x\): 1j is complex; allowed is a real"),
        (lambda x: "1.0", lambda x: x, TypeError, r"fun\(x\): '1.0' is a str; allowed is a real"),
        (lambda x: 1.0, lambda x: x[:3], ValueError, r"jac\(x\): shape \(3,\); allowed is \(4,\)"),
        (lambda x: 1.0, True, TypeError, r"fun\(x\): a float; with jac=True allowed is a pair"),
        (lambda x: (1.0, x * 1j), True, TypeError, r"fun\(x\)\[1\]: dtype complex128; allowed are"),
    ],
)
def test_answers_are_checked(answer, jac, error, message):
    with pytest.raises(error, match=message):
        st.minimize(answer, START, jac=jac)


def test_the_gradient_comes_in_the_library_of_x0():
    with pytest.raises(TypeError, match=r"jac\(x\): a ndarray; allowed is the array type of x0"):
        st.minimize(lambda x: 1.0, strict.ones(3), jac=lambda x: np.ones(3))


def test_newton_checks_its_products():
    with pytest.raises(ValueError, match=r"hessp\(x, p\): shape \(1,\); allowed is \(4,\)"):
        st.minimize(rosen, START, jac=rosen_der, method="newton", hessp=lambda x, p: p[:1])
    r = st.minimize(rosen, START, jac=rosen_der, method="newton", hessp=lambda x, p: p * np.nan)
    assert r.status == 3 and r.message == "the Hessian's product with a vector is not finite"


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("workspace", "a", TypeError, "state_dict['workspace']: a str; allowed is an array"),
        ("x", 77, ValueError, "state_dict['x']: 77 is not allowed; allowed is a whole number, "),
        ("d", -1, ValueError, "state_dict['d']: -1 is not allowed; allowed is a whole number, "),
        ("nit", 1.5, TypeError, "state_dict['nit']: 1.5 is a float; allowed is a whole number"),
        ("f", "a", TypeError, "state_dict['f']: 'a' is a str; allowed is a real number"),
        ("done", 0, TypeError, "state_dict['done']: 0 is a int; allowed is True or False"),
        ("message", 0, TypeError, "state_dict['message']: a int; allowed is a str"),
        ("told", 0, TypeError, "state_dict['told']: a int; allowed is a list"),
        ("told", [(1, 2)], ValueError, "state_dict['told'][0]: (1, 2); allowed are step, f and s"),
        ("lowest", 1.0, ValueError, "state_dict['lowest']: 1.0; allowed are step, f and slope"),
        ("memory", (1, [0], [0], np.zeros(3)), ValueError, "state: allowed is a state of as many"),
    ],
)
def test_a_state_that_no_run_has_is_refused_and_changes_nothing(key, value, error, message):
    run = st.LBFGS(START)
    for _ in range(5):
        x = run.x
        run.tell(rosen(x), rosen_der(x))
    twin = copy.deepcopy(run)
    with pytest.raises(error, match="^" + re.escape(message)):
        run.load_state_dict({**st.LBFGS(2 * START).state_dict(), key: value})
    while not run.done:
        x = run.x
        np.testing.assert_array_equal(x, twin.x)
        for each in (run, twin):
            each.tell(rosen(x), rosen_der(x))
    assert twin.done


def test_a_tiny_hessian_where_numpy_is_told_to_raise():
    scale, s = 1e-300, st.Newton(np.array([3.0, 1.0]), gtol=0, maxiter=3)
    while not s.done:
        x = s.x
        told = scale * (x @ x), 2 * scale * x, 2 * scale * np.eye(2)
        with np.errstate(all="raise"):
            s.tell(*told)
    np.testing.assert_allclose(s.x, 0, atol=1e-12)
