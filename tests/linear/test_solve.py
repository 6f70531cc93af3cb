"""steepest.solve against NumPy and SciPy in float64, over NumPy arrays and a strict namespace."""

import inspect
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
from linear_systems import (
    DIRECT,
    ITERATIVE,
    NAMESPACES,
    definite,
    dominant,
    hilbert,
    right_hand_side,
)

import steepest as st
from steepest import _cpu

DTYPES = [np.float64, np.float32]
COLUMNS = [None, 1, 3]


def error(x, a, b):
    """Relative to NumPy's float64 solution."""
    want = np.linalg.solve(np.asarray(a, float), np.asarray(b, float))
    return np.abs(np.asarray(x, float) - want).max() / np.abs(want).max()


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 70])
@pytest.mark.parametrize("method", DIRECT)
def test_direct_methods_agree_with_numpy(method, n, dtype, columns):
    a, b = definite(n, dtype), right_hand_side(n, columns, dtype)
    for layout in (a, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2]):
        before_a, before_b = layout.copy(), b.copy()
        x, info = st.solve(layout, b, method=method, return_info=True)
        assert x.dtype == dtype and x.shape == b.shape
        assert error(x, a, b) < 20 * np.finfo(dtype).eps
        assert info.success and info.nit == 0 and info.residuals.size == 0
        assert f"{method} finished; reciprocal condition number" in info.message
        np.testing.assert_array_equal(layout, before_a)
        np.testing.assert_array_equal(b, before_b)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 64, 131])
@pytest.mark.parametrize("name", ITERATIVE)
@pytest.mark.parametrize("xp", NAMESPACES, ids=lambda xp: xp.__name__)
def test_iterative_methods_agree_with_numpy(xp, name, n, dtype, columns):
    a, b = definite(n, dtype), right_hand_side(n, columns, dtype)
    shown = []
    x, info = st.solve(
        xp.asarray(a),
        xp.asarray(b),
        callback=lambda v: shown.append(np.array(v)),
        return_info=True,
        **ITERATIVE[name],
    )
    assert type(x) is type(xp.asarray(b)) and x.dtype == getattr(xp, np.dtype(dtype).name)
    assert error(x, a, b) < (3e-8 if dtype is np.float64 else 1e-5)
    assert info.success and f"converged after {info.nit} iterations" in info.message
    assert info.residuals.shape == (info.nit + 1, *b.shape[1:])
    floor = n**0.5 * np.finfo(dtype).eps
    tolerance = max(1e-8, floor) * np.linalg.norm(b, axis=0)
    assert np.all(info.residuals[-1] <= tolerance)
    # the history is that of the iterates shown, and x is the last of them
    assert len(shown) == info.nit
    np.testing.assert_array_equal(shown[-1], np.asarray(x))
    scale = np.linalg.norm(a) * np.linalg.norm(np.asarray(x)) * np.finfo(dtype).eps
    for k, iterate in enumerate(shown, 1):
        residual = np.linalg.norm(b.astype(float) - a.astype(float) @ iterate, axis=0)
        np.testing.assert_allclose(info.residuals[k], residual, rtol=1e-3, atol=20 * scale)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("method", ["lu", "qr"])
def test_direct_methods_on_systems_that_are_not_symmetric(method, columns):
    a, b = np.random.default_rng(2).standard_normal((40, 40)), right_hand_side(40, columns)
    for layout in (a, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2], a.T.copy().T):
        assert error(st.solve(layout, b, method=method), a, b) < 1e-11
        if method == "lu" or not layout.flags.c_contiguous:
            mine, rhs = layout.copy(order="K"), np.asfortranarray(b.copy())
            x = st.solve(mine, rhs, method=method, overwrite_a=True, overwrite_b=True)
            assert error(x, a, b) < 1e-11


@pytest.mark.parametrize("name", [name for name in ITERATIVE if "cg" not in name])
@pytest.mark.parametrize("xp", NAMESPACES, ids=lambda xp: xp.__name__)
def test_iterative_methods_on_systems_that_are_not_symmetric(xp, name):
    a, b = dominant(131), right_hand_side(131, 2)
    x = st.solve(xp.asarray(a), xp.asarray(b), **ITERATIVE[name])
    assert error(np.asarray(x), a, b) < 3e-8


def test_the_tolerance_is_the_larger_of_both_and_the_worst_column_is_told():
    a, b = definite(30), right_hand_side(30, 2)
    b[:, 0] *= 1e-3
    norms = np.linalg.norm(b, axis=0)
    for method in ("jacobi", "gauss-seidel", "cg"):
        _, info = st.solve(a, b, method=method, rtol=0.9, atol=0.8 * norms[1], return_info=True)
        assert f"tolerance {0.9 * norms[1]:.3g}" in info.message
        options = {"method": method, "rtol": 1e-12, "maxiter": 1, "return_info": True}
        _, info = st.solve(a, b, **options)
        assert f"residual {info.residuals[-1, 1]:.3g}, tolerance {1e-12 * norms[1]:.3g}" in (
            info.message
        )


@pytest.mark.parametrize("n", [3, 64, 65, 200])
@pytest.mark.parametrize("xp", NAMESPACES, ids=lambda xp: xp.__name__)
def test_sweeps_follow_the_formula(xp, n):
    a, b = dominant(n), right_hand_side(n, None)
    for order, rows in {
        "forward": [range(n)],
        "backward": [range(n)[::-1]],
        "symmetric": [range(n), range(n)[::-1]],
    }.items():
        want = np.zeros(n)
        for _ in range(2):
            for i in (i for half in rows for i in half):
                want[i] += 1.3 * (b[i] - a[i] @ want) / a[i, i]
        x, info = st.solve(
            xp.asarray(a),
            xp.asarray(b),
            method="gauss-seidel",
            sweep=order,
            omega=1.3,
            maxiter=2,
            rtol=1e-15,
            return_info=True,
        )
        np.testing.assert_allclose(np.asarray(x), want, rtol=0, atol=1e-13)
        assert info.nit == 2 and not info.success


@pytest.mark.parametrize("n", [65, 200])
@pytest.mark.parametrize("preconditioner", ["jacobi", "ssor"])
def test_preconditioned_iterates_are_the_same_in_every_namespace(preconditioner, n):
    a, b = definite(n), right_hand_side(n, 2)
    iterates = [
        np.asarray(
            st.solve(xp.asarray(a), xp.asarray(b), method="pcg", preconditioner=preconditioner,
                     omega=1.2 if preconditioner == "ssor" else 1.0, maxiter=4, rtol=1e-15,
                     return_info=True)[0]
        )
        for xp in NAMESPACES
    ]  # fmt: skip
    for x in iterates[1:]:
        np.testing.assert_allclose(x, iterates[0], rtol=0, atol=1e-10 * np.abs(x).max())


def test_cg_follows_hestenes_and_stiefel():
    a, b = definite(40), right_hand_side(40, None)
    x, r = np.zeros(40), b.copy()
    p, norms = r.copy(), [np.linalg.norm(b)]
    for _ in range(5):
        q = a @ p
        alpha = (r @ r) / (p @ q)
        x, new = x + alpha * p, r - alpha * q
        p, r = new + (new @ new) / (r @ r) * p, new
        norms.append(np.linalg.norm(r))
    got, info = st.solve(a, b, method="cg", maxiter=5.0, rtol=1e-15, return_info=True)
    np.testing.assert_allclose(got, x, rtol=1e-12)
    np.testing.assert_allclose(info.residuals, norms, rtol=1e-9)


@pytest.mark.parametrize("name", ["cg", "pcg jacobi", "pcg ssor"])
def test_cg_takes_as_many_iterations_as_scipy(name):
    a = hilbert(30) + 1e-3 * np.eye(30)
    b = right_hand_side(30, None)
    d, lower = np.diag(np.diag(a)), np.tril(a)
    m = {"cg": None, "pcg jacobi": np.linalg.inv(d)}.get(
        name, np.linalg.inv(lower @ np.linalg.inv(d) @ lower.T)
    )
    count = []
    cg = scipy.sparse.linalg.cg
    rtol = "rtol" if "rtol" in inspect.signature(cg).parameters else "tol"  # before SciPy 1.12
    want, _ = cg(a, b, **{rtol: 1e-8}, atol=0, M=m, callback=count.append)
    x, info = st.solve(a, b, return_info=True, **ITERATIVE[name])
    assert abs(info.nit - len(count)) <= 2
    np.testing.assert_allclose(x, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_a_product_serves_as_a():
    a, b = definite(50), right_hand_side(50, 2)
    d = np.diag(a).copy()
    operator = scipy.sparse.linalg.aslinearoperator(a)
    sparse = scipy.sparse.csr_array(a)

    def spoiling(v):
        y = a @ v
        v[:] = np.nan  # what a function is handed is its own
        return y

    for product in (lambda v: a @ v, operator, sparse.dot, spoiling):
        for options in (
            {"method": "jacobi", "diagonal": d},
            {"method": "cg"},
            {"method": "pcg", "diagonal": d},
            {"method": "pcg", "preconditioner": lambda r: r / d},
            {
                "method": "pcg",
                "preconditioner": scipy.sparse.linalg.aslinearoperator(np.diag(1 / d)),
            },
        ):
            for rhs in (b, b[:, 0]):
                assert error(st.solve(product, rhs, **options), a, rhs) < 1e-7


@pytest.mark.parametrize("omega", [1.0, 1.3])
@pytest.mark.parametrize("columns", [None, 2])
@pytest.mark.parametrize("xp", NAMESPACES, ids=lambda xp: xp.__name__)
def test_ssor_is_its_formula(xp, columns, omega):
    """M = ω/(2−ω) (D/ω + L) D⁻¹ (D/ω + U), as pcg goes with it."""
    a, b = definite(40), right_hand_side(40, columns)
    D = np.diag(np.diag(a))
    half = D / omega + np.tril(a, -1)
    M = omega / (2 - omega) * half @ np.linalg.inv(D) @ half.T
    options = {"method": "pcg", "return_info": True}
    _, want = st.solve(a, b, preconditioner=lambda r: np.linalg.solve(M, r), **options)
    _, got = st.solve(xp.asarray(a), xp.asarray(b), preconditioner="ssor", omega=omega, **options)
    np.testing.assert_allclose(got.residuals, want.residuals, rtol=1e-5)


def test_an_object_may_have_a_matvec_and_no_more():
    product = types.SimpleNamespace(matvec=lambda v: 2 * v)
    np.testing.assert_allclose(st.solve(product, np.ones(3), method="cg"), 0.5)


def test_a_good_start_takes_no_iteration_and_a_zero_column_stays_zero():
    a, b = definite(30), right_hand_side(30, 2)
    b[:, 1] = 0
    exact = np.linalg.solve(a, b)
    for options in ITERATIVE.values():
        x, info = st.solve(a, b, x0=exact, return_info=True, **options)
        assert info.nit == 0
        np.testing.assert_array_equal(x, exact)
        x = st.solve(a, b, x0=np.ones((30, 2)), **options)
        np.testing.assert_array_equal(x[:, 1], 0)
        assert error(x, a, b) < 3e-8


@pytest.mark.parametrize("method", DIRECT)
def test_in_place_on_request(method):
    a, b = definite(30), right_hand_side(30, 2)
    layouts = [np.asfortranarray(a)] + ([a.copy()] if method != "qr" else [])
    for work in layouts:
        for rhs in (np.asfortranarray(b), b[:, 0].copy()):
            mine, original = work.copy(order="K"), rhs.copy()
            x = st.solve(mine, rhs, method=method, overwrite_a=True, overwrite_b=True)
            assert np.shares_memory(x, rhs) and x is not rhs
            assert not np.array_equal(mine, work)  # holds the factors
            assert error(x, a, original) < 1e-13


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("method", DIRECT)
def test_what_is_read_only_or_shared_is_not_overwritten(method, order):
    a = definite(30).astype(float, order=order)
    options = {"method": method, "overwrite_a": True, "overwrite_b": True}
    b = right_hand_side(30, 1)[:, 0]
    want, kept = np.linalg.solve(a, b), (a.copy(), b.copy())
    for array in (a, b):
        array.flags.writeable = False
    np.testing.assert_allclose(st.solve(a, b, **options), want, rtol=1e-9)
    np.testing.assert_array_equal(a, kept[0])
    np.testing.assert_array_equal(b, kept[1])
    for part in (np.s_[:, 0], np.s_[0], np.s_[:, :3], np.s_[:]):
        mine = kept[0].copy(order=order)
        want = np.linalg.solve(kept[0], kept[0][part])
        np.testing.assert_allclose(st.solve(mine, mine[part], **options), want, atol=1e-12)
        np.testing.assert_array_equal(mine, kept[0])


def test_threads_that_solve_at_once_do_not_meet():
    """From 64 columns on they run without the GIL, and with one thread of BLAS's."""
    systems = [(method, definite(n), right_hand_side(n, 2)) for n in (70, 131) for method in DIRECT]

    def solve(system):
        method, a, b = system
        return st.solve(a, b, method=method)

    alone = [solve(system) for system in systems]
    with ThreadPoolExecutor(4) as pool:
        for want, x in zip(alone * 8, pool.map(solve, systems * 8), strict=True):
            np.testing.assert_allclose(x, want, rtol=1e-13)


@pytest.mark.parametrize("method", DIRECT)
def test_many_right_hand_sides_of_a_small_matrix_leave_the_gil_to_others(method, never_switching):
    """Some tries: a thread may be woken too late to be seen."""
    count, over = 0, False

    def run():
        nonlocal count
        while not over:
            count += 1
            time.sleep(0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(20):
            a = np.asfortranarray(definite(16))
            b = np.ones((16, 50_000), order="F")
            before = count
            _cpu.solve_directly(method, a, b, True, True)  # NumPy, which copies, would leave it
            if count > before:
                return
    finally:
        over = True
        thread.join()
    pytest.fail("no other thread ran meanwhile")


@pytest.mark.parametrize("dtype", DTYPES)
def test_rcond_is_of_the_1_norm_in_either_order(dtype):
    a = np.eye(8, dtype=dtype)
    a[0] = 10  # ‖A‖₁ = 11, ‖A‖∞ = 71
    a[0, 0] = 1
    for order in "CF":
        a = np.array(a, order=order)
        _, info = st.solve(a, np.ones(8, dtype), method="lu", return_info=True)
        assert info.rcond == pytest.approx(1 / np.linalg.cond(a, 1), rel=1e-5)


def test_qr_solves_least_squares():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((50, 7)), rng.standard_normal((50, 2))
    for layout in (a, np.asfortranarray(a)):
        for rhs in (b, b[:, 0]):
            want = np.linalg.lstsq(a, rhs, rcond=None)[0]
            np.testing.assert_allclose(st.solve(layout, rhs, method="qr"), want, rtol=1e-11)


def test_hard_systems():
    a = hilbert(8)
    b = a @ np.ones(8)
    for method in DIRECT:  # condition 1.5e10
        x, info = st.solve(a, b, method=method, return_info=True)
        np.testing.assert_allclose(x, 1, rtol=1e-5)
        assert info.rcond == pytest.approx(1 / np.linalg.cond(a, 1), rel=0.9)
    indefinite = definite(40) - 100 * np.eye(40)
    b = right_hand_side(40, None)
    for method in ("lu", "qr"):
        assert error(st.solve(indefinite, b, method=method), indefinite, b) < 1e-12
    # a needs row exchanges
    np.testing.assert_allclose(st.solve([[0, 1], [1, 0]], [2, 3], method="lu"), [3, 2])


def test_ill_conditioned_warns():
    for method in ("lu", "qr"):
        with pytest.warns(scipy.linalg.LinAlgWarning, match="A is ill-conditioned, its reciprocal"):
            st.solve(hilbert(14), np.ones(14), method=method)


def test_integers_lists_and_empty_systems():
    default = {"rtol": np.float64(1e-8)}  # of no meaning here, and not refused
    for of in (list, np.array):
        np.testing.assert_allclose(st.solve(of([[2, 0], [0, 4]]), of([2, 4]), **default), 1, 1e-15)
    assert st.solve(np.eye(3, dtype=np.float32), np.ones(3), method="cg").dtype == np.float64
    for method in (*DIRECT, "jacobi", "gauss-seidel", "cg", "pcg"):
        assert st.solve(np.zeros((0, 0)), np.zeros(0), method=method).shape == (0,)
        x, info = st.solve(np.eye(3), np.zeros((3, 0)), method=method, return_info=True)
        assert x.shape == (3, 0) and ("nothing to solve" in info.message) == (method not in DIRECT)
    assert st.solve(np.zeros((3, 0)), np.ones(3), method="qr").shape == (0,)
    none = NAMESPACES[1].zeros((0, 0))
    for method in ("jacobi", "gauss-seidel", "cg", "pcg"):
        assert st.solve(none, none[:, 0:0], method=method).shape == (0, 0)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("xp", NAMESPACES, ids=lambda xp: xp.__name__)
def test_norms_neither_underflow_nor_overflow(xp, scale):
    a, b = definite(20), right_hand_side(20, 2)
    b[:, 1] = 0
    for name in ("jacobi", "gauss-seidel"):
        with np.errstate(all="raise"):  # as some have it
            for rhs in (b, b[:, 0]):
                x = st.solve(xp.asarray(scale * a), xp.asarray(scale * rhs), method=name)
                np.testing.assert_allclose(x, np.linalg.solve(a, rhs), rtol=1e-6, atol=1e-8)
    told = pytest.raises(np.linalg.LinAlgError)  # the squares of cg do
    with told, np.errstate(over="ignore", invalid="ignore"):
        st.solve(xp.asarray(scale * a), xp.asarray(scale * b), method="cg")


@pytest.mark.parametrize("columns", [None, 2])
@pytest.mark.parametrize(
    ("name", "options", "scale", "scale_of_b"),
    [
        ("jacobi", {}, 1.0, 1e-300),
        ("gauss-seidel", {}, 1.0, 1e-300),
        ("pcg", {"preconditioner": "ssor"}, 1e-300, 1e-300),
        ("pcg", {}, 1e100, 1e-100),
        ("cg", {}, 1e100, 1e-100),
        ("jacobi", {}, 1e-300, 1e30),
        ("cg", {}, 1e-300, 1e30),
        ("pcg", {}, 1e-300, 1e30),
    ],
)
def test_what_numpy_is_told_to_raise_changes_nothing(name, options, scale, scale_of_b, columns):
    a, b = scale * definite(20), scale_of_b * right_hand_side(20, columns, np.float64)

    def end():
        try:
            x, info = st.solve(a, b, method=name, return_info=True, **options)
        except np.linalg.LinAlgError as error:  # where squares leave the range
            return str(error)
        return x.tobytes(), info.message

    quiet = end()
    with np.errstate(all="raise"):
        assert end() == quiet


def test_the_users_functions_keep_what_numpy_is_told_to_raise():
    a, b, seen = definite(5), np.ones(5), []

    def note(x):
        seen.append(np.geterr())
        return x.copy()

    def product(x):
        seen.append(np.geterr())
        return a @ x

    with np.errstate(over="raise", under="warn", invalid="print"):
        mine = np.geterr()
        st.solve(product, b, method="pcg", preconditioner=note, callback=note)
        assert np.geterr() == mine
    assert len(seen) > 6
    assert all(state == mine for state in seen)


def test_a_matrix_that_is_not_aligned():
    a, b = definite(20), right_hand_side(20, 1, np.float64)
    odd = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    odd[...] = a
    for method in ("cholesky", "cg", "gauss-seidel"):
        assert st.solve(odd, b, method=method).tobytes() == st.solve(a, b, method=method).tobytes()


def test_any_byte_order():
    a, b = definite(20), right_hand_side(20, None)
    for method in ("cholesky", "lu", "qr", "gauss-seidel", "cg"):
        x = st.solve(a.astype(">f8"), b.astype(">f8"), method=method)
        np.testing.assert_array_equal(x, st.solve(a, b, method=method))


@pytest.mark.gpu
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*DIRECT, *ITERATIVE])
def test_on_the_gpu(name, dtype, columns):
    cupy = pytest.importorskip("cupy")
    a, b = definite(131, dtype), right_hand_side(131, columns, dtype)
    for layout in (cupy.asarray(a), cupy.asfortranarray(cupy.asarray(a))):
        x = st.solve(layout, cupy.asarray(b), **ITERATIVE.get(name, {"method": name}))
        assert isinstance(x, cupy.ndarray)
        assert error(x.get(), a, b) < (3e-8 if dtype is np.float64 else 1e-5)
        np.testing.assert_array_equal(layout.get(), a)


@pytest.mark.gpu
def test_errors_on_the_gpu():
    cupy = pytest.importorskip("cupy")
    with pytest.raises(np.linalg.LinAlgError, match="A is not positive definite"):
        st.solve(-cupy.eye(3), cupy.ones(3))
    for method in ("lu", "qr"):
        with pytest.raises(np.linalg.LinAlgError, match="A is singular"):
            st.solve(cupy.zeros((3, 3)), cupy.ones(3), method=method)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("method", ["cholesky", "lu", "qr", "jacobi", "gauss-seidel", "cg", "pcg"])
def test_a_matrix_is_an_array(method):
    a, b = definite(5), right_hand_side(5, 1)
    matrix, column = np.matrix(a), np.matrix(b.reshape(5, 1))
    x = st.solve(matrix, column, method=method)
    assert type(x) is np.ndarray
    np.testing.assert_array_equal(x, st.solve(a, b.reshape(5, 1), method=method))
    np.testing.assert_array_equal(matrix, a)
    np.testing.assert_array_equal(column[:, 0].A1, b.ravel())


@pytest.mark.parametrize("method", ["jacobi", "cg", "pcg"])
def test_a_product_and_no_right_hand_side(method):
    diagonal = {} if method == "cg" else {"diagonal": np.ones(3)}
    for x0 in (None, np.ones((3, 0))):
        x = st.solve(lambda v: v, np.ones((3, 0)), method=method, x0=x0, **diagonal)
        assert x.shape == (3, 0)
