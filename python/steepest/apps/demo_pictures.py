"""The demo's pictures: loss curves, and the rules' paths over a surface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest.apps.demo_rules import RULES, DemoRule
from steepest.apps.demo_train import Run

Array = NDArray[Any]

# A winding valley: steep walls, a gently sloping floor y = HEIGHT sin(WAVE x), its least point 0.
HEIGHT, WAVE, STEEP, SLOPE = 1.15, 1.15, 1.5, 0.09
START = (-4.0, -2.3)
WINDOW = (-5.2, 3.6, -2.9, 3.1)
INK = "#0b1020"


def surface(x: Array, y: Array) -> Array:
    """The height of the valley at (x, y)."""
    return np.asarray(STEEP / 2 * (y - HEIGHT * np.sin(WAVE * x)) ** 2 + SLOPE * x**2)


def gradient(p: Array) -> Array:
    """The gradient of `surface` at p, of shape (2,)."""
    x, y = p
    off = y - HEIGHT * np.sin(WAVE * x)
    return np.array([2 * SLOPE * x - STEEP * off * HEIGHT * WAVE * np.cos(WAVE * x), STEEP * off])


def path(rule: DemoRule, lr: float, steps: int) -> Array:
    """The points that a rule visits, of shape (steps + 1, 2), or fewer if it runs away."""
    p = np.array(START)
    optimizer = rule.ours(p, lr=lr)
    points = [p.copy()]
    while len(points) <= steps and np.abs(p).max() < 50:
        optimizer.step(gradient(p))
        points.append(p.copy())
    return np.array(points)


def draw_paths(file: Path) -> None:
    """The five rules from one start, with a small and with a too large learning rate."""
    from matplotlib import patheffects
    from matplotlib import pyplot as plt

    outline = [patheffects.Stroke(linewidth=3.2, foreground=INK), patheffects.Normal()]
    left, right, bottom, top = WINDOW
    x, y = np.meshgrid(np.linspace(left, right, 500), np.linspace(bottom, top, 340))
    height = np.log(surface(x, y) + 0.03)
    with plt.style.context("dark_background"):
        figure, (small, large) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
        figure.set_facecolor(INK)
        for ax, title, steps in (
            (small, "a small learning rate", 60),
            (large, "too large a learning rate", 16),
        ):
            ax.contourf(x, y, height, levels=30, cmap="bone")
            ax.contour(x, y, height, levels=30, colors="white", linewidths=0.25, alpha=0.35)
            ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
            ax.set_title(f"{title}, {steps} steps", fontsize=13)
            for rule in RULES:
                points = path(rule, rule.small if ax is small else rule.too_large, steps)
                ax.plot(*points.T, color=rule.colour, lw=1.9, path_effects=outline)
                ax.plot(*points.T, "o", color=rule.colour, ms=3.4, mec=INK, mew=0.4)
                ax.plot([], [], "-o", color=rule.colour, lw=1.9, ms=3.4, label=rule.name)
            mark = {"color": "white", "mec": INK, "zorder": 9, "ls": "none"}
            ax.plot(*START, "s", ms=7, label="start", **mark)
            ax.plot(0, 0, "*", ms=17, label="minimum", **mark)
        small.legend(loc="lower right", framealpha=0.75, facecolor=INK, edgecolor="none")
        figure.savefig(file, dpi=100)
        plt.close(figure)


def draw_losses(file: Path, runs: Mapping[str, Run]) -> None:
    """Training loss, averaged over each epoch, and test error, by epoch."""
    from matplotlib import pyplot as plt

    colours = {rule.name: rule.colour for rule in RULES}
    with plt.style.context("dark_background"):
        figure, (loss, error) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
        for ax in (loss, error):
            ax.set_facecolor(INK)
            ax.grid(color="white", alpha=0.12, which="both")
            ax.set(xlabel="epoch", yscale="log")
            ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            ax.spines[:].set_visible(False)
        figure.set_facecolor(INK)
        loss.set_title("training loss (mean over the epoch)", fontsize=13)
        error.set_title("test digits misread (%)", fontsize=13)
        for name, run in runs.items():
            epochs = np.arange(1, len(run.accuracies) + 1)
            means = np.reshape(run.losses, (len(epochs), -1)).mean(axis=1)
            wrong = 100 * (1 - np.array(run.accuracies))
            loss.plot(epochs, means, ".-", color=colours[name], lw=2, label=name)
            error.plot(epochs, wrong, ".-", color=colours[name], lw=2)
        limits = error.get_ylim()  # ticks outside would widen them
        error.set_yticks([1, 2, 5, 10, 20, 50, 90], [1, 2, 5, 10, 20, 50, 90])
        error.set_ylim(limits)
        error.minorticks_off()
        loss.legend(loc="best", framealpha=0.75, facecolor=INK, edgecolor="none")
        figure.savefig(file, dpi=100)
        plt.close(figure)
