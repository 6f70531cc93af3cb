"""Gradients that overlap, are laid out badly, or cannot be written to."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from refusals import grads_of, says
from runs import make, snapshot
from table import CLASSES


def test_gradient_may_not_be_a_parameter_added_later():
    """It lay in a gap between arrays that the engine remembered."""
    memory = np.zeros(100)
    opt = st.SGD([memory[:10], memory[90:]], lr=0.1)
    opt.step([memory[20:30], memory[30:40]])
    opt.add_param_group({"params": memory[20:30]})
    with says(ValueError, "grads[0][0]: shares memory with a parameter or state; pass a copy"):
        opt.step([[memory[20:30], None], None])


@pytest.mark.parametrize("share", [lambda p: p, lambda p: p[:], lambda p: p.view()])
def test_gradient_that_is_the_parameter(setup, share):
    opt, params, unchanged = setup
    w = params["layer2"]["w"]
    for g in (share(w), opt.ema["layer2"]["w"], opt._states[2]["exp_avg"]):
        for step in (opt.step, opt.bind_grads):
            with says(
                ValueError, 'grads["layer2"]["w"]: shares memory with a parameter or state; pass'
            ):
                step(grads_of(params, layer2_w=g))
            unchanged()


def test_gradient_that_overlaps_a_parameter_in_part(setup):
    memory = np.ones(20)
    for lo, hi in ((0, 10), (1, 11), (9, 19), (10, 20)):
        p = memory[5:15].copy() * 0 + 2
        memory[5:15] = p
        opt = st.Momentum([memory[5:15]], lr=0.1)
        before = snapshot(opt, [memory])
        with says(ValueError, "grads[0]: shares memory with a parameter or state"):
            opt.step([memory[lo:hi]])
        assert snapshot(opt, [memory]) == before


BAD_GRADIENT = [
    (np.ones(4), "shape (4,) differs from the parameter's (5,)"),
    (np.ones((5, 1)), "shape (5, 1) differs from the parameter's (5,)"),
    (np.ones(()), "shape () differs from the parameter's (5,)"),
    (np.ones(10)[::2], "strides (16,) differ from the parameter's (8,); pass np.ascontiguous"),
    (np.ones(5)[::-1], "strides (-8,) differ from the parameter's (8,); pass np.ascontiguous"),
    (np.broadcast_to(np.ones(1), 5), "strides (0,) differ from the parameter's (8,)"),
    (np.zeros(41, np.uint8)[1:].view(np.float64), "not aligned to its elements"),
]


@pytest.mark.parametrize("g, message", BAD_GRADIENT, ids=lambda v: v if isinstance(v, str) else "")
def test_gradient_laid_out_badly(setup, g, message):
    opt, params, unchanged = setup
    for step in (opt.step, opt.bind_grads):
        with says(ValueError, 'grads["layer2"]["w"]: ' + message):
            step(grads_of(params, layer2_w=g))
        unchanged()


def test_fortran_order_beside_c_order():
    p = np.asfortranarray(np.ones((3, 4)))
    opt = st.SGD([p], lr=0.1)
    with says(ValueError, "grads[0]: strides (32, 8) differ from the parameter's (8, 24); pass np"):
        opt.step([np.ones((3, 4))])
    assert (p == 1).all()


LAYOUTS = [
    lambda a: np.asfortranarray(a),
    lambda a: a[::-1],
    lambda a: a[:, ::-1, ::-1],
    lambda a: a.transpose(2, 0, 1)[:, None],  # an axis whose stride says nothing
    lambda a: a.transpose(1, 2, 0)[::-1, :, ::-1],
    lambda a: a[:, None],
    lambda a: a.view(np.ndarray),
]


@pytest.mark.parametrize("lay", LAYOUTS)
@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_any_dense_layout_is_accepted_when_all_agree(rule, lay):
    rng = np.random.default_rng(0)
    theta, g = rng.standard_normal((2, 2, 3, 5))
    want = lay(theta).copy()
    flat = make(rule, want, ema_decay=0.5)
    p, grad = lay(theta), lay(g)
    opt = make(rule, p, ema_decay=0.5)
    for _ in range(3):
        flat.step(np.ascontiguousarray(grad))
        opt.step(grad)
    assert np.array_equal(p, want) and np.array_equal(opt.ema, flat.ema)
    entry, other = opt.state_dict()["state"][0], flat.state_dict()["state"][0]
    assert all(np.array_equal(entry[k], other[k]) for k in other)


def test_subclasses_and_memmaps_work(tmp_path):
    matrix = np.ones((2, 2)).view(np.matrix) if hasattr(np, "matrix") else np.ones((2, 2))
    mapped = np.memmap(tmp_path / "p.bin", np.float64, "w+", shape=(3,))
    opt = st.SGD([matrix, mapped], lr=1.0)
    opt.step([np.ones((2, 2)), np.ones(3)])
    assert (matrix == 0).all() and (mapped == -1).all()
    mapped.flush()
    assert (np.fromfile(tmp_path / "p.bin") == -1).all()
    readonly = np.memmap(tmp_path / "p.bin", np.float64, "r", shape=(3,))
    with says(ValueError, "params: read-only"):
        st.SGD(readonly, lr=1.0)
    opt.step([None, readonly])  # as a gradient it may be


def test_read_only_or_shared_gradients_cannot_be_zeroed(setup):
    opt, params, unchanged = setup
    g = np.ones(5)
    g.flags.writeable = False
    with says(ValueError, 'grads["layer2"]["w"]: read-only, so zero_grad cannot zero it'):
        opt.step(grads_of(params, layer2_w=g), zero_grad=True)
    unchanged()
    one = np.ones(8)
    pair = st.SGD([np.ones(5), np.ones(5)], lr=0.1)
    pair.step([one[:5], one[3:]])  # read twice: allowed
    with says(ValueError, "grads[1]: shares memory with another gradient; zero_grad cannot zero"):
        pair.step([one[:5], one[3:]], zero_grad=True)
    assert (one == 1).all() and pair.step_count == 1
