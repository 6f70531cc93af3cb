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
    DemoRule(
        name="SGD",
        ours=st.SGD,
        numpy="sgd",
        torch="sgd",
        lr=0.5,
        small=0.2,
        too_large=0.86,
        colour="#d55e00",
    ),
    DemoRule(
        name="Momentum",
        ours=st.Momentum,
        numpy="momentum",
        torch="momentum_unscaled",
        lr=0.1,
        small=0.05,
        too_large=0.8,
        colour="#f0e442",
    ),
    DemoRule(
        name="Nesterov",
        ours=st.Nesterov,
        numpy="nesterov",
        torch="nesterov_unscaled",
        lr=0.1,
        small=0.05,
        too_large=0.42,
        colour="#009e73",
    ),
    DemoRule(
        name="RMSProp",
        ours=st.RMSProp,
        numpy="rmsprop",
        torch="rmsprop",
        lr=2e-3,
        small=0.12,
        too_large=0.9,
        colour="#56b4e9",
    ),
    DemoRule(
        name="Adam",
        ours=st.Adam,
        numpy="adam",
        torch="adam",
        lr=5e-3,
        small=0.25,
        too_large=2.6,
        colour="#cc79a7",
    ),
)
