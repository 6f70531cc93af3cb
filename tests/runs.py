"""Runs that tests compare: bits of arrays, a seeded problem, everything an optimizer holds."""

from __future__ import annotations

import numpy as np

import steepest as st
from table import RULES, STAGES

SIZES = (1003, 1, 17, 0, 4101, 33)  # odd: vector bodies and tails, more than one norm block

# Every rule variant, and every stage of construction with a rule of each number of states.
CASES = [(rule, {}) for rule in RULES] + [
    (rule, stages) for rule in RULES[::5] for stages in STAGES[1:]
]


def bits(array):
    """An array's bytes with every NaN made the same one: their payloads are not promised."""
    array = np.array(array)
    array[np.isnan(array)] = np.nan
    return array.shape, array.dtype, array.tobytes()


def problem(dtype, sizes=SIZES, steps=3, seed=0):
    """Parameters and the gradients of each step."""
    rng = np.random.default_rng(seed)
    thetas = [rng.standard_normal(n).astype(dtype) for n in sizes]
    return thetas, [[rng.standard_normal(n).astype(dtype) for n in sizes] for _ in range(steps)]


def make(rule, params, **stages):
    """An optimizer of a row of the table."""
    return getattr(st, rule.cls)(params, **{**rule.kwargs, **stages})


def snapshot(opt, params):
    """Bits of all that a step may change."""
    state = opt.state_dict()
    arrays = [
        (i, name, bits(value) if isinstance(value, np.ndarray) else value)
        for i, entry in state["state"].items()
        for name, value in entry.items()
    ]
    counts = (opt.step_count, opt.skipped, repr(opt.grad_norm))  # NaN is unlike itself
    return [bits(p) for p in params], arrays, counts, repr(state["param_groups"])


class Failing:
    """A plan that finds no memory in one of its calls, counted from 0."""

    def __init__(self, plan, at):
        self.plan, self.left = plan, at

    def __getattr__(self, name):
        method = getattr(self.plan, name)

        def call(*arguments):
            if name not in ("undo", "moved", "ready"):
                self.left -= 1
                if self.left == -1:
                    raise MemoryError
            return method(*arguments)

        return call
