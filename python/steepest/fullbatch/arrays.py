"""Arrays of the two libraries as the full-batch methods take them: checks, copies, host values."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import array_api_compat.numpy
import numpy as np
from array_api_compat import array_namespace, device, is_jax_array

from steepest import check
from steepest.arrays import plain, real_numbers

Array = Any  # a NumPy or CuPy array, or one of another array namespace

COARSE = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}  # rounding units


def namespace(a: Array) -> ModuleType:
    """The array namespace of `a`, with the names of the array API standard."""
    if type(a) is np.ndarray:  # saves array_namespace its questions
        return array_api_compat.numpy
    xp: ModuleType = array_namespace(a)
    return xp


def to_host(a: Array) -> np.ndarray:
    """`a`, of another library, as a float64 NumPy array; waits for the device."""
    if hasattr(a, "get"):  # CuPy
        return np.asarray(a.get(), dtype=np.float64)
    return np.from_dlpack(a).astype(np.float64)


def from_host(values: np.ndarray, like: Array) -> Array:
    """A NumPy array in the library, dtype and place of `like`."""
    if isinstance(like, np.ndarray):
        return values.astype(like.dtype)
    return namespace(like).asarray(values, dtype=like.dtype, device=device(like))


def start_point(name: str, x0: Array) -> Array:
    """A private copy of a start, one-dimensional, float32 if it is, else float64."""
    try:
        xp = namespace(x0)
    except TypeError:
        xp = array_api_compat.numpy
    if is_jax_array(x0):  # which cannot be written to
        xp = array_api_compat.numpy
    if getattr(x0, "requires_grad", False):  # a tensor of PyTorch
        x0 = x0.detach()
    if xp is array_api_compat.numpy:
        x0 = real_numbers(name, x0)
    elif x0.dtype not in (xp.float32, xp.float64):
        if not xp.isdtype(x0.dtype, ("bool", "integral", "real floating")):
            raise TypeError(f"{name}: dtype {x0.dtype}; expected real numbers")
        x0 = xp.astype(x0, xp.float64)
    if x0.ndim == 0:
        x0 = xp.reshape(x0, (1,))
    if x0.ndim != 1:
        raise ValueError(f"{name}: shape {tuple(x0.shape)}; expected one dimension: reshape(-1)")
    if x0.shape[0] == 0:
        raise ValueError(f"{name}: shape (0,); expected at least one element")
    if not bool(xp.all(xp.isfinite(x0))):
        raise ValueError(f"{name}: an element is not finite; expected a finite start")
    return copied(x0)


def empty_like(a: Array) -> Array:
    """An array like `a`, its elements not set."""
    return np.empty_like(a) if type(a) is np.ndarray else namespace(a).empty_like(a)


def copied(a: Array) -> Array:
    """A copy of `a`."""
    return a.copy() if type(a) is np.ndarray else namespace(a).asarray(a, copy=True)


def scalar(name: str, value: Any) -> float:
    """The real number in `value`, a Python number or an array of one element."""
    if isinstance(value, (float, np.floating)):
        return float(value)
    value = plain(name, value)
    if hasattr(value, "shape"):
        if math.prod(value.shape) != 1:
            raise ValueError(f"{name}: shape {tuple(value.shape)}; expected a scalar")
        if value.shape != ():
            by_place = getattr(value, "iat", value)  # [] of a Series of pandas takes labels
            value = by_place[(0,) * len(value.shape)]
    if isinstance(value, complex) or "complex" in str(getattr(value, "dtype", "")):
        raise TypeError(f"{name}: {value!r} is complex; expected a real number")
    try:
        if not isinstance(value, (str, bytes)):  # which float would read
            return float(value)
        raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {check.seen(value)}; expected a real number") from None
    except OverflowError as error:  # an integer of hundreds of digits
        raise ValueError(f"{name}: {check.shown(value)}: {error}") from None


def coarse_eps(dtype: Any) -> float:
    """The rounding unit of a dtype of less precision than float64; 0 of others."""
    return COARSE.get(str(dtype).rpartition(".")[2], 0.0)


def vector(name: str, value: Array, like: Array) -> Array:
    """`value` as an array with the library, shape and dtype of `like`; a view where it is one."""
    if isinstance(like, np.ndarray):
        if type(value) is not np.ndarray or value.dtype != like.dtype:
            value = real_numbers(name, value)
        if value.dtype == like.dtype and value.shape == like.shape:
            if value.flags.c_contiguous and value.flags.aligned:
                return value
    elif not isinstance(value, type(like)):
        due = type(like).__name__
        raise TypeError(f"{name}: {check.got(value)}; expected the array type of x0, {due}")
    xp = namespace(like)
    if not xp.isdtype(value.dtype, ("real floating", "integral")):
        raise TypeError(f"{name}: dtype {value.dtype}; expected real numbers")
    if value.ndim == 0 and like.shape == (1,):
        value = xp.reshape(value, (1,))
    if tuple(value.shape) != tuple(like.shape):
        shape = tuple(like.shape)
        raise ValueError(f"{name}: shape {tuple(value.shape)}; expected {shape}")
    value = xp.astype(value, like.dtype, copy=False)
    return np.require(value, None, ["C", "A"]) if isinstance(like, np.ndarray) else value
