"""`steepest bench --device cuda`: steps timed by the device's events, and by the host's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steepest import devices, rules
from steepest.apps import bench_peers, bench_work
from steepest.apps.bench_timing import Contender, in_turns, median

HOST_SIZE = 1000, 100  # tensors and elements: so few that the device waits for the host


class Device(bench_work.Host):
    """CuPy arrays of a device, on CuPy's current stream."""

    def __init__(self, cupy: Any) -> None:
        self.xp = cupy
        self.number = cupy.cuda.Device().id
        self.backend = devices.Cuda(self.number)

    def timed(
        self, name: str, call: Callable[[], Any], prepare: Callable[[], Any] | None = None
    ) -> Contender:
        return ByEvents(name, call, prepare, events=self._events())

    def _events(self) -> tuple[Any, Any, Any]:
        cuda = self.xp.cuda
        return cuda.Event(), cuda.Event(), cuda.get_elapsed_time

    def expressions(self, rule: str, *arrays: Any) -> dict[str, Callable[[], Any] | None]:
        return {
            "cupy": bench_peers.expression_step(rule, self.xp, *arrays),
            "cupy fuse": bench_peers.fused_step(rule, self.xp, *arrays),
        }

    def able(self, entrants: list[Contender]) -> tuple[list[Contender], dict[str, str]]:
        """A peer may have no kernel for a device, or no memory left: the row does without it."""
        found, left_out = entrants[:2], {}  # the step and its yardstick
        for one in entrants[2:]:
            try:
                one.time()
            except (RuntimeError, MemoryError) as error:
                left_out[one.name] = f"{type(error).__name__}: {error}"
            else:
                found.append(one)
        return found, left_out

    def wait(self) -> None:
        """Until the device has done all that it was asked."""
        self.xp.cuda.Device().synchronize()

    def free(self) -> None:
        """Give the memory pools' unused memory back, for the next row's arrays."""
        pool = self.xp.get_default_memory_pool()
        pool.free_all_blocks()
        torch = bench_peers.torch_for([pool])
        if torch is not None:
            torch.cuda.empty_cache()

    def copy_gb_s(self, elements: int) -> float:
        """What a copy of float32 in the device's memory moves, read and written bytes counted."""
        some = np.random.default_rng(0).uniform(0.5, 1.5, 1 << 20).astype(np.float32)
        a, b = self.array(some, elements), self.xp.empty(elements, np.float32)
        copy = self.timed("copy", lambda: b.data.copy_from_device_async(a.data, a.nbytes))
        in_turns([copy], seconds=0.5, rounds=31)
        return float(2 * a.nbytes / median(copy) / 1e9)

    def machine(self) -> dict[str, Any]:
        """The device and what drives it."""
        runtime = self.xp.cuda.runtime
        name = runtime.getDeviceProperties(self.number)["name"].decode()
        driver = runtime.driverGetVersion()
        return {
            "device": name,
            "driver": f"{driver // 1000}.{driver % 1000 // 10}",
            "cupy": self.xp.__version__,
        }


@dataclass
class ByEvents(Contender):
    """Timed between two events of the stream; where the host is the slower, that shows.

    A call before the first event keeps the device busy until the host is ahead. Without it the
    host's time for the first call would count.
    """

    events: tuple[Any, Any, Any] = field(kw_only=True)

    def time(self) -> float:
        start, end, elapsed_ms = self.events
        if self.prepare is not None:
            self.prepare()
        else:
            self.call()
        start.record()
        for _ in range(self.calls):
            self.call()
        end.record()
        end.synchronize()
        return 1e-3 * float(elapsed_ms(start, end)) / self.calls


@dataclass
class ByHost(Contender):
    """The time in which the host has asked for a step, whose end is not waited for."""

    wait: Callable[[], None] = field(kw_only=True)

    def time(self) -> float:
        self.wait()
        start = time.perf_counter()
        for _ in range(self.calls):
            self.call()
        took = (time.perf_counter() - start) / self.calls
        self.wait()
        return took


def open_device() -> Device:
    """The current device.

    Raises
    ------
    BackendError
        Where there is none, or what is needed to use it is missing.
    """
    return Device(devices.usable_cupy("--device cuda: arrays are to live on a GPU"))


def host_times(device: Device, *, alone: bool = False) -> dict[str, float]:
    """Seconds of the host for a step of Adam: bound, replayed as a graph, and PyTorch's."""
    params, grads, bound = _host_problem(device)
    captured = _host_problem(device)[-1]  # steps after a capture bring more along
    calls = {"bound": bound.step, "graph replay": _replay(device, captured)}
    if not alone:
        calls |= bench_peers.torch_steps("adam", params, grads)
    # As many calls as the device's queue takes without making the host wait.
    found = [ByHost(name, call, calls=100, wait=device.wait) for name, call in calls.items()]
    in_turns(found, seconds=1.0, rounds=31)
    return {one.name: median(one) for one in found}


def _host_problem(device: Device) -> tuple[list[Any], list[Any], Any]:
    tensors, elements = HOST_SIZE
    ones = np.ones(elements, np.float32)
    params, grads = ([device.array(ones, elements) for _ in range(tensors)] for _ in range(2))
    opt = rules.Adam(params, lr=1e-3)
    opt.bind_grads(grads)
    opt.step()
    return params, grads, opt


def _replay(device: Device, opt: Any) -> Callable[[], Any]:
    """A call that launches a bound step captured as a graph."""
    device.wait()  # what the step reads was made on another stream
    stream = device.xp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            opt.step()
        finally:
            graph = stream.end_capture()
    return lambda: graph.launch(stream)
