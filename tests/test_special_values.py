"""Denormals, NaN and infinities in every place of a vector; extreme sizes and step counts."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from runs import bits, make, problem
from steepest import _cpu
from table import CLASSES, RULES

pytestmark = pytest.mark.usefixtures("settings_stay")

DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda d: d.__name__)
N = 35  # two vectors of the widest level in float32, and a tail


def run(rule, theta, grads, **stages):
    p = theta.copy()
    opt = make(rule, p, **stages)
    for g in grads:
        opt.step(g)
    return [p, *(v for v in opt.state_dict()["state"][0].values() if isinstance(v, np.ndarray))]


@DTYPES
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_nothing_leaks_to_neighbours(rule, dtype):
    (theta,), grads = problem(dtype, sizes=(N,), steps=3)
    grads = [g for (g,) in grads]
    stages = dict(ema_decay=0.5)
    want = run(rule, theta, grads, **stages)
    for value in (np.nan, np.inf, -np.inf, np.finfo(dtype).max, np.finfo(dtype).tiny / 8):
        for level in _cpu.simd_levels():
            _cpu.set_simd_level(level)
            for at in range(N):
                odd = [g.copy() for g in grads]
                odd[1][at] = value
                got = run(rule, theta, odd, **stages)
                rest = np.arange(N) != at
                for a, b in zip(got, want, strict=True):
                    assert bits(a[rest]) == bits(b[rest])
                if np.isnan(value):
                    assert np.isnan(got[0][at])


@DTYPES
def test_every_rule_lets_nan_through_for_good(dtype):
    """Through sign, max, clip and the running mean as well."""
    for rule in RULES:
        for options in ({}, dict(max_norm=1.0), dict(grad_scale=2.0)):
            p = np.ones(3, dtype)
            opt = make(rule, p, ema_decay=0.5)
            opt.step(np.array([1, np.nan, 1], dtype), **options)
            opt.step(np.ones(3, dtype))
            touched = [True] * 3 if "max_norm" in options else [False, True, False]
            assert np.isnan(p).tolist() == touched
            assert np.isnan(opt.ema).tolist() == touched


@DTYPES
def test_denormals_are_kept_unless_flushed(dtype):
    tiny = np.finfo(dtype).smallest_subnormal * 5
    for level in _cpu.simd_levels():
        _cpu.set_simd_level(level)
        p = np.zeros(N, dtype)
        st.SGD(p, lr=1.0).step(np.full(N, tiny, dtype))
        assert (p == -tiny).all()
        st.set_flush_denormals(True)
        flushed = np.zeros(N, dtype)
        st.SGD(flushed, lr=1.0).step(np.full(N, tiny, dtype))
        st.set_flush_denormals(False)
        assert (flushed == 0).all()


@pytest.mark.parametrize("shape", [(0,), (3, 0), (), (1,), (1, 1), (5, 0, 2)], ids=str)
@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_least_shapes(rule, shape):
    p = np.ones(shape)
    opt = make(rule, p, ema_decay=0.5)
    opt.step(np.ones(shape), max_norm=0.5, nonfinite="raise")
    assert p.shape == shape and (p < 1).all()
    assert opt.step_count == 1 and opt.grad_norm == (1.0 if p.size else 0.0)
    assert all(v.shape == shape for v in opt.state_dict()["state"][0].values() if np.ndim(v))


def test_ten_thousand_tensors():
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(n) for n in rng.integers(0, 20, 10_000)]
    whole = np.concatenate(thetas)
    params, grads = [t.copy() for t in thetas], [t.copy() for t in thetas]
    opt, one = st.Adam(params, lr=0.1), st.Adam(whole, lr=0.1)
    for _ in range(3):
        opt.step(grads)
        one.step(np.concatenate(grads))
    assert bits(np.concatenate(params)) == bits(whole)


@DTYPES
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_huge_step_counts(rule, dtype):
    """The bias corrections end at 1, without overflow or NaN."""
    p = np.ones(3, dtype)
    opt = make(rule, p)
    opt.step(np.ones(3, dtype))
    d = opt.state_dict()
    for count in (10**6, 2**40, 2**53):
        d["step_count"] = d["state"][0]["step"] = count
        opt.load_state_dict(d)
        opt.step(np.ones(3, dtype))
        assert opt.step_count == opt.state_dict()["state"][0]["step"] == count + 1
        assert np.isfinite(p).all()


def test_bias_correction_of_a_huge_step_is_none():
    p, q = np.ones(3), np.ones(3)
    corrected, plain = st.Adam(p), st.Adam(q, bias_correction=False)
    for opt in (corrected, plain):
        d = opt.state_dict()
        d["step_count"] = d["state"][0]["step"] = 2**40
        opt.load_state_dict(d)
        opt.step(np.ones(3))
    assert bits(p) == bits(q)


def test_the_norm_may_overflow_while_every_element_is_finite():
    p = np.ones(2)
    opt = st.SGD(p, lr=1.0)
    opt.step(np.full(2, 1e200), max_norm=1.0, nonfinite="raise")
    assert opt.grad_norm == np.inf and opt.step_count == 1
    assert p.tolist() == [1.0, 1.0]  # max_norm / inf is 0
    opt.step(np.array([np.inf, 1.0]), max_norm=1.0)
    assert np.isnan(p[0]) and p[1] == 1.0


@pytest.mark.slow
def test_more_than_two_to_the_31_elements():
    n = 2**31 + 5
    p = np.zeros(n, np.float32)
    g = np.zeros(n, np.float32)
    places = [0, 1, 2**31 - 1, 2**31, n - 1]
    g[places] = [1, 2, 3, 4, 5]
    opt = st.SGD(p, lr=1.0)
    opt.step(g, max_norm=1e9, zero_grad=True)
    assert p[places].tolist() == [-1, -2, -3, -4, -5]
    assert np.count_nonzero(p) == 5 and not g.any()
    assert opt.grad_norm == np.sqrt(55.0)
