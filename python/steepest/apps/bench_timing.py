"""Timings of things beside each other: in turns, so that a noisy machine is noisy for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BATCH = 2e-4  # seconds that a timing takes at least: the clock and its call cost 0.1 µs
LEAST = 3  # timings of the slowest contender


@dataclass
class Contender:
    """Something to be timed. ``prepare`` is called, untimed, before each call."""

    name: str
    call: Callable[[], Any]
    prepare: Callable[[], Any] | None = None
    calls: int = 1  # in a timing
    seconds: list[float] = field(default_factory=list)  # of one call, by round

    def time(self) -> float:
        """Seconds of one call now, of ``calls`` in a row."""
        if self.prepare is not None:
            self.prepare()
        call, calls = self.call, range(self.calls)
        start = time.perf_counter()
        for _ in calls:
            call()
        return (time.perf_counter() - start) / self.calls


def in_turns(contenders: Sequence[Contender], *, seconds: float, rounds: int) -> None:
    """Fill in the contenders' ``seconds``: up to ``rounds`` timings of each, one of each in turn.

    A contender that has used up its ``seconds`` drops out, though not before three timings.
    """
    for one in contenders:
        slow = one.time()  # the first call may build things
        while one.prepare is None and slow * one.calls < BATCH:
            one.calls = max(one.calls * 2, int(BATCH / max(slow, 1e-9)))
            slow = one.time()
    for turn in range(rounds):
        for one in contenders if turn % 2 else reversed(contenders):
            spent = sum(one.seconds) * one.calls
            if turn >= LEAST and (spent > seconds or len(one.seconds) < turn):
                continue
            # Sleeps off what the one before left spinning, then wakes the own threads up.
            time.sleep(0.002)
            if spent < BATCH * 10 * len(one.seconds):
                one.time()
            one.seconds.append(one.time())


def medians(
    calls: Mapping[str, Callable[[], object]], rounds: int, inner: int = 1
) -> dict[str, float]:
    """Median seconds of a call of each: in turns, `inner` calls in a row, after an untimed one.

    For whole fits and solutions, which are long beside what `in_turns` takes care of.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(inner):
                call()
            seconds[name].append((time.perf_counter() - start) / inner)
    return {name: float(np.median(taken)) for name, taken in seconds.items()}


def median(one: Contender) -> float:
    """Median seconds of a call."""
    return float(np.median(one.seconds))


def ratio(slow: Contender, fast: Contender) -> float:
    """How many times faster the second is: the median over the rounds that both were in."""
    n = min(len(slow.seconds), len(fast.seconds))
    return float(np.median(np.divide(slow.seconds[:n], fast.seconds[:n])))
