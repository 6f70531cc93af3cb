"""Users' functions, callbacks and limits, and SciPy's conventions."""

import sys

import numpy as np
import pytest
import scipy.optimize
from fullbatch_methods import ALL, START, extra
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st


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


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are text, or run at once")
def test_annotations_may_name_what_only_type_checkers_import():
    annotated = {}
    exec("def watch(intermediate_result: Unknown) -> Unknown: ...", annotated)
    exec("class Line:\n def __call__(self, x: Unknown, a: float, b): return a * x + b", annotated)
    watch, line, t = annotated["watch"], annotated["Line"](), np.arange(5.0)
    assert st.minimize(rosen, START, jac=rosen_der, callback=watch).success
    assert st.least_squares(lambda x: x - 1, [0.0], callback=watch).success
    np.testing.assert_allclose(st.curve_fit(line, t, 2 * t + 1)[0], [2, 1])


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


def test_no_method_is_the_default():
    """As in SciPy, and as what wraps it passes on."""
    want = st.minimize(rosen, START, jac=rosen_der)
    np.testing.assert_array_equal(st.minimize(rosen, START, method=None, jac=rosen_der).x, want.x)


def test_disp_is_verbose_as_scipys_options_have_it(capsys):
    """All of SciPy's methods have it."""
    for lines, flags in (2, {"disp": True}), (0, {"disp": 0}), (5, {"disp": 1, "verbose": 2}):
        scipy.optimize.minimize(
            rosen, START, jac=rosen_der, method=st.minimize, options={**flags, "maxiter": 4}
        )
        assert len(capsys.readouterr().out.splitlines()) == lines


def test_limits():
    r = st.minimize(rosen, START, jac=rosen_der, maxiter=2.9)  # as SciPy's users write 1e4
    for limits in (np.inf, 1e6), (np.float32(900), np.float32(np.inf)):
        options = dict(zip(("maxiter", "max_nfev"), limits, strict=True))
        assert st.minimize(rosen, START, jac=rosen_der, **options).success
    with pytest.raises(ValueError, match="max_nfev: 0.5 is not allowed; expected .* at least 1"):
        st.minimize(rosen, START, max_nfev=0.5)
    assert r.nit == 2 and r.status == 1 and r.message == "maxiter = 2 iterations reached"
    r = st.minimize(rosen, START, jac=rosen_der, max_nfev=5)
    assert r.nfev == 5 and r.status == 1 and r.message == "max_nfev = 5 evaluations reached"
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
    for quiet, flag in ((0, False), (1, True), (1, np.True_)):  # as least_squares takes them
        st.minimize(rosen, START, jac=rosen_der, verbose=flag)
        assert len(capsys.readouterr().out.splitlines()) == 2 * quiet
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
    assert run(lambda k: 0.0, maxiter=4).message == "maxiter = 4 iterations reached"
    with pytest.raises(ValueError, match=r"^lr\(0\): -1.0 is not allowed; .* at least 0$"):
        run(lambda k: -1.0)


def even(k):
    return 0.0 if 3 <= k < 6 else 0.01


@pytest.mark.parametrize("jac", [None, lambda x: 2 * x])
@pytest.mark.parametrize(
    ("lr", "rows"),
    [(st.schedules.cosine(0.04, 10), 20), (st.schedules.linear_warmup(0.01, 9), 30), (even, 30)],
)
def test_iterations_with_a_rate_of_zero_are_shown_and_counted_one_by_one(capsys, lr, rows, jac):
    seen = []

    def callback(intermediate_result):
        seen.append((intermediate_result.nit, intermediate_result.fun))

    r = st.minimize(lambda x: x @ x, [3.0, 4.0], jac=jac, method="gd", lr=lr, maxiter=30,
                    gtol=1e-3, verbose=2, callback=callback)  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[1]) for line in lines[:-1]] == list(range(1, rows + 1))
    assert [nit for nit, _ in seen] == list(range(1, rows + 1)) and r.nit == rows
    if jac is not None:
        x = 25.0
        for k, (_, f) in enumerate(seen):
            x *= (1 - 2 * lr(k)) ** 2
            assert f == pytest.approx(x, rel=1e-12)


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
