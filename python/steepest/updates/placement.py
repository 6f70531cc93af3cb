"""Where state arrays lie in memory.

On a GPU the arrays of one state are next to each other, each from a cache line on: what blocks
read at a time is then in fewer places, and memory faster (on an H200 75.1 µs instead of 76.1 for
Adam on 10,000 tensors of 1,000).

A processor compares loads with stores under way by the low twelve bits of their addresses: where
a rule's arrays are a few lines apart in these, each load waits for a store that it has nothing to
do with, and a step in cache takes up to 2.6 times as long (on Zen 4: bench/TRIED.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

PAGE, LINE, APART = 4096, 64, 512  # bytes
DEVICE_LINE = 128

Array = np.ndarray[Any, np.dtype[Any]]


def like(params: Sequence[Any], fills: Sequence[float]) -> list[list[Any]]:
    """New arrays for each parameter, with its dtype, shape and strides, one for each fill.

    They share one allocation. On the host each begins a cache line and, counting only the low
    twelve bits of addresses, lies at least ``APART`` bytes from its parameter and from the other
    arrays of that parameter.
    """
    if not params or not fills:
        return [[] for _ in params]
    if not isinstance(params[0], np.ndarray):
        return _like_on_device(params, fills)
    starts, end = [], 0  # counted from the beginning of a page
    for param in params:
        nbytes, beside = param.nbytes, [param.ctypes.data - _down(param)]
        for _ in fills:
            start = _apart(end, beside, nbytes)
            beside.append(start)
            end = -(-(start + nbytes) // LINE) * LINE
        starts.append(beside[1:])
    memory = np.zeros(end + PAGE, np.uint8)
    page = -memory.ctypes.data % PAGE
    return [
        [
            _carved(memory, page + start, param, fill)
            for start, fill in zip(mine, fills, strict=True)
        ]
        for param, mine in zip(params, starts, strict=True)
    ]


def _apart(start: int, others: list[int], nbytes: int) -> int:
    """The first cache line from ``start`` on that is apart from all others.

    There is always one beside up to four others. Beside more there may be none; then any will do.
    """
    apart = min(APART, nbytes)  # shorter arrays end before they could meet
    near, end, clear = 2 * apart - 1, start + PAGE, False
    while not clear and start < end:
        clear = True
        for other in others:
            past = (start - other + apart - 1) % PAGE
            if past < near:
                start = -(-(start + near - past) // LINE) * LINE
                clear = False
    return start


def _carved(memory: Array, start: int, param: Array, fill: float) -> Array:
    at = start + _down(param)
    array: Array = np.ndarray(param.shape, param.dtype, memory, at, param.strides)
    if fill:
        array.fill(fill)
    return array


def _like_on_device(params: Sequence[Any], fills: Sequence[float]) -> list[list[Any]]:
    whole = [-(-param.nbytes // DEVICE_LINE) * DEVICE_LINE for param in params]
    *starts, end = itertools.accumulate(whole, initial=0)
    memory = _device_zeros(params[0].device, len(fills) * end)
    return [
        [_device_carved(memory, k * end + start, param, fill) for k, fill in enumerate(fills)]
        for param, start in zip(params, starts, strict=True)
    ]


def _device_zeros(device: Any, nbytes: int) -> Any:
    import cupy

    with device:
        return cupy.full(nbytes, 0, np.dtype(np.uint8))


def _device_carved(memory: Any, start: int, param: Any, fill: float) -> Any:
    import cupy

    flat = memory[start : start + param.nbytes].view(param.dtype)
    if fill:
        with param.device:
            flat[...] = fill
    first = _down(param) // param.itemsize  # order="K" would drop the sign of a stride
    return cupy.lib.stride_tricks.as_strided(flat[first:], param.shape, param.strides)


def _down(param: Any) -> int:
    """Bytes from the lowest element in memory to the first."""
    if param.flags.c_contiguous:  # as one without elements is
        return 0
    return sum((1 - k) * s for k, s in zip(param.shape, param.strides, strict=True) if s < 0)
