"""A fit in another form than at its start, and what blocks of rows leave behind."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from problems import curves


def told_inside_out(fun, x0, jac, **options):
    s = st.LeastSquares(x0, **options)
    while not s.done:
        s.tell(fun(s.x), jac)
    return s.result()


def linear(z):
    return np.stack([z, np.ones_like(z), np.zeros_like(z)])


@pytest.mark.parametrize(
    "fit",
    [
        st.least_squares,
        lambda fun, x0, jac, **options: st.least_squares(
            lambda x: (fun(x), jac(x)), x0, True, **options
        ),
        lambda fun, x0, jac, **options: st.least_squares(fun, x0, jac, loss=linear, **options),
        told_inside_out,
    ],
    ids=["compiled", "jac=True", "a callable loss", "inside out"],
)
def test_jacobian_not_finite_at_an_accepted_point_goes_back(fit):
    told = []

    def jac(x):
        told.append(x[0])
        near = 1.8 < x[0] < 2.2 and len(told) == 2
        return np.array([[np.nan if near else 1 + 1e-9 * len(told)]])

    whole = fit(lambda x: x - 2, [0.0], jac)
    assert len(told) > 2 and told[1] != whole.x[0]
    np.testing.assert_allclose(whole.x, 2)
    assert whole.jac == 1 + 1e-9 * len(told)  # the last one
    told.clear()
    short = fit(lambda x: x - 2, [0.0], jac, max_nfev=2)
    assert len(told) == 2 and short.x == 0 and short.jac == 1 + 1e-9  # not of the one given up


@pytest.mark.parametrize("form", ["strided", "unaligned", "swapped", "read-only"])
def test_a_start_in_another_form(form):
    plain = np.array([2.0, -1.0, 0.5])
    x0 = plain.copy()
    if form == "strided":
        x0 = np.repeat(plain, 2)[::2]
    elif form == "unaligned":
        x0 = np.frombuffer(b"_" + plain.tobytes(), offset=1)
    elif form == "swapped":
        x0 = plain.astype(plain.dtype.newbyteorder())
    else:
        x0.flags.writeable = False
    got, want = (st.least_squares(lambda x: np.sinh(x) - 0.1, start) for start in (x0, plain))
    assert got.x.tobytes() == want.x.tobytes()
    assert (x0 == plain).all()


def whole(s, f, J):
    s.tell(f, J)


def in_blocks(s, f, J):
    s.tell_blocks([(f[:3], J[:3]), (f[3:], J[3:])])


def normal(s, f, J):
    s.tell_normal(f @ f / 2, J.T @ J, J.T @ f)


@pytest.mark.parametrize(
    ("first", "then"),
    [(a, b) for a in (whole, in_blocks, normal) for b in (whole, in_blocks, normal) if a != b],
)
def test_a_fit_is_told_in_one_form(first, then):
    """Else the cost and the result were of residuals of different points."""
    J = np.random.default_rng(0).standard_normal((8, 2))
    s = st.LeastSquares([3.0, -2.0])
    first(s, J @ s.x - 1, J)
    before = s.x
    with pytest.raises(ValueError, match=r"fun: .*, .* at x0; a fit takes one of them"):
        then(s, J @ s.x - 1, J)
    np.testing.assert_array_equal(s.x, before)
    while not s.done:
        first(s, J @ s.x - 1, J)
    np.testing.assert_allclose(s.x, np.linalg.lstsq(J, np.ones(8), rcond=None)[0], rtol=1e-6)


def test_a_refused_jacobian_of_the_start_leaves_its_damping():
    """What the loss leaves of JᵀJ scaled it again with each."""
    points = []
    for refused in (0, 2):
        s = st.LeastSquares([1.0, 1.0], loss="cauchy")
        f = np.array([s.x[0] - 5, s.x[1] - 50, s.x[0] * s.x[1]])
        for _ in range(refused):
            with pytest.raises(ValueError, match="jac: not finite at x0"):
                s.tell(f, np.full((3, 2), np.nan))
        s.tell(f, np.array([[1.0, 0], [0, 1], [1, 1]]))
        points.append(s.x)
    np.testing.assert_array_equal(*points)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("method", ["lm", "levenberg"])
@pytest.mark.parametrize(("loss", "f_scale"), [("huber", 0.1), ("cauchy", 0.1), ("tukey", 3)])
def test_a_first_step_from_zero_is_not_far_too_long(loss, f_scale, method, blocks):
    """Where the loss has flattened all rows, JᵀJ and the size of x tell no length."""
    t = np.linspace(-1, 1, 12)
    y, tried = 2.0 + np.exp(0.1 * t), []

    def fun(x):
        tried.append(np.abs(x).max())
        f, J = x[0] + np.exp(x[1] * t) - y, np.stack([t**0, t * np.exp(x[1] * t)], axis=1)
        return iter([(f[:5], J[:5]), (f[5:], J[5:])]) if blocks else (f, J)

    fit = st.least_squares(fun, [0.0, 0.0], True, loss=loss, f_scale=f_scale, method=method)
    np.testing.assert_allclose(fit.x, [2.0, 0.1], rtol=1e-4)
    assert max(tried) < 10 and fit.nfev < 20


def test_blocks_that_broke_off_at_a_start_at_zero_leave_nothing():
    J, y = np.vander([0.0, 1.0, 2.0, 3.0], 2), np.array([90.0, 1.0, 2.0, 30.0])
    found = []
    for breaks in (False, True):
        s = st.LeastSquares([0.0, 0.0], loss="huber", f_scale=0.1)
        if breaks:
            with pytest.raises(TypeError, match="a block of rows is an int"):
                s.tell_blocks([(-y[:2], J[:2]), 3])
        points = []
        while not s.done:
            points.append(s.x)
            f = J @ s.x - y
            s.tell_blocks([(f[:2], J[:2]), (f[2:], J[2:])])
        found.append(np.array(points).tobytes())
    assert found[0] == found[1]


def test_a_list_of_residuals_and_jacobian_is_told_from_blocks():
    with pytest.raises(TypeError, match=r"is an ndarray; .*; \(f, J\) without blocks is a"):
        st.least_squares(lambda x: [x - 1, np.eye(2)], [0.0, 0.0], True)


@pytest.mark.parametrize("linear_solver", ["cholesky", "qr"])
@pytest.mark.parametrize("method", ["lm", "levenberg", "gn"])
@pytest.mark.parametrize("last", [1, None])
def test_the_covariance_after_blocks_is_by_exact_weights(method, linear_solver, last):
    """Also where steps are by others: at first, and with "gn" to the end."""
    A, y = np.vander(np.linspace(0, 3, 20), 3), np.cos(np.linspace(0, 9, 20)) + 1.5

    def blocks(x):
        yield from zip(np.split(A @ x - y, 2), np.split(A, 2), strict=True)

    def stop(intermediate_result):
        return intermediate_result.nit == last

    fit = st.least_squares(
        blocks,
        np.zeros(3),
        True,
        loss="soft_l1",
        method=method,
        linear_solver=linear_solver,
        callback=stop,
    )
    assert fit.success is (last is None)
    weight = (1 + (A @ fit.x - y) ** 2) ** -1.5  # ρ' + 2 ρ'' z
    due = np.linalg.inv(A.T @ (weight[:, None] * A))
    np.testing.assert_allclose(fit.covariance(absolute_sigma=True), due, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_blocks_under_a_loss_take_no_more_evaluations_than_all_rows_at_once():
    """They took 1.5 times as many: their rows had the cost's own curvature from the start on."""
    total = np.zeros(2, dtype=int)
    for seed, p in enumerate(curves.problems(1)):
        p = p.with_outliers(seed)

        def blocks(x, p=p):
            yield from zip(np.split(p.residual(x), 3), np.split(p.jacobian(x), 3), strict=True)

        options = {"loss": "soft_l1", "f_scale": p.noise()}
        whole = st.least_squares(p.residual, p.start, p.jacobian, **options)
        told = st.least_squares(blocks, p.start, True, **options)
        if np.isclose(whole.cost, told.cost, rtol=1e-6):
            total += whole.nfev, told.nfev
    assert total[1] < 1.1 * total[0]
