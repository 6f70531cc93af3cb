"""What this build and machine offer, and settings for the whole process."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from steepest import __version__, _cpu, check
from steepest.devices import cuda_status

if TYPE_CHECKING:
    from rich.table import Table


class Info(dict[str, Any]):
    """A dict that prints as a table."""

    def __repr__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.items())

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False, title=f"steepest {self['version']}", title_justify="left")
        table.add_column()
        table.add_column(overflow="fold")  # a long word is broken, not cut
        for name, value in self.items():
            table.add_row(Text(name, style="bold"), Text(str(value)))
        return table


def info(*, load: bool = False) -> Info:
    """What this build and machine offer.

    Parameters
    ----------
    load : bool
        Import SciPy to say which LAPACK it brings; otherwise that is said only if something else
        has imported it, since the import takes a fifth of a second.

    Returns
    -------
    Info
        A dict that prints as a table: version, Python, NumPy, SIMD level in use and levels
        available, threads and what limits them, OpenMP, denormals flushed or kept, LAPACK, CUDA.

    Raises
    ------
    TypeError
        If `load` is not True or False.

    Examples
    --------
    >>> import steepest as st
    >>> st.info()["threads"] == st.get_num_threads()
    True
    """
    load = check.flag("load", load)
    return Info(
        {
            "version": __version__,
            "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            "numpy": np.__version__,
            "simd": _cpu.simd_level(),
            "simd levels": ", ".join(_cpu.simd_levels()),
            "threads": get_num_threads(),
            "threads limited by": _reason(_cpu.thread_limits()),
            "openmp": _cpu.openmp or "not built in: one thread",
            "denormals": "flushed to zero" if _cpu.flush_denormals() else "kept",
            "lapack": _lapack(load),
            "cuda": cuda_status(),
        }
    )


def get_num_threads() -> int:
    """The largest number of threads that a step or a solver uses; small jobs use one.

    The value given to `set_num_threads`; otherwise the smallest of the number of processors that
    the calling thread may run on, the container's CPU quota (rounded down) and OMP_NUM_THREADS.
    Large matrices are left to SciPy's BLAS, which has threads of its own.

    Examples
    --------
    >>> import steepest as st
    >>> st.get_num_threads() >= 1
    True
    """
    return _cpu.get_num_threads()


def set_num_threads(n: int | None) -> None:
    """Use at most n threads from now on, in the whole process.

    Results do not depend on it: they are bitwise the same for any number of threads. If several
    processes share the cores, as the workers of a pool do, 1 is several times faster than threads
    that wait for each other. SciPy's BLAS and LAPACK, to which matrices of some 400 rows and more
    go, are not limited by it: set OPENBLAS_NUM_THREADS, or use threadpoolctl.

    Parameters
    ----------
    n : int or None
        1 to 1024, even more than the machine has; None restores the limits that
        `get_num_threads` describes.

    Raises
    ------
    TypeError, ValueError
        If n is not a whole number in that range; the setting is unchanged.

    Examples
    --------
    >>> import steepest as st
    >>> st.set_num_threads(3)
    >>> st.get_num_threads()
    3
    >>> st.set_num_threads(None)
    """
    most = _cpu.max_threads
    _cpu.set_num_threads(0 if n is None else check.integer("n", n, at_least=1, at_most=most))


def set_flush_denormals(on: bool) -> None:
    """Flush denormal numbers to zero in steps from now on, in the whole process.

    Denormals are kept by default, as IEEE 754 requires. On processors that are slow at them an
    optimizer slows down as its moments die out; flushing avoids that at the price of identical
    bits: x86 and ARM flush differently at the edge, so results may then differ between them.

    Parameters
    ----------
    on : bool
        True to flush, False to keep.

    Raises
    ------
    TypeError
        If `on` is not True or False.
    BackendError
        If the processor has no known flush mode.

    Examples
    --------
    >>> import steepest as st
    >>> st.set_flush_denormals(False)
    """
    _cpu.set_flush_denormals(check.flag("on", on))


def _reason(limits: dict[str, int]) -> str:
    """Which of the limits decides, in words."""
    n = limits["threads"]
    if not _cpu.openmp:
        return "a build without OpenMP"
    if limits["set"]:
        return "set_num_threads"
    words = {
        "quota": "the container's CPU quota",
        "affinity": "the processors this process may run on",
    }
    # a list of counts, one for each level of nesting; OpenMP ignores anything else
    count = r"\s*\+?0*[1-9]\d{0,8}\s*"
    if re.fullmatch(f"{count}(,{count})*", os.environ.get("OMP_NUM_THREADS", "")):
        words = {"openmp": "OMP_NUM_THREADS", **words}
    else:
        words = {**words, "openmp": "OpenMP"}
    return next(word for name, word in words.items() if limits[name] == n)


def _lapack(load: bool) -> str:
    if not load and "scipy" not in sys.modules:
        return f"SciPy {importlib.metadata.version('scipy')}, not loaded yet"
    import scipy

    built = scipy.show_config(mode="dicts")["Build Dependencies"]["lapack"]
    return f"SciPy {scipy.__version__} with {built['name']} {built['version']}"
