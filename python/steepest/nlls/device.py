"""Least squares on a CUDA device: the solver there, and how a problem gets to it.

A problem lives on a device if x0 does, or the residuals at x0; all further residuals and Jacobians
live there, too. Vectors of length n (x, the gradient, scales) stay on the host within this package.
Users' functions get x as the kind of array that x0 is.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from steepest import check, devices
from steepest.nlls.arrays import Array, aligned, device_of, jacobian, residual

ON_HOST = contextlib.nullcontext()
FOLDERS = ("cu13/lib", "cublas/lib", "cusolver/lib")  # of the wheels, in the folder nvidia


class DeviceSolver:
    """The solver in C++ over a CUDA device, with the members of the host's."""

    def __init__(self, device: int, x0: Array, options: dict[str, Any]) -> None:
        backend = devices.Cuda(device)
        self.device, self._cupy = device, backend.cupy
        self.array_type = self._cupy.ndarray
        if not backend.module.libraries_loaded():
            load_libraries(backend.module, backend.cupy)
        kind = backend.module.Solver32 if x0.dtype == np.float32 else backend.module.Solver64
        # CuPy's alloc is for the current device, which the core sets before it allocates.
        current = functools.partial(backend.cupy.cuda.get_current_stream, device)
        self._core = kind(device, current, backend.cupy.cuda.alloc, x0, options)
        self._dtype, self.to_device, self.point = x0.dtype, backend.copy_of, self._core.point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def __enter__(self) -> None:
        self._core.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._core.__exit__(*exception)

    def tell_residual(self, f: Any, rho: Any = None) -> int:
        if rho is not None:
            rho = self._cupy.ascontiguousarray(self._here("loss", rho))  # its rows are read
        phase: int = self._core.tell_residual(self._vector("fun", f), rho)
        return phase

    def tell_jacobian(self, J: Any) -> int:
        phase: int = self._core.tell_jacobian(self._matrix("jac", J))
        return phase

    def tell_normal(self, cost: float, JtJ: Any, Jtf: Any) -> int:
        H = self._cupy.ascontiguousarray(self._matrix("JtJ", JtJ))
        g = self._vector("Jtf", Jtf)
        phase: int = self._core.tell_normal(cost, H, g)
        return phase

    def add_block(self, f: Any, J: Any) -> bool:
        return bool(self._core.add_block(self._vector("fun", f), self._matrix("jac", J)))

    def x(self) -> Any:
        """The accepted point."""
        return self.to_device(self._core.x())

    def fun(self) -> Any:
        """Its residuals; None after blocks of rows."""
        if not self._core.has_fun:
            return None
        f = self._empty()
        self._core.read_fun(f)
        return f

    def put_state(self, result: dict[str, Any], J: Any) -> None:
        """As the host's solver does, with arrays of CuPy."""
        self._core.put_state(result, J)
        for name in ("x", "grad", "active_mask"):
            result[name] = self.to_device(result[name])
        if J is not None:
            result["fun"] = self.fun()
            if self._core.weighted:
                result["jac_weight"] = self._empty()
                self._core.read_weight(result["jac_weight"])

    def _empty(self) -> Any:
        with self._cupy.cuda.Device(self.device):
            return self._cupy.empty(self._core.m, self._dtype)

    def _here(self, name: str, value: Any) -> Any:
        """`value`, which must live on the solver's device."""
        if type(value) is self.array_type and value.device.id == self.device:
            return aligned(name, value)
        device = device_of(value)
        if device is None:
            raise TypeError(
                f"{name}: {check.named(value)} on the host, while the problem lives on CUDA "
                f"device {self.device}; return a CuPy array"
            )
        if device != self.device:
            raise ValueError(
                f"{name}: lives on CUDA device {device}, the problem on CUDA device {self.device}"
            )
        return aligned(name, devices.cuda_view(name, value))

    def _vector(self, name: str, value: Any) -> Any:
        """A vector without gaps."""
        f = self._here(name, value)
        if f.ndim == 1 and f.dtype == self._dtype and f.size and f.flags.c_contiguous:
            return f
        return residual(f, self._dtype)

    def _matrix(self, name: str, value: Any) -> Any:
        """A matrix whose rows or columns lie without gaps."""
        array = self._here(name, value)
        if array.ndim == 2 and array.dtype == self._dtype and array.size:
            down, across = array.strides
            item, (m, n) = array.itemsize, array.shape
            rows = across == item and down >= item * n and down % item == 0
            columns = down == item and across >= item * m and across % item == 0
            if rows or columns:
                return array
        return jacobian(array, self._dtype)


def moved_to_device_of(solver: Any, f: Any) -> Any:
    """The solver, or a new one on the device where the first residuals `f` live."""
    if type(f) is np.ndarray or solver.device is not None or solver.nfev:
        return solver
    device = device_of(f)
    return solver if device is None else DeviceSolver(device, solver.point(), solver.options)


def in_use(device: int | None) -> contextlib.AbstractContextManager[Any]:
    """A context for CuPy's operations, which run on the current device; None: there are none."""
    return ON_HOST if device is None else devices.Cuda(device).in_use()


def on_device(fun: Callable[..., Any], device: int) -> Callable[..., Any]:
    """fun, given its x as a CuPy array."""
    backend = devices.Cuda(device)

    def handed(x: Array, *args: Any, **kwargs: Any) -> Any:
        with backend.in_use():
            return fun(backend.copy_of(x), *args, **kwargs)

    return handed


def load_libraries(module: Any, cupy: Any) -> list[str]:
    """Open cuBLAS and cuSOLVER, if possible the copies that CuPy uses; returns their files."""
    for name in ("cublas", "cusolver"):
        with contextlib.suppress(ImportError):
            getattr(cupy.cuda, name)  # CuPy opens its own here: of wheels, conda or a toolkit
    files: list[str] = module.load_libraries(library_folders())
    return files


def library_folders() -> list[str]:
    """Where wheels put cuBLAS and cuSOLVER."""
    found = importlib.util.find_spec("nvidia")
    roots = (found and found.submodule_search_locations) or ()
    folders = [Path(root) / folder for root in roots for folder in FOLDERS]
    return [str(folder) for folder in folders if folder.is_dir()]
