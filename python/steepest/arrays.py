"""What counts as an array: NumPy's own, and views of what exports its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from steepest import check
from steepest.devices import backend_of, cuda_view, dlpack_device, is_cuda

Array = np.ndarray[Any, np.dtype[Any]]

_CPU = (1, 3)  # DLPack's kDLCPU and kDLCUDAHost
MASKED = (
    "a masked array, whose mask would be ignored; pass its .data (with the masked values) or "
    ".compressed() (without)"
)
# CuPy's copy() is a kernel that reads the elements, which ends all use of the device.
NOT_ALIGNED = (
    "not aligned to its elements; pass a copy of its bytes, a.view('u1').copy().view(a.dtype)"
)
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def plain(path: str, value: Any) -> Any:
    """``value``, or a plain NumPy array over the memory of a subclass, such as np.matrix."""
    if type(value) is np.ndarray or not isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{path}: {MASKED}")
    return np.ndarray.view(value, np.ndarray)


def from_numbers(path: str, value: Any) -> Array:
    """A NumPy array of numbers given in another form, as lists say."""
    if value is None:
        raise TypeError(
            f"{path}: got None; expected numbers (a function without `return` gives None)"
        )
    value = plain(path, value)
    try:
        return np.asarray(value)
    except ValueError as error:  # of lists of different lengths
        raise ValueError(f"{path}: {check.shown(value)} is not an array: {error}") from error
    except Exception as error:  # of a tensor that requires grad, say
        kind = f"this {type(value).__name__} cannot become an array"
        raise TypeError(f"{path}: {kind}: {type(error).__name__}: {error}") from error


def real_numbers(path: str, value: Any, error: type[Exception] = TypeError) -> Array:
    """A NumPy array of real numbers given in any form: float32 as it is, others as float64."""
    array = from_numbers(path, value)
    if array.dtype.kind == "O":  # of fractions, or of integers of any size
        try:
            array = np.array([_as_float(x) for x in array.flat]).reshape(array.shape)
        except Exception:  # converting runs the code of whatever was given
            pass  # it is refused as what it is
    if array.dtype in _DTYPES:
        return array
    kind = array.dtype.kind
    if kind not in "fiub":
        lone = kind == "O" and array.ndim == 0  # a generator or a set, say
        what = check.kind(value) if lone else f"dtype {array.dtype}"
        raise error(f"{path}: {what}; expected real numbers")
    single = kind == "f" and array.itemsize == 4
    with np.errstate(over="ignore"):  # a long double may be infinite in float64
        return array.astype(np.float32 if single else np.float64, copy=False)


def floats(values: Any) -> Array:
    """`values` as float64; text is read, as SciPy does.

    Raises TypeError, ValueError or, for an integer beyond float64, OverflowError.
    """
    array = np.asarray(values)
    if array.dtype.kind == "c":  # NumPy would drop what is imaginary, with a warning
        raise TypeError
    return array.astype(float, copy=False)


def _as_float(value: Any) -> float:
    """An element of an array of objects; NumPy would read text, and drop imaginary parts."""
    if isinstance(value, (str, bytes)) or np.iscomplexobj(value):
        raise TypeError
    return float(value)


def view(path: str, value: Any) -> Array:
    """A NumPy or CuPy array over the memory of ``value``; never a copy."""
    value = plain(path, value)
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.generic):
        raise TypeError(
            f"{path}: {check.got(value)}; expected an array; an expression of 0-d arrays is a "
            "scalar to NumPy: make it an array by np.asarray"
        )
    if isinstance(value, (int, float, complex, str, bytes, list, tuple, dict)):
        fix = "" if isinstance(value, (str, bytes, dict)) else "; make one by np.array(..., float)"
        raise TypeError(f"{path}: {check.got(value)}; expected an array{fix}")
    if isinstance(value, Iterator):
        raise TypeError(f"{path}: {check.got(value)}, which can be read only once; pass a list")
    if isinstance(value, type):
        raise TypeError(f"{path}: the class {value.__name__}; expected an array")
    kind = type(value).__name__
    value = _answer(path, f"this {kind} does not export its memory", _alias, value)
    if _answer(path, f"is_neg of this {kind}", _is_negated, value):
        raise TypeError(f"{path}: this {kind} is the negative of its memory; pass .resolve_neg()")
    unknown = f"the device of this {kind} is not known"
    device = _answer(path, unknown, dlpack_device, value)
    if _answer(path, unknown, is_cuda, device, value):
        on_device: Array = cuda_view(path, value)  # of CuPy, which has NumPy's members
        return on_device
    if device is not None:
        if device not in _CPU:
            raise TypeError(
                f"{path}: this {kind} lives on a device that is not a CUDA device; "
                "move it to the host"
            )
        what = f"this {kind}{_odd_dtype(value)} does not export its memory"
        array = cast(Array, _answer(path, what, np.from_dlpack, value))
        if array.flags.owndata and array.size:  # NumPy's own, where the exporter has none
            raise TypeError(f"{path}: this {kind} has no memory")
        return array
    what = f"__array_interface__ of this {kind} is not valid"
    if _answer(path, what, hasattr, value, "__array_interface__"):
        return cast(Array, _answer(path, what, np.asarray, value))
    fix = "; for several arrays pass a list" if hasattr(type(value), "__iter__") else ""
    if hasattr(type(value), "to_numpy"):  # of pandas, say
        fix = "; pass its .to_numpy(copy=True)"
    elif _is_buffer(value):  # of ctypes, say
        fix = "; pass np.asarray(...) of it, which shares its memory"
    raise TypeError(
        f"{path}: {check.got(value)}; expected an array: NumPy's own, or one that exports "
        f"DLPack or __array_interface__{fix}"
    )


def _is_buffer(value: Any) -> bool:
    try:
        memoryview(value).release()
    except Exception:  # asking may run the code of whatever was given
        return False
    return True


def _odd_dtype(value: Any) -> str:
    """What an error adds about an exporter's dtype that NumPy may not have, as torch.bfloat16."""
    try:
        dtype = str(getattr(value, "dtype", ""))
    except Exception:  # asking runs the code of whatever was given
        return ""
    known = ("", *(kind.name for kind in _DTYPES))
    return "" if dtype.rpartition(".")[2] in known else f" of {dtype}, neither float32 nor float64,"


def _alias(value: Any) -> Any:
    # After tensor.data = other, a tensor of PyTorch frees memory that it has exported. An alias of
    # it, which nobody else has, keeps that memory.
    return value if getattr(value, "requires_grad", True) else value.detach()


def _leaf(value: Any) -> Any:
    """A PyTorch leaf that requires grad, as a module's parameters do, in a form that it exports."""
    try:
        return value.detach() if value.requires_grad and value.is_leaf else value
    except Exception:  # what has no such attributes, or runs its own code
        return value


def tensor_address(value: Any) -> int | None:
    """Where a tensor of PyTorch has its memory now; None for anything else."""
    if isinstance(value, np.ndarray):  # before `try`: only a signal's handler raises here
        return None
    try:
        return int(value.data_ptr()) if hasattr(value, "data_ptr") else None
    except Exception:  # asking runs the code of whatever was given
        return None


def _is_negated(value: Any) -> bool:
    # As x.conj().imag of PyTorch is; its DLPack exports the memory as it stands.
    return hasattr(value, "is_neg") and bool(value.is_neg())


def _answer(path: str, what: str, ask: Callable[..., Any], *asked: Any) -> Any:
    """ask(*asked), which runs an exporter's code: whatever that raises becomes a TypeError."""
    try:
        return ask(*asked)
    except Exception as error:
        raise TypeError(f"{path}: {what}: {type(error).__name__}: {error}") from error


def _check_kind(path: str, array: Array, value: Any, due: str = "") -> None:
    dtype = array.dtype
    if dtype not in _DTYPES:  # equality, so another byte order is not in it
        to = due or ("float64" if dtype.itemsize >= 8 else "float32")
        how = f"of that kind: .astype({to!r})" if hasattr(value, "astype") else f"in {to}"
        fix = f" (a copy {how})" if dtype.kind in "biuf" else ""
        raise TypeError(
            f"{path}: dtype {dtype}; expected float32 or float64 in native byte order{fix}"
        )
    if not isinstance(array, np.ndarray):  # CuPy has no flag for it
        if array.data.ptr % array.itemsize:
            raise ValueError(f"{path}: {NOT_ALIGNED}")
        return
    if not array.flags.aligned:
        raise ValueError(f"{path}: not aligned to its elements; pass np.require(a, None, 'A')")


def is_dense(array: Array) -> bool:
    """Whether the elements cover one stretch of memory, each once, in some order of the axes."""
    if array.flags.c_contiguous:  # as one without elements is
        return True
    expected = array.itemsize
    for stride, n in sorted(
        (abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n != 1
    ):
        if stride != expected:
            return False
        expected *= n
    return True


def _is_writeable(array: Array, value: Any) -> bool:
    if isinstance(array, np.ndarray):
        return bool(array.flags.writeable)
    if value is array:  # CuPy has no read-only arrays, and drops the flag of others
        return True
    exported = getattr(value, "__cuda_array_interface__", None)
    return exported is None or not exported["data"][1]


def as_parameter(path: str, value: Any) -> Array:
    """An array that a step may write to."""
    value = value if isinstance(value, np.ndarray) else _leaf(value)
    array = view(path, value)
    _check_kind(path, array, value)
    if not _is_writeable(array, value):
        on_host = isinstance(array, np.ndarray) and not isinstance(value, np.ndarray)
        why = " (or its DLPack capsule is unversioned)" if on_host else ""
        raise ValueError(f"{path}: read-only{why}; pass a writeable array, such as a copy of it")
    if not is_dense(array):
        raise ValueError(
            f"{path}: strides {array.strides} of shape {array.shape} leave gaps or repeat "
            "elements; pass an array that covers its memory densely, such as "
            "np.ascontiguousarray(p), and copy it back"
        )
    return array.view()  # our own: the caller may change the shape of the array itself


def laid_out_like(value: Any, param: Array) -> bool:
    """Whether both are NumPy arrays of one dtype, shape and strides."""
    return (
        type(value) is type(param) is np.ndarray
        and value.dtype == param.dtype
        and value.shape == param.shape
        and value.strides == param.strides
        and value.flags.aligned
    )


def as_gradient(path: str, value: Any, param: Array, fix: str = "") -> Array:
    """An array laid out exactly like the parameter ``param``, over the memory of ``value``.

    ``fix`` says what else to pass where a copy will not do.
    """
    if laid_out_like(value, param):
        return cast(Array, value)
    array = view(path, value)
    backend_of((param, array), ("the parameter", path))
    _check_kind(path, array, value, param.dtype.name)
    if array.dtype != param.dtype:
        name = param.dtype.name  # a tensor of PyTorch has no astype
        copied = f"g.astype({name!r})" if hasattr(value, "astype") else f"a copy of it in {name}"
        raise TypeError(
            f"{path}: dtype {array.dtype} differs from the parameter's {param.dtype}; "
            f"pass {fix or copied}"
        )
    if array.shape != param.shape:
        raise ValueError(f"{path}: shape {array.shape} differs from the parameter's {param.shape}")
    steps = zip(array.strides, param.strides, array.shape, strict=True)
    if array.size and any(g != p and n != 1 for g, p, n in steps):
        copied = "np.ascontiguousarray(g)"
        if not param.flags.c_contiguous:
            f_order = param.flags.f_contiguous
            copied = "np.asfortranarray(g)" if f_order else "a copy laid out like it"
        raise ValueError(
            f"{path}: strides {array.strides} differ from the parameter's {param.strides}; "
            f"pass {fix or copied}"
        )
    if array.strides == param.strides:
        return array
    # Only strides of axes of length 1 differ. They do not matter, but the engine compares all.
    if not isinstance(array, np.ndarray):
        import cupy

        return cupy.lib.stride_tricks.as_strided(array, param.shape, param.strides)
    return np.lib.stride_tricks.as_strided(array, param.shape, param.strides)
