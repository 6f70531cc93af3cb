"""Functions of the user that write every answer into the same memory, as simulators do."""

import numpy as np
import pytest

import steepest as st

T = np.linspace(0, 3, 30)
Y = 2 * np.exp(-1.1 * T)


def cauchy(z):
    return np.array([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])


class Reusing:
    """Residuals and Jacobian in buffers, which ``spoil`` overwrites."""

    def __init__(self):
        self.f, self.J = {}, np.empty((T.size, 2))

    def residual(self, p):
        f = self.f.setdefault(p.dtype, np.empty(T.size, p.dtype))
        f[:] = p[0] * np.exp(-p[1] * T) - Y
        return f

    def jacobian(self, p):
        self.J[:] = np.stack([np.exp(-p[1] * T), -T * p[0] * np.exp(-p[1] * T)], axis=1)
        return self.J

    def both(self, p):
        return self.residual(p), self.jacobian(p)

    def spoil(self, *_):
        for buffer in (*self.f.values(), self.J):
            buffer[:] = np.nan

    def cauchy(self, z):
        self.spoil()
        return cauchy(z)


def separate(p):
    return p[0] * np.exp(-p[1] * T) - Y


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), ([1.0, 0.5], [5.0, 5.0])])
@pytest.mark.parametrize("loss", ["linear", cauchy])
@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs"])
def test_differences(jac, loss, bounds):
    fit = st.least_squares(Reusing().residual, [1.0, 1.0], jac, loss=loss, bounds=bounds)
    want = st.least_squares(separate, [1.0, 1.0], jac, loss=loss, bounds=bounds)
    np.testing.assert_array_equal(fit.x, want.x)
    np.testing.assert_array_equal(fit.jac, want.jac)
    assert fit.nfev == want.nfev


def test_check_jacobian():
    def jac(p):
        J = reusing.jacobian(p)
        reusing.residual(p)[:] = p[:] = np.nan
        return J

    def residual(p):
        reusing.jacobian(p)
        f = reusing.residual(p)
        p[:] = np.nan  # a copy of its own
        return f

    reusing, x = Reusing(), np.ones(2)
    assert st.check_jacobian(residual, jac, x).error < 1e-9
    np.testing.assert_array_equal(x, 1)


@pytest.mark.parametrize("how", ["jacobian", "3-point", "2-point", "cs", "both", "told", "called"])
@pytest.mark.parametrize("own", [True, False])
def test_a_loss_that_evaluates_the_model_again(how, own):
    reusing = Reusing()
    f, J, loss = reusing.residual, reusing.jacobian, reusing.cauchy if own else "linear"
    if how in ("told", "called"):
        solver = st.LeastSquares([1.0, 1.0], loss=loss)
        while not solver.done:
            solver.tell(f(solver.x), J if how == "called" else J(solver.x))
        fit = solver.result()
    elif how == "both":
        fit = st.least_squares(reusing.both, [1.0, 1.0], True, loss=loss)
    else:
        fit = st.least_squares(f, [1.0, 1.0], J if how == "jacobian" else how, loss=loss)
    np.testing.assert_allclose(fit.x, [2, 1.1], rtol=1e-6)
    reusing.spoil()
    assert np.isfinite(fit.fun).all() and np.isfinite(fit.jac).all()


def test_a_jacobian_of_a_result_that_is_overwritten_while_the_fit_goes_on():
    """It was the solver's own: by "cg" a rejected step ended the fit where it stood."""

    def fit(spoils):
        s = st.LeastSquares([-1.2, 1.0], linear_solver="cg")
        while not s.done:
            a, b = s.x
            s.tell([10 * (b - a * a), 1 - a], [[-20 * a, 10], [-1, 0]])
            if spoils:
                s.result().jac[:] = np.nan
        return s.result()

    spoilt, want = fit(True), fit(False)
    np.testing.assert_array_equal(spoilt.x, want.x)
    np.testing.assert_array_equal(spoilt.jac, want.jac)


def test_lists_of_rows_are_copied_row_by_row():
    rows = [np.empty(2), np.empty(2)]

    def loss(z):
        rows[0][:] = rows[1][:] = np.nan
        return np.array([z, np.ones_like(z), np.zeros_like(z)])

    solver = st.LeastSquares([-1.2, 1.0], loss=loss)
    while not solver.done:
        a, b = solver.x
        rows[0][:], rows[1][:] = [-20 * a, 10], [-1, 0]
        solver.tell((10 * (b - a * a), 1 - a), rows)
    np.testing.assert_allclose(solver.x, [1, 1], rtol=1e-6)


def test_tensors_of_pytorch_are_copied_too():
    torch = pytest.importorskip("torch")
    buffer, t, y = torch.empty(30, dtype=torch.float64), torch.from_numpy(T), torch.from_numpy(Y)

    def fun(p):
        buffer[:] = p[0] * torch.exp(-p[1] * t) - y
        return buffer

    def loss(z):
        buffer[:] = float("nan")
        return cauchy(z)

    for jac in ("2-point", "3-point"):
        fit = st.least_squares(fun, [1.0, 1.0], jac, loss=loss)
        np.testing.assert_allclose(fit.x, [2, 1.1], rtol=1e-6)
