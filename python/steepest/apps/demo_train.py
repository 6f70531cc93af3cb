"""The demo's training runs, and what an update costs beside NumPy and PyTorch."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import steepest as st
from steepest.apps.demo_net import Digits, Layers, accuracy, loss_and_gradient, make_net
from steepest.apps.demo_rules import DemoRule

__all__ = ["Run", "UpdateTimes", "time_update", "train"]

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
    torch: float | None  # where PyTorch is not installed


def time_update(rule: DemoRule, seed: int, rounds: int = 200) -> UpdateTimes:
    """One update of all arrays of the network by each side, in turns, on equal gradients.

    On one thread each: ours takes no more at this size, and PyTorch's second one only waits.
    """
    rng = np.random.default_rng(seed)
    net = make_net(SIZES, seed)
    grads = [
        {name: rng.normal(size=a.shape).astype(a.dtype) for name, a in layer.items()}
        for layer in net
    ]
    sides = {"ours": ours_update(rule, net, grads), "numpy": numpy_update(rule, net, grads)}
    if importlib.util.find_spec("torch") is None:
        medians = medians_in_turns(sides, rounds)
    else:
        import torch

        sides["torch"] = torch_update(rule, net, grads)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        medians = medians_in_turns(sides, rounds)
        torch.set_num_threads(threads)
    return UpdateTimes(medians["ours"], medians["numpy"], medians.get("torch"))


def medians_in_turns(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, update in sides.items():
            start = time.perf_counter()
            update()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(times[rounds // 10 :]) for name, times in seconds.items()}


def ours_update(rule: DemoRule, net: Layers, grads: Layers) -> Callable[[], Any]:
    optimizer = rule.ours(copy_of(net), lr=1e-3)
    optimizer.bind_grads(grads)
    return lambda: optimizer.step()


def numpy_update(rule: DemoRule, net: Layers, grads: Layers) -> Callable[[], Any]:
    thetas, gs = flat(copy_of(net)), flat(grads)
    states = [(np.zeros_like(theta), np.zeros_like(theta)) for theta in thetas]
    t = 0

    def update() -> None:
        nonlocal t
        t += 1
        for theta, g, s in zip(thetas, gs, states, strict=True):
            rule.numpy(theta, g, s, 1e-3, t)

    return update


def torch_update(rule: DemoRule, net: Layers, grads: Layers) -> Callable[[], Any]:
    import torch

    tensors = [torch.from_numpy(theta).requires_grad_() for theta in flat(copy_of(net))]
    for tensor, g in zip(tensors, flat(grads), strict=True):
        tensor.grad = torch.from_numpy(g)
    name, keywords = rule.torch
    optimizer = getattr(torch.optim, name)(tensors, lr=1e-3, **keywords)
    return lambda: optimizer.step()


def copy_of(net: Layers) -> Layers:
    return [{name: array.copy() for name, array in layer.items()} for layer in net]


def flat(net: Layers) -> list[Any]:
    return [array for layer in net for array in layer.values()]
