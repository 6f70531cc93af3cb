"""The five rules of the demo, each three times: ours, in NumPy expressions, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import steepest as st

__all__ = ["RULES", "DemoRule"]

Array = NDArray[Any]
# (theta, gradient, two state arrays, learning rate, step from 1): changes theta and state
NumpyUpdate = Callable[[Array, Array, tuple[Array, Array], float, int], None]


def numpy_sgd(theta: Array, g: Array, s: tuple[Array, Array], lr: float, t: int) -> None:
    theta -= lr * g


def numpy_momentum(theta: Array, g: Array, s: tuple[Array, Array], lr: float, t: int) -> None:
    v, _ = s
    v[...] = 0.9 * v - lr * g
    theta += v


def numpy_nesterov(theta: Array, g: Array, s: tuple[Array, Array], lr: float, t: int) -> None:
    v, _ = s
    v[...] = 0.9 * v - lr * g
    theta += 0.9 * v - lr * g


def numpy_rmsprop(theta: Array, g: Array, s: tuple[Array, Array], lr: float, t: int) -> None:
    square, _ = s
    square[...] = 0.9 * square + 0.1 * g * g
    theta -= lr * g / (np.sqrt(square) + 1e-8)


def numpy_adam(theta: Array, g: Array, s: tuple[Array, Array], lr: float, t: int) -> None:
    m, v = s
    m[...] = 0.9 * m + 0.1 * g
    v[...] = 0.999 * v + 0.001 * g * g
    theta -= lr / (1 - 0.9**t) * m / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


@dataclass(frozen=True)
class DemoRule:
    """A rule: how each side makes it, the learning rates that suit it, its colour."""

    name: str
    ours: Callable[..., Any]  # (params, lr) -> optimizer
    numpy: NumpyUpdate
    torch: tuple[str, dict[str, Any]]  # class in torch.optim, its fastest keywords
    lr: float  # for the network
    small: float  # for the surface
    too_large: float
    colour: str  # of Okabe and Ito: told apart with any colour vision


RULES = (
    DemoRule(
        name="SGD",
        ours=st.SGD,
        numpy=numpy_sgd,
        torch=("SGD", {"fused": True}),
        lr=0.5,
        small=0.2,
        too_large=0.86,
        colour="#d55e00",
    ),
    DemoRule(
        name="Momentum",
        ours=st.Momentum,
        numpy=numpy_momentum,
        torch=("SGD", {"momentum": 0.9, "fused": True}),
        lr=0.1,
        small=0.05,
        too_large=0.8,
        colour="#f0e442",
    ),
    DemoRule(
        name="Nesterov",
        ours=st.Nesterov,
        numpy=numpy_nesterov,
        torch=("SGD", {"momentum": 0.9, "nesterov": True, "fused": True}),
        lr=0.1,
        small=0.05,
        too_large=0.42,
        colour="#009e73",
    ),
    DemoRule(
        name="RMSProp",
        ours=st.RMSProp,
        numpy=numpy_rmsprop,
        torch=("RMSprop", {"alpha": 0.9, "foreach": True}),
        lr=2e-3,
        small=0.12,
        too_large=0.9,
        colour="#56b4e9",
    ),
    DemoRule(
        name="Adam",
        ours=st.Adam,
        numpy=numpy_adam,
        torch=("Adam", {"fused": True}),
        lr=5e-3,
        small=0.25,
        too_large=2.6,
        colour="#cc79a7",
    ),
)
