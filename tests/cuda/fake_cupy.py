"""As much of CuPy as the package uses, over host memory: for the module _cuda that is simulated.

It is as strict as CuPy: nothing of it turns into a NumPy array unasked.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np

allocated: list[int] = []
full = [False]  # whether the device has no memory left


class ndarray:  # noqa: N801
    def __init__(self, held, device=0):
        self.held, self.device = held, Device(device)

    __array_ufunc__ = None  # a NumPy scalar leaves arithmetic to the array, as with CuPy

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __getattr__(self, name):
        if name in ("shape", "strides", "dtype", "size", "itemsize", "ndim", "flags"):
            return getattr(self.held, name)
        raise AttributeError(name)

    @property
    def data(self):
        return SimpleNamespace(ptr=self.held.__array_interface__["data"][0])

    @property
    def __cuda_array_interface__(self):
        return self.held.__array_interface__

    def __dlpack_device__(self):
        return (2, self.device.id)

    def __setitem__(self, key, value):
        if isinstance(value, np.ndarray):
            raise TypeError("a NumPy array is not assigned to a CuPy array")
        self.held[key] = value.held if isinstance(value, ndarray) else value

    def copy(self, order="C"):
        return ndarray(self.held.copy(order), self.device.id)

    def view(self, *args):
        return ndarray(self.held.view(*args), self.device.id)

    def _other(self, other):
        return other.held if isinstance(other, ndarray) else other

    def __sub__(self, other):
        return ndarray(self.held - self._other(other), self.device.id)

    def __rmul__(self, other):
        return ndarray(other * self.held, self.device.id)


class Device(contextlib.AbstractContextManager):
    def __init__(self, device):
        self.id = device

    def __exit__(self, *args):
        return None


def _alloc(n):
    if full[0]:
        raise MemoryError(f"Out of memory allocating {n} bytes")
    memory = np.empty(n, np.uint8)
    allocated.append(n)
    return SimpleNamespace(ptr=memory.ctypes.data, memory=memory)


cuda = SimpleNamespace(
    Device=Device, alloc=_alloc, get_current_stream=lambda device=-1: SimpleNamespace(ptr=0)
)


def asarray(value):
    return value if isinstance(value, ndarray) else ndarray(np.array(value))


def asnumpy(value):
    return value.held.copy("K")


def full_like(array, fill, order="K"):
    if full[0]:
        raise MemoryError("Out of memory allocating a state array")
    return ndarray(np.full_like(array.held, fill, order=order), array.device.id)


def _as_strided(array, shape, strides):
    made = np.lib.stride_tricks.as_strided(array.held, shape, strides)
    return ndarray(made, array.device.id)


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))
