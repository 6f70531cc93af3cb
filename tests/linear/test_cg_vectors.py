"""The compiled vectors of conjugate gradients: formula, bits, arguments, and the generic way."""

import array_api_strict as strict
import numpy as np
import pytest
from linear_systems import ITERATIVE, definite, hilbert, right_hand_side

import steepest as st
from steepest import _cpu

SIZES = [1, 7, 1003, 40_001]  # lanes and tails, one block and several
KRYLOV = [name for name in ITERATIVE if "cg" in name]


def vectors(n, dtype):
    """The workspace x, r, p, and z and A p with r.z and p.A p positive."""
    w = np.random.default_rng(0).standard_normal((3, n)).astype(dtype)
    return w, (w[1] * 3).astype(dtype), (w[2] * 2).astype(dtype)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_follow_the_formula(n, dtype):
    w, z, q = vectors(n, dtype)
    x, r, p = w.astype(float)
    close = {"rtol": 8 * np.finfo(dtype).eps * n**0.5}
    near = {**close, "atol": 8 * np.finfo(dtype).eps}

    rho = _cpu.cg_turn(w, z, 0.7)
    np.testing.assert_allclose(rho, r @ z.astype(float), **close)
    p = z + rho / 0.7 * p
    np.testing.assert_allclose(w[2] / np.abs(p).max(), p / np.abs(p).max(), **near)

    for turns in (False, True):
        x, r, p = w.astype(float)
        q = (2 * w[2]).astype(dtype)
        product, square = _cpu.cg_advance(w, q, rho, turns)
        np.testing.assert_allclose(product, p @ q.astype(float), **close)
        alpha = rho / product
        x, r = x + alpha * p, r - alpha * q
        want = [x, r, r + square / rho * p if turns else p]
        np.testing.assert_allclose(square, r @ r, **close)
        for got, row in zip(w, want, strict=True):
            np.testing.assert_allclose(got / np.abs(row).max(), row / np.abs(row).max(), **near)


def test_a_first_direction_is_z_whatever_p_holds():
    w, z, _ = vectors(50, np.float64)
    w[2] = np.nan
    _cpu.cg_turn(w, z, 0.0)
    np.testing.assert_array_equal(w[2], z)


@pytest.mark.parametrize("factor", [-1.0, 0.0, np.nan, np.inf])
def test_vectors_stay_where_a_product_is_not_positive_and_finite(factor):
    w, z, q = vectors(50, np.float64)
    before = w.copy()
    assert not 0 < _cpu.cg_turn(w, factor * z, 0.7) < np.inf
    product, square = _cpu.cg_advance(w, factor * q, 1.0, True)
    assert not 0 < product < np.inf and np.isnan(square)
    np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_and_levels_do_not_change_bits(n, dtype, settings):
    results = set()
    for level in _cpu.simd_levels():
        _cpu.set_simd_level(level)
        for threads in (1, 3):
            _cpu.set_num_threads(threads)
            w, z, _ = vectors(n, dtype)
            rho = _cpu.cg_turn(w, z, 0.7)
            sums = (rho, *_cpu.cg_advance(w, w[2] / 3, rho, True))
            assert 0 < min(sums) and max(sums) < np.inf
            results.add((w.tobytes(), sums))
    assert len(results) == 1


def test_arguments_are_checked_before_memory_is_touched():
    w, z = np.ones((3, 4)), np.ones(4)
    frozen = np.ones((3, 4))
    frozen.flags.writeable = False
    for workspace, vector, message in (
        (np.ones((2, 4)), z, "workspace: expected a writable"),
        (frozen, z, "workspace: expected a writable"),
        (np.ones((3, 8))[:, ::2], z, "workspace: expected a C-contiguous"),
        (np.ones((3, 4), int), z, "workspace: dtype int64"),
        (w, np.ones(5), "expected contiguous"),
        (w, np.ones(8)[::2], "expected contiguous"),
        (w, np.ones(4, np.float32), "expected the dtype"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            _cpu.cg_turn(workspace, vector, 0.0)
        with pytest.raises((TypeError, ValueError), match=message):
            _cpu.cg_advance(workspace, vector, 1.0, True)
    assert (w == 1).all()


@pytest.mark.parametrize("name", KRYLOV)
@pytest.mark.parametrize("start", [False, True])
def test_compiled_and_generic_go_the_same_way(name, start):
    a, b = hilbert(12) + 1e-3 * np.eye(12), right_hand_side(12, None)
    x0 = right_hand_side(12, None, seed=3)
    runs = []
    for xp in (np, strict):
        shown = []
        options = {"x0": xp.asarray(x0)} if start else {}
        x, info = st.solve(
            xp.asarray(a),
            xp.asarray(b),
            callback=lambda v, shown=shown: shown.append(np.array(v)),
            return_info=True,
            **options,
            **ITERATIVE[name],
        )
        runs.append((np.asarray(x), info, np.array(shown)))
    (x, info, shown), (x_generic, info_generic, shown_generic) = runs
    assert info.success and info_generic.success
    few = 6  # iterations, before rounding tells
    np.testing.assert_allclose(shown[:few], shown_generic[:few], rtol=1e-6)
    np.testing.assert_allclose(info.residuals[:few], info_generic.residuals[:few], rtol=1e-6)
    np.testing.assert_allclose(x, x_generic, rtol=1e-3, atol=1e-4 * np.abs(x).max())
    assert abs(info.nit - info_generic.nit) <= 2


def test_residuals_whose_squares_lose_digits_are_measured_all_the_same():
    a, b = definite(30), 1e-147 * right_hand_side(30, None)
    histories = []
    for xp in (np, strict):
        options = {"method": "cg", "maxiter": 4, "rtol": 1e-14, "return_info": True}
        histories.append(st.solve(xp.asarray(a), xp.asarray(b), **options)[1].residuals)
        assert histories[-1][0] == pytest.approx(1e-147 * np.linalg.norm(1e147 * b), rel=1e-14)
    np.testing.assert_allclose(*histories, rtol=1e-6)


def test_the_solution_owns_its_memory():
    x = st.solve(definite(20), right_hand_side(20, None), method="cg")
    assert x.base is None and x.flags.owndata


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("b", [np.ones(40), np.c_[np.ones(40), np.arange(40.0)]], ids=["1", "2"])
@pytest.mark.parametrize("method", ["cg", "pcg", "jacobi"])
def test_products_may_come_in_a_buffer_that_is_used_again(method, b, step):
    """They are read where they lie, and copied where there are several columns."""
    d = np.linspace(1, 3, 40)
    buffers = [np.empty(40 * step)[::step] for _ in range(2)]

    def times(x):
        return np.multiply(d, x, out=buffers[0])

    def precondition(r):
        return np.divide(r, 2, out=buffers[1])

    options = {"preconditioner": precondition} if method == "pcg" else {}
    if method == "jacobi":
        options = {"diagonal": d}
    x = st.solve(times, b, method=method, rtol=1e-12, **options)
    np.testing.assert_allclose(x, (b.T / d).T, rtol=1e-10)
