"""Where state arrays lie in memory.

A processor compares loads with stores under way by the low twelve bits of their addresses: where
a rule's arrays are a few lines apart in these, each load waits for a store that it has nothing to
do with, and a step in cache takes up to 2.6 times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["like"]

PAGE, LINE, APART = 4096, 64, 512  # bytes

Array = np.ndarray[Any, np.dtype[Any]]


def like(params: Sequence[Any], fills: Sequence[float]) -> list[list[Any]]:
    """New arrays for each parameter, with its dtype, shape and strides, one for each fill.

    Those of NumPy share one allocation; each begins a cache line, ``APART`` bytes from its
    parameter and the others of that by the low twelve bits of addresses.
    """
    if not all(isinstance(param, np.ndarray) for param in params):
        return [[_like_on_device(param, fill) for fill in fills] for param in params]
    starts, end = [], 0  # counted from a page's begin
    for param in params:
        beside = [param.ctypes.data - _down(param)]
        for _ in fills:
            start = _apart(end, beside, param.nbytes)
            beside.append(start)
            end = -(-(start + param.nbytes) // LINE) * LINE
        starts.append(beside[1:])
    memory = np.zeros(end + PAGE, np.uint8)
    page = memory[-memory.ctypes.data % PAGE :]
    return [
        [_carved(page, start, param, fill) for start, fill in zip(mine, fills, strict=True)]
        for param, mine in zip(params, starts, strict=True)
    ]


def _apart(start: int, others: list[int], nbytes: int) -> int:
    """The first line from ``start`` on that is apart from all others."""
    apart = min(APART, max(nbytes, 1))  # shorter arrays end before they could meet
    near, clear = 2 * apart - 1, False
    while not clear:
        clear = True
        for other in others:
            past = (start - other + apart - 1) % PAGE
            if past < near:
                start = -(-(start + near - past) // LINE) * LINE
                clear = False
    return start


def _carved(page: Array, start: int, param: Array, fill: float) -> Array:
    flat = page[start : start + param.nbytes].view(param.dtype)
    if fill:
        flat.fill(fill)
    if param.flags.c_contiguous or param.size == 0:
        return flat.reshape(param.shape)
    return np.ndarray(param.shape, param.dtype, flat.data, _down(param), param.strides)


def _like_on_device(param: Any, fill: float) -> Any:
    import cupy

    with param.device:
        flat = cupy.full(param.size, fill, param.dtype)
    start = _down(param) // param.itemsize  # order="K" would drop the sign of a stride
    return cupy.lib.stride_tricks.as_strided(flat[start:], param.shape, param.strides)


def _down(param: Any) -> int:
    """Bytes from the lowest element in memory to the first."""
    if param.size == 0:
        return 0
    return sum((1 - k) * s for k, s in zip(param.shape, param.strides, strict=True) if s < 0)
