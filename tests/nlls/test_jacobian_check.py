"""check_jacobian: which entry is wrong, and what is not held against a Jacobian."""

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning

import steepest as st
from problems.decay import X, Y, jacobian, model

TRUE = np.array([2.5, 1.3, 0.5])


def fun(p):
    return model(X, *p) - Y


def jac(p):
    return jacobian(X, *p)


def test_check_jacobian_names_the_worst_entry():
    def wrong(p):
        J = jac(p)
        J[7, 1] *= -1
        return J

    good, bad = st.check_jacobian(fun, jac, TRUE), st.check_jacobian(fun, wrong, TRUE)
    assert good.error == 0 and str(good).startswith("no entry of jac differs from")
    assert (bad.row, bad.column) == (7, 1) and bad.error > 1
    assert bad.by_differences == pytest.approx(jac(TRUE)[7, 1], rel=1e-6)
    assert "J[7, 1]" in str(bad)
    nothing = st.check_jacobian(fun, lambda p: 0 * jac(p), TRUE)
    assert nothing.error == pytest.approx(1) and nothing.by_jac == 0  # entirely wrong
    hidden = st.check_jacobian(lambda x: 1e8 + 0 * x, lambda x: np.diag(1e-9 * x), [1.0])
    assert hidden.error == 0  # what differences of 1e8 cannot show


@pytest.mark.parametrize(
    "noisy",
    [
        lambda f: f + 1e6,  # the rounding of its values
        lambda f: (f + 1e8) - 1e8,  # of what is inside
        lambda f: f * (1 + 1e-8 * np.sin(1e12 * f)),  # an integrator's tolerance, say
        lambda f: f.astype(np.float32),
    ],
)
def test_check_jacobian_does_not_blame_jac_for_noise_in_fun(noisy):
    def wrong(p):
        J = jac(p)
        J[7, 1] *= 1.1
        return J

    assert st.check_jacobian(lambda p: noisy(fun(p)), jac, TRUE).error == 0
    bad = st.check_jacobian(lambda p: noisy(fun(p)), wrong, TRUE)
    assert (bad.row, bad.column) == (7, 1) and 0.05 < bad.error < 0.1


def test_what_hides_large_residuals_does_not_hide_small_ones():
    """Differences of those at the end, 1e9, are off by more than the entries at the start are."""
    t = np.linspace(0, 10, 50)

    def growth(p):
        return p[0] * np.exp(p[1] * t)

    def slope(p):
        e = np.exp(p[1] * t)
        return np.stack([e, p[0] * t * e], axis=1)

    def wrong(p):
        J = slope(p)
        J[1, 1] *= -1
        return J

    assert st.check_jacobian(growth, slope, [2.0, 2.0]).error == 0
    bad = st.check_jacobian(growth, wrong, [2.0, 2.0])
    assert (bad.row, bad.column) == (1, 1) and bad.error > 1.5


def test_check_jacobian_hands_on_arguments_and_refuses_what_does_not_fit():
    def power(x, k, scale=1.0):
        return scale * x**k

    def slope(x, k, scale=1.0):
        return np.diag(scale * k * x ** (k - 1))

    check = st.check_jacobian(power, slope, [1.0, 2.0], args=(3,), kwargs={"scale": 5.0})
    assert check.error < 1e-6 and check.by_jac in (0, 15, 60)
    for name in ("args", "kwargs"):
        with pytest.raises(TypeError, match=f"^{name}: 3; expected a"):
            st.check_jacobian(power, slope, [1.0, 2.0], **{name: 3})
    with pytest.raises(ValueError, match=r"jac: shape \(1, 2\); expected \(2, 2\)"):
        st.check_jacobian(lambda x: x, lambda x: np.ones((1, 2)), [1.0, 2.0])
    with pytest.raises(ValueError, match="fun: residuals are not finite at x"):
        st.check_jacobian(lambda x: x * np.nan, lambda x: np.eye(1), [1.0])
    for x, why in (
        (["a"], "dtype <U1"),
        (None, "got N"),
        ([[1.0]], "shape"),
        ([], "no parameters"),
    ):
        with pytest.raises(ValueError, match=f"^x: {why}"):
            st.check_jacobian(lambda x: x, lambda x: np.eye(1), x)


def told(fit):
    return fit.message.endswith("check it with `check_jacobian`, and its sign.")


def by_blocks(pair):
    return lambda x: (
        (f[rows], J[rows]) for f, J in [pair(x)] for rows in (slice(9), slice(9, None))
    )


@pytest.mark.parametrize("xtol", [1e-8, 1e-12])
@pytest.mark.parametrize("method", ["lm", "levenberg"])
@pytest.mark.parametrize("form", ["exact", "pair", "blocks", "told"])
def test_a_jacobian_of_the_wrong_sign_is_told(form, method, xtol):
    def fit(sign):
        def pair(x):
            return fun(x), sign * jac(x)

        options = {"method": method, "xtol": xtol}
        if form == "exact":
            return st.least_squares(fun, np.ones(3), lambda x: pair(x)[1], **options)
        if form != "told":
            together = by_blocks(pair) if form == "blocks" else pair
            return st.least_squares(together, np.ones(3), True, **options)
        s = st.LeastSquares(np.ones(3), **options)
        while not s.done:
            s.tell(*pair(s.x))
        return s.result()

    wrong, right = fit(-1), fit(1)
    assert wrong.success and wrong.nit == 0 and told(wrong)  # SciPy's status
    assert right.success and not told(right)


def test_curve_fit_warns_of_a_jacobian_of_the_wrong_sign():
    with pytest.warns(OptimizeWarning, match="the cost rises along steps that should lower it"):
        popt, _ = st.curve_fit(model, X, Y, jac=lambda *x: -jacobian(*x))
    assert (popt == 1).all()


def test_a_right_jacobian_at_a_kink_is_not_blamed():
    fit = st.least_squares(
        lambda x: 1 + np.abs(x - 0.3), [5.0, 2.0], lambda x: np.diag(np.sign(x - 0.3)), ftol=None
    )
    assert fit.success and not told(fit)


def test_two_steps_that_are_nearly_one_are_no_proof_against_a_right_jacobian():
    """It came by chance: of 34,999 random fits in two."""
    A = np.array([
        [-2.380470294383276, 0.22008922739956172, 0.11588019124764261],
        [0.18647920648509786, 1.5405121332742848, 0.40480239381396793],
        [-0.8406291661774482, 0.6680641442588002, -0.18136149635539642],
        [-0.7988191776423002, 0.250704185053115, -0.7688414687988645],
    ])  # fmt: skip
    b = [-0.057744847998315196, 0.054709822103727546, 0.16510535206759375, 0.05666923466560108]
    x0 = [-0.9944721361835959, -0.5552372489368806, -2.738044106493339]
    fit = st.least_squares(lambda x: (A @ x) ** 3 - b, x0, lambda x: 3 * (A @ x)[:, None] ** 2 * A)
    assert not told(fit)
