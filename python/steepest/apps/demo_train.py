"""The demo's training runs, and what an update costs beside NumPy and PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import steepest as st
from steepest.apps import bench_peers
from steepest.apps.bench_timing import Contender, in_turns, median
from steepest.apps.demo_net import Digits, Layers, accuracy, loss_and_gradient, make_net
from steepest.apps.demo_rules import DemoRule
from steepest.updates.rule_list import RULES

SIZES = (64, 128, 64, 10)
BATCH_SIZE = 32


@dataclass(frozen=True)
class Run:
    """One rule's training: the loss of every step, the test accuracy of every epoch."""

    losses: list[float]
    accuracies: list[float]
    seconds: float

    @property
    def final_loss(self) -> float:
        """The mean loss of the last epoch."""
        steps = len(self.losses) // len(self.accuracies)
        return float(np.mean(self.losses[-steps:]))


def zeros_of(net: Layers) -> Layers:
    return [{name: np.zeros_like(array) for name, array in layer.items()} for layer in net]


def train(
    rule: DemoRule, digits: Digits, epochs: int, seed: int, advance: Callable[[], None]
) -> Run:
    """Train a fresh network by the rule; `advance` is called after every epoch."""
    net = make_net(SIZES, seed)
    grads = zeros_of(net)
    n = len(digits.train_y)
    steps = epochs * len(st.minibatches(n, BATCH_SIZE, seed=seed))
    warm = steps // 20
    schedule = st.schedules.linear_warmup(st.schedules.cosine(rule.lr, steps - warm), steps=warm)
    optimizer = rule.ours(net, lr=schedule)
    optimizer.bind_grads(grads)
    losses, accuracies = [], []
    start = time.perf_counter()
    for epoch in range(epochs):
        for batch in st.minibatches(n, BATCH_SIZE, seed=seed, epoch=epoch):
            x, y = digits.train_x[batch], digits.train_y[batch]
            losses.append(float(loss_and_gradient(net, x, y, grads)))
            optimizer.step()
        accuracies.append(accuracy(net, digits.test_x, digits.test_y))
        advance()
    return Run(losses, accuracies, time.perf_counter() - start)


@dataclass(frozen=True)
class UpdateTimes:
    """Median seconds of one update of the demo's network."""

    ours: float
    numpy: float
    torch: float | None  # its fastest; None where PyTorch is not installed


def time_update(rule: DemoRule, seed: int) -> UpdateTimes:
    """One update of all arrays of the network by each side, in turns, on equal gradients.

    On one thread each: ours takes no more at this size, and PyTorch's second one only waits.
    """
    rng = np.random.default_rng(seed)
    arrays = flat(make_net(SIZES, seed))
    grads = [rng.normal(size=a.shape).astype(a.dtype) for a in arrays]
    optimizer = rule.ours([a.copy() for a in arrays], lr=bench_peers.LR)
    optimizer.bind_grads(grads)
    states = [[np.zeros_like(a) for _ in RULES[rule.numpy].states] for a in arrays]
    calls: dict[str, Callable[[], Any] | None] = {
        "ours": optimizer.step,
        "numpy": bench_peers.expression_step(
            rule.numpy, np, [a.copy() for a in arrays], grads, states
        ),
        **bench_peers.torch_steps(rule.torch, arrays, grads),
    }
    sides = [Contender(name, call) for name, call in calls.items() if call is not None]
    torch = bench_peers.torch_for(arrays)
    if torch is not None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
    in_turns(sides, seconds=0.1, rounds=31)
    if torch is not None:
        torch.set_num_threads(threads)
    ours, numpy, *theirs = map(median, sides)
    return UpdateTimes(ours, numpy, min(theirs, default=None))


def flat(net: Layers) -> list[Any]:
    return [array for layer in net for array in layer.values()]
