"""Where arrays live: the host, or one CUDA device; what an optimizer asks of either.

The host needs NumPy and the module ``_cpu``; a device needs CuPy, for memory and streams, and the
module ``_cuda``. An optimizer has one backend, picked by its first array.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from steepest import _cpu, check
from steepest.errors import BackendError

_CUDA = (2, 13)  # DLPack's kDLCUDA and kDLCUDAManaged


class Host:
    """NumPy arrays."""

    def plan(self) -> Any:
        return _cpu.Plan()

    def in_use(self) -> contextlib.AbstractContextManager[Any]:
        """A context for NumPy's own operations, which need none."""
        return contextlib.nullcontext()

    def reserve(self, plan: Any, groups: int, sizes: list[int]) -> None:
        """The plan needs no memory of its own."""

    def ready(self, plan: Any) -> None:
        """The plan has nothing to fill."""

    def moved(self, plan: Any) -> tuple[str, int] | None:
        """What is wrong with a parameter that no longer lies where it did, and its index."""
        trouble: tuple[str, int] | None = plan.moved()
        return trouble

    def find_overlap(self, arrays: list[Any]) -> tuple[int, int] | None:
        return _cpu.find_overlap(arrays)

    def to_host(self, array: Any) -> Any:
        return array

    def assignment(self, array: Any, value: Any) -> functools.partial[Any]:
        """``array[...] = value``, to be called later."""
        return functools.partial(array.__setitem__, ..., value)


HOST = Host()


class Cuda:
    """CuPy arrays of one device, on CuPy's current stream of it and from CuPy's memory pool."""

    def __init__(self, device: int) -> None:
        self.device, self.module, self.cupy = device, _cuda(), _cupy()

    def plan(self) -> Any:
        return self.module.Plan(self.device, *self.streams_and_memory())

    def in_use(self) -> contextlib.AbstractContextManager[Any]:
        """A context for CuPy's own operations, which run on the current device."""
        return self.cupy.cuda.Device(self.device)  # type: ignore[no-any-return]

    def streams_and_memory(self) -> tuple[Callable[[], Any], Callable[[int], Any]]:
        """CuPy's current stream, and memory of CuPy's pool, when asked for."""

        def allocate(n: int) -> Any:
            with self.in_use():
                return self.cupy.cuda.alloc(n)

        return functools.partial(self.cupy.cuda.get_current_stream, self.device), allocate

    def copy_of(self, values: Any) -> Any:
        """A copy on the device of a small, contiguous NumPy array.

        The numbers go as arguments of a kernel: CuPy's own copy took 29 µs of the host's time.
        """
        cupy = self.cupy
        with self.in_use():
            memory = cupy.cuda.alloc(-(-values.nbytes // 8) * 8)  # it is written by words
            self.module.write(memory.ptr, values, cupy.cuda.get_current_stream().ptr)
            return cupy.ndarray(values.shape, dtype=values.dtype, memptr=memory)

    def reserve(self, plan: Any, groups: int, sizes: list[int]) -> None:
        """Allocates the plan's tables for what will be added, before anything is added."""
        plan.reserve(groups, sizes)

    def ready(self, plan: Any) -> None:
        """Fills the plan's tables, so that no step has to."""
        plan.ready()

    def moved(self, plan: Any) -> None:
        """CuPy's arrays do not move."""

    def find_overlap(self, arrays: list[Any]) -> tuple[int, int] | None:
        found: tuple[int, int] | None = self.module.find_overlap(arrays)
        return found

    def to_host(self, array: Any) -> Any:
        return self.cupy.asnumpy(array)

    def assignment(self, array: Any, value: Any) -> functools.partial[Any]:
        """``array[...] = value``, to be called later; what may fail for want of memory, now."""
        if array.flags.c_contiguous or array.flags.f_contiguous:
            if isinstance(value, np.ndarray) or value.strides == array.strides:
                return functools.partial(self._copy, array, value)
        with self.in_use():
            value = self.cupy.asarray(value)
            # CuPy's copies can read another device's memory; its kernels may not.
            value = value if value.device.id == self.device else value.copy()
        return functools.partial(self._assign, array, value)

    # Python code, so Ctrl-C may come between arrays.
    def _assign(self, array: Any, value: Any) -> None:
        with self.in_use():
            array[...] = value

    def _copy(self, array: Any, value: Any) -> None:
        """The same, without further memory on the device."""
        with self.in_use():
            if isinstance(value, np.ndarray):
                array.set(value)
            else:
                array.data.copy_from_device_async(value.data, array.nbytes)


def backend_of(arrays: Sequence[Any], names: Sequence[str]) -> Host | Cuda:
    """The backend of these arrays.

    Raises
    ------
    ValueError
        If they live on different devices; it names two.
    """
    homes = [None if isinstance(a, np.ndarray) else int(a.device.id) for a in arrays]
    for name, home in zip(names, homes, strict=True):
        if home != homes[0]:
            raise ValueError(
                f"{name}: lives on {_written(home)}, but {names[0]} on {_written(homes[0])}; an "
                "optimizer's arrays live on one device, so make one optimizer for each"
            )
    return HOST if homes[0] is None else Cuda(homes[0])


def _written(device: int | None) -> str:
    return "the host" if device is None else f"CUDA device {device}"


def dlpack_device(value: Any) -> int | None:
    """DLPack's number for the kind of device that an exporter's memory is on, if it says."""
    return int(value.__dlpack_device__()[0]) if hasattr(value, "__dlpack_device__") else None


def lives_on_cuda(value: Any) -> bool:
    """Whether an exporter's memory is a CUDA device's."""
    return type(value) is not np.ndarray and is_cuda(dlpack_device(value), value)


def is_cuda(device: int | None, value: Any) -> bool:
    """The same where the exporter has been asked for its device: PyTorch takes 3 µs to answer."""
    return hasattr(value, "__cuda_array_interface__") if device is None else device in _CUDA


def cuda_view(path: str, value: Any) -> Any:
    """A CuPy array over the device memory of ``value``; never a copy."""
    what = f"{path}: this {type(value).__name__} lives on a GPU"
    _cuda(what)
    cupy = _cupy(what)
    if isinstance(value, cupy.ndarray):
        return value
    usable_cupy(what)
    try:  # PyTorch refuses by RuntimeError, whichever of the two is asked for
        if hasattr(value, "__cuda_array_interface__"):
            return cupy.asarray(value)
        return cupy.from_dlpack(value)
    except Exception as error:
        raise TypeError(
            f"{path}: this {type(value).__name__} does not export its device memory: {error}"
        ) from error


def usable_cupy(what: str) -> Any:
    """CuPy, where there are a device, a driver and a module _cuda for it; else BackendError."""
    module = _cuda(what)
    try:
        module.device_count()
    except BackendError as error:
        due = "; CUDA 13 needs driver 580 or newer" if "InsufficientDriver" in str(error) else ""
        raise BackendError(f"{what}, and no device is usable: {error}{due}") from error
    return _cupy(what)


def _imported(name: str) -> Any:
    """As importlib.import_module, which takes 3 µs even if the module is there already."""
    __import__(name)
    return sys.modules[name]


def _cuda(what: str = "an array lives on a GPU") -> Any:
    try:
        return _imported("steepest._cuda")
    except ImportError as error:
        raise BackendError(
            f"{what}, and this build of steepest has no CUDA module: move it to the host, or build "
            "with a CUDA 13 compiler"
        ) from error


def _cupy(what: str = "an array lives on a GPU") -> Any:
    try:
        return _imported("cupy")
    except ImportError as error:
        raise BackendError(
            f"{what}, and CuPy cannot be imported ({error}): pip install 'steepest[cuda13]'"
        ) from error


def cuda_status() -> str:
    """What this build and machine have of CUDA, or why it is not usable, in words."""
    try:
        module = _imported("steepest._cuda")
    except ModuleNotFoundError:
        return "not built"
    except ImportError as error:
        return f"built, but not loaded: {error}"
    version = module.runtime_version()
    built = f"built with runtime {version // 1000}.{version % 1000 // 10}"
    try:
        n = module.device_count()
    except BackendError as error:
        return f"{built}; not usable: {error}"
    return f"{built}; {check.counted(n, 'device')}"
