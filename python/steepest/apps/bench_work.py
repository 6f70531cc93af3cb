"""The steps that `steepest bench` times, and the yardsticks beside them."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np

from steepest import _cpu, rules
from steepest.apps import bench_peers
from steepest.apps.bench_timing import Contender
from steepest.optimizer import Optimizer
from steepest.rule_list import RULES

__all__ = ["PIPELINE", "bytes_of_step", "cases", "contenders", "known_rules", "triad"]

PIPELINE = "pipeline"  # unscale + clip + AdamW + running mean + zeroed gradients
SCALE, MAX_NORM, EMA_DECAY = 1024.0, 1.0, 0.99
LISTS_BELOW = 1 << 22  # elements: above, checking a list costs nothing that could be seen


def cases() -> dict[str, tuple[type[Optimizer], dict[str, Any]]]:
    """A class and the keywords that pick it, for every rule of the rule list."""
    found: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {}
    for name in rules.__all__:
        cls = getattr(rules, name)
        keywords = inspect.signature(cls).parameters
        flags = [key for key in cls.structural if key in keywords]
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


def bytes_of_step(rule: str, item: int = 4) -> int:
    """Memory traffic of one element: each array read once, and once written where it is."""
    if rule == PIPELINE:
        return 11 * item  # gradient twice; read and written: theta, m, v, mean; zeros
    return (3 + 2 * len(RULES[rule][2])) * item


class _Arrays:
    """Parameters and gradients of so many tensors; values that stay clear of denormals."""

    def __init__(self, tensors: int, elements: int, grad: float) -> None:
        rng = np.random.default_rng(0)
        some = rng.uniform(0.5, 1.5, elements).astype(np.float32)
        self.grad = some * np.float32(grad)
        self.params = [some.copy() for _ in range(tensors)]
        self.grads = [self.grad.copy() for _ in range(tensors)]

    def refill(self) -> None:
        for g in self.grads:
            g[...] = self.grad


def _traffic(params: list[Any], grads: list[Any], states: list[list[Any]]) -> Any:
    """A plan with the same traffic over the same arrays and one addition to each written."""
    plan = _cpu.Plan()
    plan.add_group(RULES[f"traffic{len(states[0])}"][0], [0.0], 0.0, False, 0.0)
    for theta, mine in zip(params, states, strict=True):
        plan.add_tensor(0, theta, mine, None, 0, 1.0)
    plan.bind(tuple(grads))
    return plan


def contenders(rule: str, tensors: int, elements: int) -> list[Contender]:
    """The step, its yardstick and its peers, on the same arrays."""
    if rule == PIPELINE:
        return _pipeline(tensors, elements)
    cls, kwargs = cases()[rule]
    arrays = _Arrays(tensors, elements, 1e-3)
    opt = cls(arrays.params, lr=1e-3, **kwargs)
    opt.bind_grads(arrays.grads)
    states = [list(state.values()) for state in opt._states]
    found = [
        Contender("bound", opt.step),
        Contender("traffic", _traffic(arrays.params, arrays.grads, states).step_bound_plain),
    ]
    if tensors * elements < LISTS_BELOW:
        found.append(Contender("lists", lambda: opt.step(arrays.grads)))
    numpy = bench_peers.numpy_step(rule, arrays.params, arrays.grads, states)
    if numpy is not None:
        found.append(Contender("numpy", numpy))
    for name, call in bench_peers.torch_steps(rule, arrays.params, arrays.grads).items():
        found.append(Contender(name, call))
    return found


def _pipeline(tensors: int, elements: int) -> list[Contender]:
    arrays = _Arrays(tensors, elements, SCALE)  # its norm is over MAX_NORM, so all is clipped
    opt = rules.AdamW(arrays.params, lr=1e-3, ema_decay=EMA_DECAY)
    opt.bind_grads(arrays.grads)
    # 44 bytes an element as well: a second array stands for the gradients' second reading.
    states = [
        [*state.values(), ema, g]
        for state, ema, g in zip(opt._states, opt._emas, arrays.grads, strict=True)
    ]
    traffic = _traffic(arrays.params, [g.copy() for g in arrays.grads], states)

    def step() -> None:
        opt.step(grad_scale=SCALE, max_norm=MAX_NORM, zero_grad=True)

    found = [Contender("bound", step), Contender("traffic", traffic.step_bound_plain)]
    torch = bench_peers.torch_pipeline(
        arrays.params, arrays.grads, scale=SCALE, max_norm=MAX_NORM, ema_decay=EMA_DECAY
    )
    found += [Contender(name, call) for name, call in torch.items()]
    for one in found:
        one.prepare = arrays.refill
    return found


def triad(elements: int) -> Contender:
    """STREAM's triad on arrays of so many float64: 24 bytes an element, as STREAM counts."""
    a, b, c = (np.full(elements, x) for x in (0.0, 1.0, 2.0))
    return Contender("triad", lambda: _cpu.stream_triad(a, b, c, 3.0))
