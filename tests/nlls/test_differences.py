"""Differences in C++ and in Python, and whose a Jacobian is."""

from __future__ import annotations

import ctypes
import gc
import importlib
import sys
import sysconfig
import weakref

import numpy as np
import pytest

import steepest as st
from steepest import _cpu
from steepest.nlls.arguments import JACOBIAN, RESIDUAL, Options, make_solver
from steepest.nlls.differences import Differences

INF = np.inf
BOXES = {
    "free": (None, None),
    "on lower": (np.array([1.0, 0.0, -1e-9]), np.full(3, INF)),
    "on upper": (np.full(3, -INF), np.array([1.0, 0.0, 1e-9])),
    "narrow": (np.array([1.0, 0.0, -1e-9]), np.array([1 + 2e-7, 2e-7, 1e-9])),
}
X = np.array([1.0, 0.0, -1e-9])


def fun(x):
    return np.array([np.exp(x[0]) + x[1] ** 2, x[0] * x[1] + x[2], np.sin(x[2]), 5 + 1e-3 * x[2]])


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("steps", [None, np.array([1e-6, 1e-5, 1e-4]), np.full(3, 1e-9)])
@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_both_give_the_same(scheme, box, steps, dtype):
    """The points that are evaluated, and J."""
    eps = np.finfo(dtype).eps
    x = X.astype(dtype)
    lower, upper = (b if b is None else b.astype(dtype) for b in BOXES[box])
    asked = [[], []]

    def recorded(points):
        def inner(p):
            points.append(p.copy())
            return fun(p).astype(dtype)

        return inner

    solver = (_cpu.Solver64 if dtype == np.float64 else _cpu.Solver32)(
        x, {"lower": lower, "upper": upper, "max_nfev": 1}
    )
    central = scheme == "3-point"
    J, _ = solver.run_differences(recorded(asked[0]), central, steps, lower, upper, None)
    want = Differences(recorded(asked[1]), scheme, steps, lower, upper)(
        x, fun(x).astype(dtype), eps
    )
    np.testing.assert_array_equal(asked[0][0], x)
    np.testing.assert_array_equal(asked[0][1:], asked[1])
    np.testing.assert_array_equal(J, want)


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")) and sys.version_info < (3, 14),
    reason="3.13t does not tell whether an array is held once",
)
@pytest.mark.parametrize(
    "view", [lambda J: J, np.transpose, lambda J: J.reshape(3, 2), lambda J: J[::-1].T]
)
def test_a_jacobian_that_nobody_else_sees_is_not_copied(view):
    made = []

    def jac(x):
        J = np.ones((2, 3))
        made.append(weakref.ref(J))
        return view(J)

    told = _cpu.owned_call(jac, np.ones(1))
    assert made[0]() is (told if told.base is None else told.base)
    del told
    gc.collect()
    assert made[0]() is None


def test_a_view_of_a_part_does_not_keep_the_rest():
    assert _cpu.owned_call(lambda x: np.ones((2, 100))[:, :2], np.ones(1)).base is None


def borrowing(whole):
    """An array over memory of another, without a base, as extensions in C and Fortran make them."""
    core = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    table = importlib.import_module(f"{core}._multiarray_umath")._ARRAY_API
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = ctypes.cast(pointer(table, None), ctypes.POINTER(ctypes.c_void_p))[93]
    obj, size, of, void = ctypes.py_object, ctypes.c_int, ctypes.POINTER, ctypes.c_void_p
    shape = (ctypes.c_ssize_t * whole.ndim)(*whole.shape)
    new = ctypes.PYFUNCTYPE(
        obj, obj, size, of(ctypes.c_ssize_t), size, void, void, size, size, void
    )(address)
    writeable = 0x501  # NPY_ARRAY_CARRAY
    made = new(
        np.ndarray, whole.ndim, shape, whole.dtype.num, None, whole.ctypes.data, 0, writeable, None
    )
    assert made.base is None and np.array_equal(made, whole)
    return made


def test_values_of_a_model_in_memory_of_an_extension_stay():
    def model(t, a, b):
        values[:] = a * np.exp(b * t)
        return borrowing(values)

    t = np.linspace(0.0, 1.0, 6)
    values = np.empty(6)
    fitted = st.curve_fit(model, t, 2 * np.exp(-t), [1.0, 0.0])[0]
    np.testing.assert_allclose(fitted, [2, -1], rtol=1e-6)
    np.testing.assert_allclose(values, 2 * np.exp(-t), rtol=1e-6)


@pytest.mark.parametrize("kept", ["attribute", "base", "borrowed", "list", "tuple"])
def test_a_jacobian_that_others_see_is_copied(kept):
    J, holder = np.ones((2, 1)), []

    def jac(x):
        if kept == "base":
            return J[::-1]
        if kept == "borrowed":
            return borrowing(J)
        if kept == "list":
            return [[1.0], [1.0]]
        if kept == "tuple":
            holder.append((x, np.ones((2, 1))))
            return holder[0]
        return J

    if kept == "tuple":
        _, told = _cpu.owned_pair(jac, np.ones(1))
        assert told is not holder[0][1]
    else:
        told = _cpu.owned_call(jac, np.ones(1))
        assert told is not J and told.flags.owndata
    np.testing.assert_array_equal(told, [[1.0], [1.0]])


def decay(p):
    t = np.linspace(0, 4, 20)
    return p[0] * np.exp(-p[1] * t) - 2 * np.exp(-0.7 * t) - 0.5 * np.cos(9 * t)


def misled(x):
    """The error of a forward difference, times 10, hides the way."""
    return np.array([x[0] - 1, 10 + (x[0] - 1) ** 2])


@pytest.mark.parametrize(
    "fun, x0, diff_step",
    [(decay, [1.0, 1.0], None), (decay, [1.0, 1.0], 1e-6), (misled, [1 + 1e-7], None)],
)
def test_the_loop_in_python_goes_the_same_way(fun, x0, diff_step):
    """Forward differences end with central ones where their step is not given."""

    def run(loss):
        asked, seen = [], []

        def noted(x):
            asked.append(x.copy())
            return fun(x)

        fit = st.least_squares(
            noted,
            x0,
            loss=loss,
            ftol=None,  # their costs are summed in two ways
            diff_step=diff_step,
            callback=seen.append,
        )
        return fit, asked, seen

    fit, asked, seen = run(lambda z: np.array([z, 0 * z + 1, 0 * z]))  # in Python
    same, also, theirs = run("linear")  # in C++
    np.testing.assert_allclose(asked, also, rtol=1e-9)
    assert (fit.njev, fit.nit) == (same.njev, same.nit) and len(seen) == len(theirs) == fit.nit
    assert (len(asked) > fit.nfev + len(x0) * fit.njev) == (diff_step is None)


@pytest.mark.parametrize("loss", ["linear", lambda z: np.array([z, 0 * z + 1, 0 * z])])
def test_what_rounding_leaves_of_a_parameter_is_no_size_for_relative_steps(loss):
    """A first step shortened to |x| leads to 0, or to 1e-17, where relative steps change nothing:
    of these fits 24 and 28 ended there, with success."""
    for x0 in np.linspace(-0.8, -0.4, 80):
        fit = st.least_squares(
            lambda x: np.linspace(0.6, 1.1, 20) - 0.03 * np.sin(x), [x0], diff_step=1e-5, loss=loss
        )
        assert np.sin(fit.x) > 0.999


@pytest.mark.parametrize("loss", ["linear", lambda z: np.array([z, 0 * z + 1, 0 * z])])
@pytest.mark.parametrize("seed", range(5))
def test_a_parameter_near_zero_by_chance_has_a_column_all_the_same(seed, loss):
    """The centre of a circle close to (0, 0): the columns were off by up to a third, and the fit
    ended with success off the minimum, its cost by up to 1e-4 too large."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 10, 60)
    size, noise = 2.7, 1e-6 * rng.normal(size=60)

    def circle(p):
        return np.hypot(size * np.cos(t) - p[0], size * np.sin(t) - p[1]) - p[2] - noise

    def jac(p):
        x, y = size * np.cos(t) - p[0], size * np.sin(t) - p[1]
        return -np.c_[x / np.hypot(x, y), y / np.hypot(x, y), np.ones(60)]

    fit = st.least_squares(circle, [0.3, -0.3, 2.4], loss=loss)
    best = st.least_squares(circle, fit.x, jac, ftol=1e-15, xtol=1e-15, gtol=1e-15)
    assert fit.success and np.abs(fit.x[:2]).max() < 1e-6
    np.testing.assert_allclose(fit.jac, jac(fit.x), rtol=0, atol=1e-3)
    np.testing.assert_allclose(fit.cost, best.cost, rtol=1e-8)


@pytest.mark.parametrize("diff_step", [[1e-6, 1e-6], [[1e-6]]])
def test_wrong_number_of_steps(diff_step):
    with pytest.raises(ValueError, match="diff_step: shape"):
        st.least_squares(fun, X, diff_step=diff_step)


@pytest.mark.parametrize("then", [3, 1])  # 1 would be broadcast
@pytest.mark.parametrize("loss", ["linear", lambda z: np.array([z, 0 * z + 1, 0 * z])])
@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_residuals_that_change_shape_between_differences(scheme, loss, then):
    for late in (2, 3):
        calls = []

        def changing(x, calls=calls, late=late):
            calls.append(x)
            return fun(x)[: 4 if len(calls) < late else then]

        with pytest.raises(ValueError, match="must not change"):
            st.least_squares(changing, X, scheme, loss=loss)


def test_a_complex_step_of_one_number():
    fit = st.least_squares(lambda x: x[0] ** 2 - 2, 1.0, "cs")
    np.testing.assert_allclose(fit.x, 2**0.5)


def test_residuals_that_change_shape_at_a_complex_point():
    with pytest.raises(ValueError, match="must not change"):
        st.least_squares(lambda x: fun(x)[: 3 if np.iscomplexobj(x) else 4], X, "cs")


def test_max_nfev_may_be_infinite():
    assert st.least_squares(fun, X, max_nfev=INF, ftol=np.float32(1e-8)).success  # quiet
    with pytest.raises(ValueError, match="max_nfev"):
        st.least_squares(fun, X, max_nfev=np.nan)


def test_no_success_where_no_step_has_a_finite_jacobian():
    def jac(x):
        return np.full((1, 1), 1.0 if x[0] == 1 else np.nan)

    fit = st.least_squares(lambda x: x, 1.0, jac)
    assert fit.status == -1 and not fit.success and fit.x == 1


@pytest.mark.parametrize("loss", ["linear", lambda z: np.array([z, 0 * z + 1, 0 * z])])
@pytest.mark.parametrize("as_given", [np.asarray, list], ids=["array", "list"])
@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-5), (np.float16, 1e-2)])
def test_steps_fit_the_precision_of_the_residuals(dtype, rtol, as_given, loss):
    t = np.linspace(0, 4, 20)
    y = 2 * np.exp(-0.7 * t) + 0.01 * np.cos(9 * t)

    def fun(p):
        return p[0] * np.exp(-p[1] * t) - y

    fit = st.least_squares(lambda p: as_given(fun(p).astype(dtype)), [1.0, 1.0], loss=loss)
    np.testing.assert_allclose(fit.x, st.least_squares(fun, [1.0, 1.0]).x, rtol=rtol)


@pytest.mark.parametrize("at_zero", [False, True], ids=["elsewhere", "from zero"])
@pytest.mark.parametrize("distance", [0.01, 0.1, 1, 10, 100])
def test_columns_that_are_nearly_dependent_do_not_pass_for_a_minimum(distance, at_zero):
    """Each is perpendicular to f within gtol at the start, and their difference is not. The cost
    falls by 1e-17 to 1e-9 of itself: rounding hides what short steps do."""
    t = np.linspace(-1, 1, 21)
    A = np.c_[1 + 1e-4 * t, 1 - 1e-4 * t]
    away = np.array([distance, -distance])
    best = -away if at_zero else np.array([3.0, 2.0])
    y = A @ best + 1e3 * (t**2 - np.mean(t**2))
    start = best + away
    cosine = np.abs(A.T @ (A @ start - y)) / np.linalg.norm(A, axis=0) / np.linalg.norm(y)
    assert cosine.max() < 1e-8 or distance > 10
    # At 0.01 the cosine with their plane, 4e-9, is below the default gtol, too.
    gtol = 1e-8 if distance > 0.01 else 1e-12

    def reached(order):
        rows, b = A[order], y[order]
        return st.least_squares(lambda x: rows @ x - b, start, lambda x: rows.copy(), gtol=gtol).x

    orders = [np.random.default_rng(seed).permutation(t.size) for seed in range(100)]
    for order in [slice(None), *orders]:  # sums in other orders
        np.testing.assert_allclose(reached(order), best, atol=1e-3)


@pytest.mark.parametrize("better", [[[1.0], [0.0]], [[1.0], [np.nan]]], ids=["finite", "not"])
def test_a_better_jacobian_is_asked_for_where_a_step_from_a_rough_one_fails(better):
    start = np.array([1 + 1e-9])
    f = np.array([1e-9, 10.0])
    options = Options(ftol=None, xtol=1e-15, gtol=None, max_nfev=9)
    solver = make_solver(start, options, (None, None))
    solver.tell_residual(f)
    solver.set_accuracy(1e-6)
    solver.tell_jacobian(np.array([[1.0], [1e-8]]))  # the gradient is a hundred times too large
    assert solver.phase == RESIDUAL and solver.nit == 0
    first = solver.point()
    solver.tell_residual([first[0] - 1, 10.0])
    assert solver.phase == JACOBIAN and solver.point() == start and solver.nit == 0
    solver.set_accuracy(0)
    solver.tell_jacobian(np.array(better))
    assert solver.phase == RESIDUAL and solver.nit == 0
    assert solver.refused == bool(np.isnan(better).any())
    np.testing.assert_array_equal(solver.fun(), f)
    if solver.refused:  # the old one stands, and is not asked for again
        assert 0 < start - solver.point() < start - first
        solver.tell_residual([solver.point()[0] - 1, 10.0])
        assert solver.point() != start
    else:
        np.testing.assert_allclose(solver.point(), 1, rtol=1e-11)
        solver.tell_residual([solver.point()[0] - 1, 10.0])
        assert solver.phase == JACOBIAN
        solver.tell_jacobian(np.array(better))
        assert solver.nit == 1


@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs"])
@pytest.mark.parametrize("loss", ["linear", lambda z: np.stack([z, 1 + 0 * z, 0 * z])])
@pytest.mark.parametrize("ulps", [1, 2, 3])
def test_a_box_in_which_hardly_a_number_lies(jac, loss, ulps):
    """Three points did not fit: 0 / 0 was called a Jacobian that is not finite."""
    t = np.linspace(0, 3, 30)
    y = 2 * np.exp(-0.7 * t)
    bounds = [1, 0], [1 + ulps * np.finfo(float).eps, 9]
    fit = st.least_squares(
        lambda p: p[0] * np.exp(-p[1] * t) - y, [1.0, 1.0], jac, bounds=bounds, loss=loss
    )
    assert fit.success
    np.testing.assert_allclose(fit.x, [1, 0.26795699], rtol=1e-6)


@pytest.mark.parametrize("ulps", [1, 2, 3, 4])
def test_differences_between_the_bounds_of_such_a_box(ulps):
    bounds = [1, 0], [1 + ulps * np.finfo(float).eps, 9]
    fit = st.least_squares(lambda p: [4 * p[0], p[1] - 0.5], [1.0, 0.5], "3-point", bounds=bounds)
    np.testing.assert_array_equal(fit.jac, [[4, 0], [0, 1]])


@pytest.mark.parametrize("loss", ["linear", lambda z: np.array([z, np.ones_like(z), 0 * z])])
@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_differences_that_end_on_a_bound_do_not_cross_it(scheme, loss):
    """By rounding; in boxes that are narrower than the step of a parameter of little effect."""
    lower, upper, x = -1.321048632913019e-11, 1.2573022109339331e-11, -1.2154045128967481e-11
    assert x + (upper - x) > upper
    points = []

    def fun(p):
        points.append(p[0])
        return [1.0, 1e-6 * p[0]]

    st.least_squares(fun, [x], scheme, bounds=(lower, upper), loss=loss)
    assert lower <= min(points) and max(points) == upper
