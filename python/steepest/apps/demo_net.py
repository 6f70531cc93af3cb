"""The demo's neural network: dense layers and tanh, with backpropagation written by hand.

Parameters are a plain structure, ``[{"weights": (inputs, outputs), "bias": (outputs,)}, ...]``,
which is all that an optimizer of this package needs to know of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layers = list[dict[str, Array]]


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, 8 by 8 pixels, as rows of 64 numbers from 0 to 1, and their labels."""

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array


def load_digits(seed: int) -> Digits:
    """The 1,797 digits that scikit-learn ships (Alpaydin & Kaynak 1998); a fifth is for testing."""
    from sklearn.datasets import load_digits as load

    x, y = load(return_X_y=True)
    x = (x / 16).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = np.split(order, [len(x) // 5])
    return Digits(x[train], y[train], x[test], y[test])


def make_net(sizes: tuple[int, ...], seed: int) -> Layers:
    """Layers of the given sizes, weights as Glorot & Bengio 2010, equation 16, has them."""
    rng = np.random.default_rng(seed)
    return [
        {
            "weights": (
                rng.uniform(-1, 1, size=(inputs, outputs)) * np.sqrt(6 / (inputs + outputs))
            ).astype(np.float32),
            "bias": np.zeros(outputs, np.float32),
        }
        for inputs, outputs in zip(sizes, sizes[1:], strict=False)
    ]


def forward(net: Layers, x: Array) -> list[Array]:
    """The input of every layer, and the log-probabilities of the classes last."""
    inputs = [x]
    for layer in net[:-1]:
        inputs.append(np.tanh(inputs[-1] @ layer["weights"] + layer["bias"]))
    scores = inputs[-1] @ net[-1]["weights"] + net[-1]["bias"]
    scores = scores - scores.real.max(axis=1, keepdims=True)
    inputs.append(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))
    return inputs


def loss_and_gradient(net: Layers, x: Array, y: Array, grads: Layers) -> Any:
    """The mean cross-entropy over the batch; its gradient is written into `grads`.

    Backpropagation: with h the inputs of a layer and δ the loss by its outputs, the loss by the
    weights is hᵀδ, by the bias Σδ, and by the outputs of the layer before (1 − h²)(δWᵀ), as
    tanh' = 1 − tanh². It begins with δ = (p − onehot(y))/m.
    """
    *inputs, log_p = forward(net, x)
    rows = np.arange(len(y))
    delta = np.exp(log_p)
    delta[rows, y] -= 1
    delta /= len(y)
    for k in reversed(range(len(net))):
        np.matmul(inputs[k].T, delta, out=grads[k]["weights"])
        np.sum(delta, axis=0, out=grads[k]["bias"])
        if k > 0:
            delta = (delta @ net[k]["weights"].T) * (1 - inputs[k] ** 2)
    return -log_p[rows, y].mean()


def accuracy(net: Layers, x: Array, y: Array) -> float:
    """The share of rows whose most probable class is theirs."""
    return float((forward(net, x)[-1].argmax(axis=1) == y).mean())
