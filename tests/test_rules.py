"""Every rule, option and stage against the papers' formulas, and the forms of one rule."""

from __future__ import annotations

import numpy as np
import pytest

import papers
import steepest as st
from runs import make, problem
from table import CLASSES, RULES, STAGES, STEP_STAGES

DTYPES = (np.float32, np.float64)
SIZES = (1003, 1, 17, 0)  # odd: a vector body and a tail
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-13}


def expected(rule, dtype, thetas, grads, stages, step_stages):
    hyper = papers.rounded({**rule.kwargs, **stages}, dtype)
    step_stages = {k: v for k, v in step_stages.items() if k != "zero_grad"}
    return papers.train(rule.paper, thetas, grads, **step_stages, **hyper)


@pytest.mark.parametrize("step_stages", STEP_STAGES, ids=str)
@pytest.mark.parametrize("stages", STAGES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_steps_follow_the_paper(rule, dtype, stages, step_stages):
    if "weight_decay" in rule.kwargs and "weight_decay" in stages:
        stages = {k: v for k, v in stages.items() if k != "weight_decay"}
    thetas, grads = problem(dtype, SIZES, steps=12)
    ends, norms, skipped = expected(rule, dtype, thetas, grads, stages, step_stages)
    params = [theta.copy() for theta in thetas]
    opt = make(rule, params, **stages)
    for step in grads:
        opt.step([g.copy() for g in step], **step_stages)
    state = opt.state_dict()["state"]
    # Uncorrected, a gradient near 0 makes as long a step as any, of either sign.
    tolerance = TOLERANCE[dtype] * (1 if rule.kwargs.get("bias_correction", True) else 20)
    for i, (theta, want) in enumerate(ends):
        assert set(state[i]) == set(want)
        pairs = [(params[i], theta), *((state[i][name], value) for name, value in want.items())]
        for got, due in pairs:
            atol = tolerance * (1 + np.abs(due).max(initial=0))
            np.testing.assert_allclose(got, due, rtol=0, atol=atol)
        if "ema_decay" in stages:
            assert opt.ema[i].tobytes() == state[i]["ema"].tobytes()
    assert opt.skipped == skipped == 0
    assert opt.step_count == len(grads)
    if "max_norm" in step_stages:
        np.testing.assert_allclose(opt.grad_norm, norms[-1], rtol=1e-7)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_missing_gradient_leaves_its_tensor_and_step_alone(rule):
    thetas, grads = problem(np.float64, SIZES, steps=12)
    for k in (0, 3, 4):
        grads[k][1] = None
    grads[5][0] = None
    ends, _, _ = expected(rule, np.float64, thetas, grads, dict(ema_decay=0.5), {})
    params = [theta.copy() for theta in thetas]
    opt = make(rule, params, ema_decay=0.5)
    for step in grads:
        opt.step(step)
    state = opt.state_dict()["state"]
    for i, (theta, want) in enumerate(ends):
        np.testing.assert_allclose(params[i], theta, rtol=0, atol=1e-12)
        assert state[i]["step"] == want["step"]
        np.testing.assert_allclose(opt.ema[i], want["ema"], rtol=0, atol=1e-12)
    assert opt.step_count == len(grads)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_functional_is_the_same_rule(rule, dtype):
    """Bit for bit, from the state arrays of the class."""
    (theta,), grads = problem(dtype, sizes=(101,), steps=12)
    p, q = theta.copy(), theta.copy()
    opt = make(rule, p)
    start = rule.kwargs.get("initial_accumulator_value", 0)
    states = [np.full_like(q, start) for _ in rule.states]
    hyper = {k: v for k, v in rule.kwargs.items() if k != "initial_accumulator_value"}
    function = getattr(st.functional, rule.cls.lower())
    for t, (g,) in enumerate(grads, 1):
        opt.step(g)
        carried = function(q, g, *states, step=t, **hyper)
        if carried is not None:
            hyper["mu_product"] = carried
    assert p.tobytes() == q.tobytes()
    for name, state in zip(rule.states, states, strict=True):
        assert opt.state_dict()["state"][0][name].tobytes() == state.tobytes()


def test_functional_takes_arrays_by_name():
    g, (p, m, v), (p2, m2, v2) = np.ones(3), np.zeros((3, 3)), np.zeros((3, 3))
    st.functional.adam(p, g, m, v, step=1)
    st.functional.adam(g=g, p=p2, exp_avg_sq=v2, exp_avg=m2, step=1)
    assert (p < 0).all() and np.array_equal([p, m, v], [p2, m2, v2])
    st.functional.adam(p, g, m, v, step=2)
    st.functional.adam(p2, g, m2, exp_avg_sq=v2, step=2)
    assert np.array_equal([p, m, v], [p2, m2, v2])


LAYOUTS = {
    "c": lambda a: a,
    "f": lambda a: np.asfortranarray(a),
    "nothing": lambda a: a[:0],
    "scalar": lambda a: a[0, 0, 0, ...],
    "axes": lambda a: np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2),
    "backwards": lambda a: a[::-1],
    "subclass": lambda a: a.reshape(5, 6).view(np.matrix),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_functional_takes_any_layout(layout, monkeypatch):
    """Plain arrays by one call into C++, others by way of a plan, with the same bits."""
    plain = layout in ("c", "f", "nothing", "scalar")
    by_plan, seen = st.functional._step_by_plan, []
    monkeypatch.setattr(st.functional, "_step_by_plan", lambda *a: seen.append(1) or by_plan(*a))
    rng = np.random.default_rng(3)
    numbers = rng.standard_normal((4, 2, 3, 5)).astype(np.float32)
    arrays = [LAYOUTS[layout](a.copy()) for a in numbers]
    copies = [np.array(a).ravel() for a in arrays]
    for p, g, m, v in (arrays, copies):
        np.abs(v, out=v)
        g.flags.writeable = False
        st.functional.adam(p, g, m, v, step=3, lr=0.1)
    for a, b in zip(arrays, copies, strict=True):
        assert np.array(a).tobytes() == b.tobytes()
    assert len(seen) == (0 if plain else 1)
    assert layout == "nothing" or (copies[0] != numbers[0].ravel()[: copies[0].size]).any()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_nesterov_is_the_two_point_recursion(momentum):
    """v' = βv − α∇L(θ + βv), θ' = θ + v', on a quadratic with unequal curvatures."""
    curvature = np.array([0.1, 1.0, 7.0])
    start = np.array([1.0, -2.0, 3.0])
    steps = 40
    iterates, _ = papers.nesterov_two_point(
        start, lambda x: curvature * x, steps=steps, lr=0.05, momentum=momentum
    )
    p = start.copy()
    opt = st.Nesterov(p, lr=0.05, momentum=momentum)
    for _ in range(steps):
        opt.step(curvature * p)
    np.testing.assert_allclose(opt.iterates(), iterates[-1], rtol=1e-12)


def test_iterates_by_the_last_steps_rate_and_momentum():
    for in_velocity in (True, False):
        p = np.array([1.0, -2.0])
        opt = st.Nesterov(p, lr=0.1, momentum=0.5, lr_in_velocity=in_velocity)
        np.testing.assert_array_equal(opt.iterates(), p)
        opt.step(p.copy())
        before = opt.iterates()
        opt.lr, opt.param_groups[0]["momentum"] = 7.0, 0.1
        np.testing.assert_array_equal(opt.iterates(), before)
        np.testing.assert_allclose(before, [0.9, -1.8], rtol=1e-14)


def test_iterates_do_not_meet_the_callers_error_mode():
    """np.errstate(all="raise") made them raise where β times a velocity is denormal."""
    p = np.zeros(2, np.float32)
    opt = st.Nesterov(p, lr=1.0, momentum=0.3)
    opt.step(np.array([2e-38, 1.0], np.float32))
    with np.errstate(all="raise"):
        theta = opt.iterates()
    np.testing.assert_allclose(theta, [-2e-38, -1.0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
def test_one_minus_beta_comes_from_the_rounded_beta(dtype):
    """float32(0.999) is 0.99900001: beside 0.001, v would settle 1.3e-5 above a constant g²."""
    opt = st.Adam(np.zeros(1, dtype))
    opt.step(np.ones(1, dtype))
    v = opt.state_dict()["state"][0]["exp_avg_sq"][0]
    assert v == dtype(1 - float(dtype(0.999)))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("cls", ["Adam", "AMSGrad", "AdamW", "AdaMax"])
def test_bias_corrections_come_from_the_rounded_betas(cls, dtype):
    """Of a constant gradient the corrected moments are g and g² at every step: θ falls by α."""
    p = np.zeros(1, dtype)
    opt = getattr(st, cls)(p, lr=1.0, weight_decay=0.0, eps=0.0)
    for step in range(1, 4):
        opt.step(np.full(1, 3.0, dtype))
        np.testing.assert_allclose(p, [-step], rtol=max(4 * np.finfo(dtype).eps, 1e-12))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
def test_mu_of_nadam_is_of_the_rounded_beta_and_exact(dtype):
    """The engine's own e^x, which is the same on every machine, is as good as the C library's."""
    beta = float(dtype(0.9))
    for decay in [0, *np.geomspace(1e-3, 2e4, 400)]:
        p, g, m, v = np.zeros((4, 1), dtype)
        mu = st.functional.nadam(p, g, m, v, step=1, momentum_decay=decay)
        np.testing.assert_allclose(mu, beta * (1 - 0.5 * 0.96**decay), rtol=4e-16)


def test_nadam_carries_a_product_for_each_array():
    """Two arrays after as many steps of their own, but by another decay of the momentum."""
    arrays, g = [np.ones(2) for _ in range(4)], np.ones(2)
    both, alone = st.NAdam(arrays[:2], lr=0.1), [st.NAdam([p], lr=0.1) for p in arrays[2:]]
    for decay, grads in ((0.004, [g, None]), (2.0, [None, g]), (0.1, [g, g])):
        for opt in (both, *alone):
            opt.momentum_decay = decay
        both.step(grads)
        for opt, grad in zip(alone, grads, strict=True):
            opt.step([grad])
    assert [p.tobytes() for p in arrays[:2]] == [p.tobytes() for p in arrays[2:]]
    assert arrays[0][0] != arrays[1][0]


def test_centered_rmsprop_of_a_constant_gradient_is_finite():
    p = np.zeros(5, np.float32)
    opt = st.RMSProp(p, centered=True, eps=1e-8)
    for _ in range(500):
        opt.step(np.full(5, 0.1, np.float32))
    assert np.isfinite(p).all()


def test_decoupled_decay_too_small_for_one_minus_it():
    p = np.full(1, 2.0, np.float32)
    opt = st.AdamW(p, lr=1e-4, weight_decay=1e-4)  # 1 - 1e-8 is 1 in float32
    for _ in range(10):
        opt.step(np.zeros(1, np.float32))
    assert p[0] == np.float32(2.0)  # each decay rounds away beside 2 ...
    p64 = np.full(1, 2.0)
    st.AdamW(p64, lr=1e-4, weight_decay=1e-4).step(np.zeros(1))
    assert p64[0] == 2.0 - 1e-8 * 2.0  # ... but is there


def test_radam_before_the_switch_survives_an_overflow():
    """v overflows in float32, but the unrectified step does not look at it."""
    p = np.zeros(1, np.float32)
    st.RAdam(p, lr=1.0).step(np.full(1, 1e30, np.float32))
    np.testing.assert_allclose(p, [-1e30], rtol=1e-6)


@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_schedule_is_asked_with_the_number_of_earlier_calls(rule):
    asked = []

    def lr(step):
        asked.append(step)
        return 0.1 / (1 + step)

    (theta,), grads = problem(np.float64, sizes=(33,), steps=6)
    grads[2][0] = np.full(33, np.nan)
    told = [papers.SKIPPED if np.isnan(g).any() else g for (g,) in grads]
    want, _ = rule.paper(theta, told, **{**rule.kwargs, "lr": lr})
    asked.clear()
    p = theta.copy()
    opt = make(rule, p, lr=lr)
    for (g,) in grads:
        opt.step(g, nonfinite="skip")
    assert asked == list(range(6))
    assert (opt.step_count, opt.skipped) == (5, 1)
    np.testing.assert_allclose(p, want, rtol=0, atol=1e-12)


# --- what the docstrings say to users of other packages ---


def test_adagrads_initial_value_can_hold_an_eps_inside_the_root():
    p, s, rng = np.zeros(5), 0.1, np.random.default_rng(0)
    opt, want = st.Adagrad(p, lr=0.5, initial_accumulator_value=0.1 + 0.01, eps=0.0), np.zeros(5)
    for _ in range(4):
        g = rng.standard_normal(5)
        opt.step(g)
        s = s + g * g
        want -= 0.5 * g / np.sqrt(s + 0.01)
    np.testing.assert_allclose(p, want, rtol=1e-13)


def test_nadam_with_a_large_momentum_decay_has_mu_equal_to_beta1():
    p, m, v, rng = np.zeros(5), 0.0, 0.0, np.random.default_rng(0)
    opt, want = st.NAdam(p, lr=0.5, betas=(0.8, 0.9), momentum_decay=1e9), np.zeros(5)
    for t in range(1, 5):
        g = rng.standard_normal(5)
        opt.step(g)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        ahead = 0.8 * m / (1 - 0.8 ** (t + 1)) + 0.2 * g / (1 - 0.8**t)
        want -= 0.5 * ahead / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)
    np.testing.assert_allclose(p, want, rtol=1e-12)


def test_running_means_can_start_with_the_first_step():
    p = np.zeros(2)
    opt = st.SGD(p, lr=1.0, ema_decay=0.75)
    opt.param_groups[0]["ema_decay"] = 0
    opt.step(-np.ones(2))
    assert opt.ema.tolist() == [1.0, 1.0]
    opt.param_groups[0]["ema_decay"] = 0.75
    opt.step(-np.ones(2))
    assert opt.ema.tolist() == [1.25, 1.25]
