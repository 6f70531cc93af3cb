"""The four vector kernels, compiled and generic, against float64 NumPy."""

import os
import subprocess
import sys

import array_api_strict as strict
import numpy as np
import pytest
from steepest import _cpu
from steepest.fullbatch import primitives

SIZES = [1, 7, 64, 1003, 40_001]  # lanes and tails, one block and several
KINDS = {
    "compiled": (np.asarray, np.asarray),
    "generic": (strict.asarray, np.from_dlpack),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def workspace(rows, n, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, n)).astype(dtype)


def tolerance(dtype, n):
    return 4 * np.finfo(dtype).eps * max(1.0, n**0.5)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inner_products_in_one_pass(kind, dtype, n):
    make, _ = kind
    w, g = workspace(5, n, dtype), workspace(3, n, dtype, seed=1)
    got = primitives.inner(make(w), [3, 0, 3], [make(v) for v in g])
    rows = np.concatenate([w[[3, 0, 3]], g]).astype(float)
    want = rows @ g.T.astype(float)
    assert got.shape == (6, 3) and got.dtype == np.float64
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance(dtype, n) * n**0.5)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_combinations_in_one_pass_may_write_over_their_vectors(kind, dtype, n):
    make, back = kind
    w, g = workspace(9, n, dtype), workspace(1, n, dtype, seed=1)[0]
    c = np.random.default_rng(2).standard_normal((2, 8))
    c[1, :4] = c[0, :4]  # a group with equal coefficients
    array, out = make(w.copy()), make(np.zeros(n, dtype))
    primitives.combine(array, [6, 1, 2, 3, 4, 5, 0], [make(g)], c, [out, array[1, :]])
    want = c @ np.concatenate([w[[6, 1, 2, 3, 4, 5, 0]], g[None]]).astype(float)
    np.testing.assert_allclose(back(out), want[0], rtol=0, atol=8 * tolerance(dtype, 1))
    np.testing.assert_allclose(back(array)[1], want[1], rtol=0, atol=8 * tolerance(dtype, 1))
    np.testing.assert_array_equal(back(array)[[0, 2, 3, 4, 5, 6, 7]], w[[0, 2, 3, 4, 5, 6, 7]])


def test_a_zero_coefficient_leaves_its_vector_unread(kind):
    make, back = kind
    w = make(np.array([[np.nan, np.inf], [1.0, 2.0]]))
    out = make(np.ones(2))
    primitives.combine(w, [0, 1], [], np.array([[0.0, 2.0]]), [out])
    np.testing.assert_array_equal(back(out), [2.0, 4.0])
    primitives.combine(w, [0], [], np.array([[0.0]]), [out])
    np.testing.assert_array_equal(back(out), [0.0, 0.0])


@pytest.mark.parametrize("n", [1, 2, 5, 8, 63, 301, 1500])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_symmetric_products_read_the_lower_triangle(kind, dtype, n):
    make, back = kind
    a = workspace(n, n, dtype)
    u, v = workspace(2, n, dtype, seed=1)
    full = np.tril(a).astype(float) + np.tril(a, -1).T
    outs = [make(np.full(n, 9.0, dtype)) for _ in range(2)]
    broken = np.where(np.tri(n, dtype=bool), a, np.nan).astype(dtype)
    if kind is KINDS["generic"]:
        broken = a  # NaN times the zeros of tril is NaN there
    primitives.symmetric_product(make(broken), [make(u), make(v)], outs)
    for out, x in zip(outs, (u, v), strict=True):
        np.testing.assert_allclose(
            back(out), full @ x, rtol=0, atol=tolerance(dtype, n) * max(1, n**0.5)
        )


@pytest.mark.parametrize("n", [1, 2, 5, 8, 63, 301, 1500])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rank_two_updates_the_lower_triangle(kind, dtype, n):
    make, back = kind
    a = workspace(n, n, dtype)
    u, v = workspace(2, n, dtype, seed=1)
    got = make(a.copy())
    primitives.rank_two(got, make(u), make(v))
    want = a.astype(float) + np.outer(u.astype(float), v) + np.outer(v.astype(float), u)
    np.testing.assert_allclose(
        np.tril(back(got)), np.tril(want), rtol=0, atol=40 * np.finfo(dtype).eps
    )


BITS = """
import hashlib, numpy as np
from steepest import _cpu
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    w = np.random.default_rng(0).standard_normal((9, 150_001)).astype(dtype)
    digest.update(_cpu.inner(w, [0, 1, 2, 3], [w[4], w[5], w[6]]).tobytes())
    c = np.random.default_rng(1).standard_normal((2, 6))
    _cpu.combine(w, [0, 1, 2, 3, 4, 5], [], c, [w[7], w[8]])
    digest.update(w.tobytes())
    a = np.random.default_rng(2).standard_normal((1203, 1203)).astype(dtype)
    u, v, x, y = np.random.default_rng(3).standard_normal((4, 1203)).astype(dtype)
    _cpu.symmetric_product(a, [u, v], [x, y])
    _cpu.rank_two(a, x, y)
    digest.update(a.tobytes())
print(digest.hexdigest())
"""


def bits(**environment):
    run = subprocess.run(
        [sys.executable, "-c", BITS],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return run.stdout


def test_bits_do_not_depend_on_threads_or_simd_level():
    want = bits()
    assert len(want.strip()) == 64
    for threads in ("1", "2", "3"):
        assert bits(OMP_NUM_THREADS=threads) == want
    for level in ("base", "avx2", "avx512"):
        assert bits(STEEPEST_SIMD=level) == want


W = np.ones((2, 3))
FROZEN = np.ones(3)
FROZEN.flags.writeable = False
REFUSED = [
    (_cpu.inner, (W.astype(int), [0], []), TypeError, "workspace: dtype int64; allowed is aligned"),
    (_cpu.inner, (W[0], [0], []), ValueError, r"workspace: allowed is a C-contiguous array \(k, n"),
    (_cpu.inner, (W.T, [0], []), ValueError, r"workspace: allowed is a C-contiguous array \(k, n"),
    (_cpu.inner, (W, [2], [W[0]]), ValueError, "picks: row 2 of a workspace of 2 rows"),
    (_cpu.inner, (W, [-1], [W[0]]), ValueError, "picks: row -1 of a workspace of 2 rows"),
    (_cpu.inner, (W, [0], [np.ones(4)]), ValueError, r"vectors: allowed is contiguous arrays"),
    (_cpu.inner, (W, [0], [np.ones(6)[::2]]), ValueError, "vectors: allowed is contiguous arrays"),
    (_cpu.inner, (W, [0], [np.ones(3, "f4")]), ValueError, "vectors: allowed is the dtype of the"),
    (_cpu.inner, (W, [0], [np.ones(3, ">f8")]), TypeError, "vectors: dtype >f8; allowed is align"),
    (_cpu.inner, (W, [0], [[1.0, 2.0, 3.0]]), ValueError, "vectors: allowed is arrays"),
    (_cpu.combine, (W, [0], [], np.ones((1, 2)), [W[1]]), ValueError, "coefficients: allowed is"),
    (_cpu.combine, (W, [0], [], np.ones((1, 1), "f4"), [W[1]]), ValueError, "coefficients: allow"),
    (_cpu.combine, (W, [0], [], np.ones((1, 1)), [FROZEN]), ValueError, "outs: allowed is writab"),
    (_cpu.combine, (W, [0], [], np.ones((5, 1)), [W[1]] * 5), ValueError, "combine: 5 outs; allow"),
    (_cpu.symmetric_product, (W, [FROZEN], [W[0]]), ValueError, "A: allowed is a square array"),
    (
        _cpu.symmetric_product,
        (np.eye(3), [FROZEN], []),
        ValueError,
        "outs: allowed is one for each",
    ),
    (_cpu.rank_two, (np.eye(3), W[0], np.ones(2)), ValueError, "v: allowed is contiguous arrays"),
]


@pytest.mark.parametrize(("function", "args", "error", "message"), REFUSED)
def test_the_kernels_refuse_what_does_not_fit(function, args, error, message):
    with pytest.raises(error, match=message):
        function(*args)
    np.testing.assert_array_equal(W, np.ones((2, 3)))


def test_two_loop_is_the_inverse_hessian_of_explicit_bfgs_updates():
    rng = np.random.default_rng(4)
    n, m = 9, 5
    s = rng.standard_normal((m, n))
    root = rng.standard_normal((n, n))
    y = s @ (root @ root.T + np.eye(n))
    g = rng.standard_normal(n)
    newest = 1  # the ring is in the order 2, 3, 4, 0, 1
    gamma = s[newest] @ y[newest] / (y[newest] @ y[newest])
    h = gamma * np.eye(n)
    for i in (2, 3, 4, 0, 1):  # Nocedal & Wright (2006), eq. 6.17
        rho = 1 / (s[i] @ y[i])
        v = np.eye(n) - rho * np.outer(y[i], s[i])
        h = v.T @ h @ v + rho * np.outer(s[i], s[i])
    products = np.concatenate([s @ g, y @ g, [g @ g]])[:, None].copy()
    c, scale, slope, magnitude = _cpu.two_loop(s @ y.T, y @ y.T, products, m, newest, 1.0)
    np.testing.assert_allclose(c[0] @ np.concatenate([s, y, [g, g]]), -h @ g, rtol=1e-10)
    np.testing.assert_array_equal(c[1], np.append(c[0, :-1], 1.0))
    assert scale == pytest.approx(gamma) and slope == pytest.approx(-g @ h @ g)
    assert magnitude >= abs(slope) / (2 * m + 1)


def test_two_loop_leaves_out_pairs_without_curvature():
    sy, yy = np.diag([2.0, -1.0]), np.eye(2)
    products = np.array([[1.0], [5.0], [3.0], [7.0], [4.0]])
    c, scale, _, _ = _cpu.two_loop(sy, yy, products, 2, 1, 0.5)
    assert c[0, 1] == 0 and c[0, 3] == 0 and scale == 2.0
    c, scale, slope, _ = _cpu.two_loop(-np.eye(2), yy, products, 2, 1, 0.5)
    assert scale == 0.5 and slope == -2.0
    np.testing.assert_array_equal(c[0], [0, 0, 0, 0, -0.5, 0])
    with pytest.raises(ValueError, match="two_loop: allowed is sy, yy"):
        _cpu.two_loop(sy, yy, products, 3, 1, 0.5)
