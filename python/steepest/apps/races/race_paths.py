"""The runners of `steepest race`: any optimizer of the package on a surface, and its path."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import steepest as st
from steepest.apps.races.surfaces import Floats, Surface, heights
from steepest.fullbatch.iteration import CONVERGED, LIMIT

# name -> class, and the default of the learning rate: for BY_CURVATURE as a share of 1/curvature;
# for the others, whose steps are about as long as the rate, as a share of the width shown
FIRST_ORDER: dict[str, tuple[str, float]] = {
    "sgd": ("SGD", 0.5),
    "momentum": ("Momentum", 0.2),
    "nesterov": ("Nesterov", 0.2),
    "rmsprop": ("RMSProp", 0.01),
    "adam": ("Adam", 0.02),
    "amsgrad": ("AMSGrad", 0.02),
    "adamw": ("AdamW", 0.02),
    "adagrad": ("Adagrad", 0.1),
    "adadelta": ("Adadelta", 1.0),
    "adamax": ("AdaMax", 0.02),
    "nadam": ("NAdam", 0.02),
    "radam": ("RAdam", 0.02),
    "lion": ("Lion", 0.01),
}
SECOND_ORDER = {"gd": "GradientDescent", "newton": "Newton", "bfgs": "BFGS", "l-bfgs": "LBFGS"}
BY_CURVATURE = ("sgd", "momentum", "nesterov")
FAR = 1e3  # shown widths from the picture: a path that far out has diverged
DEEP = 1e5  # shown heights below it: f falls without bound
BY_SPACES = "separate optimizers by spaces"
LOST = ("diverged", "unbounded")


@dataclass(frozen=True)
class Entry:
    """An optimizer to race, with the options that were given."""

    name: str
    options: dict[str, Any]

    @property
    def label(self) -> str:
        """As in a legend."""
        cls = FIRST_ORDER[self.name][0] if self.name in FIRST_ORDER else SECOND_ORDER[self.name]
        given = ", ".join(f"{name}={show(value)}" for name, value in self.options.items())
        search = "" if {"lr", "line_search"} & self.options.keys() else ", line search"
        cls = {"LBFGS": "L-BFGS", "GradientDescent": f"Gradient descent{search}"}.get(cls, cls)
        return f"{cls} ({given})" if given else cls


@dataclass(frozen=True)
class Path:
    """Where an optimizer went: its iterates, and the evaluations spent on reaching each."""

    label: str
    points: Floats  # (k, 2)
    values: Floats  # (k,)
    spent: Floats  # (k,), from 0
    ended: str  # why before the last evaluation, or ""
    name: str = ""  # of the optimizer, as it is given

    @property
    def lost(self) -> bool:
        """Whether it ran off."""
        return self.ended in LOST


def show(value: Any) -> str:
    """A short number or word."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def parse_entry(text: str) -> Entry:
    """An entry from text such as "adam" or "momentum:lr=0.01,momentum=0.8".

    Raises
    ------
    ValueError
        For an optimizer, option or value that does not exist.
    """
    name, _, rest = text.partition(":")
    name = {"lbfgs": "l-bfgs"}.get(name.lower(), name.lower())
    if name not in FIRST_ORDER and name not in SECOND_ORDER:
        known = ", ".join([*FIRST_ORDER, *SECOND_ORDER])
        hint = f"{BY_SPACES}; " if "," in name else ""
        raise ValueError(f"{text!r}: no optimizer {name!r}; {hint}expected one of {known}")
    options: dict[str, Any] = {}
    allowed = option_names(name)
    for part in filter(None, rest.split(",")):
        option, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            due = "expected OPTION=VALUE, of a pair as betas=0.9/0.999"
            if option in FIRST_ORDER or option in SECOND_ORDER:
                due = BY_SPACES
            raise ValueError(f"{text!r}: {part!r} names no option; {due}")
        if option not in allowed:
            listed = ", ".join(allowed)
            raise ValueError(f"{text!r}: {part!r} is no option of {name}; expected one of {listed}")
        if option in options:
            raise ValueError(f"{text!r}: {option} is given twice")
        options[option] = parse_value(text, value)
    return Entry(name, options)


def parse_value(text: str, value: str) -> float | bool | tuple[float, ...] | str | None:
    """5, 0.9, 0.9/0.999 for a pair, true, false, none, or a word."""
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return words[value.lower()]
    try:
        numbers = tuple(
            int(part) if part.lstrip("-").isdecimal() else float(part) for part in value.split("/")
        )
    except ValueError:
        if not value.isidentifier():
            raise ValueError(f"{text!r}: {value!r} is neither a number nor a word") from None
        return value
    return numbers if len(numbers) > 1 else numbers[0]


def optimizer_class(name: str) -> Any:
    """The class behind a name."""
    return getattr(st, FIRST_ORDER[name][0] if name in FIRST_ORDER else SECOND_ORDER[name])


def option_names(name: str) -> list[str]:
    """What can be set in text: the options of the class that are numbers, pairs or flags."""
    left_out = {"params", "x0", "bounds", "maxiter", "max_nfev", "ema_decay", "maximize"}
    parameters = inspect.signature(optimizer_class(name)).parameters
    return [word for word in parameters if word not in left_out]


def run(entry: Entry, surface: Surface, steps: int) -> Path:
    """The path of an optimizer over at most so many gradient evaluations."""
    if entry.name in FIRST_ORDER:
        return run_rule(entry, surface, steps)
    return run_minimizer(entry, surface, steps)


def default_rate(name: str, surface: Surface) -> float:
    """A learning rate that suits the surface, to two digits.

    A share of 1/L, with L the largest curvature at the start; or of the picture's width, for rules
    that divide by the gradient's size.
    """
    share = FIRST_ORDER[name][1]
    if name in BY_CURVATURE:
        h = surface.hessian(np.array(surface.start, float))
        curvature = float(np.abs(np.linalg.eigvalsh(h)).max()) if np.isfinite(h).all() else 0.0
        rate = share / curvature if curvature > 0 else 0.1
    else:
        rate = share * max(np.ptp(surface.x_limits), np.ptp(surface.y_limits))
    return float(f"{rate:.2g}")


def run_rule(entry: Entry, surface: Surface, steps: int) -> Path:
    """A first-order rule: one gradient a step."""
    options = {"lr": default_rate(entry.name, surface), **entry.options}
    x = np.array(surface.start, float)
    optimizer = optimizer_class(entry.name)(x, **options)
    points = [x.copy()]
    ended = ""
    while len(points) <= steps and not ended:
        optimizer.step(surface.gradient(x))
        ended = trouble(surface, x)
        if not ended:
            points.append(x.copy())
    return make_path(Entry(entry.name, options), surface, points, range(len(points)), ended)


def run_minimizer(entry: Entry, surface: Surface, steps: int) -> Path:
    """A full-batch method: an iterate may take several evaluations.

    As for a rule, an iterate is reached before f and its gradient are evaluated there: k full
    steps are k evaluations.
    """
    solver = optimizer_class(entry.name)(
        np.array(surface.start, float), max_nfev=steps + 1, **{"gtol": 1e-10, **entry.options}
    )
    points, spent = [solver.best_x], [0]
    lost = ""
    while not solver.done and not lost:
        x = solver.x
        h = [surface.hessian(x)] if entry.name == "newton" else []
        solver.tell(surface.value(x), surface.gradient(x), *h)
        at = solver.best_x
        if solver.done and any(np.array_equal(at, point) for point in points[:-1]):  # f has risen
            at = x if math.isfinite(surface.value(x)) else points[-1]
        if not np.array_equal(at, points[-1]):
            points.append(at)
            spent.append(solver.nfev - 1)
            lost = trouble(surface, at)
    ended = "" if solver.status == LIMIT else solver.message
    if solver.status == CONVERGED:
        ended = f"converged: {ended}"
    elif ended and surface.value(points[-1]) > surface.value(points[0]):
        lost = "diverged"
    return make_path(entry, surface, points, spent, lost or ended)


def trouble(surface: Surface, x: Floats) -> str:
    """Why a path cannot go on from x, or ""."""
    f, (low, high) = surface.value(x), heights(surface)
    width = max(np.ptp(surface.x_limits), np.ptp(surface.y_limits))
    center = np.array([np.mean(surface.x_limits), np.mean(surface.y_limits)])
    far = not np.isfinite(x).all() or np.abs(x - center).max() > FAR * width
    if low - f > DEEP * (high - low) or far and f < low:
        return "unbounded"
    if far:
        return "diverged"
    return "" if math.isfinite(f) else "f is not finite"


def make_path(entry: Entry, surface: Surface, points: Any, spent: Any, ended: str) -> Path:
    """A path from its iterates."""
    at = np.array(points, float)
    label = f"{entry.label} {ended}" if ended in LOST else entry.label
    values = surface.values(at[:, 0], at[:, 1])
    return Path(label, at, values, np.array(spent, float), ended, entry.name)
