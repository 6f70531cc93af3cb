"""What steepest.solve refuses, what it says, and how an iteration that falls short is told."""

import pickle

import array_api_strict as strict
import numpy as np
import pytest
from linear_systems import ITERATIVE, NAMESPACES, definite, right_hand_side
from numpy.linalg import LinAlgError
from scipy.linalg import LinAlgWarning

import steepest as st
from steepest import _cpu

EYE, ONES = np.eye(3), np.ones(3)
ZERO_DIAGONAL = np.array([[1.0, 2.0], [2.0, 0.0]])
SKEW = np.array([[1.0, 2.0], [2.5, 9.0]])
HALF = np.array([[1e17, 0, 0], [0, 1, 0.5], [0, 0, 1]])  # as a triangle filled on one side
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])

CASES = [
    (EYE, ONES, {"method": "svd"}, ValueError, "method: 'svd' is not allowed; expected one of"),
    (EYE, ONES, {"rtol": -1.0}, ValueError, "rtol: -1.0 is not allowed"),
    (EYE, ONES, {"atol": -1.0}, ValueError, "atol: -1.0 is not allowed"),
    (EYE, ONES, {"method": "cg", "maxiter": 0}, ValueError, "maxiter: 0 is not allowed"),
    (EYE, ONES, {"method": "cg", "maxiter": -1.5}, ValueError, "maxiter: -1.5 is not allowed"),
    (EYE, ONES, {"method": "gauss-seidel", "sweep": "up"}, ValueError, "sweep: 'up'"),
    (EYE, ONES, {"method": "gauss-seidel", "omega": 2}, ValueError, "omega: 2.0 is not allowed"),
    (EYE, ONES, {"method": "pcg", "preconditioner": "ilu"}, ValueError, "preconditioner: 'ilu'"),
    (
        EYE,
        ONES,
        {"method": "pcg", "preconditioner": EYE},
        TypeError,
        "preconditioner: got an ndarray; ex",
    ),
    (EYE, ONES, {"method": "cg", "callback": 3}, TypeError, "callback: 3 is an int; expected"),
    (EYE, ONES, {"method": "pcg", "omega": 0}, ValueError, "omega: 0.0 is not allowed"),
    (EYE, ONES, {"overwrite_a": 1}, TypeError, "overwrite_a: 1 is an int"),
    (EYE, ONES, {"overwrite_b": 1}, TypeError, "overwrite_b: 1 is an int"),
    (EYE, ONES, {"return_info": 1}, TypeError, "return_info: 1 is an int"),
    (
        EYE,
        ONES,
        {"sweep": "symmetric"},
        ValueError,
        "sweep: has no meaning for method='cholesky'; allowed with 'gauss-seidel'",
    ),
    (EYE, ONES, {"x0": ONES}, ValueError, "x0: has no meaning for method='cholesky'"),
    (EYE, ONES, {"method": "lu", "rtol": 1e-3}, ValueError, "rtol: has no meaning for method='lu'"),
    (EYE, ONES, {"method": "cg", "diagonal": ONES}, ValueError, "diagonal: has no meaning"),
    (EYE, ONES, {"method": "pcg", "omega": 1.5}, ValueError, "omega: has no meaning for this"),
    (
        EYE,
        ONES,
        {"method": "pcg", "diagonal": ONES, "preconditioner": lambda r: r},
        ValueError,
        "diagonal: has no meaning for this preconditioner; allowed with 'jacobi', 'ssor'",
    ),
    (EYE * 1j, ONES, {}, TypeError, "A: dtype complex128 is not supported; expected float32"),
    (EYE * 1j, ONES * 1j, {}, TypeError, "A: dtype complex128 is not supported"),
    (EYE, ONES.astype(np.float16), {}, TypeError, "b: dtype float16 is not supported"),
    ("A", ONES, {}, TypeError, "A: str, b: ndarray; expected dense arrays of one library"),
    (np.ma.array(EYE, mask=EYE == 0), ONES, {}, ValueError, "A: a masked array, whose mask would"),
    (EYE, np.ma.ones(3), {}, ValueError, "b: a masked array, whose mask would be ignored"),
    (EYE, ONES[:, None, None], {}, ValueError, r"b: shape \(3, 1, 1\); expected \(n,\)"),
    (ONES, ONES, {}, ValueError, r"A: shape \(3,\); expected \(n, n\)"),
    (np.ones((4, 3)), np.ones(4), {}, LinAlgError, r"A: shape \(4, 3\) is not square"),
    (np.ones((2, 3)), np.ones(2), {"method": "qr"}, LinAlgError, "fewer rows than columns"),
    (EYE, np.ones(2), {}, ValueError, r"b: shape \(2,\) does not fit A of shape \(3, 3\)"),
    (EYE, ONES, {"method": "cg", "x0": np.ones(2)}, ValueError, r"x0: shape \(2,\); expected"),
    (
        EYE,
        ONES,
        {"method": "jacobi", "diagonal": np.ones(2)},
        ValueError,
        r"diagonal: shape \(2,\); expected \(3,\)",
    ),
    (EYE, ONES * np.nan, {}, ValueError, "b: contains inf or NaN"),
    (np.float32(EYE), np.float32([1, np.nan, 1]), {}, ValueError, "b: contains inf or NaN"),
    (EYE, ONES, {"method": "cg", "x0": ONES * np.nan}, ValueError, "x0: contains inf or NaN"),
    (np.full((3, 3), np.inf), ONES, {"method": "lu"}, ValueError, "A: contains inf or NaN"),
    (np.full((3, 3), np.inf), ONES, {}, ValueError, "A: contains inf or NaN"),
    (np.full((3, 3), np.nan), ONES, {}, ValueError, "A: contains inf or NaN"),
    (EYE, ONES * 1e-200, {"method": "cg"}, LinAlgError, r"rᵀr = 0 in iteration 1: out of the ran"),
    (EYE, ONES * 1e-200, {"method": "pcg"}, LinAlgError, r"rᵀM⁻¹r = 0 in iteration 1: out of the"),
    (EYE * 1e-200, ONES * 1e-99, {"method": "cg"}, LinAlgError, r"pᵀAp = 0 in .* out of the range"),
    (EYE * 1e200, ONES * 1e100, {"method": "cg"}, LinAlgError, "pᵀAp = inf .* range of float64"),
    (np.full((3, 3), np.nan), ONES, {"method": "cg"}, ValueError, "A: contains inf or NaN"),
    (
        SKEW,
        np.ones(2),
        {},
        LinAlgError,
        r"A is not symmetric: A\[., .\] and A\[., .\] differ by 0.5",
    ),
    (SKEW, np.ones(2), {"method": "cg"}, LinAlgError, "A is not symmetric.*use method='lu'"),
    # beside a large element, which hides nothing in other rows
    (HALF, ONES, {}, LinAlgError, r"A\[1, 2\] and A\[2, 1\] differ by 0.5"),
    (HALF, ONES, {"method": "cg"}, LinAlgError, r"A\[1, 2\] and A\[2, 1\] differ by 0.5"),
    (  # a product of exactly 0 that is not lost to its size
        lambda v: np.stack([v[1], -v[0]]),
        np.ones(2),
        {"method": "cg"},
        LinAlgError,
        "A is not positive definite: pᵀAp = 0 in iteration 1; for a matvec, use scipy.*minres",
    ),
    (
        EYE,
        ONES,
        {"method": "pcg", "preconditioner": lambda r: 0 * r},
        LinAlgError,
        "the preconditioner is not positive definite: rᵀM⁻¹r = 0 in iteration 1; pass another",
    ),
    (-EYE, ONES, {}, LinAlgError, "not positive definite: its leading minor of order 1"),
    (
        -EYE,
        ONES,
        {"method": "cg"},
        LinAlgError,
        r"definite: pᵀAp = -3 in iteration 1; use method='lu'",
    ),
    (
        np.diag([1.0, -1]),
        np.eye(2),
        {"method": "cg"},
        LinAlgError,
        r"definite: pᵀAp = -1 in iterat",
    ),
    (np.diag([1.0, -2]), ONES[:2], {"method": "pcg"}, LinAlgError, r"A\[1, 1\] = -2; use method"),
    (-EYE, ONES, {"method": "pcg"}, LinAlgError, r"not positive definite: A\[0, 0\] = -1"),
    (
        EYE,
        ONES,
        {"method": "pcg", "preconditioner": lambda r: -r},
        LinAlgError,
        "the preconditioner is not positive definite: rᵀM⁻¹r = -3 in iteration 1",
    ),
    (SINGULAR, np.ones(2), {"method": "lu"}, LinAlgError, r"A is singular: U\[1, 1\] is exactly 0"),
    (
        np.zeros((2, 2)),
        np.ones(2),
        {"method": "qr"},
        LinAlgError,
        r"singular: R\[0, 0\] is exactly",
    ),
    (
        ZERO_DIAGONAL,
        np.ones(2),
        {"method": "jacobi"},
        LinAlgError,
        r"A\[1, 1\] is 0: jacobi divides",
    ),
    (ZERO_DIAGONAL, np.ones(2), {"method": "gauss-seidel"}, LinAlgError, r"A\[1, 1\] is 0"),
    (lambda v: v, ONES, {}, TypeError, "A: a matvec; method='cholesky' needs the matrix itself"),
    (lambda v: v, ONES, {"method": "gauss-seidel"}, TypeError, "A: a matvec"),
    (lambda v: v, ONES, {"method": "jacobi"}, TypeError, "diagonal: missing; method='jacobi' with"),
    (lambda v: v[:2], ONES, {"method": "cg"}, ValueError, r"A: returned \(2,\) for a vector of"),
    *(
        (
            lambda v: v,
            ONES,
            {"method": method, "diagonal": d},
            LinAlgError,
            rf"diagonal\[1\] (is|=) {d[1]:g}.*; for a mat",
        )
        for method, d in (("jacobi", EYE[0]), ("pcg", EYE[0]), ("pcg", 1 - 2 * EYE[1]))
    ),
    (lambda v: v * 1j, ONES, {"method": "cg"}, TypeError, "A: returned complex128"),
    (list, ONES, {"method": "cg"}, TypeError, r"A: returned a list; expected an array of shape"),
    (
        lambda v: v * np.nan,
        ONES,
        {"method": "jacobi", "diagonal": ONES, "x0": ONES},
        st.ConvergenceError,
        "did not converge in 0 iterations: the residual is no longer finite",
    ),
    (
        strict.asarray(EYE),
        strict.asarray(ONES),
        {},
        TypeError,
        "A: Array; method='cholesky' takes NumPy and CuPy arrays; 'jacobi', 'gauss-seidel', 'cg'",
    ),
    (
        lambda v: v,
        ONES,
        {"method": "pcg", "preconditioner": "ssor"},  # a diagonal would not help
        TypeError,
        "A: a matvec; preconditioner='ssor' needs the matrix",
    ),
    (None, ONES, {"method": "cg"}, TypeError, "A: got None; expected an array"),
    (EYE, None, {}, TypeError, "b: got None; expected an array"),
    (EYE, 1j, {}, TypeError, "b: dtype complex128 is not supported"),
    ([[1, 2], [3]], ONES, {}, ValueError, r"A: \[\[1, 2\], \[3\]\] is not an array"),
    (np.diag([1, np.nan, 1]), ONES, {"method": "jacobi"}, ValueError, "A: contains inf or NaN"),
    (
        np.diag([1, np.nan, 1]),
        ONES,
        {"method": "gauss-seidel"},
        ValueError,
        "A: contains inf or NaN",
    ),
    (lambda v: v.astype(object), ONES, {"method": "cg"}, TypeError, "A: returned object; expected"),
    (lambda v: v.astype(str), ONES, {"method": "cg"}, TypeError, "A: returned <U32; expected"),
    (np.array, np.ma.ones(3), {"method": "cg"}, ValueError, "b: a masked array"),
    (np.ma.array, ONES, {"method": "cg"}, TypeError, "the answer of A: a masked array"),
    (strict.asarray, ONES, {"method": "cg"}, TypeError, "A: returned an Array; expected ndarray"),
    (EYE * 1e-310, ONES, {}, LinAlgError, "x is out of the range of float64"),
    (EYE * 1e-310, ONES, {"method": "lu"}, LinAlgError, "x is out of the range of float64"),
    (EYE * 1e-310, ONES, {"method": "qr"}, LinAlgError, "x is out of the range of float64"),
    (
        lambda v: v,
        ONES,
        {"method": "pcg", "diagonal": ONES, "preconditioner": "ssor"},
        TypeError,
        "A: a matvec; preconditioner='ssor' needs the matrix",
    ),
]


def spread(a):
    """Of two arrays' memory, with gaps."""
    wide = np.full((2 * len(a), 3 * len(a)), np.nan, a.dtype)
    wide[::2, 1::3] = a
    return wide[::2, 1::3]


def shifted(a):
    """Not aligned to its elements."""
    memory = np.zeros(a.nbytes + 1, np.int8)
    memory[1:] = a.reshape(-1).view(np.int8)
    return memory[1:].view(a.dtype).reshape(a.shape)


@pytest.mark.parametrize("method", ["cholesky", "cg"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "laid",
    [np.array, np.asfortranarray, spread, shifted, lambda a: a[::-1, ::-1].copy()[::-1, ::-1]],
)
def test_one_pair_that_differs_is_found_in_any_layout(laid, dtype, method):
    """Of a matrix small enough to be compared with its transpose."""
    a, b = definite(9, dtype), right_hand_side(9, None, dtype)
    np.testing.assert_allclose(
        st.solve(laid(a), b, method=method), np.linalg.solve(a, b), rtol=1e-3
    )
    for i, j in ((8, 0), (0, 8), (4, 5)):
        skew = a.copy()
        skew[i, j] += 0.01 * abs(a).max()
        with pytest.raises(LinAlgError, match="A is not symmetric"):
            st.solve(laid(skew), b, method=method)


@pytest.mark.parametrize("method", ["cholesky", "cg", "pcg"])
def test_a_matrix_in_float32_is_symmetric_to_that_where_b_is_in_float64(method):
    rng = np.random.default_rng(0)
    rows, b = rng.normal(size=(200, 30)).astype(np.float32), rng.normal(size=30)
    a = (rows.T * rng.random(200).astype(np.float32)) @ rows
    a[5, 25] *= 1 + 1e-6
    x = st.solve(a, b, method=method)
    assert x.dtype == np.float64
    np.testing.assert_allclose(x, np.linalg.solve(a.astype(float), b), rtol=1e-4, atol=1e-8)
    a[5, 25] += 0.01 * abs(a).max()
    with pytest.raises(LinAlgError, match="A is not symmetric"):
        st.solve(a, b, method=method)


@pytest.mark.parametrize(("a", "b", "options", "kind", "message"), CASES)
def test_what_is_refused_and_why(a, b, options, kind, message):
    keep = [v.copy() if isinstance(v, np.ndarray) else v for v in (a, b)]
    with pytest.raises(kind, match=message):
        st.solve(a, b, **options)
    if isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, keep[0])
    np.testing.assert_array_equal(b, keep[1])


@pytest.mark.parametrize(
    ("a", "b", "options", "kind", "message"), [case for case in CASES if "ᵀ" in case[4]]
)
def test_beside_a_column_that_is_solved_the_same_is_refused(a, b, options, kind, message):
    with pytest.raises(kind, match=message):
        st.solve(a, np.column_stack([0 * b, b]), **options)


@pytest.mark.parametrize("xp", NAMESPACES, ids=lambda xp: xp.__name__)
@pytest.mark.parametrize("name", ITERATIVE)
def test_falling_short_is_an_error_that_carries_the_iterate(name, xp):
    a, b = xp.asarray(definite(60)), xp.asarray(right_hand_side(60, None))
    options = {**ITERATIVE[name], "maxiter": 2, "rtol": 1e-14}
    with pytest.raises(
        st.ConvergenceError, match="did not converge in 2 iterations: maxiter=2 is"
    ) as e:
        st.solve(a, b, **options)
    assert isinstance(e.value, LinAlgError)
    x, info = st.solve(a, b, return_info=True, **options)
    np.testing.assert_array_equal(np.asarray(e.value.x), np.asarray(x))
    assert not info.success and info.nit == 2
    true = np.linalg.norm(np.asarray(b) - np.asarray(a) @ np.asarray(x))
    assert info.residuals[-1] == pytest.approx(true, rel=1e-6)
    assert "at a factor of" in info.message and "more are needed" in info.message
    assert pickle.loads(pickle.dumps(e.value)).info.message == info.message or xp is not np


@pytest.mark.parametrize("name", ["jacobi", "gauss-seidel", "gauss-seidel symmetric"])
def test_divergence_ends_early(name):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((40, 40)) + 0.1 * np.eye(40)
    x, info = st.solve(a, np.ones(40), return_info=True, **ITERATIVE[name])
    assert not info.success and info.nit < 400
    assert "it diverges" in info.message


def test_how_many_iterations_are_missing_is_told():
    """Each halves the residual of the first column, and 1e-10 is 2 to the -33.2; the second column
    is solved, within a larger tolerance."""
    options = {"method": "jacobi", "rtol": 1e-10, "maxiter": 20, "return_info": True}
    a, b = [[2.0, 1, 0], [1, 2, 0], [0, 0, 4]], [[1.0, 0], [1, 0], [0, 1e6]]
    _, info = st.solve(a, b, **options)
    told = "residual 1.35e-06, tolerance 1.41e-10; at a factor of 0.5 per iteration, about 13 more"
    assert info.message.endswith(f"; {told} are needed")
    _, info = st.solve(np.ones((2, 2)), np.ones(2), **options)  # no factor: it comes no nearer
    assert info.message.endswith("; residual 1.41, tolerance 1.41e-10")


@pytest.mark.parametrize("name", ["jacobi", "gauss-seidel"])
def test_residuals_whose_squares_lose_digits(name):
    a, b = np.array([[2.0, 1], [1, 2]]), np.array([3.0, 4])
    infos = [st.solve(a, b * 2.0**-k, return_info=True, **ITERATIVE[name])[1] for k in (0, 530)]
    np.testing.assert_allclose(infos[1].residuals * 2.0**530, infos[0].residuals, rtol=1e-14)


def test_a_tolerance_beyond_rounding_is_told():
    a = np.diag(np.logspace(0, 14, 60))
    a[0, 1] = a[1, 0] = 0.5
    x, info = st.solve(a, np.ones(60), method="pcg", rtol=0.0, atol=1e-300, return_info=True)
    assert info.success  # rtol is taken as sqrt(n) eps
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))
    a = q @ np.diag(np.logspace(0, 6, 60)) @ q.T
    a = (a + a.T) / 2
    x, info = st.solve(a, np.ones(60), method="cg", rtol=1e-15, maxiter=10**5, return_info=True)
    assert not info.success and "at the rounding level of the working precision" in info.message
    assert info.residuals[-1] == pytest.approx(np.linalg.norm(1 - a @ x), rel=1e-6)


@pytest.mark.parametrize("name", ITERATIVE)
def test_callback_can_stop_and_its_errors_pass(name):
    a, b = definite(60), right_hand_side(60, None)
    seen = []

    def stop(x):
        seen.append(x.copy())
        x[:] = np.nan  # a copy of its own
        if len(seen) == 3:
            raise StopIteration

    x, info = st.solve(a, b, callback=stop, rtol=1e-14, return_info=True, **ITERATIVE[name])
    assert not info.success and info.nit == 3 and "the callback stopped it" in info.message
    np.testing.assert_array_equal(x, seen[-1])
    assert info.residuals[-1] == pytest.approx(np.linalg.norm(b - a @ x), rel=1e-6)

    def interrupt(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        st.solve(a, b, callback=interrupt, **ITERATIVE[name])


def test_errors_of_the_users_product_pass():
    def broken(v):
        raise RuntimeError("no product today")

    with pytest.raises(RuntimeError, match="no product today"):
        st.solve(broken, ONES, method="cg")


@pytest.mark.parametrize("method", ["jacobi", "cg", "pcg"])
def test_a_product_is_judged_by_its_own_shape(method):
    """A subclass of NumPy's array that says another was broadcast."""

    class Says3(np.ndarray):
        shape = (3,)

    options = {} if method == "cg" else {"diagonal": np.full(3, 2.0)}
    with pytest.raises(ValueError, match=r"A: returned \(1,\) for a vector of shape \(3,\)"):
        st.solve(lambda x: x[:1].view(Says3), np.ones(3), method=method, **options)


def test_a_product_that_turns_nan_is_told():
    a, b = definite(20), right_hand_side(20, None)
    d = np.diag(a).copy()

    def decaying(good=3):
        calls = iter(range(100))
        return lambda v: a @ v if next(calls) < good else v * np.nan

    with pytest.raises(LinAlgError, match="^A gives NaN: pᵀAp = nan in iteration 4$"):
        st.solve(decaying(), b, method="cg")
    _, info = st.solve(a, b, method="cg", return_info=True)
    with pytest.raises(LinAlgError, match="^A gives NaN: rᵀr = nan"):  # when the answer is verified
        st.solve(decaying(info.nit), b, method="cg")
    with pytest.raises(st.ConvergenceError, match="the residual is no longer finite"):
        st.solve(decaying(), b, method="jacobi", diagonal=d)


@pytest.mark.parametrize("columns", [None, 2])
@pytest.mark.parametrize("method", ["cg", "pcg"])
def test_products_that_overflow_are_no_nan_of_a(method, columns):
    """Of both signs, they add up to NaN: "A gives NaN", it was said, or "the preconditioner"."""
    a, b = definite(20), right_hand_side(20, columns)
    of_a, of_b = (1e150, 1e150) if method == "cg" else (1e-100, 1e150)
    options = {"preconditioner": "ssor"} if method == "pcg" else {}
    with pytest.raises(LinAlgError, match="out of the range of float64; scale A or b$"):
        st.solve(a * of_a, b * of_b, method=method, **options)


@pytest.mark.filterwarnings("ignore:solve. A is ill-conditioned")
@pytest.mark.parametrize("spread", [0, 8])
@pytest.mark.parametrize("kind", ["normal equations", "nearly orthogonal", "no diagonal"])
def test_rounding_is_no_asymmetry_in_any_units(kind, spread):
    rng = np.random.default_rng(3)
    n = 60
    g = rng.standard_normal((3 * n, n))
    if kind == "nearly orthogonal":
        g = np.linalg.qr(g)[0]
    g *= 10 ** rng.uniform(-spread, spread, n)
    a = (g.T * np.ones(3 * n)) @ (g + 0)  # a general product, symmetric but for rounding
    a *= 1 + np.finfo(float).eps * rng.integers(-2, 3, (n, n))
    if kind == "no diagonal":
        np.fill_diagonal(a, 0)
        with pytest.raises(LinAlgError, match="not positive definite"):
            st.solve(a, np.ones(n))
    else:
        st.solve(a, np.ones(n))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("xp", NAMESPACES, ids=lambda xp: xp.__name__)
def test_one_pair_that_differs_is_found_and_rounding_is_not(xp, dtype):
    n = 300
    rng = np.random.default_rng(0)
    g = rng.standard_normal((n, n)).astype(dtype)
    gram = np.array([[g[i] @ g[j] for j in range(n)] for i in range(n)], dtype) + n * np.eye(
        n, dtype=dtype
    )
    ragged = gram * (1 + np.finfo(dtype).eps * rng.integers(-2, 3, (n, n))).astype(dtype)
    b = np.ones(n, dtype)
    st.solve(xp.asarray(ragged), xp.asarray(b), method="cg")  # symmetric to rounding
    for i, j in ((17, 250), (299, 0), (5, 6)):
        a = gram.copy()
        a[i, j] += 1e4 * np.finfo(dtype).eps * np.abs(gram).max()
        with pytest.raises(LinAlgError, match=rf"A\[({i}|{j}), ({i}|{j})\]"):
            st.solve(xp.asarray(a), xp.asarray(b), method="cg")


def test_what_lapack_must_not_be_handed():
    a, b = np.eye(3), np.ones(3)
    for method, args, message in (
        ("lu", (np.eye(3, dtype=int), b), "a: expected float32 or float64"),
        ("lu", (a.astype(">f8"), b), "a: expected float32 or float64"),
        ("lu", (np.ones((4, 3)), np.ones(4)), "a: expected a square matrix"),
        ("qr", (np.ones((2, 3)), np.ones(2)), "a: expected a square matrix, or"),
        ("qr", (np.ones(3), b), "a: expected a square matrix"),
        ("cholesky", (a, np.ones(4)), "b: expected"),
        ("cholesky", (a, np.ones((3, 1, 1))), "b: expected"),
        ("cholesky", (a, b.astype(np.float32)), "b: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            _cpu.solve_directly(method, *args, False, False)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        _cpu.solve_directly("lu", a, frozen, False, True)


def test_a_warning_is_of_the_users_line():
    with pytest.warns(LinAlgWarning, match="ill-conditioned") as told:
        st.solve(np.diag([1.0, 1.0, 1e-20]), ONES, method="lu")
    assert [warning.filename for warning in told] == [__file__]


def test_a_type_that_numpy_does_not_classify_is_refused_by_the_name_of_its_array():
    """As bfloat16, or its own strings: "dtype argument must be a NumPy dtype, but it is"."""
    strings = getattr(np.dtypes, "StringDType", lambda: "S1")  # NumPy 1.26 has none
    text = np.array(["1", "2"], strings())
    with pytest.raises(TypeError, match="^b: dtype .* is not supported; expected float32"):
        st.solve(np.eye(2), text)
    with pytest.raises(TypeError, match="returned .*; expected a real dtype"):
        st.solve(lambda v: text, np.ones(2), method="cg")
