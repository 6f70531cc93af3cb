"""The steps that `steepest bench` times, and the yardsticks beside them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from steepest import _cpu, devices, rules
from steepest.apps import bench_peers
from steepest.apps.bench_timing import Contender
from steepest.updates.optimizer import Optimizer
from steepest.updates.rule_list import RULES

PIPELINE = "pipeline"  # unscale + clip + AdamW + running mean + zeroed gradients
SCALE, MAX_NORM, EMA_DECAY = 1024.0, 1.0, 0.99
LISTS_BELOW = 1 << 22  # elements: above, checking a list costs nothing that could be seen


def cases() -> dict[str, tuple[type[Optimizer], dict[str, Any]]]:
    """A class and the keywords that pick it, for every rule of the rule list."""
    found: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {}
    for name in rules.__all__:
        cls = getattr(rules, name)
        keywords = inspect.signature(cls).parameters
        flags = cls._structural
        options = [(keywords[key].default, _other(keywords[key].default)) for key in flags]
        for picked in itertools.product(*options):
            chosen = dict(zip(flags, picked, strict=True))
            changed = {k: v for k, v in chosen.items() if v != keywords[k].default}
            rule = cls(np.zeros(1), lr=1e-3, **changed)._rules[0]
            found.setdefault(rule, (cls, changed))
    return {name: found[name] for name in RULES if name in found}


def _other(default: Any) -> Any:
    return not default if isinstance(default, bool) else 0.9


def known_rules() -> list[str]:
    """What may be asked for, in the order of the rule list."""
    return [*cases(), PIPELINE]


def bytes_of_step(rule: str) -> int:
    """Memory traffic of a float32 element: each array read once, and once written where it is."""
    if rule == PIPELINE:
        return 11 * 4  # gradient twice; read and written: theta, m, v, mean; zeros
    return (3 + 2 * len(RULES[rule].states)) * 4


class Host:
    """Where the arrays of a row live, how its steps are timed, and by which expressions."""

    xp: Any = np
    backend: devices.Host | devices.Cuda = devices.HOST

    def array(self, some: Any, elements: int) -> Any:
        """So many float32, of which ``some`` are given and repeat."""
        some, made = self.xp.asarray(some), self.xp.empty(elements, np.float32)
        for start in range(0, elements, some.size):
            made[start : start + some.size] = some[: elements - start]
        return made

    def timed(
        self, name: str, call: Callable[[], Any], prepare: Callable[[], Any] | None = None
    ) -> Contender:
        return Contender(name, call, prepare)

    def able(self, entrants: list[Contender]) -> tuple[list[Contender], dict[str, str]]:
        """Those that can be timed here, and why others cannot."""
        return entrants, {}

    def free(self) -> None:
        """Memory of a row that is done goes back by itself."""

    def expressions(self, rule: str, *arrays: Any) -> dict[str, Callable[[], Any] | None]:
        return {"numpy": bench_peers.expression_step(rule, self.xp, *arrays)}


class _Arrays:
    """Parameters and gradients of so many tensors; values that stay clear of denormals."""

    def __init__(self, place: Host, tensors: int, elements: int, grad: float) -> None:
        rng = np.random.default_rng(0)
        some = rng.uniform(0.5, 1.5, min(elements, 1 << 20)).astype(np.float32)
        self.grad = place.array(some * np.float32(grad), elements)
        self.params = [place.array(some, elements) for _ in range(tensors)]
        self.grads = [self.grad.copy() for _ in range(tensors)]

    def refill(self) -> None:
        for g in self.grads:
            g[...] = self.grad


def _traffic(place: Host, params: list[Any], grads: list[Any], states: list[list[Any]]) -> Any:
    """A plan with the same traffic over the same arrays and one addition to each written."""
    plan = place.backend.plan()
    plan.add_group(RULES[f"traffic{len(states[0])}"].number, [0.0], 0.0, False, 0.0)
    for theta, mine in zip(params, states, strict=True):
        plan.add_tensor(0, theta, mine, None, 0, 1.0)
    place.backend.ready(plan)
    plan.bind(tuple(grads))
    return plan


def contenders(
    rule: str, tensors: int, elements: int, place: Host, *, alone: bool = False
) -> list[Contender]:
    """The step, its yardstick and, unless it is alone, its peers, on the same arrays."""
    if rule == PIPELINE:
        return _pipeline(place, tensors, elements, alone)
    cls, kwargs = cases()[rule]
    arrays = _Arrays(place, tensors, elements, 1e-3)
    opt = cls(arrays.params, lr=1e-3, **kwargs)
    opt.bind_grads(arrays.grads)
    states = [list(state.values()) for state in opt._states]
    traffic = _traffic(place, arrays.params, arrays.grads, states)
    calls: dict[str, Callable[[], Any] | None] = {
        "bound": opt.step,
        "traffic": traffic.step_bound_plain,
    }
    if tensors * elements < LISTS_BELOW:
        calls["lists"] = lambda: opt.step(arrays.grads)
    if not alone:
        calls |= place.expressions(rule, arrays.params, arrays.grads, states)
        calls |= bench_peers.torch_steps(rule, arrays.params, arrays.grads)
    return [place.timed(name, call) for name, call in calls.items() if call is not None]


def _pipeline(place: Host, tensors: int, elements: int, alone: bool) -> list[Contender]:
    arrays = _Arrays(place, tensors, elements, SCALE)  # its norm is over MAX_NORM: all is clipped
    opt = rules.AdamW(arrays.params, lr=1e-3, ema_decay=EMA_DECAY)
    opt.bind_grads(arrays.grads)
    # 44 bytes an element as well: a second array stands for the gradients' second reading.
    states = [
        [*state.values(), ema, g]
        for state, ema, g in zip(opt._states, opt._emas, arrays.grads, strict=True)
    ]
    traffic = _traffic(place, arrays.params, [g.copy() for g in arrays.grads], states)

    def step() -> None:
        opt.step(grad_scale=SCALE, max_norm=MAX_NORM, zero_grad=True)

    calls: dict[str, Callable[[], Any]] = {"bound": step, "traffic": traffic.step_bound_plain}
    if not alone:
        calls |= bench_peers.torch_pipeline(
            arrays.params, arrays.grads, scale=SCALE, max_norm=MAX_NORM, ema_decay=EMA_DECAY
        )
    return [place.timed(name, call, arrays.refill) for name, call in calls.items()]


def triad(elements: int) -> Contender:
    """STREAM's triad on arrays of so many float64: 24 bytes an element, as STREAM counts."""
    a, b, c = (np.full(elements, x) for x in (0.0, 1.0, 2.0))
    return Contender("triad", lambda: _cpu.stream_triad(a, b, c, 3.0))
