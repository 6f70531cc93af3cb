"""A, b and x0 brought to one form: one namespace, one dtype, a product with A."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import array_api_compat
import array_api_compat.numpy
import numpy as np

from steepest import _cpu, check
from steepest.arrays import MASKED, from_numbers, plain

Array = Any
Product = Callable[[Array], Array]
FLOAT = np.dtype(float)
PYTHON = (list, tuple, float, int, complex)  # what may hold numbers instead of an array
SMALL = 255  # rows up to which comparing A with its transpose takes less than two products


@dataclass
class System:
    """A x = b, checked. If b has two dimensions, its columns are the right-hand sides."""

    xp: Any
    a: Array | None  # None: only the product is known
    b: Array
    x0: Array | None = None
    diagonal: Array | None = None  # as the user gave it
    product: Product | None = None  # the user's x -> A x, where A is one
    owns_a: bool = False  # a is our copy already, and may be overwritten
    owns_b: bool = False
    eps_of_a: float = 0.0  # where A was told in float32, to float64
    # The user's np.errstate, for the user's functions; our own arithmetic raises no warnings.
    users: Any = field(default_factory=dict)

    @property
    def dtype(self) -> Any:
        return self.b.dtype

    @property
    def eps(self) -> float:
        return _eps(self.xp, self.dtype)

    @property
    def remedy(self) -> str:
        """What solves a system that is not positive definite."""
        if self.a is None:
            return "for a matvec, use scipy.sparse.linalg.minres or gmres"
        return "use method='lu'"

    def matrix(self, choice: str, argument: str = "method") -> Array:
        """A itself, for methods and preconditioners that need its elements."""
        if self.a is None:
            raise TypeError(
                f"A: a matvec; {argument}={choice!r} needs the matrix itself; "
                "a matvec is allowed with 'jacobi', 'cg' and 'pcg'"
            )
        return self.a

    # A method, not a function in a field: that would hold the system in a cycle, and A and b would
    # live on until Python's collector runs.
    def times(self, x: Array) -> Array:
        """A x, for x of b's shape."""
        return self.a @ x if self.product is None else self.applied(self.product, "A", x)

    def applied(self, function: Product, name: str, x: Array) -> Array:
        """The user's function on vectors, applied to every column, its result checked.

        It may keep or write to what it is given, which is a copy. What it returns stays as it is
        until it is called again.
        """
        if x.ndim == 1:
            return self._checked(self.ask(function, x), x.shape, name)
        if x.shape[1] == 0:
            return x
        columns = [
            copied(self.xp, self.applied(function, name, x[:, k])) for k in range(x.shape[1])
        ]
        return self.xp.stack(columns, axis=1)

    def ask(self, function: Callable[[Array], Any], x: Array) -> Any:
        """function(x), as the user would call it: x is a copy that it may keep or write to."""
        with np.errstate(**self.users):
            return function(copied(self.xp, x))

    def _checked(self, y: Array, shape: tuple[int, ...], name: str) -> Array:
        if type(y) is type(self.b) is np.ndarray and y.dtype == self.dtype and y.shape == shape:
            if y.flags.c_contiguous and y.flags.aligned:
                return y
        if not hasattr(y, "shape"):
            given = check.named(y)
            raise TypeError(f"{name}: returned {given}; expected an array of shape {shape}")
        y = plain(f"the answer of {name}", y)
        if tuple(y.shape) != shape:
            raise ValueError(f"{name}: returned {tuple(y.shape)} for a vector of shape {shape}")
        if not isinstance(y, type(self.b)):
            kind, due = check.kind(y), type(self.b).__name__
            raise TypeError(f"{name}: returned {kind}; expected {due}, as b is")
        if not _is_of(self.xp, y.dtype, "bool", "integral", "real floating"):
            raise TypeError(f"{name}: returned {y.dtype}; expected a real dtype")
        return self.xp.astype(y, self.dtype)


@functools.cache
def _eps(xp: Any, dtype: Any) -> float:
    return float(xp.finfo(dtype).eps)


@functools.cache
def least_normal(xp: Any, dtype: Any) -> float:
    return float(xp.finfo(dtype).smallest_normal)


def copied(xp: Any, x: Array) -> Array:
    """A copy, laid out as x is."""
    return x.copy("K") if type(x) is np.ndarray else xp.asarray(x, copy=True)


def make_system(a: Any, b: Any, x0: Any, diagonal: Any, *, least_squares: bool) -> System:
    """Check the arguments in order and convert them; nothing of the user's is written."""
    if type(a) is np.ndarray and type(b) is np.ndarray and x0 is None and diagonal is None:
        if a.dtype is b.dtype and a.dtype in (FLOAT, np.float32):  # saves a third of the time
            _check_shapes(a, b, least_squares)
            _check_finite(array_api_compat.numpy, "b", b)
            return System(array_api_compat.numpy, a, b)
    product = user_product(a)
    for name, value in (("A", a), ("b", b)):
        if value is None:
            raise TypeError(f"{name}: got None; expected an array")
    given = {"A": None if product else a, "b": b, "x0": x0, "diagonal": diagonal}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, np.ma.MaskedArray):  # ValueError, as SciPy's solve
            raise ValueError(f"{name}: {MASKED}")
    given = {name: plain(name, value) for name, value in given.items()}
    arrays = {
        name: native(from_numbers(name, value) if isinstance(value, PYTHON) else value)
        for name, value in given.items()
    }
    try:
        xp = namespace(*arrays.values())
    except TypeError as error:
        kinds = ", ".join(f"{name}: {type(value).__name__}" for name, value in arrays.items())
        raise TypeError(
            f"{kinds}; expected dense arrays of one library (NumPy or CuPy); "
            "for a sparse A pass the product, A.dot, for a data frame .to_numpy()"
        ) from error
    dtype = _common_dtype(xp, arrays)
    columns = _check_shapes(arrays.get("A"), arrays["b"], least_squares)
    for name, shape in (("x0", (columns, *arrays["b"].shape[1:])), ("diagonal", (columns,))):
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(f"{name}: shape {arrays[name].shape}; expected {shape}")
    ready = {name: xp.astype(value, dtype, copy=False) for name, value in arrays.items()}
    for name, value in ready.items():
        if name != "A":
            _check_finite(xp, name, value)
    matrix = ready.get("A")
    widened = matrix is not None and arrays["A"].dtype == xp.float32 != dtype
    return System(
        xp,
        matrix,
        ready["b"],
        ready.get("x0"),
        ready.get("diagonal"),
        product,
        owns_a=matrix is not given.get("A"),
        owns_b=ready["b"] is not given["b"],
        eps_of_a=_eps(xp, xp.float32) if widened else 0.0,
    )


def _check_finite(xp: Any, name: str, v: Array) -> None:
    """For all but A, whose method finds what is not finite there."""
    quick = type(v) is np.ndarray and v.dtype is FLOAT  # a tenth of the time of a small one
    if not (_cpu.all_finite(v) if quick else bool(xp.all(xp.isfinite(v)))):
        raise ValueError(f"{name}: contains inf or NaN; expected finite values")


def namespace(*arrays: Array) -> Any:
    """The namespace of the arrays' library; TypeError if they have none in common."""
    if all(type(array) is np.ndarray for array in arrays):
        return array_api_compat.numpy
    return array_api_compat.array_namespace(*arrays)


def native(a: Array) -> Array:
    """`a` in this machine's byte order, in which arrays of other libraries are."""
    if not isinstance(a, np.ndarray) or a.dtype.isnative:
        return a
    return a.astype(a.dtype.newbyteorder("="))


def user_product(a: Any) -> Product | None:
    """The matvec, where A is one: a function, or an object with .matvec as SciPy's."""
    matvec = getattr(a, "matvec", None)
    if callable(matvec):
        return matvec  # type: ignore[no-any-return]
    return a if callable(a) else None


def _is_of(xp: Any, dtype: Any, *kinds: str) -> bool:
    """`isdtype`, which NumPy refuses to answer for another package's types, such as bfloat16."""
    try:
        return bool(xp.isdtype(dtype, kinds))
    except TypeError:
        return False


def _common_dtype(xp: Any, arrays: dict[str, Array]) -> Any:
    for name, value in arrays.items():
        allowed = value.dtype in (xp.float32, xp.float64)
        allowed = allowed or _is_of(xp, value.dtype, "integral", "bool")
        if not allowed:
            raise TypeError(
                f"{name}: dtype {value.dtype} is not supported; "
                "expected float32 or float64 (integers become float64)"
            )
    return xp.float32 if all(v.dtype == xp.float32 for v in arrays.values()) else xp.float64


def _check_shapes(a: Array | None, b: Array, least_squares: bool) -> Any:
    """The number of unknowns."""
    if b.ndim not in (1, 2):
        raise ValueError(f"b: shape {b.shape}; expected (n,) or (n, k), one column per system")
    if a is None:
        return b.shape[0]
    if a.ndim != 2:
        raise ValueError(f"A: shape {a.shape}; expected (n, n)")
    rows, columns = a.shape
    if rows != columns and not least_squares:
        raise np.linalg.LinAlgError(
            f"A: shape {a.shape} is not square; a system with more rows than columns is "
            "solved in the least-squares sense by method='qr'"
        )
    if rows < columns:
        raise np.linalg.LinAlgError(
            f"A: shape {a.shape} has fewer rows than columns; the solution is not unique"
        )
    if b.shape[0] != rows:
        raise ValueError(f"b: shape {b.shape} does not fit A of shape {a.shape}")
    return columns


def diagonal_of(system: System, method: str) -> Array:
    """The diagonal of A, which must hold no zero."""
    xp = system.xp
    d = system.diagonal
    if d is None:
        if system.a is None:
            raise TypeError(
                f"diagonal: missing; method={method!r} with a matvec needs diagonal=, of shape (n,)"
            )
        d = xp.linalg.diagonal(system.a)
    if type(d) is np.ndarray and np.count_nonzero(d) == d.shape[0]:  # a tenth of the time
        return d
    zero = d == 0
    if bool(xp.any(zero)):
        at = int(xp.argmax(xp.astype(zero, xp.int64)))
        raise np.linalg.LinAlgError(
            f"{diagonal_entry(system, at)} is 0: {method} divides by the diagonal; {system.remedy}"
        )
    return d


def diagonal_entry(system: System, at: int) -> str:
    """How the caller would write an entry of the diagonal."""
    return f"A[{at}, {at}]" if system.diagonal is None else f"diagonal[{at}]"


def check_symmetric(system: System, method: str) -> None:
    """Refuse a matrix that differs from its transpose by more than rounding.

    A u = Aᵀu is tested for one u. That takes two products; comparing elements, which reads across
    the rows, takes as long as ten. A single pair that differs shows in its row. The elements of u
    are spread over (−1, 1) without order (NumPy's random numbers took 5 ms more). Row i may differ
    by rounding of √(a_ii) max √(a_jj), which bounds its elements if A is positive definite. Only
    if some row differs by more, as A may be indefinite, rounding of |A| |u| is allowed as well.
    A small A is first compared with its transpose, in a tenth of the time: most are equal to it.
    """
    xp, a = system.xp, system.matrix(method)
    n = a.shape[0]
    if n <= SMALL and type(a) is np.ndarray and a.flags.aligned and _cpu.safely_symmetric(a):
        return
    if n == 0:
        return
    k = xp.arange(1, n + 1, dtype=xp.float64, device=array_api_compat.device(a))
    u = xp.astype(k * k * ((5**0.5 - 1) / 2) % 2 - 1, system.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        au = a @ u
        gap = xp.abs(au - a.T @ u)
    if not bool(xp.all(xp.isfinite(au))):
        raise ValueError("A: contains inf or NaN, or overflows; expected finite values")
    rounding = 10 * n**0.5 * max(system.eps, system.eps_of_a)
    roots = xp.sqrt(xp.abs(xp.linalg.diagonal(a)))
    scale = roots * xp.max(roots)
    if bool(xp.all(gap <= rounding * scale)):
        return
    excess = gap - rounding * xp.maximum(scale, xp.abs(a) @ xp.abs(u))
    row = int(xp.argmax(excess))
    if not float(excess[row]) <= 0:
        pairs = xp.abs(a[row, :] - a[:, row])
        column = int(xp.argmax(pairs))
        raise np.linalg.LinAlgError(
            f"A is not symmetric: A[{row}, {column}] and A[{column}, {row}] differ by "
            f"{float(pairs[column]):.3g}; method={method!r} needs a symmetric matrix; "
            "use method='lu'"
        )
