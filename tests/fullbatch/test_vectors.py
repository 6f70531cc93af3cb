"""The four vector kernels, compiled and generic, against float64 NumPy."""

import ctypes
import os
import platform
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
    rows = np.concatenate([w[[3, 0, 3]], g]).astype(np.longdouble)  # by no BLAS
    want = rows @ g.T.astype(np.longdouble)
    assert got.shape == (6, 3) and got.dtype == np.float64
    bound = 2 * tolerance(dtype, n) * n**0.5
    if make is strict.asarray:  # by NumPy's products, which a plain BLAS sums one by one
        bound = max(bound, 2 * np.abs(rows.astype(dtype) @ g.T - want).max())
    np.testing.assert_allclose(got, want, rtol=0, atol=bound)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inner_products_with_a_difference_that_is_never_stored(kind, dtype, n):
    make, _ = kind
    w, g = workspace(5, n, dtype), workspace(1, n, dtype, seed=1)[0]
    g = w[2] + g / 1024  # a small difference of large vectors: rounded once, and no product of it
    array = make(w)
    got = primitives.inner(array, [3, 0, 3], [make(g)], array[2, :])
    rows = np.stack([w[3], w[0], w[3], g - w[2], g]).astype(float)
    scale = np.linalg.norm(rows, axis=1)
    assert got.shape == (5, 2) and got.dtype == np.float64
    np.testing.assert_allclose(
        got / scale[:, None] / scale[3:], rows @ rows[3:].T / scale[:, None] / scale[3:],
        rtol=0, atol=2 * tolerance(dtype, n),
    )  # fmt: skip


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_combinations_in_one_pass_may_write_over_their_vectors(kind, dtype, n):
    make, back = kind
    w, g = workspace(9, n, dtype), workspace(1, n, dtype, seed=1)[0]
    c = np.random.default_rng(2).standard_normal((2, 8))
    array, out = make(w.copy()), make(np.zeros(n, dtype))
    primitives.combine(array, [6, 1, 2, 3, 4, 5, 0], [make(g)], c, [out, array[1, :]])
    want = c @ np.concatenate([w[[6, 1, 2, 3, 4, 5, 0]], g[None]]).astype(float)
    np.testing.assert_allclose(back(out), want[0], rtol=0, atol=8 * tolerance(dtype, 1))
    np.testing.assert_allclose(back(array)[1], want[1], rtol=0, atol=8 * tolerance(dtype, 1))
    np.testing.assert_array_equal(back(array)[[0, 2, 3, 4, 5, 6, 7]], w[[0, 2, 3, 4, 5, 6, 7]])


@pytest.mark.parametrize("n", [*SIZES, 2_100_001])  # the last is written past the caches
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_later_combination_takes_the_new_value_of_an_earlier_one(kind, dtype, n):
    make, back = kind
    w = workspace(3, n, dtype)
    array, copy = make(w.copy()), make(np.zeros(n, dtype))
    c = np.array([[1.0, 2.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    primitives.combine(array, [0, 1, 2], [], c, [array[0, :], array[2, :], copy])
    first = w[0] + 2 * w[1]
    np.testing.assert_array_equal(back(array)[0], first)
    np.testing.assert_array_equal(back(array)[1], w[1])
    np.testing.assert_array_equal(back(array)[2], w[2] - first)
    np.testing.assert_array_equal(back(copy), w[2] - first)


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
    digest.update(_cpu.inner(w, [0, 1, 2], [w[4]], w[5]).tobytes())
    c = np.random.default_rng(1).standard_normal((3, 6))
    _cpu.combine(w, [0, 1, 2, 3, 4, 8], [], c, [w[7], w[8], w[0]])
    digest.update(w.tobytes())
    big = np.random.default_rng(1).standard_normal((3, 3_000_001)).astype(dtype)
    _cpu.combine(big, [0, 1], [], np.array([[0.3, 0.7]]), [big[2]])
    digest.update(big.tobytes())
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
    for level in _cpu.simd_levels():
        assert bits(STEEPEST_SIMD=level) == want


def of_denormals():
    """What every kernel makes of denormals times large numbers."""
    tiny, large, n = 1e-310, 1e300, 8 * 16384
    rows, out = np.full((1, n), tiny), np.empty(n)
    a, x, y = np.full((800, 800), tiny), np.full(800, large), np.empty(800)
    system, solution = np.full((128, 128), tiny) + np.eye(128), np.zeros((1, 128))
    solution[0, -1] = large
    products = _cpu.inner(rows, [0], [np.full(n, large)])
    _cpu.combine(rows, [0], [], np.full((1, 1), large), [out])
    _cpu.symmetric_product(a, [x], [y])
    _cpu.rank_two(a, a[0].copy(), x)
    _cpu.sweep(system, np.zeros((1, 128)), solution)
    return [made.tobytes() for made in (products, out, y, a, solution)]


@pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="of its fenv_t"
)
def test_threads_flush_denormals_where_the_caller_does(settings_stay):
    """As torch.set_flush_denormal(True) makes it, of the calling thread alone."""
    _cpu.set_bytes_per_thread(1)
    _cpu.set_num_threads(4)
    kept = of_denormals()  # and starts the threads
    libm, before = ctypes.CDLL("libm.so.6"), (ctypes.c_uint32 * 8)()
    libm.fegetenv(before)
    flushing = (ctypes.c_uint32 * 8)(*before)
    flushing[7] |= 0x8040  # MXCSR
    libm.fesetenv(flushing)
    try:
        seen = [of_denormals() for _ in range(10)]
        _cpu.set_num_threads(1)
        alone = of_denormals()
    finally:
        libm.fesetenv(before)
    assert all(a != b for a, b in zip(alone, kept, strict=True))
    assert seen == [alone] * 10


W = np.ones((2, 3))
FROZEN = np.ones(3)
FROZEN.flags.writeable = False
REFUSED = [
    (_cpu.inner, (W.astype(int), [0], []), TypeError, "workspace: dtype int64; expected aligned"),
    (_cpu.inner, (W[0], [0], []), ValueError, r"workspace: expected a C-contiguous array \(k, n"),
    (_cpu.inner, (W.T, [0], []), ValueError, r"workspace: expected a C-contiguous array \(k, n"),
    (_cpu.inner, (W, [2], [W[0]]), ValueError, "picks: row 2 of a workspace of 2 rows"),
    (_cpu.inner, (W, [-1], [W[0]]), ValueError, "picks: row -1 of a workspace of 2 rows"),
    (_cpu.inner, (W, [0], [np.ones(4)]), ValueError, r"vectors: expected contiguous arrays"),
    (_cpu.inner, (W, [0], [np.ones(6)[::2]]), ValueError, "vectors: expected contiguous arrays"),
    (_cpu.inner, (W, [0], [np.ones(3, "f4")]), ValueError, "vectors: expected the dtype of the"),
    (_cpu.inner, (W, [0], [np.ones(3, ">f8")]), TypeError, "vectors: dtype >f8; expected align"),
    (_cpu.inner, (W, [0], [[1.0, 2.0, 3.0]]), ValueError, "vectors: expected arrays"),
    (_cpu.combine, (W, [0], [], np.ones((1, 2)), [W[1]]), ValueError, "coefficients: expected"),
    (_cpu.combine, (W, [0], [], np.ones((1, 1), "f4"), [W[1]]), ValueError, "coefficients: expec"),
    (_cpu.combine, (W, [0], [], np.ones((1, 1)), [FROZEN]), ValueError, "outs: expected writab"),
    (_cpu.inner, (W, [0], [], W[1]), ValueError, "minus: expected with at least one vector"),
    (_cpu.inner, (W, [0], [W[1]], np.ones(4)), ValueError, "minus: expected contiguous arrays"),
    (_cpu.combine, (W, [0], [], np.ones((6, 1)), [W[1]] * 6), ValueError, "combine: 6 outs; expec"),
    (_cpu.symmetric_product, (W, [FROZEN], [W[0]]), ValueError, "A: expected a square array"),
    (
        _cpu.symmetric_product,
        (np.eye(3), [FROZEN], []),
        ValueError,
        "outs: expected one for each",
    ),
    (_cpu.rank_two, (np.eye(3), W[0], np.ones(2)), ValueError, "v: expected contiguous arrays"),
]


@pytest.mark.parametrize(("function", "args", "error", "message"), REFUSED)
def test_the_kernels_refuse_what_does_not_fit(function, args, error, message):
    with pytest.raises(error, match=message):
        function(*args)
    np.testing.assert_array_equal(W, np.ones((2, 3)))


def inverse_hessian(s, y, ratios):
    """Of explicit BFGS updates, the oldest pair first: Nocedal & Wright (2006), eq. 6.17, with
    s sᵀ over ratio sᵀy as Biggs (1971) has it."""
    eye = np.eye(s.shape[1])
    h = s[-1] @ y[-1] / (y[-1] @ y[-1]) * eye
    for si, yi, ratio in zip(s, y, ratios, strict=True):
        rho = 1 / (si @ yi)
        v = eye - rho * np.outer(yi, si)
        h = v.T @ h @ v + rho / ratio * np.outer(si, si)
    return h


def test_two_loop_is_the_inverse_hessian_of_explicit_bfgs_updates():
    rng = np.random.default_rng(4)
    n, m = 9, 5
    s = rng.standard_normal((m + 2, n))
    root = rng.standard_normal((n, n))
    y = s @ (root @ root.T + np.eye(n))
    before, x, g = rng.standard_normal((3, n))
    alpha, ratio = rng.uniform(0.5, 2, (2, m + 2))
    d = s / alpha[:, None]
    pairs = _cpu.Pairs(m, 0)
    for k in range(m + 2):  # the last two push the first two out
        there = slice(max(0, k + 1 - m), k + 1)
        on_y = np.concatenate([d[there], y[there]]) @ y[k]
        pairs.append(on_y[:, None].copy(), alpha[k], ratio[k], 2 * m)
    d, s, y = d[2:], s[2:], y[2:]
    products = np.concatenate([d, y, [g]]) @ np.stack([y[-1], g], axis=1)
    c, slope = pairs.direction(products, 1.0)
    h = inverse_hessian(s, y, ratio[2:])
    to = c[2] @ np.concatenate([d, y, [before, x, np.zeros(n), g]])
    np.testing.assert_allclose(to, -h @ g, rtol=1e-9)
    rest = np.delete(c, 2, axis=0) @ np.concatenate([d, y, [before, x, to, g]])
    np.testing.assert_allclose(rest, [g - before, g, x + to, x + to], rtol=1e-15)
    gamma = s[-1] @ y[-1] / (y[-1] @ y[-1])
    assert -c[2, -1] == pytest.approx(gamma) and slope == pytest.approx(-g @ h @ g)


def test_two_loop_leaves_out_pairs_without_curvature():
    pairs = _cpu.Pairs(2, 0)
    sums = np.concatenate([np.diag([-1.0, 2.0]), np.eye(2), np.ones((2, 2))])
    pairs.restore(2, [0, 1], [2, 3], sums)
    products = np.array([[5.0], [1.0], [7.0], [3.0], [4.0]])
    c, _ = pairs.direction(products, 0.5)
    assert c[2, 0] == 0 and c[2, 2] == 0 and c[2, -1] == -2.0
    pairs.sums[1, 1] = -2.0
    c, slope = pairs.direction(products, 0.5)
    assert slope == -2.0
    np.testing.assert_array_equal(c[2], [0, 0, 0, 0, 0, 0, 0, -0.5])
    for few in (products[:4], products[:, :0]):
        with pytest.raises(ValueError, match="products: expected an array"):
            pairs.direction(few, 0.5)
    with pytest.raises(ValueError, match="products: expected an array"):
        pairs.append(products[:3], 1.0, 1.0, 4)
    with pytest.raises(ValueError, match="state: expected a state of as many pairs"):
        pairs.restore(3, [0, 1], [2, 3], sums)
    with pytest.raises(ValueError, match="state: expected a state of as many pairs"):
        pairs.restore(2, [0, 1, 2], [2, 3], sums)


def test_rows_of_pairs_take_turns():
    """The row of a direction becomes the newest pair's, and the oldest pair's row the next
    direction's; its y is written over."""
    pairs, d = _cpu.Pairs(2, 10), 4
    seen = []
    for k in range(4):
        assert pairs.rows_with(d).count(d) == 1
        y = pairs.next_y
        d, taken = pairs.append(np.ones((2 * min(k + 1, 2), 1)), 1.0, 1.0, d), d
        assert pairs.newest_y == y
        seen.append((taken, y, d, pairs.rows()))
    assert seen == [
        (4, 12, 10, [4, 12]),
        (10, 13, 11, [4, 10, 12, 13]),
        (11, 12, 4, [10, 11, 13, 12]),
        (4, 13, 10, [11, 4, 12, 13]),
    ]
    pairs.forget()
    assert pairs.count == 0 and pairs.rows() == [] and pairs.rows_with(7) == [7]
    with pytest.raises(ValueError, match="^newest_y: expected a pair"):
        _ = pairs.newest_y  # it read memory before its own
