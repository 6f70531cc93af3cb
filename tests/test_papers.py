"""The references themselves, against identities that the papers state or imply."""

import numpy as np
import pytest

import papers
from steepest import rules
from table import CLASSES, RULES

rng = np.random.default_rng(7)
THETA = rng.normal(size=5)
GRADS = rng.normal(size=(12, 5))


def test_the_table_has_every_class_once_and_every_reference():
    assert len(CLASSES) == len({rule.cls for rule in RULES})
    assert {rule.cls for rule in CLASSES} == set(rules.__all__)
    assert {rule.cls.lower() for rule in CLASSES} == {rule.function for rule in CLASSES}


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_states_are_those_of_the_table(rule):
    _, state = rule.paper(THETA, GRADS, **rule.kwargs)
    assert set(state) - {"step", "mu_product"} == set(rule.states)
    assert state["step"] == len(GRADS)


@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_none_pauses_the_tensor_and_skipped_the_step(rule):
    hyper = {**rule.kwargs, "ema_decay": 0.5}
    plain, state = rule.paper(THETA, GRADS, **hyper)
    paused, paused_state = rule.paper(THETA, [*GRADS[:5], None, *GRADS[5:]], **hyper)
    skipped, skipped_state = rule.paper(THETA, [*GRADS[:5], papers.SKIPPED, *GRADS[5:]], **hyper)
    assert np.array_equal(plain, paused) and np.array_equal(plain, skipped)
    assert np.array_equal(state["ema"], skipped_state["ema"])
    assert not np.array_equal(state["ema"], paused_state["ema"])  # it still averaged


def test_nesterov_stored_form_is_the_two_point_recursion():
    hessian = np.diag([1.0, 4.0, 0.3, 2.0, 9.0])
    schedule = [0.05, 0.08, 0.02, 0.1, 0.04, 0.07]
    iterates, v = papers.nesterov_two_point(
        THETA, lambda x: hessian @ x, steps=6, lr=schedule.__getitem__, momentum=0.8
    )
    stored, grads = THETA, []
    for k, iterate in enumerate(iterates):
        grads.append(hessian @ stored)
        stored, state = papers.nesterov(THETA, grads, lr=schedule.__getitem__, momentum=0.8)
        back = papers.nesterov_iterate(stored, state["velocity"], lr=schedule[k], momentum=0.8)
        np.testing.assert_allclose(back, iterate, rtol=0, atol=1e-15)
    np.testing.assert_allclose(state["velocity"], v, rtol=0, atol=1e-15)


def test_both_places_of_the_learning_rate_agree_while_it_is_constant():
    for rule in (papers.momentum, papers.nesterov):
        inside, _ = rule(THETA, GRADS, lr=0.05, lr_in_velocity=True)
        outside, state = rule(THETA, GRADS, lr=0.05, lr_in_velocity=False)
        np.testing.assert_allclose(inside, outside, rtol=0, atol=1e-14)
    back = papers.nesterov_iterate(
        outside, state["velocity"], lr=0.05, momentum=0.9, lr_in_velocity=False
    )
    np.testing.assert_allclose(outside - back, -0.05 * 0.9 * state["velocity"], atol=1e-15)


def test_centered_second_moment_is_the_variance():
    _, centered = papers.rmsprop(THETA, GRADS, beta=0.7, centered=True)
    _, plain = papers.rmsprop(THETA, GRADS, beta=0.7)
    variance = plain["square_avg"] - centered["grad_avg"] ** 2
    np.testing.assert_allclose(centered["grad_var"], variance, rtol=0, atol=1e-15)


def test_adam_first_step_by_hand():
    theta, state = papers.adam(np.array([1.0]), [np.array([2.0])], lr=0.1, eps=0.5)
    assert theta == pytest.approx(1 - 0.1 * 2 / (2 + 0.5), abs=1e-15)
    theta, state = papers.adam(np.array([1.0]), [np.array([2.0])], lr=0.1, bias_correction=False)
    assert theta == pytest.approx(1 - 0.1 * 0.2 / (np.sqrt(0.004) + 1e-8), abs=1e-15)


def test_adagrad_counts_from_the_first_step():
    theta, _ = papers.adagrad([0.0], [[3.0], [4.0]], lr=1.0, lr_decay=1.0, eps=0.0)
    assert theta == pytest.approx([-1 - 0.5 * 4 / 5])


def test_radam_is_not_rectified_in_its_first_five_steps():
    one = [np.ones(1)] * 6  # constant gradient: m_hat = 1, so an unrectified step is lr
    thetas = [papers.radam([0.0], one[:n], lr=1.0)[0][0] for n in range(7)]
    np.testing.assert_allclose(np.diff(thetas)[:5], -1, atol=1e-12)
    assert -0.1 < np.diff(thetas)[5] < 0


def test_clip_is_over_all_tensors_and_after_unscaling():
    grads, norm = papers.unscale_and_clip(
        [np.array([6.0]), None, np.array([8.0, 0.0])], grad_scale=2.0, max_norm=1.0
    )
    assert norm == 5.0 and grads[1] is None
    np.testing.assert_allclose(np.hstack([grads[0], grads[2]]), [0.6, 0.8, 0.0])
    assert papers.unscale_and_clip([np.array([3.0])], max_norm=5.0)[0][0] == 3.0


def test_train_skips_non_finite_steps_and_still_counts_calls():
    asked = []

    def lr(call):
        asked.append(call)
        return 0.1

    steps = [[np.ones(2)], [np.array([1.0, np.nan])], [np.ones(2)]]
    [(theta, state)], norms, skipped = papers.train(
        papers.sgd, [np.zeros(2)], steps, nonfinite="skip", lr=lr
    )
    assert skipped == 1 and state["step"] == 2 and len(norms) == 2 and asked == [0, 1, 2]
    np.testing.assert_allclose(theta, -0.2)


def test_rounded_keeps_flags_and_the_learning_rate():
    hyper = papers.rounded(dict(lr=0.1, betas=(0.9, 0.999), amsgrad=True), np.float32)
    assert hyper["lr"] == 0.1 and hyper["amsgrad"] is True
    assert hyper["betas"] == (float(np.float32(0.9)), float(np.float32(0.999)))
