"""The documentation's picture: gradient descent, and SGD, is not a way to solve a linear system.

All methods on one system, the Poisson equation on a 24 × 24 grid as a dense matrix: ‖b − A x‖ over
work in reads of A (products with A, 2n² operations; a factorisation counts by its operations).
First-order rules have their best fixed learning rates. Usage:
python docs/linear_systems.py PICTURE.png
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import steepest as st

SIDE, MOST = 24, 400
N = SIDE * SIDE


def poisson() -> np.ndarray:
    line = 2 * np.eye(SIDE) - np.eye(SIDE, k=1) - np.eye(SIDE, k=-1)
    return np.kron(line, np.eye(SIDE)) + np.kron(np.eye(SIDE), line)


def history(a: np.ndarray, b: np.ndarray, **options: Any) -> np.ndarray:
    """Residuals of an iterative method of st.solve."""
    return st.solve(a, b, rtol=1e-10, maxiter=MOST, return_info=True, **options)[1].residuals


def descend(a: np.ndarray, b: np.ndarray, rule: str, **options: Any) -> np.ndarray:
    """Residuals of a first-order rule on ½ xᵀA x − bᵀx."""
    x, residuals = np.zeros(N), []
    optimizer = getattr(st, rule)(x, **options)
    for _ in range(MOST + 1):
        r = a @ x - b
        residuals.append(np.linalg.norm(r))
        optimizer.step(r)
    return np.array(residuals)


def stochastic(a: np.ndarray, b: np.ndarray, lr: float) -> np.ndarray:
    """Residuals of SGD on ½ mean (aᵢx − bᵢ)², a minibatch of 32 rows a step, after each epoch."""
    x, residuals = np.zeros(N), [np.linalg.norm(b)]
    optimizer = st.SGD(x, lr=lr)
    for epoch in range(MOST):
        for rows in st.minibatches(N, 32, seed=0, epoch=epoch):
            optimizer.step(a[rows].T @ (a[rows] @ x - b[rows]) / len(rows))
        residuals.append(np.linalg.norm(a @ x - b))
    return np.array(residuals)


def best(runs: list[np.ndarray]) -> np.ndarray:
    """The run that ends lowest."""
    return min(runs, key=lambda run: run[-1] if np.isfinite(run[-1]) else np.inf)


def measure() -> tuple[dict[str, tuple[np.ndarray, float]], dict[str, tuple[float, float]]]:
    """Iterative: residuals and reads of A an iteration; direct: work in reads, and the residual."""
    a = poisson()
    b = np.random.default_rng(0).standard_normal(N)
    low, high = np.linalg.eigvalsh(a)[[0, -1]]
    heavy = ((high**0.5 - low**0.5) / (high**0.5 + low**0.5)) ** 2
    polyak = {"lr": 4 / (high**0.5 + low**0.5) ** 2, "momentum": heavy}
    rates = (0.003, 0.01, 0.03, 0.1, 0.3)
    iterative = {
        "SGD": (best([stochastic(a, b, lr) for lr in (0.03, 0.1, 0.3, 1.0, 3.0)]), 1.0),
        "Adam": (best([descend(a, b, "Adam", lr=lr) for lr in rates]), 1.0),
        "gradient descent, best rate": (descend(a, b, "SGD", lr=2 / (low + high)), 1.0),
        "Jacobi": (history(a, b, method="jacobi"), 1.0),
        "Gauss-Seidel": (history(a, b, method="gauss-seidel"), 1.0),
        "momentum, best rates": (descend(a, b, "Momentum", lr_in_velocity=False, **polyak), 1.0),
        "cg": (history(a, b, method="cg"), 1.0),
        "pcg, ssor": (history(a, b, method="pcg", preconditioner="ssor"), 2.0),
    }
    direct = {}
    for name, work in {"cholesky": N / 6, "lu": N / 3, "qr": 2 * N / 3}.items():
        residual = np.linalg.norm(b - a @ st.solve(a, b, method=name))
        direct[name] = (work, float(residual / np.linalg.norm(b)))
    return iterative, direct


def draw(out: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    iterative, direct = measure()
    figure = Figure(figsize=(8.6, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = (
        "#D55E00",
        "#CC79A7",
        "#E69F00",
        "#555555",
        "#56B4E9",
        "#009E73",
        "#0072B2",
        "#000000",
    )
    for (name, (residuals, reads)), colour in zip(iterative.items(), colours, strict=True):
        work = reads * np.arange(len(residuals))
        shown = work <= MOST
        relative = residuals / residuals[0]
        dashes = (0, (3, 3)) if name == "Jacobi" else "-"  # lies on gradient descent: constant D
        style = {"color": colour, "linestyle": dashes, "linewidth": 1.8}
        axes.semilogy(work[shown], relative[shown], label=name, **style)
    for (name, (work, residual)), marker in zip(direct.items(), "sD^", strict=True):
        label = f"{name} (n³ work, then done)"
        axes.plot([work], [residual], marker, color="black", markersize=8, label=label)
    axes.set_xlim(0, MOST * 1.01)
    axes.set_ylim(1e-16, 3)
    axes.set_xlabel(f"work, in reads of A ({N} × {N})")
    axes.set_ylabel("‖b − A x‖ / ‖b‖")
    axes.set_title("One linear system: a method that knows it is linear wins", fontsize="medium")
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(out, dpi=110)
    for name, (residuals, _) in iterative.items():
        print(f"{name:20} {len(residuals) - 1:5} iterations to {residuals[-1] / residuals[0]:.1e}")


if __name__ == "__main__":
    draw(sys.argv[1])
