"""The rules of the engine, and a group's hyperparameters as its plans take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from steepest import _cpu


class Rule(NamedTuple):
    """A rule as the engine describes it."""

    number: int
    given: list[str]  # its hyperparameters, in the order of its C++ struct
    states: list[str]  # its state arrays
    scalar: str  # the number that it carries for each array from step to step, or ""


RULES = {
    name: Rule(i, given.split(), states.split(), scalar)
    for i, (name, given, states, scalar) in enumerate(_cpu.rules())
}


def given_of(rule: str, values: Mapping[str, Any]) -> list[float]:
    """The values of a rule's hyperparameters in its order; ``betas`` is beta1 and beta2."""

    def one(name: str) -> float:
        if name in values:
            return float(values[name])
        return float(values[name[:-1] + "s"][int(name[-1]) - 1])

    # A callable lr has its value set at each step.
    values = {**values, "lr": 0.0 if callable(values["lr"]) else values["lr"]}
    return [one(name) for name in RULES[rule].given]


def group_arguments(rule: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """A group as the engine's plan takes it."""
    ema = values["ema_decay"]
    rest = 0.0 if ema is None else 1 - ema
    number, given, _, _ = RULES[rule]
    coupled = 0.0 if "weight_decay" in given else float(values["weight_decay"])
    return number, given_of(rule, values), coupled, values["maximize"], rest
