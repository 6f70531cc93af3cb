"""Numbers near the ends of their dtype's range, also under np.errstate(all="raise")."""

import warnings

import numpy as np
import pytest

import steepest as st

T = np.linspace(0, 3, 30)


def decay(scale):
    """Residuals and Jacobian of scale·exp(-1.1 t); their own arithmetic raises nothing."""

    @np.errstate(all="ignore")
    def fun(p):
        return p[0] * np.exp(-p[1] * T) - scale * np.exp(-1.1 * T)

    @np.errstate(all="ignore")
    def jac(p):
        return np.stack([np.exp(-p[1] * T), -p[0] * T * np.exp(-p[1] * T)], axis=1)

    return fun, jac


@np.errstate(all="ignore")
def cauchy(z):
    return np.array([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])


@pytest.mark.parametrize("jac", ["callable", "2-point", "3-point", "cs"])
@pytest.mark.parametrize("loss", ["linear", "tukey", cauchy])
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e150])
def test_what_numpy_is_told_to_raise_changes_no_fit(scale, loss, jac):
    fun, exact = decay(scale)

    def fit():
        fit = st.least_squares(
            fun,
            [scale * 1.5, 1.0],
            exact if jac == "callable" else jac,
            loss=loss,
            f_scale=max(scale * 1e-3, 1e-300),
            bounds=([-np.inf, 0], [np.inf, 10]),
            max_nfev=50,
        )
        return fit, fit.covariance(), fit.stderr()

    quiet = fit()
    with np.errstate(all="raise"):
        strict = fit()
    np.testing.assert_array_equal(strict[0].x, quiet[0].x)
    np.testing.assert_array_equal(strict[1], quiet[1])


@pytest.mark.parametrize("jac", ["callable", "2-point", "3-point"])
def test_a_trial_beyond_float32_is_rejected_without_a_warning(jac):
    seen = []

    def fun(x):
        x = x.astype(float)
        seen.append(x[0])
        return np.exp(100 * x) - 1

    def exact(x):
        return np.diag(100 * np.exp(100 * x.astype(float)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = np.array([-0.05], np.float32)
        fit = st.least_squares(fun, start, exact if jac == "callable" else jac, method="gn")
    assert max(seen) > np.log(np.finfo(np.float32).max) / 100  # the first step goes too far
    assert fit.success
    assert abs(fit.x[0]) < 1e-5


@pytest.mark.parametrize(
    ("dtype", "x", "unit"), [(np.float32, 6.6e-34, 1e18), (np.float64, 1e-300, 1e150)]
)
def test_the_complex_step_of_a_tiny_parameter_is_no_zero(dtype, x, unit):
    x, unit = dtype(x), dtype(unit)
    fit = st.least_squares(lambda p: unit * (p * (p / x) - 4 * x), np.array([x]), "cs")
    np.testing.assert_allclose(fit.x, 2 * x, rtol=1e-6)
    np.testing.assert_allclose(fit.jac, [[4 * unit]], rtol=1e-6)


@pytest.mark.parametrize("linear_solver", ["cholesky", "qr"])
@pytest.mark.parametrize("sizes", [(1e120, 1), (1, 1e140)])
def test_dampings_whose_products_leave_the_range(sizes, linear_solver):
    """JᵀJ is singular, so that the search for λ has a lower end. These ended by xtol on the way."""
    of_f, of_x = sizes

    def fun(x):
        a, b, c = x / of_x
        return of_f * np.array([10 * (b + c - a * a), 1 - a])

    def jac(x):
        return of_f / of_x * np.array([[-20 * x[0] / of_x, 10, 10], [-1, 0, 0]])

    x0 = of_x * np.array([-1.2, 0.5, 0.5])
    options = dict(method="levenberg", linear_solver=linear_solver, x_scale=of_x)
    fit = st.least_squares(fun, x0, jac, **options)
    np.testing.assert_allclose([fit.x[0], fit.x[1] + fit.x[2]], of_x, rtol=1e-6)
