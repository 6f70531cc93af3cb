"""The rules of the engine, and a group's hyperparameters as its plans take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steepest import _cpu

RULES = {
    name: (i, given.split(), states.split(), scalar)
    for i, (name, given, states, scalar) in enumerate(_cpu.rules())
}


def given_of(rule: str, values: Mapping[str, Any]) -> list[float]:
    """A rule's hyperparameters in the order of its C++ struct; ``betas`` is beta1 and beta2."""

    def one(name: str) -> float:
        if name in values:
            return float(values[name])
        return float(values[name[:-1] + "s"][int(name[-1]) - 1])

    # A callable lr has its value set at each step.
    values = {**values, "lr": 0.0 if callable(values["lr"]) else values["lr"]}
    return [one(name) for name in RULES[rule][1]]


def coupled_decay(rule: str, values: Mapping[str, Any]) -> float:
    """The weight decay that is added to the gradient; 0 where the rule has its own."""
    return 0.0 if "weight_decay" in RULES[rule][1] else float(values["weight_decay"])


def group_arguments(rule: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """A group as the engine's plan takes it."""
    ema = values["ema_decay"]
    rest = 0.0 if ema is None else 1 - ema
    decay = coupled_decay(rule, values)
    return RULES[rule][0], given_of(rule, values), decay, values["maximize"], rest
