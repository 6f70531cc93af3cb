"""As much of CuPy as the package uses, over host memory: for the module _cuda that is simulated.

It is as strict as CuPy: nothing of it turns into a NumPy array unasked. Its own operations come
after what their stream, the current one, was given before, and after nothing else.
"""

from __future__ import annotations

import contextlib
import math
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

allocated: list[int] = []
# Allocations before the device has no memory left; False: it always has.
left: list[int | bool] = [False]
# What a stream's capture and a graph's launch do; a simulated device has its own.
capture = [lambda on, stream: None]
read_back = [0]  # arrays and numbers brought to the host so far
replay = [lambda stream: None]
drain = [lambda stream: None, lambda: None]  # lets a stream, or all of them, do what is due
kept: list[np.ndarray] = []  # memory, also freed, that a stream may still use

__version__ = "0"


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801
    def __init__(self, held, device=None, base=None, *, dtype=None, memptr=None):
        if memptr is not None:  # CuPy's own arguments: a shape, and memory for it
            count = math.prod(held)
            held = np.asarray(memptr).view(dtype)[:count].reshape(held)
        self._held, self.device, self.base = held, Device(device), base
        kept.append(held)

    @property
    def held(self):
        drain[0](Stream.current[-1].ptr)
        return self._held

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if any(isinstance(x, np.ndarray) for x in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        for x in inputs:
            _check_readable(x)
        outs = {} if out is None else {"out": tuple(x.held for x in out)}
        made = getattr(ufunc, method)(*(getattr(x, "held", x) for x in inputs), **outs, **kwargs)
        return out[0] if out is not None else ndarray(np.asarray(made), self.device.id)

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __getattr__(self, name):
        if name in ("shape", "strides", "dtype", "size", "itemsize", "nbytes", "ndim"):
            return getattr(self._held, name)
        if name == "flags":  # of which CuPy has no more
            flags = self._held.flags
            names = ("c_contiguous", "f_contiguous", "owndata")
            return SimpleNamespace(**{flag: getattr(flags, flag) for flag in names})
        if name in ("T", "real", "imag"):
            return _wrapped(getattr(self._held, name), self.device.id, self)
        if name in ("reshape", "ravel"):
            return _function(getattr(self.held, name), self.device.id)
        if name == "get":
            return lambda: asnumpy(self)
        if name in ("tolist", "tobytes"):
            return getattr(asnumpy(self), name)
        if name in ("any", "all", "max", "min", "sum", "mean", "astype"):
            _check_readable(self)
            return _function(getattr(self.held, name), self.device.id)
        raise AttributeError(name)

    @property
    def data(self):
        return _Pointer(self)

    @property
    def __cuda_array_interface__(self):
        contiguous = self.flags.c_contiguous
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "stream": cuda.get_current_stream().ptr or 1,  # 0 is no stream's number there
            "version": 3,
            "strides": None if contiguous else self.strides,
            "data": (self.data.ptr, False),
        }

    def __dlpack_device__(self):
        return (2, self.device.id)

    def fill(self, value):
        self[...] = value

    def __setitem__(self, key, value):
        _check_readable(self)
        _check_readable(value)
        self.held[_taken(key)] = _taken(value)

    def __len__(self):
        return len(self._held)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __float__(self):
        read_back[0] += 1
        return float(self.held)

    def __bool__(self):
        read_back[0] += 1
        return bool(self.held)

    def copy(self, order="C"):  # by a kernel
        _check_aligned(self)
        if self.device.id != Device.current:
            _take(self.nbytes)
        return ndarray(self.held.copy(order))  # on the current device, wherever it was

    def set(self, value):
        assert type(value) is np.ndarray and value.dtype == self.dtype
        assert value.shape == self.shape
        if not (self.flags.c_contiguous or self.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        self.held[...] = value

    def view(self, *args):
        return ndarray(self.held.view(*args), self.device.id, self)

    def __getitem__(self, key):
        return _wrapped(self.held[_taken(key)], self.device.id, self)


def _check_aligned(value):
    if isinstance(value, ndarray) and value.data.ptr % value.dtype.alignment:
        raise RuntimeError("cudaErrorMisalignedAddress: misaligned address")


def _check_readable(value):
    """By kernels, which run on the current device; some that are next to each other see another's
    memory."""
    _check_aligned(value)
    if isinstance(value, ndarray) and value.device.id != Device.current:
        raise ValueError(
            f"The device where the array resides ({value.device.id}) is different from the "
            f"current device ({Device.current}). Peer access is unavailable between these devices."
        )


def _taken(value):
    """What an operation of CuPy takes: its arrays, numbers, and lists of them."""
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(map(_taken, value))
    return value


def _wrapped(value, device=None, base=None):
    if isinstance(value, tuple):
        return tuple(_wrapped(part, device) for part in value)
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value), device, base)
    return value


def _function(function, device=None):
    def on_device(*args, **kwargs):
        for value in args:
            _check_readable(value)
        args, kwargs = _taken(args), {k: _taken(v) for k, v in kwargs.items()}
        return _wrapped(function(*args, **kwargs), device)

    return on_device


def __getattr__(name):  # the functions that have NumPy's names and are NumPy's
    found = getattr(np, name)
    return _function(found) if callable(found) and not isinstance(found, type) else found


def _cholesky(a):
    import fake_cupyx

    return fake_cupyx.cholesky(a)


linalg = SimpleNamespace(
    cholesky=_cholesky, **{name: _function(getattr(np.linalg, name)) for name in ("qr", "norm")}
)


class PooledMemory:
    pass


class UnownedMemory:  # of another library
    pass


class _Pointer:
    def __init__(self, array):
        held = array._held
        while isinstance(held.base, np.ndarray):
            held = held.base
        ours = held.base is None or isinstance(held.base, _Memory)
        self.mem = PooledMemory() if ours else UnownedMemory()
        self._array, self.device_id = array, array.device.id
        self.ptr = array._held.__array_interface__["data"][0] if array.size else 0

    def copy_from_device_async(self, source, n_bytes, stream=None):
        assert self._array.nbytes == source._array.nbytes == n_bytes
        self._array.held[...] = source._array.held


class Device(contextlib.AbstractContextManager):
    current = 0

    def __init__(self, device=None):
        self.id = Device.current if device is None else device

    def __enter__(self):
        self.before, Device.current = Device.current, self.id
        return self

    def __exit__(self, *args):
        Device.current = self.before

    def synchronize(self):
        drain[1]()


class Event:
    def record(self, stream=None):
        self.at = time.perf_counter()

    def synchronize(self):
        drain[1]()


class Stream(contextlib.AbstractContextManager):
    current: list[Any] = []  # the last is in use
    made = 0

    def __init__(self, null=False, non_blocking=False):
        Stream.made += not null
        self.ptr, self.non_blocking = 0 if null else 64 * Stream.made, non_blocking

    def __enter__(self):
        Stream.current.append(self)
        return self

    def __exit__(self, *args):
        Stream.current.pop()

    def begin_capture(self, mode=None):
        assert self.non_blocking  # else a capture forbids work on the default stream
        capture[0](True, self.ptr)

    def end_capture(self):
        capture[0](False, None)
        return SimpleNamespace(
            launch=lambda stream=None: replay[0]((stream or Stream.current[-1]).ptr)
        )

    def synchronize(self):
        drain[0](self.ptr)


Stream.current.append(Stream(null=True))


def _take(n):
    if left[0] is False:
        return
    if left[0] == 0:
        raise MemoryError(f"Out of memory allocating {n} bytes")
    left[0] -= 1


class _Memory:
    """The pool hands it out again on its own stream at once, whatever others are about to do."""

    def __init__(self, n):
        self._memory, self._stream = np.full(n, 0xA5, np.uint8), Stream.current[-1].ptr
        self.ptr = self._memory.ctypes.data
        self.__array_interface__ = self._memory.__array_interface__

    def __del__(self):
        drain[0](self._stream)
        self._memory[:] = 0
        kept.append(self._memory)


def _alloc(n):
    _take(n)
    allocated.append(n)
    return _Memory(n)


cuda = SimpleNamespace(
    cublas=None,  # modules of CuPy over libraries that it has found
    cusolver=None,
    Device=Device,
    Event=Event,
    Stream=Stream,
    alloc=_alloc,
    get_current_stream=lambda device=-1: Stream.current[-1],
    get_elapsed_time=lambda start, end: 1e3 * (end.at - start.at),
    runtime=SimpleNamespace(
        getDeviceProperties=lambda device: {"name": b"simulated"}, driverGetVersion=lambda: 13000
    ),
)
sqrt, maximum, abs, sign = np.sqrt, np.maximum, np.abs, np.sign


def fuse(kernel_name):
    return lambda function: function


def get_default_memory_pool():
    return SimpleNamespace(free_all_blocks=lambda: None)


def empty(shape, dtype=float, order="C"):
    return ndarray(np.empty(shape, dtype, order))


class _Shared:
    def __init__(self, interface):
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def asarray(value, dtype=None):
    if isinstance(value, ndarray):
        same = dtype is None or value.dtype == dtype
        return value if same else ndarray(value.held.astype(dtype), value.device.id)
    if hasattr(value, "__cuda_array_interface__"):  # CuPy does not see that it is read-only
        return ndarray(np.asarray(_Shared(value.__cuda_array_interface__)))
    made = np.array(_taken(value) if isinstance(value, list) else value, dtype=dtype)
    _take(made.nbytes)
    return ndarray(made)


def asnumpy(value):
    read_back[0] += 1
    return value.held.copy("C") if isinstance(value, ndarray) else np.asarray(value)


def full(size, fill, dtype=None):
    dtype = np.dtype(dtype or type(fill))
    _take(size * dtype.itemsize)
    return ndarray(np.full(size, fill, dtype))


def _as_strided(array, shape, strides):
    made = np.lib.stride_tricks.as_strided(array.held, shape, strides)
    return ndarray(made, array.device.id)


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))
