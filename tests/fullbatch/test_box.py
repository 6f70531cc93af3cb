"""L-BFGS in a box: its directions, against those by a dense matrix."""

import array_api_strict as strict
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st
from problems.mgh import PROBLEMS
from steepest import _cpu


def step_on(free, pairs, g):
    """-B_FF⁻¹ g_F by BFGS updates of B from I/γ (Nocedal & Wright 2006, (6.19)), the oldest pair
    first; and γ, from the newest pair on the free variables."""
    pairs = [(s, y) for s, y in pairs if s @ y > 0]
    if not pairs:
        gamma = 1 / np.linalg.norm(g[free])
        return -gamma * g[free], gamma
    s, y = pairs[-1]
    gamma = (s @ y) / (y[free] @ y[free])
    b = np.eye(g.size) / gamma
    for s, y in pairs:
        bs = b @ s
        b += np.outer(y, y) / (s @ y) - np.outer(bs, bs) / (s @ bs)
    return -np.linalg.solve(b[np.ix_(free, free)], g[free]), gamma


def compiled(x0, **options):
    return st.LBFGS(x0, **options)


def in_python(x0, **options):
    run = st.LBFGS(x0, **options)
    run._compiled = False
    return run


def elsewhere(x0, **options):
    return st.LBFGS(strict.asarray(x0), **options)


@pytest.mark.parametrize("make", [compiled, in_python, elsewhere])
@pytest.mark.parametrize("history", [3, 20])
def test_the_step_is_that_of_all_pairs_on_the_free_variables(make, history):
    """Also of older ones, whose products were taken over others, and whose steps moved what is held
    now."""
    rng = np.random.default_rng(2)
    root = rng.standard_normal((12, 12))
    a = root @ root.T / 12 + 0.1 * np.eye(12)
    b = a @ rng.uniform(-0.5, 1.5, 12)
    run = make(np.full(12, 0.5), bounds=[(0, 1)] * 12, history=history, gtol=1e-6)
    xs, gs, frees, compared = [], [], [], 0
    while not run.done:
        nit, x = run.nit, np.asarray(run.x)
        g = a @ x - b
        run.tell(0.5 * x @ a @ x - b @ x, g if make is not elsewhere else strict.asarray(g))
        if run.nit > nit or not xs:
            xs.append(np.asarray(run.best_x))
            gs.append(np.asarray(run.g))
        if run.done or run.nit == nit:
            continue
        x, g = xs[-1], gs[-1]
        frees.append(free := ~(((x <= 0) & (g > 0)) | ((x >= 1) & (g < 0))))
        room = np.where(g > 0, x, 1 - x)[free]
        assert room.min() > 1e-3  # what is nearer may count as held
        pairs = [(xs[i + 1] - xs[i], gs[i + 1] - gs[i]) for i in range(len(xs) - 1)][-history:]
        step, gamma = step_on(free, pairs, g)
        d = -gamma * g
        d[free] = step
        np.testing.assert_allclose(np.asarray(run.x), np.clip(x + d, 0, 1), rtol=0, atol=1e-9)
        compared += len(frees) > 1 and len(pairs) > 1 and (free != frees[-2]).any()
    assert run.success and compared >= 4


@pytest.mark.parametrize("spoiled", ["negative", "nan"])
def test_pairs_without_curvature_and_those_that_break_the_matrix_are_left_out(spoiled):
    def pairs_of(first):
        """Two, of which one variable is held."""
        s, y = np.array([first, [0.5, -1.0, 2.0]]), np.array([[1.0, 1.0, 0.5], [1.0, -2.0, 5.0]])
        free, pairs, d = np.array([True, True, False]), _cpu.BoxPairs(2, 0), 4
        for k in range(2):
            columns = np.stack([y[k] * free, s[k] * ~free], axis=1)
            d = pairs.append(np.concatenate([s[: k + 1], y[: k + 1]]) @ columns, d)
        g = np.array([1.0, 2.0, 0.0])
        return pairs, s, y, np.concatenate([s, y, [g]]) @ g[:, None]

    pairs, s, y, on_g = pairs_of([-1.0, -1.0, 0.0] if spoiled == "negative" else [1.0, 1.0, 0.0])
    if spoiled == "nan":
        pairs.sums[2, 0] = np.nan  # y₀ · y₀
    c, gamma = pairs.direction(on_g, 1.0)
    assert c[0, 0] == c[0, 2] == 0 and gamma == s[1] @ y[1] / (y[1, :2] @ y[1, :2])
    step, _ = step_on(np.arange(2), [(s[1], y[1])], np.array([1.0, 2.0, 0.0]))
    d = (c[0] @ np.concatenate([s, y, [[1.0, 2.0, 0.0]]]))[:2]
    np.testing.assert_allclose(d, step, rtol=1e-13)
    pairs.sums[:] = np.nan
    assert pairs.direction(on_g, 0.25)[1] == 0.25


@pytest.mark.parametrize("make", [compiled, in_python, elsewhere])
def test_a_corner_close_by_takes_one_step(make):
    """It is no farther than x is long; what is farther is approached by a step of length 1."""

    def asked(size, x0):
        run, at = make(np.array(x0), bounds=[(-size, size)] * 3), []
        center, weights = np.array([-3.0, 3.0, -3.0]) * size, np.array([1.0, 40.0, 500.0])
        while not run.done:
            at.append(np.asarray(run.x))
            g = weights * (at[-1] - center)
            run.tell(g @ (at[-1] - center) / 2, g if make is not elsewhere else strict.asarray(g))
        assert run.success
        np.testing.assert_array_equal(at[-1], [-size, size, -size])
        return at

    assert len(asked(2.0, [-1.0, 1.5, -1.5])) == 2
    assert len(asked(0.5, [0.0, 0.0, 0.0])) == 2
    first, second = asked(9.0, [1.0, 1.0, 1.0])[:2]
    assert np.isclose(np.linalg.norm(second - first), 1)


@pytest.mark.parametrize("make", [compiled, in_python, elsewhere])
@pytest.mark.parametrize("upper", [None, [None, 9, 9, 9]], ids=str)
def test_a_first_step_does_not_fall_into_the_corner_of_single_bounds(make, upper):
    """Moré, Garbow and Hillstrom's Penalty I (23): at 0 it is 0.031 and |g| no more than gtol."""
    run = make(np.arange(1.0, 5), bounds=[(0, high) for high in upper or [None] * 4])
    while not run.done:
        x = np.asarray(run.x)
        off, g = x @ x - 0.25, 1e-5 * (x - 1)
        g += 2 * off * x
        f = (1e-5 * ((x - 1) @ (x - 1)) + off * off) / 2
        run.tell(f, g if make is not elsewhere else strict.asarray(g))
    assert run.success and run.f < 1.3e-5


def test_what_the_compiled_iteration_refuses():
    w, g = np.ones((9, 3)), np.ones(3)
    free = np.ones(3, bool)
    bounds = (np.zeros(3), np.full(3, 4.0), np.full(3, 1e-3), free)
    line = (1.0, -1.0, 1.0, 1e-4, 0.9, 1e-16)
    for pairs, rows, sides, error, message in [
        (_cpu.BoxPairs(2, 5), (0, 2, 1, 9), bounds, ValueError, "picks: row 9 of a workspace of 9"),
        (_cpu.BoxPairs(2, 6), (0, 2, 1, 4), bounds, ValueError, "picks: row 9 of a workspace of 9"),
        (_cpu.BoxPairs(2, 5), (0, 2, 1), bounds, ValueError, "rows: expected four"),
        (
            _cpu.BoxPairs(2, 5),
            (0, 2, 1, 4),
            (g[:2], *bounds[1:]),
            ValueError,
            r"lower: expected contiguous arrays \(n,\)",
        ),
        (
            _cpu.BoxPairs(2, 5),
            (0, 2, 1, 4),
            (*bounds[:2], g.astype("f4"), free),
            ValueError,
            "near: expected the dtype of the matrix",
        ),
        (
            _cpu.BoxPairs(2, 5),
            (0, 2, 1, 4),
            (*bounds[:3], np.ones(3)),
            ValueError,
            r"free: expected None or a contiguous array \(n,\) of bool",
        ),
        (
            _cpu.BoxPairs(2, 5),
            (0, 2, 1, 4),
            (*bounds[:3], free[:2]),
            ValueError,
            r"free: expected None or a contiguous array \(n,\) of bool",
        ),
    ]:
        with pytest.raises(error, match=message):
            pairs.advance(w, g, 1e-16, rows, sides)
        with pytest.raises(error, match=message):
            pairs.ordinary_iteration(w, 0.5, g, line, 0.0, rows, sides)
        assert pairs.count == 0
        np.testing.assert_array_equal(w, np.ones((9, 3)))
    with pytest.raises(ValueError, match="j: expected the number of a pair"):
        pairs.learn(0, np.ones((2, 2)))


@pytest.mark.parametrize("size", [1e160, 1e300])
def test_a_gradient_whose_square_overflows(size):
    """The first step is of length 1 in its largest element, not in the projected gradient's."""
    run = st.LBFGS(np.array([-1.2, 0.5]), bounds=[(-2, 0.5)] * 2)
    while not run.done:
        x = run.x
        g = size * np.array([40.0, 2.0]) * (x - [0.4, 3.0])
        run.tell(g @ (x - [0.4, 3.0]) / 2, g)
        assert run.nfev > 1 or np.isclose(np.abs(run.x - [-1.2, 0.5]).max(), 1)
    np.testing.assert_allclose(run.x, [0.4, 0.5], rtol=1e-9)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("cls", [compiled, in_python, elsewhere, st.GradientDescent, st.Newton])
@pytest.mark.parametrize("bounds", [[(0, 0), (-3, 3), (-3, 3)], [(0, 0), (-3, None), (None, 2)]])
def test_a_fixed_variable_has_no_say(cls, bounds, bad):
    """Whatever its derivative: that of a root at 0, say. The others end where they do alone."""

    def rosenbrock(x):
        t = x[1] - x[0] ** 2
        hess = np.array([[2 - 40 * (t - 2 * x[0] ** 2), -40 * x[0]], [-40 * x[0], 20.0]])
        return 10 * t**2 + (1 - x[0]) ** 2, np.array([-40 * x[0] * t - 2 + 2 * x[0], 20 * t]), hess

    array = strict.asarray if cls is elsewhere else np.asarray
    runs = cls(np.array([0.0, -1.0, 1.5]), bounds=bounds), cls([-1.0, 1.5], bounds=bounds[1:])
    for run, fixed in zip(runs, [True, False], strict=True):
        while not run.done:
            f, g, h = rosenbrock(np.asarray(run.x)[fixed:])
            g, h = (np.pad(v, [(fixed, 0)] * v.ndim, constant_values=bad) for v in (g, h))
            run.tell(f, array(g), *([h] if cls is st.Newton else []))
        assert run.success
    np.testing.assert_allclose(np.asarray(runs[0].x)[1:], np.asarray(runs[1].x), rtol=0, atol=1e-4)
    assert np.asarray(runs[0].x)[0] == np.asarray(runs[0].g)[0] == 0


@pytest.mark.parametrize("force", [1.0, 1e6])
@pytest.mark.parametrize("search", ["wolfe", "armijo"])
@pytest.mark.parametrize("method", ["gd", "l-bfgs"])
def test_a_variable_pushed_against_its_bound_does_not_slow_the_others(method, search, force):
    d = np.array([1.0, 10.0])

    def fun(z):
        x = z[:2]
        held = np.full(z.size - 2, force)
        return 0.5 * (d * (x - 1) ** 2).sum() + held @ z[2:], np.append(d * (x - 1), held)

    options = {"method": method, "line_search": search, "jac": True}
    alone = st.minimize(fun, np.zeros(2), bounds=[(None, None)] * 2, **options)
    beside = st.minimize(fun, np.zeros(3), bounds=[(None, None)] * 2 + [(0, None)], **options)
    assert alone.success and beside.success and beside.nfev == alone.nfev


def test_newton_by_products_where_held_variables_alone_have_a_gradient():
    """x₀ is near its bound, and x₁ at its minimum."""
    r = st.minimize(
        lambda x: x[0] + x[1] ** 2,
        np.array([1e-4, 0.0]),
        jac=lambda x: np.array([1.0, 2 * x[1]]),
        hessp=lambda x, p: np.array([0.0, 2 * p[1]]),
        method="newton",
        bounds=[(0, 1), (-1, 1)],
    )
    assert r.success and (r.x == 0).all()


@pytest.mark.parametrize("corner", [100.0, -1e4])
@pytest.mark.parametrize("method", ["gd", "l-bfgs", "newton"])
def test_a_box_far_from_0(method, corner):
    """What is near a bound is counted in units of the bound."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((12, 12))
    a, b = a @ a.T + np.eye(12), 5 * rng.standard_normal(12)
    options = {
        "jac": True,
        "method": method,
        "hess": (lambda *_: a) if method == "newton" else None,
    }
    runs = [
        st.minimize(
            lambda x, at: (0.5 * (x - at) @ a @ (x - at) - b @ (x - at), a @ (x - at) - b),
            np.full(12, at + 0.5), (at,), bounds=[(at, None)] * 12, **options,
        )
        for at in (0.0, corner)
    ]  # fmt: skip
    assert all(run.success for run in runs) and (runs[1].x == corner).sum() == 10
    np.testing.assert_allclose(runs[1].fun, runs[0].fun, rtol=1e-9)


@pytest.mark.parametrize(("method", "enough"), [("l-bfgs", 80), ("newton", 25)])
def test_bounds_that_the_answer_lies_on_do_not_slow_the_way_there(method, enough):
    """In Rosenbrock's valley all of x is near 1 long before it is there, and was held: gradient
    steps alone, 2,400 evaluations by "l-bfgs", and 31 to 52 by "newton"."""
    hess = rosen_hess if method == "newton" else None
    for seed in range(4):
        x0 = np.random.default_rng(seed).uniform(0.05, 0.5, 5)
        run = st.minimize(
            rosen, x0, method=method, jac=rosen_der, hess=hess, bounds=[(0, 1)] * 5, gtol=1e-6
        )
        assert run.success and run.nfev <= enough
        np.testing.assert_allclose(run.x, 1, rtol=1e-4)


def test_a_curvature_whose_inverse_overflows_is_no_warning():
    """Gradient steps of held variables are scaled by it."""
    run = st.minimize(
        lambda x: ((x - 1) ** 2).sum(),
        np.full(2, 0.3, "f4"),
        method="newton",
        jac=lambda x: 2 * (x - 1),
        hess=lambda x: np.eye(2, dtype="f4") * np.float32(1e-39),
        bounds=[(0, 0.5)] * 2,
    )
    assert run.success
    np.testing.assert_array_equal(run.x, 0.5)


def test_a_run_amid_rounding_in_a_box_ends():
    """Meyer's problem: where searches took a rise by rounding for none, 15,000 iterations."""
    meyer = next(p for p in PROBLEMS if p.number == 10)
    options = {"jac": meyer.gradient, "bounds": [(0, None)] * 3}
    run = st.minimize(meyer.value, meyer.start, **options)
    assert run.nfev < 1500 and run.fun < 87.9459


def test_a_box_for_a_tensor_is_quiet():
    """PyTorch warns where it is given a read-only array, as broadcast ones are."""
    torch = pytest.importorskip("torch")
    x0 = torch.zeros(3, dtype=torch.float64)
    r = st.minimize(
        lambda x: (float(x @ x - x.sum()), 2 * x - 1), x0, jac=True, bounds=[(0, 0.25)] * 3
    )
    assert r.x.tolist() == [0.25] * 3


@pytest.mark.parametrize(("dtype", "size", "gtol"), [("f4", 1e5, 1e-5), ("f8", 1e10, 1e-8)])
@pytest.mark.parametrize("method", ["gd", "l-bfgs", "newton"])
def test_a_gradient_far_smaller_than_x_counts_in_a_box(method, dtype, size, gtol):
    """x - g was x, so that x - P(x - g) was 0, and the start the answer, a success."""
    answer, scale = np.array(1.5 * size, dtype), 100 * gtol / size
    run = st.minimize(
        lambda x: 0.5 * scale * ((x - answer) ** 2).sum(),
        np.full(3, size, dtype),
        method=method,
        jac=lambda x: scale * (x - answer),
        hess=(lambda x: np.eye(3) * scale) if method == "newton" else None,
        bounds=[(0, None)] * 3,
        gtol=gtol,
    )
    assert run.success
    np.testing.assert_allclose(run.x, answer, rtol=0.02)


@pytest.mark.parametrize(("n", "force"), [(1, 50.0), (1, 1e4), (3, 1.0), (3, 50.0)])
def test_gradient_descent_from_bound_to_bound(n, force):
    """From one bound to the other, with the same f, and back: it ended there after ten steps."""
    d = force * np.arange(1.0, n + 1)
    run = st.minimize(
        lambda x: (0.5 * d @ x**2, d * x),
        np.full(n, -0.1), jac=True, method="gd", bounds=[(-0.1, 0.1)] * n,
    )  # fmt: skip
    assert run.success
    np.testing.assert_allclose(run.x, 0, atol=1e-4)
