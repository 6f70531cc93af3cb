"""One table of rules, variants and stages that drives the tests: a new rule is a new row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import papers


@dataclass(frozen=True)
class Rule:
    """A class of the package by name, its keywords, its paper's function, its state arrays."""

    cls: str
    kwargs: dict[str, Any] = field(hash=False)
    paper: Callable[..., Any]
    states: tuple[str, ...]

    def __str__(self) -> str:
        return "-".join([self.cls, *(f"{k}={v}" for k, v in self.kwargs.items() if k != "lr")])

    @property
    def function(self) -> str:
        """Its name in st.functional, and in papers."""
        return self.paper.__name__


VELOCITY = ("velocity",)
MOMENTS = ("exp_avg", "exp_avg_sq")
MAXED = (*MOMENTS, "max_exp_avg_sq")

# Hyperparameters are far from their defaults where the defaults would hide a mistake.
RULES = (
    Rule("SGD", dict(lr=0.1), papers.sgd, ()),
    Rule("Momentum", dict(lr=0.05), papers.momentum, VELOCITY),
    Rule("Momentum", dict(lr=0.05, momentum=0.7), papers.momentum, VELOCITY),
    Rule("Momentum", dict(lr=0.05, lr_in_velocity=False), papers.momentum, VELOCITY),
    Rule("Nesterov", dict(lr=0.05), papers.nesterov, VELOCITY),
    Rule("Nesterov", dict(lr=0.05, momentum=0.7), papers.nesterov, VELOCITY),
    Rule("Nesterov", dict(lr=0.05, lr_in_velocity=False), papers.nesterov, VELOCITY),
    Rule("RMSProp", dict(), papers.rmsprop, ("square_avg",)),
    Rule("RMSProp", dict(lr=0.05, beta=0.6, eps=0.1), papers.rmsprop, ("square_avg",)),
    Rule("RMSProp", dict(momentum=0.8), papers.rmsprop, ("square_avg", "velocity")),
    Rule("RMSProp", dict(centered=True), papers.rmsprop, ("grad_avg", "grad_var")),
    Rule(
        "RMSProp",
        dict(momentum=0.8, centered=True),
        papers.rmsprop,
        ("grad_avg", "grad_var", "velocity"),
    ),
    Rule("Adam", dict(), papers.adam, MOMENTS),
    Rule("Adam", dict(lr=0.05, betas=(0.6, 0.8), eps=0.1), papers.adam, MOMENTS),
    Rule("Adam", dict(lr=0.05, betas=(0.0, 0.0)), papers.adam, MOMENTS),
    Rule("Adam", dict(lr=0.05, bias_correction=False), papers.adam, MOMENTS),
    Rule("Adam", dict(lr=0.05, betas=(0.6, 0.8), amsgrad=True), papers.adam, MAXED),
    Rule("Adam", dict(lr=0.05, bias_correction=False, amsgrad=True), papers.adam, MAXED),
    Rule("AMSGrad", dict(lr=0.05, betas=(0.6, 0.8)), papers.amsgrad, MAXED),
    Rule("AMSGrad", dict(lr=0.05, bias_correction=False), papers.amsgrad, MAXED),
    Rule("AdamW", dict(lr=0.05), papers.adamw, MOMENTS),
    Rule("AdamW", dict(lr=0.05, weight_decay=0.3), papers.adamw, MOMENTS),
    Rule("AdamW", dict(lr=0.05, bias_correction=False), papers.adamw, MOMENTS),
    Rule("AdamW", dict(lr=0.05, betas=(0.6, 0.8), amsgrad=True), papers.adamw, MAXED),
    Rule("Adagrad", dict(lr=0.1), papers.adagrad, ("sum",)),
    Rule(
        "Adagrad",
        dict(lr=0.1, lr_decay=0.2, initial_accumulator_value=0.5, eps=1e-3),
        papers.adagrad,
        ("sum",),
    ),
    Rule("Adadelta", dict(), papers.adadelta, ("square_avg", "acc_delta")),
    Rule("Adadelta", dict(lr=2.0, rho=0.5, eps=1e-2), papers.adadelta, ("square_avg", "acc_delta")),
    Rule("AdaMax", dict(lr=0.05), papers.adamax, ("exp_avg", "exp_inf")),
    Rule("AdaMax", dict(lr=0.05, betas=(0.6, 0.8), eps=0.1), papers.adamax, ("exp_avg", "exp_inf")),
    Rule("NAdam", dict(lr=0.05), papers.nadam, MOMENTS),
    Rule("NAdam", dict(lr=0.05, betas=(0.6, 0.8), momentum_decay=0.5), papers.nadam, MOMENTS),
    Rule("RAdam", dict(lr=0.05), papers.radam, MOMENTS),  # switches to the rectified step at 6
    Rule("RAdam", dict(lr=0.05, betas=(0.6, 0.7)), papers.radam, MOMENTS),  # never rectified
    Rule("RAdam", dict(lr=0.05, betas=(0.6, 0.8), eps=0.1), papers.radam, MOMENTS),
    Rule("Lion", dict(lr=0.05), papers.lion, ("exp_avg",)),
    Rule("Lion", dict(lr=0.05, betas=(0.6, 0.8), weight_decay=0.3), papers.lion, ("exp_avg",)),
)

# One row a class, with its first variant: for tests that need each class but not each option.
CLASSES = tuple({rule.cls: rule for rule in reversed(RULES)}.values())[::-1]

# Stages that every class takes, by constructor keyword, and those of a call of step.
STAGES = (
    dict(),
    dict(weight_decay=0.1),
    dict(maximize=True),
    dict(ema_decay=0.7),
    dict(weight_decay=0.1, maximize=True, ema_decay=0.7),
)
STEP_STAGES = (
    dict(),
    dict(grad_scale=4.0),
    dict(max_norm=0.5),
    dict(grad_scale=4.0, max_norm=0.5, nonfinite="skip", zero_grad=True),
)
