"""What users' functions return, as arrays that the solver reads; most need no conversion.

Vectors of length n (x, the gradient, scales) are NumPy's within this package. Residuals and
Jacobians stay where they live: on the host, or on a CUDA device as CuPy's, whose functions have
NumPy's names.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt

from steepest import check
from steepest.arrays import NOT_ALIGNED, floats, from_numbers, plain
from steepest.devices import cuda_view, lives_on_cuda

Array = npt.NDArray[Any]


def out_of_range() -> np.errstate:
    """A context where results may leave the dtype's range, as inf or 0, whatever np.seterr says."""
    return np.errstate(over="ignore", under="ignore")


def device_of(value: Any) -> int | None:
    """The CUDA device that `value` lives on; None on the host."""
    if not lives_on_cuda(value):
        return None
    return int(cuda_view("x", value).device.id)


def as_array(name: str, value: Any) -> tuple[Any, Array]:
    """NumPy or CuPy, and `value` as an array of it."""
    if type(value) is np.ndarray:
        return np, value
    if hasattr(value, "tocsr") or hasattr(value, "rmatvec"):
        raise TypeError(
            f"{name}: {check.got(value)}; this solver is dense: expected an array, for example "
            ".toarray() of a sparse matrix"
        )
    if not lives_on_cuda(value):
        return np, from_numbers(name, value)
    import cupy

    return cupy, aligned(name, cuda_view(name, value))


def aligned(name: str, array: Any) -> Any:
    """A CuPy array, if kernels can read its elements: any other would end all use of the device."""
    if array.data.ptr % array.dtype.alignment:
        raise ValueError(f"{name}: {NOT_ALIGNED}")
    return array


def namespace(array: Any) -> Any:
    """NumPy or CuPy: the library of an array."""
    if isinstance(array, np.ndarray):
        return np
    import cupy

    return cupy


def to_host(value: Any) -> Any:
    """`value`, copied to the host where it lives on a device."""
    if not lives_on_cuda(value):
        return value
    import cupy

    return cupy.asnumpy(cuda_view("x", value))


def as_float64(name: str, value: Any) -> Array:
    """`value` as float64, on the host; text is read, as SciPy does."""
    values = plain(name, to_host(value))
    try:
        return floats(values)
    except Exception as error:  # converting runs the code of whatever was given
        kind = ValueError if isinstance(error, (ValueError, OverflowError)) else TypeError
        raise kind(f"{name}: {check.shown(value)}; expected real numbers") from error


def from_host(values: Array, like: Any) -> Array:
    """`values`, of NumPy, in the library and on the device of `like`."""
    if not lives_on_cuda(like):
        return values
    import cupy

    with cuda_view("x", like).device:
        there: Array = cupy.asarray(values)
    return there


def factor(J: Array) -> Array:
    """J on the host. For one on a device R of J = QR comes in its place: RᵀR is JᵀJ."""
    if isinstance(J, np.ndarray):
        return J
    xp = namespace(J)
    with J.device:
        there: Array = xp.asnumpy(xp.linalg.qr(J, mode="r"))
    return there


def residual(value: Any, dtype: npt.DTypeLike, name: str = "fun") -> Array:
    """Residuals as a contiguous 1-D array of `dtype`; a scalar counts as one residual."""
    if type(value) is np.ndarray and value.ndim == 1 and value.dtype == dtype and value.size:
        return np.ascontiguousarray(value)
    if isinstance(value, tuple) and any(getattr(part, "ndim", 0) > 1 for part in value):
        raise ValueError("fun: returned a tuple with a matrix; for (f, J) pass jac=True")
    xp, f = as_array(name, value)
    if f.ndim > 1:
        raise ValueError(f"{name}: residuals of shape {f.shape}; expected one dimension, (m,)")
    return as_dtype(name, xp.atleast_1d(f), dtype)


def jacobian(value: Any, dtype: npt.DTypeLike, name: str = "jac") -> Array:
    """A Jacobian as a contiguous 2-D array of `dtype`; one row may come as a 1-D array."""
    if type(value) is np.ndarray and value.ndim == 2 and value.dtype == dtype and value.size:
        if value.flags.c_contiguous or value.flags.f_contiguous:
            return value
    xp, J = as_array(name, value)
    if J.ndim > 2:
        raise ValueError(f"{name}: shape {J.shape}; expected two dimensions, (m, n)")
    return as_dtype(name, xp.atleast_2d(J), dtype)


def on_host(name: str, value: Any, dtype: npt.DTypeLike) -> Array:
    """What fun or jac gave, as arrays for the solver on the host."""
    if lives_on_cuda(value):
        raise TypeError(
            f"{name}: lives on a CUDA device, the residuals at x0 on the host; all of a problem's "
            "residuals and Jacobians live in one place"
        )
    return residual(value, dtype) if name == "fun" else jacobian(value, dtype)


def as_dtype(name: str, values: Array, dtype: npt.DTypeLike) -> Array:
    """`values` as `dtype`, in one piece; only real numbers convert."""
    if values.dtype.kind not in "fiub":
        raise not_real(name, values)
    if values.size == 0:
        raise ValueError(
            f"{name}: an empty array of shape {values.shape}; expected at least one number"
        )
    xp = namespace(values)
    with out_of_range():  # after a step that went too far, float64 may not fit float32
        order = xp.asfortranarray if values.flags.f_contiguous else xp.ascontiguousarray
        ready: Array = order(values, dtype=dtype)
    return ready


def not_real(name: str, values: Array) -> TypeError:
    """The error for an array that is not real; for complex residuals, what to do with them."""
    stacked = values.dtype.kind == "c" and name in ("fun", "f", "ydata")
    how = "; stack real and imaginary parts, np.concatenate([z.real, z.imag])" if stacked else ""
    return TypeError(f"{name}: dtype {values.dtype}; expected real numbers{how}")


def rounding(f: Any) -> float:
    """The rounding unit of f's floating-point type; 0 for integers."""
    dtype = as_array("fun", f)[1].dtype
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def copied_answer(value: Any) -> Any:
    """A copy of what a function returned, which may write to that when it is called again."""
    if isinstance(value, list):
        return [*map(copied_answer, value)]
    if isinstance(value, tuple):
        return tuple(map(copied_answer, value))
    copy = getattr(value, "copy", getattr(value, "clone", None))  # a tensor of PyTorch has clone
    if copy is None:
        return value
    if lives_on_cuda(value):
        aligned("fun", cuda_view("fun", value))  # else even a copy would end all use of the device
    with where_it_lives(value):
        return copy()


def copied(value: Any) -> Array:
    """A copy of a Jacobian, laid out as it is."""
    if type(value) is np.ndarray:
        return value.copy(order="K")
    _, J = as_array("jac", value)
    with where_it_lives(J):
        return J.copy(order="K")


def where_it_lives(array: Any) -> contextlib.AbstractContextManager[Any]:
    """A context for a copy beside the array: CuPy's are made on the current device."""
    device: Any = getattr(array, "device", None)
    return device if hasattr(device, "__enter__") else contextlib.nullcontext()
