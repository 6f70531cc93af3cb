"""The five rules of the demo: their learning rates, and their names in `bench_peers`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import steepest as st


@dataclass(frozen=True)
class DemoRule:
    """A rule: its class, its peers, the learning rates that suit it, its colour."""

    name: str
    ours: Callable[..., Any]  # (params, lr) -> optimizer
    numpy: str  # its key in bench_peers.EXPRESSIONS
    torch: str  # its key in bench_peers.TORCH
    lr: float  # for the network
    small: float  # for the surface
    too_large: float
    colour: str  # of Okabe and Ito: told apart with any colour vision


RULES = (
    DemoRule("SGD", st.SGD, "sgd", "sgd", 0.5, 0.2, 0.86, "#d55e00"),
    DemoRule("Momentum", st.Momentum, "momentum", "momentum_unscaled", 0.1, 0.05, 0.8, "#f0e442"),
    DemoRule("Nesterov", st.Nesterov, "nesterov", "nesterov_unscaled", 0.1, 0.05, 0.42, "#009e73"),
    DemoRule("RMSProp", st.RMSProp, "rmsprop", "rmsprop", 2e-3, 0.12, 0.9, "#56b4e9"),
    DemoRule("Adam", st.Adam, "adam", "adam", 5e-3, 0.25, 2.6, "#cc79a7"),
)
