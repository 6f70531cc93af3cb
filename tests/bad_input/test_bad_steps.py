"""What is wrong with a step's options, its schedule's rate or a call of `st.functional` is said,
with its place, and nothing is changed.

Every case asserts the message, and that parameters, state and counts are bitwise as before.
"""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from refusals import grads_of, says
from runs import snapshot

F4 = np.float32


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(grad_scale=0), ValueError, "grad_scale: 0.0 is not allowed; expected a finite num"),
        (dict(grad_scale=-1.0), ValueError, "grad_scale: -1.0 is not allowed"),
        (dict(grad_scale=np.nan), ValueError, "grad_scale: nan is not allowed"),
        (dict(grad_scale=np.inf), ValueError, "grad_scale: inf is not allowed"),
        (dict(grad_scale="2"), TypeError, "grad_scale: '2' is a str"),
        (dict(grad_scale=None), TypeError, "grad_scale: got None"),
        (dict(max_norm=-1), ValueError, "max_norm: -1.0 is not allowed"),
        (dict(max_norm=np.nan), ValueError, "max_norm: nan is not allowed"),
        (dict(max_norm=True), TypeError, "max_norm: True is a bool"),
        (
            dict(nonfinite="Skip"),
            ValueError,
            "nonfinite: 'Skip' is not allowed; expected one of 'propagate', 'skip', 'raise'",
        ),
        (dict(nonfinite=None), ValueError, "nonfinite: None is not allowed"),
        (dict(zero_grad=1), TypeError, "zero_grad: 1 is an int; expected True or False"),
    ],
    ids=str,
)
def test_bad_options_of_a_step(setup, options, error, message):
    opt, params, unchanged = setup
    with says(error, message):
        opt.step(grads_of(params), **options)
    unchanged()
    opt.bind_grads(grads_of(params))
    with says(error, message):
        opt.step(**options)
    unchanged()


@pytest.mark.parametrize("dtype, most", [(F4, 8.507059e37), (np.float64, 4.494e307)])
def test_grad_scale_whose_reciprocal_the_dtype_cannot_hold(dtype, most):
    """Zero divided by it was NaN, or whatever it divided 0."""
    p = np.zeros(3, dtype)
    opt = st.SGD([np.zeros(1), p], lr=1.0)
    for scale in (1.01 * most, 0.99 / most):
        with says(ValueError, f"grad_scale: {scale!r} is not allowed; expected a finite number"):
            opt.step([None, np.ones(3, dtype)], grad_scale=scale)
    assert not p.any() and opt.step_count == 0
    opt.step([None, np.full(3, most / 4, dtype)], grad_scale=0.99 * most)
    np.testing.assert_allclose(p, -0.25 / 0.99, rtol=1e-6)
    opt.step([None, np.full(3, 1 / most, dtype)], grad_scale=1.01 / most)
    np.testing.assert_allclose(p, -0.25 / 0.99 - 1 / 1.01, rtol=1e-6)


def test_schedule_whose_rate_the_dtype_cannot_hold():
    p = np.ones(3, F4)
    opt = st.SGD([{"params": np.ones(2)}, {"params": p}], lr=lambda step: 1e39)
    with says(
        ValueError,
        "lr(0): 1e+39 is not allowed; expected a finite number, at least 0, at most 3.40282e+38",
    ):
        opt.step([np.ones(2), np.zeros(3, F4)])
    assert (p == 1).all() and opt.step_count == 0
    st.SGD(np.ones(3), lr=lambda step: 1e39).step(np.ones(3))


def test_step_before_bind(setup):
    opt, params, unchanged = setup
    with says(TypeError, "grads: None, and none are bound; pass them or call bind_grads"):
        opt.step()
    unchanged()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_raise_names_the_first_array(setup, value):
    opt, params, unchanged = setup
    bad = grads_of(params)
    bad["layer1"][1][1, 2] = bad["layer2"]["w"][0] = value
    message = 'grads["layer1"][1]: not finite (contains NaN or infinity); no step was taken'
    for options in ({}, dict(max_norm=1.0), dict(zero_grad=True), dict(grad_scale=3.0)):
        with says(FloatingPointError, message):
            opt.step(bad, nonfinite="raise", **options)
        unchanged()
    assert np.isfinite(bad["layer1"][0]).all() and (bad["layer1"][0] == 1).all()  # not zeroed


BAD_SCHEDULES = [
    (lambda step: np.nan, ValueError, "lr(1): nan is not allowed"),
    (lambda step: -0.1, ValueError, "lr(1): -0.1 is not allowed"),
    (lambda step: np.inf, ValueError, "lr(1): inf is not allowed"),
    (lambda step: "fast", TypeError, "lr(1): 'fast' is a str"),
    (lambda step: None, TypeError, "lr(1): got None"),
    (lambda step: 1 / 0, ZeroDivisionError, "division by zero"),
]


@pytest.mark.parametrize("lr, error, message", BAD_SCHEDULES)
def test_bad_schedule(setup, lr, error, message):
    opt, params, unchanged = setup
    opt.lr = 0.1
    groups = [{"params": np.ones(3), "lr": 0.1}, {"params": np.ones(2), "lr": lr}]
    two = st.Adam(groups)
    arrays = [group["params"] for group in groups]
    two.param_groups[1]["lr"] = 0.5
    two.step([np.ones(3), np.ones(2)])
    two.param_groups[1]["lr"] = lr
    before = snapshot(two, arrays)
    for _ in range(2):
        with says(error, message):
            two.step([np.ones(3), np.ones(2)])
        assert snapshot(two, arrays) == before
    unchanged()


def test_schedule_that_is_replaced_whenever_it_is_asked():
    """The step never ended."""

    def another():
        def rate(step):
            opt.lr = another()
            return 0.1

        return rate

    p = np.ones(3)
    opt = st.SGD(p, lr=another())
    with says(ValueError, "lr: a schedule was replaced 1000 times while being called; no step was"):
        opt.step(np.ones(3))
    assert (p == 1).all() and opt.step_count == 0
    opt.lr = 0.5
    opt.step(np.ones(3))
    assert (p == 0.5).all()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda f, p: f.adam(p, p.copy(), p.copy(), step=1),
            TypeError,
            "adam: 1 state array given",
        ),
        (lambda f, p: f.sgd(p, p.copy(), step=1), TypeError, "sgd: lr is missing"),
        (lambda f, p: f.sgd(p, p.copy(), step=1, lr=None), TypeError, "lr: got None; ex"),
        (lambda f, p: f.sgd(p, p.copy(), step=0, lr=0.1), ValueError, "step: 0 is not allowed"),
        (lambda f, p: f.sgd(p, p.copy(), step=1.0, lr=0.1), TypeError, "step: 1.0 is a float"),
        (lambda f, p: f.sgd(p, p.copy(), step=2**70, lr=0.1), ValueError, f"step: {2**70} is not"),
        (lambda f, p: f.sgd(p, p, step=1, lr=0.1), ValueError, "g: shares memory with p"),
        (
            lambda f, p: f.momentum(p, p.copy(), p[:], step=1, lr=0.1),
            ValueError,
            "velocity: shares memory with p",
        ),
        (lambda f, p: f.sgd(p, p[:2].copy(), step=1, lr=0.1), ValueError, "g: shape (2,) differs"),
        (
            lambda f, p: f.momentum(p, p.copy(), p.astype(F4), step=1, lr=0.1),
            TypeError,
            "velocity: dtype float32 differs from the parameter's float64; pass what began as np.",
        ),
        (
            lambda f, p: f.momentum(p, p.copy(), p[::-1].copy()[::-1], step=1, lr=0.1),
            ValueError,
            "velocity: strides (-8,) differ from the parameter's (8,); pass what began as np.zeros",
        ),
        (
            lambda f, p: f.momentum(p, p.copy(), np.frombuffer(bytes(24)), step=1, lr=0.1),
            ValueError,
            "velocity: read-only; pass a writeable array",
        ),
        (
            lambda f, p: f.momentum(p, p.copy(), np.broadcast_to(0.0, 3), step=1, lr=0.1),
            ValueError,
            "velocity: read-only; pass a writeable array",
        ),
        (
            lambda f, p: f.sgd(p.astype("f4"), p.astype("f4"), step=1, lr=1e39),
            ValueError,
            "lr: 1e+39 is infinite in float32",
        ),
        (lambda f, p: f.sgd([p], p, step=1, lr=0.1), TypeError, "p: got a list; expected an array"),
        (lambda f, p: f.sgd(p=p, step=1, lr=0.1), TypeError, "sgd() missing 1 required positional"),
        (
            lambda f, p: f.adam(p, p.copy(), p.copy(), exp_avg=p.copy(), step=1),
            TypeError,
            "adam: 1 state array given and, by name, exp_avg; expected 2: exp_avg, exp_avg_sq",
        ),
        (
            lambda f, p: f.sgd(p, p.copy(), velocity=p.copy(), step=1, lr=0.1),
            TypeError,
            "sgd: 0 state arrays given and, by name, velocity; expected 0: none",
        ),
        (
            lambda f, p: f.momentum(p, p.copy(), velocity=p[:2].copy(), step=1, lr=0.1),
            ValueError,
            "velocity: shape (2,) differs",
        ),
        (
            lambda f, p: f.sgd(p, None, step=1, lr=0.1),
            TypeError,
            "g: got None; expected an array",
        ),
        (
            lambda f, p: f.sgd(p, p.copy(), step=1, lr=0.1, eps=1),
            TypeError,
            "sgd: 'eps' is not one",
        ),
        (
            lambda f, p: f.sgd(p, p.copy(), step=1, lr=0.1, mu_product=1.0),
            TypeError,
            "sgd: 'mu_product' is not one of its keywords",
        ),
        (
            lambda f, p: f.sgd(p, p.copy(), step=1, lr=lambda s: 0.1),
            TypeError,
            "lr: got a callable; expected a number, the rate of this step",
        ),
        (
            lambda f, p: f.nadam(p, p.copy(), p.copy(), p.copy(), step=2),
            TypeError,
            "nadam: mu_product is missing: pass what the step before returned",
        ),
        (
            lambda f, p: f.nadam(p, p.copy(), p.copy(), p.copy(), step=2, mu_product=1.5),
            ValueError,
            "mu_product: 1.5 is not allowed; expected a finite number, at least 0, at most 1",
        ),
    ],
)
def test_bad_calls_of_functional(call, error, message):
    p = np.arange(3.0)
    with says(error, message):
        call(st.functional, p)
    assert p.tolist() == [0, 1, 2]


def test_functional_does_not_take_false_for_a_zero_that_it_knows():
    p, g, m, v = np.zeros((4, 3))
    st.functional.adam(p, g, m, v, step=1, betas=(0.5, 0))
    with says(TypeError, "betas[1]: False is a bool; expected a finite number"):
        st.functional.adam(p, g, m, v, step=1, betas=(0.5, False))


def test_nonfinite_is_no_array_beside_bound_gradients():
    """It was NumPy's error of an array's truth, which names no argument."""
    opt = st.Adam(np.zeros(3))
    opt.bind_grads(np.ones(3))
    with says(ValueError, "nonfinite: array(["):
        opt.step(nonfinite=np.ones(3))
    opt.step(nonfinite="".join(["propa", "gate"]))  # equal, though not the same
    assert opt.step_count == 1
