"""Full steps, which may rise: the lowest point is the answer, and the message names the cause."""

import numpy as np
import pytest
from fullbatch_methods import START
from scipy.optimize import rosen, rosen_der

import steepest as st

VALLEY = np.diag([1.0, 50.0])


def valley(x):
    return 0.5 * x @ VALLEY @ x, VALLEY @ x


def recorded(fun, seen):
    def recording(x):
        f, g = fun(x)
        seen.append((f, x.copy(), np.array(g)))
        return f, g

    return recording


def told(run, fun):
    while not run.done:
        run.tell(*fun(run.x))
    return run


FULL = [
    ({"method": "gd", "lr": 0.05}, valley, [1.0, 1.0]),
    ({"method": "gd", "lr": 0.005}, lambda x: (rosen(x), rosen_der(x)), [-1.2, 1]),
    ({"method": "gd", "lr": 0.05, "max_nfev": 4}, valley, [1.0, 1.0]),
    ({"method": "l-bfgs", "line_search": None}, lambda x: (rosen(x), rosen_der(x)), START),
    ({"method": "bfgs", "line_search": None}, lambda x: (rosen(x), rosen_der(x)), START),
]


@pytest.mark.parametrize(("options", "fun", "x0"), FULL)
def test_the_lowest_point_is_the_answer(options, fun, x0):
    seen = []
    r = st.minimize(recorded(fun, seen), np.array(x0, float), jac=True, **options)
    f, x, g = min(seen, key=lambda point: point[0])
    assert r.success == ("lr" not in options)
    if not r.success:
        last = seen[-1][0]
        assert r.message.endswith(f"; x is the lowest point, the last had f = {last:g}")
    assert r.fun == f
    np.testing.assert_array_equal(r.x, x)
    np.testing.assert_array_equal(r.jac, g)


def test_while_it_runs_the_points_are_those_it_goes_through():
    run, values = st.GradientDescent([1.0, 1.0], lr=0.05), []
    while not run.done:
        x = run.x
        run.tell(*valley(x))
        values.append(run.f)
        if not run.done:
            np.testing.assert_array_equal(run.best_x, x)
    assert values[:-1] == sorted(values[:-1]) and run.f == values[0] == 25.5
    for x in (run.x, run.best_x):
        np.testing.assert_array_equal(x, [1, 1])
    np.testing.assert_array_equal(run.g, [1, 50])
    assert run.optimality == 50


def test_a_run_that_converged_answers_where_it_did():
    """Even if it has come through a lower valley."""
    fun = lambda x: (float(x @ x) / 2 - 9 * (0.5 < x[0] < 1.5), x)  # noqa: E731
    r = st.minimize(fun, [4.0], jac=True, method="gd", lr=0.5, gtol=1e-3)
    assert r.success and abs(r.x[0]) <= 1e-3 and r.fun > -1e-3 and "lowest" not in r.message


def test_a_run_that_the_callback_stops_answers_with_the_lowest_point():
    def callback(intermediate_result):
        if intermediate_result.nit == 5:
            assert intermediate_result.fun > 25.5
            raise StopIteration

    r = st.minimize(valley, [1.0, 1.0], jac=True, method="gd", lr=0.05, callback=callback)
    assert (r.status, r.fun, r.nit) == (99, 25.5, 5)


def test_a_saved_run_knows_its_lowest_point():
    run = st.GradientDescent([1.0, 1.0], lr=0.05)
    for _ in range(4):
        run.tell(*valley(run.x))
    state, other = run.state_dict(), st.GradientDescent([0.0, 0.0], lr=0.05)
    other.load_state_dict(state)
    assert told(other, valley).f == told(run, valley).f == 25.5
    f, x, g = state["passed"]
    other.load_state_dict(st.GradientDescent([0.0, 0.0], lr=0.05).state_dict())
    assert other.state_dict()["passed"] is None and not other.done
    for passed, message in [
        ((f, x), r"\(25.5, array.*; expected f, x and g, or None"),
        ("f", "'f'; expected f, x and g, or None"),
        ((f, x, g[:1]), r"shape \(1,\); expected \(2,\)"),
        (("f", x, g), "'f' is a str; expected a real number"),
    ]:
        with pytest.raises((TypeError, ValueError), match=r"^state_dict\['passed'\]: " + message):
            other.load_state_dict({**state, "passed": passed})
    boxed = st.GradientDescent([0.0, 0.0], lr=0.05, bounds=[(-9, 0.5), (-9e9, 9e9)])
    state["workspace"][:] = 0
    with pytest.raises(ValueError, match=r"^state_dict\['passed'\]: x is outside the bounds"):
        boxed.load_state_dict(state)


LOWER = "the steps are too long; lower lr, or use a line search"
SEARCH = "the steps are too long; use a line search"


def quiet(fun):
    def calling(x):
        with np.errstate(all="ignore"):
            return fun(x)

    return calling


@pytest.mark.parametrize(
    ("fun", "x0", "options", "status", "message"),
    [
        (valley, [1, 1], {"lr": 0.05}, 2, f"f = 83131.6 has not fallen for 10 iterations: {LOWER}"),
        (  # the limit 2/L
            lambda x: (x @ x / 2, x),
            [3, 4],
            {"lr": 2.0},
            2,
            f"f = 12.5 has not fallen for 10 iterations: {LOWER}",
        ),
        (
            lambda x: (rosen(x), rosen_der(x)),
            [-1.2, 1],
            {"lr": 0.1},
            3,
            f"the slope along the step is -inf: {LOWER}",
        ),
        (
            lambda x: (rosen(x), rosen_der(x)),
            [-1.2, 1],
            {"lr": 0.01},
            3,
            f"f is inf after a full step: {LOWER}",
        ),
        (
            lambda x: (x[0] * np.arctan(x[0]) - np.log(np.hypot(1, x[0])), np.arctan(x)),
            [2],
            {
                "method": "newton",
                "line_search": None,
                "hess": lambda x: np.diag(np.hypot(1, x) ** -2.0),
            },
            2,
            SEARCH,
        ),
        (
            lambda x: (0.0 if x[0] == 1 else -1.0, [1.0 if x[0] == 1 else np.nan]),
            [1],
            {"lr": 0.1},
            3,
            f"the slope is nan after a full step: {LOWER}",
        ),
        (
            lambda x: (x @ x, -2 * x),
            [1],
            {"lr": 0.1},
            2,
            "changes by 11.7 where the gradients at both ends predict -11.7: check the gradient",
        ),
        (
            lambda x: (1e6 + x @ x, 2 * x),
            [1],
            {"lr": 0.1, "gtol": 0},
            2,
            "hardly lowered f = 1e+06: rounding hides the rest",
        ),
        (
            lambda x: (np.float64(np.float32(1e6 + x @ x)), 2 * x),
            [1e-2],
            {"lr": 1e-3},
            2,
            "hardly lowered f = 1e+06: rounding hides the rest",
        ),
    ],
)
def test_what_is_wrong_with_the_steps_is_named(fun, x0, options, status, message):
    x0 = np.array(x0, float)
    r = st.minimize(quiet(fun), x0, jac=True, **{"method": "gd", **options})
    assert r.status == status and message in r.message, r.message


@pytest.mark.parametrize("jac", [None, "3-point"])
def test_better_differences_do_not_shorten_steps_that_are_too_long(jac):
    """They were looked for, along steps of the far point that the run had come to."""
    r = st.minimize(lambda x: valley(x)[0], [1.0, 1.0], jac=jac, method="gd", lr=0.05)
    assert (r.nit, r.njev, r.fun) == (10, 11, 25.5) and LOWER in r.message
    r = st.minimize(quiet(rosen), [-1.2, 1.0], jac=jac, method="gd", lr=0.1)
    assert (r.status, r.fun) == (3, rosen(np.array([-1.2, 1.0]))) and LOWER in r.message


@pytest.mark.parametrize("lr", [0.05, 0.04])
def test_f_that_rises_has_not_converged_by_ftol(lr):
    r = st.minimize(valley, [1.0, 1.0], jac=True, method="gd", lr=lr, ftol=1e-3)
    assert r.status == (2 if lr == 0.05 else 0)


def test_ftol_says_what_it_was_compared_with():
    fun = lambda x: (1e-6 * (x @ x), 2e-6 * x)  # noqa: E731
    r = st.minimize(fun, [1.0, 1.0], jac=True, method="gd", lr=1e4, ftol=1e-6, gtol=0.0)
    assert r.message == "f fell by 7.92e-08, which is at most ftol max(|f|, 1) = 1e-06"


def test_a_plateau_above_the_lowest_point_is_no_end_by_ftol():
    """A clipped loss does not change where steps that are too long have led to: that was success,
    with the highest value of all."""
    r = st.minimize(
        lambda x: (min(float(x @ x), 5.0), 2 * x),
        np.ones(1), jac=True, method="gd", lr=1.5, ftol=1e-6,
    )  # fmt: skip
    assert not r.success and r.fun == 1 and "too long" in r.message
