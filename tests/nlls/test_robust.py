"""Hard cases: each ends in a truthful status or a clear error, never a silent bad answer."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from problems import mgh

ROSENBROCK = mgh.PROBLEMS[0]


def identity(x):
    return x - np.arange(x.size)


def test_zero_residual_at_the_start():
    fit = st.least_squares(identity, [0.0, 1.0, 2.0], lambda x: np.eye(3))
    assert (fit.nfev, fit.njev, fit.cost, fit.status) == (1, 1, 0, 1)


@pytest.mark.parametrize("inside_out", [False, True])
def test_a_start_where_the_loss_counts_no_residual_is_said(inside_out):
    """Tukey's is flat beyond f_scale: a success at x0, whatever x0."""
    A = np.vander(np.arange(6.0), 2)
    for start, said in (([40.0, 40.0], True), ([0.1, 0.1], False)):
        if inside_out:
            s = st.LeastSquares(start, loss="tukey", f_scale=3.0)
            while not s.done:
                s.tell(A @ s.x, A)
            fit = s.result()
        else:
            fit = st.least_squares(lambda x: A @ x, start, loss="tukey", f_scale=3.0)
        assert fit.success
        assert ("no residual has weight: each is beyond `f_scale`" in fit.message) is said


def test_start_at_the_minimum():
    A = np.array([[1.0], [1.0]])
    fit = st.least_squares(lambda x: A @ x - [0.0, 2.0], [1.0], lambda x: A)
    assert fit.nfev == 1 and fit.status == 1 and fit.x == 1


def test_fewer_residuals_than_parameters():
    fit = st.least_squares(lambda x: [x[0] ** 2 + x[1] - 3], [1.0, 1.0])
    assert fit.success and fit.cost < 1e-20
    with pytest.warns(Warning, match="Covariance of the parameters could not be estimated"):
        assert np.isinf(fit.covariance()).all()
    with pytest.raises(np.linalg.LinAlgError, match="method 'gn': JᵀJ is singular .* 'lm'"):
        st.least_squares(lambda x: [x[0] ** 2 + x[1] - 3], [1.0, 1.0], method="gn")


def test_one_parameter_one_residual():
    fit = st.least_squares(lambda x: x**2 - 2, 1.0)
    assert fit.x.shape == (1,) and fit.x[0] == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr", "cg"])
@pytest.mark.parametrize("row", [[1, 2, 3], [1, 0, 0]])
def test_rank_deficient_jacobian(row, linear_solver):
    A = np.outer(np.arange(1.0, 7.0), row)
    b = np.arange(6.0)
    fit = st.least_squares(
        lambda x: A @ x - b, np.ones(3), lambda x: A, linear_solver=linear_solver
    )
    best = np.linalg.lstsq(A, b, rcond=None)[0]
    assert fit.success
    assert fit.cost == pytest.approx(0.5 * np.sum((A @ best - b) ** 2), rel=1e-8)
    assert np.abs(fit.x).max() < 10


@pytest.mark.parametrize("start", [(3.0, -2.0), (0.0, 0.0)])
@pytest.mark.parametrize("method", ["lm", "levenberg"])
@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr", "cg"])
def test_a_first_damping_that_rounding_hides_is_raised(linear_solver, method, start):
    """Of equal columns, with a damping that is lost beside JᵀJ, no step can be computed."""
    A = np.stack([np.arange(6.0)] * 2, axis=1)
    b = 1 + np.arange(6.0)
    fit = st.least_squares(
        lambda x: A @ x - b,
        start,
        lambda x: A,
        damping=1e-30,
        linear_solver=linear_solver,
        method=method,
    )
    assert fit.nit > 0
    assert fit.cost == pytest.approx(0.5 * np.sum((A[:, 0] * (A[:, 0] @ b) / 55 - b) ** 2))


def test_jacobian_of_zeros():
    fit = st.least_squares(lambda x: np.ones(3), [1.0, 2.0], lambda x: np.zeros((3, 2)))
    assert fit.status == 1 and (fit.x == [1, 2]).all()  # every x is stationary


@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr"])
@pytest.mark.parametrize("scale", [1e12, 1e-12])
def test_columns_of_any_scale(scale, linear_solver):
    s = np.array([scale, 1 / scale])
    fit = st.least_squares(
        lambda x: ROSENBROCK.residual(x * s),
        ROSENBROCK.start / s,
        lambda x: ROSENBROCK.jacobian(x * s) * s,
        linear_solver=linear_solver,
    )
    np.testing.assert_allclose(fit.x * s, 1, rtol=1e-7)


@pytest.mark.parametrize("unit", [1e-120, 1e-100, 1e100, 1e150])
def test_residuals_in_units_near_the_ends_of_the_range(unit):
    fit = st.least_squares(lambda x: unit * ROSENBROCK.residual(x), ROSENBROCK.start)
    assert fit.success
    np.testing.assert_allclose(fit.x, 1, rtol=1e-6)


def test_squares_beyond_the_range():
    with pytest.raises(ValueError, match="or the sum of their squares is not; start .* scale them"):
        st.least_squares(lambda x: 1e200 * x, [1.0])
    with pytest.raises(ValueError, match="or its columns' squared norms are not"):
        st.least_squares(lambda x: x - 2, [1.0], lambda x: np.array([[1e200]]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_at_the_start(value):
    for loss in ("linear", "huber", "arctan", "tukey"):
        none = r"^Residuals are not finite in the initial point: none is, residuals\[0\] is "
        with pytest.raises(ValueError, match=none):
            st.least_squares(lambda x: x * value, [1.0], loss=loss)
        for bad, more in ([3], ""), ([3, 5], ", and 1 more"), (range(1, 9), ", and 7 more"):
            weight = np.ones(9)
            weight[bad] = value
            words = rf"initial point: residuals\[{bad[0]}\] is {value}{more}; start where they are"
            with pytest.raises(ValueError, match=words):
                st.least_squares(lambda x, w=weight: x * w, [1.0], loss=loss)
    with pytest.raises(ValueError, match="jac: not finite at x0"):
        st.least_squares(lambda x: x - 2, [1.0], lambda x: np.array([[value]]))
    with pytest.raises(ValueError, match=r"x0, .*: column 1 \(by differences: .* x\[1\] away"):
        st.least_squares(lambda x: x[0] + (0 if x[1] == 1 else value), [1.0, 1.0])
    with pytest.raises(ValueError, match=r"x0: x0\[1\] is"):
        st.least_squares(identity, [1.0, value])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["lm", "levenberg", "gn"])
def test_not_finite_at_a_trial_is_a_rejected_step(value, method):
    rejected = []

    def fun(x):
        if x[0] > 3.5:
            rejected.append(1)
            return np.array([value, value])
        return np.array([np.exp(x[0]) - np.exp(3), 0.1 * (x[0] - 3)])

    fit = st.least_squares(fun, [0.0], "3-point", method=method)
    assert rejected and fit.success
    np.testing.assert_allclose(fit.x, 3, rtol=1e-6)


@pytest.mark.parametrize("points", [1, 3])
def test_not_finite_anywhere_else_is_no_success(points):
    told = []

    def fun(x):
        told.append(x[0])
        return x**2 if len(told) <= points else x * np.nan

    fit = st.least_squares(fun, [3.0], lambda x: np.diag(2 * x))
    assert fit.status == -1 and not fit.success and fit.nit == points - 1
    assert fit.x == told[points - 1] and np.isfinite(fit.cost)
    assert "finite" in fit.message


@pytest.mark.parametrize("linear_solver", ["auto", "qr", "cg"])
@pytest.mark.parametrize("dtype, unit", [(np.float64, 1e-170), (np.float32, 1e-25)])
def test_squares_that_underflow_at_the_start_are_named(dtype, unit, linear_solver):
    unit, x0 = dtype(unit), ROSENBROCK.start.astype(dtype)

    def fit(unit_of_f, unit_of_jac):
        return st.least_squares(
            lambda x: unit_of_f * ROSENBROCK.residual(x).astype(dtype),
            x0,
            lambda x: unit_of_jac * ROSENBROCK.jacobian(x).astype(dtype),
            linear_solver=linear_solver,
        )

    with pytest.raises(ValueError, match="jac: the squares of its entries underflow at x0"):
        fit(unit, unit)
    for nothing in (fit(dtype(0), unit), fit(unit, dtype(0))):  # a minimum, whatever its unit
        assert nothing.success and nothing.nit == 0
    assert fit(unit, dtype(1)).success


def test_integer_start():
    np.testing.assert_allclose(st.least_squares(ROSENBROCK.residual, [-1, 1]).x, 1)


@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr", "cg"])
def test_float32_is_computed_in_float32(linear_solver):
    seen = set()

    def fun(x):
        seen.add(x.dtype)
        return ROSENBROCK.residual(x).astype(np.float32)

    x0 = ROSENBROCK.start.astype(np.float32)
    for jac in ("2-point", lambda x: ROSENBROCK.jacobian(x).astype(np.float32)):
        fit = st.least_squares(fun, x0, jac, linear_solver=linear_solver)
        assert seen == {np.dtype(np.float32)} and fit.x.dtype == fit.jac.dtype == np.float32
        assert fit.success
        np.testing.assert_allclose(fit.x, 1, atol=2e-3)


def test_exceptions_and_interrupts_propagate():
    for error in (ZeroDivisionError("mine"), KeyboardInterrupt()):
        calls = []

        def fun(x, error=error, calls=calls):
            calls.append(1)
            if len(calls) == 3:
                raise error
            return ROSENBROCK.residual(x)

        with pytest.raises(type(error)) as caught:
            st.least_squares(fun, ROSENBROCK.start, ROSENBROCK.jacobian)
        assert caught.value is error


def test_functions_that_keep_reuse_or_change_what_they_are_handed():
    f_buffer, J_buffer, kept = np.empty(2), np.empty((2, 2)), []

    def fun(x):
        kept.append(x)
        f_buffer[:] = ROSENBROCK.residual(x)
        J_buffer[:] = ROSENBROCK.jacobian(x)  # both at once, as simulators do
        x[:] = np.nan
        return f_buffer

    def jac(x):
        x[:] = np.nan
        return J_buffer

    fit = st.least_squares(fun, ROSENBROCK.start, jac)
    want = st.least_squares(ROSENBROCK.residual, ROSENBROCK.start, ROSENBROCK.jacobian)
    np.testing.assert_array_equal(fit.x, want.x)
    np.testing.assert_array_equal(fit.jac, want.jac)
    J_buffer[:] = 0
    np.testing.assert_array_equal(fit.jac, want.jac)
    assert len({id(x) for x in kept}) == len(kept)


@pytest.mark.parametrize("keep", [np.ravel, memoryview, np.from_dlpack, lambda x: [x]])
def test_an_x_that_is_kept_through_another_object_stays_as_it_is(keep):
    kept, seen = [], []

    def fun(x):
        seen.append(tuple(x))
        kept.append(keep(x))
        return ROSENBROCK.residual(x)

    st.least_squares(fun, ROSENBROCK.start, ROSENBROCK.jacobian)
    assert [tuple(np.asarray(x).ravel()) for x in kept] == seen


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")  # from NumPy 2.5 on
@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x.setflags(write=False),
        lambda x: x.__setattr__("shape", (2, 1)),
        lambda x: x.__setattr__("dtype", np.int64),
        lambda x: x.resize(5, refcheck=False),
    ],
)
def test_an_x_that_is_spoilt_is_not_handed_out_again(spoil):
    def fun(x):
        f = ROSENBROCK.residual(x)
        spoil(x)
        return f

    fit = st.least_squares(fun, ROSENBROCK.start, ROSENBROCK.jacobian)
    np.testing.assert_allclose(fit.x, 1)


def test_ill_conditioned_problem_changes_to_qr():
    t = np.linspace(0, 1, 30)
    A = np.vander(t, 13)  # condition number 1e9: JᵀJ is singular in double precision
    true = np.ones(13)
    fits = {
        name: st.least_squares(
            lambda x: A @ x - A @ true, np.zeros(13), lambda x: A, linear_solver=name
        )
        for name in ("auto", "qr")
    }
    for fit in fits.values():
        np.testing.assert_allclose(fit.x, true, atol=1e-4)


def test_a_dead_column_does_not_slow_the_others():
    """Jennrich and Sampson: e^(i x) of one parameter vanishes, the other comes from far."""
    i = np.arange(1.0, 11)
    with np.errstate(all="ignore"):
        fit = st.least_squares(
            lambda x: 2 + 2 * i - np.exp(i * x[0]) - np.exp(i * x[1]),
            [3.0, 4.0],
            lambda x: np.stack([-i * np.exp(i * x[0]), -i * np.exp(i * x[1])], 1),
        )
    assert fit.success and fit.nfev < 100


# D² and 1/D² left the range: fits ended where they began, or never. From 1e-10 on λ₀ left the first
# variable where it was, and the radius of a step that failed thus kept it there.
@pytest.mark.parametrize("method", ["lm", "levenberg"])
@pytest.mark.parametrize(
    ("dtype", "x_scale"),
    [
        (np.float64, [1e200, 1]),
        (np.float64, [1e-10, 1]),
        (np.float64, [1e-15, 1]),
        (np.float64, [1e-200, 1]),
        (np.float64, [1e200, 1e200]),
        (np.float64, [1e-200, 1e-200]),
        (np.float32, [1e30, 1]),
        (np.float32, [1e-20, 1e-20]),
    ],
)
def test_scales_whose_squares_leave_the_range(method, dtype, x_scale):
    t = np.linspace(0, 4, 30)
    y = 2.5 * np.exp(-1.3 * t) + 0.01 * np.cos(40 * t)
    fit = st.least_squares(
        lambda p: (p[0] * np.exp(-p[1] * t) - y).astype(dtype),
        np.ones(2, dtype),
        x_scale=x_scale,
        method=method,
    )
    assert fit.success
    np.testing.assert_allclose(fit.x, [2.5, 1.3], rtol=0.01)


@pytest.mark.parametrize(("dtype", "x_scale"), [(np.float64, 1e-200), (np.float32, 1e-25)])
def test_a_scale_whose_damping_only_zero_resolves(dtype, x_scale):
    """Its first step moves no variable but the one at zero, and the cost not at all."""
    t = np.linspace(0, 1, 9)
    fit = st.least_squares(
        lambda p: (p[0] * np.exp(p[1] * t) - 2 * np.exp(-t)).astype(dtype),
        np.array([1, 0], dtype),
        x_scale=x_scale,
    )
    np.testing.assert_allclose(fit.x, [2, -1], rtol=1e-3)


@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr"])
def test_a_column_of_zeros_whose_damping_underflows(linear_solver):
    one, x_scale = np.ones(2, np.float32), [1e19, 1e-19]
    A = np.array([[0, 1], [0, 2], [0, 3]], np.float32)
    options = dict(linear_solver=linear_solver, x_scale=x_scale)
    fit = st.least_squares(lambda x: A @ x - A[:, 1] * 5, one, lambda x: A, **options)
    assert fit.success
    np.testing.assert_allclose(fit.x, [1, 5], rtol=1e-5)


def test_bounds_beyond_float32_are_none():
    fit = st.least_squares(lambda x: x - 2, np.ones(2, np.float32), bounds=(-1e300, 1e300))
    np.testing.assert_allclose(fit.x, 2, rtol=1e-6)
    r = st.minimize(lambda x: (((x - 2) ** 2).sum(), 2 * x - 4), np.ones(2, np.float32), jac=True,
                    bounds=[(0, 1e300)] * 2)  # fmt: skip
    np.testing.assert_allclose(r.x, 2, rtol=1e-5)


@pytest.mark.parametrize("name, status", [("ftol", 2), ("xtol", 3), ("gtol", 1)])
def test_each_tolerance_alone_ends_a_fit(name, status):
    alone = {"ftol": None, "xtol": None, "gtol": None, name: 1e-8}
    t = np.linspace(0, 3, 20)
    y = np.exp(-0.8 * t) + 0.05 * np.cos(9 * t)
    fit = st.least_squares(
        lambda p: np.exp(-p[0] * t) - y, [1.0], lambda p: -t[:, None] * np.exp(-p[0] * t[:, None]),
        **alone,
    )  # fmt: skip
    assert fit.status == status
    with pytest.warns(UserWarning, match=f"`{name}` below the machine epsilon"):
        with pytest.raises(ValueError, match="at least one must be higher"):
            st.least_squares(identity, [1.0, 1.0], **{**alone, name: 1e-17})


def test_a_tolerance_below_that_of_float32_is_raised_to_it():
    fit = st.least_squares(
        lambda x: x**2 - 2, np.ones(3, np.float32), ftol=1e-12, xtol=1e-12, gtol=1e-12
    )
    assert fit.success
    np.testing.assert_allclose(fit.x, np.sqrt(2), rtol=1e-5)


HUGE = 10**400  # an integer that no float holds


@pytest.mark.parametrize("option", ["x_scale", "diff_step"])
def test_integers_beyond_float64_are_refused(option):
    with pytest.raises(ValueError, match=f"^{option}: 1000"):
        st.least_squares(lambda x: x - 1, [2.0], **{option: HUGE})


def test_no_number_of_evaluations_is_too_large():
    assert st.least_squares(lambda x: x - 1, [2.0], max_nfev=HUGE).success


@pytest.mark.parametrize("bounds", [None, 3])
def test_bounds_that_are_no_pair_are_named(bounds):
    with pytest.raises(TypeError, match=f"bounds: {bounds}; expected a pair"):
        st.least_squares(lambda x: x - 1, [2.0], bounds=bounds)
    with pytest.raises(TypeError, match=f"bounds: {bounds}; expected a pair"):
        st.curve_fit(lambda t, a: a * t, [1.0, 2, 3], [1.0, 2, 3], bounds=bounds)


class NoArray:
    """As a tensor of PyTorch that requires grad."""

    def __array__(self, *_, **__):
        raise ZeroDivisionError("no")


@pytest.mark.parametrize(
    "fun, x0, options, error, message",
    [
        (
            [1.0, 1.0],
            identity,
            {},
            TypeError,
            r"fun: \[1.0, 1.0\] is a list; expected a callable",
        ),
        (lambda x: None, [1.0], {}, TypeError, r"fun: got None; .* without `return` gives None"),
        (
            identity,
            [1.0],
            dict(jac=lambda x: None),
            TypeError,
            "jac: got None; .* without `return`",
        ),
        (lambda x: (x, np.eye(1)), [1.0], {}, ValueError, r"fun: .*for \(f, J\) pass jac=True"),
        (lambda x: [1, [2, 3]], [1.0], {}, ValueError, r"fun: \[1, \[2, 3\]\] is not an array"),
        (
            lambda x: NoArray(),
            [1.0],
            {},
            TypeError,
            "fun: this NoArray cannot become an array: Zero.*: no",
        ),
        (
            identity,
            NoArray(),
            {},
            TypeError,
            "x0: this NoArray cannot become an array: ZeroDivisionError",
        ),
        (identity, None, {}, ValueError, "x0: got None; expected real numbers"),
        (identity, [1.0], dict(args=3), TypeError, "args: 3; expected a tuple"),
        (identity, [1.0], dict(kwargs=[1]), TypeError, r"kwargs: \[1\]; expected a dict"),
        (identity, [1.0, 1.0], dict(bounds=[(0, 9)] * 2), ValueError, "each for all parameters"),
        (identity, [1.0], dict(jac=np.eye(99)), ValueError, r"jac: array.{,250}\.\.\.; expected"),
    ],
)
def test_mistakes_of_a_first_call_are_named(fun, x0, options, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        st.least_squares(fun, x0, **options)
