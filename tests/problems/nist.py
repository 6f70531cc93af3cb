"""NIST StRD nonlinear regression problems, from the JSON files in the folder `nist`.

>>> problem = load("Misra1a")
>>> problem.residual(problem.starts[0]).shape, problem.jacobian(problem.starts[0]).shape
((14,), (14, 2))
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sympy

FOLDER = Path(__file__).parent / "nist"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@dataclass(frozen=True)
class Problem:
    """Data, model and certified answer of one data set; a residual is model - y."""

    name: str
    level: str
    formula: str
    x: np.ndarray
    y: np.ndarray
    starts: tuple[np.ndarray, np.ndarray]
    certified: np.ndarray
    stderr: np.ndarray
    rss: float
    dof: int
    model: Callable[..., np.ndarray]  # model(x, *b) -> (m,)
    gradient: Callable[..., np.ndarray]  # gradient(x, *b) -> (m, n), exact

    def residual(self, b: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self.model(self.x, *b) - self.y

    def jacobian(self, b: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self.gradient(self.x, *b)

    def digits(self, b: np.ndarray) -> float:
        """Log relative error: the fewest correct digits over the parameters, 0 to 11."""
        with np.errstate(all="ignore"):
            error = np.abs(np.asarray(b) - self.certified) / np.abs(self.certified)
            digits = -np.log10(np.maximum(error, 1e-11))
        return float(np.clip(np.nan_to_num(digits, nan=0.0), 0, 11).min())


@functools.cache
def load(name: str, folder: Path = FOLDER) -> Problem:
    """The problem of `folder/name.json`, its Jacobian derived by SymPy."""
    record = json.loads((folder / f"{name}.json").read_text())
    x, y = np.array(record["x"]), np.array(record["y"])
    if x.ndim == 2 and x.shape[0] == y.size:  # one row an observation -> one row a predictor
        x = x.T
    model, gradient = compile_model(record)
    certified = record["certified"]
    return Problem(
        name=name,
        level=record["level"],
        formula=record["model"],
        x=x,
        y=y,
        starts=(np.array(record["starts"][0]), np.array(record["starts"][1])),
        certified=np.array(certified["params"]),
        stderr=np.array(certified["stderr"]),
        rss=certified["rss"],
        dof=certified["dof"],
        model=model,
        gradient=gradient,
    )


def compile_model(record: dict) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """The model's right-hand side and its derivatives by the parameters, as NumPy functions."""
    names = record["predictors"] + record["parameters"]
    symbols = sympy.symbols(names, real=True)
    expression = sympy.sympify(
        record["model"].partition("=")[2], locals=dict(zip(names, symbols, strict=True))
    )
    n_predictors = len(record["predictors"])
    derivatives = [expression.diff(b) for b in symbols[n_predictors:]]
    value = sympy.lambdify(symbols, expression, "numpy")
    columns = sympy.lambdify(symbols, derivatives, "numpy", cse=True)

    def arguments(x: np.ndarray, b: tuple[float, ...]) -> tuple:
        return (*(x if n_predictors > 1 else (x,)), *b)

    def model(x: np.ndarray, *b: float) -> np.ndarray:
        return np.broadcast_to(value(*arguments(x, b)), x.shape[-1:])

    def gradient(x: np.ndarray, *b: float) -> np.ndarray:
        rows = [np.broadcast_to(c, x.shape[-1:]) for c in columns(*arguments(x, b))]
        return np.stack(rows, axis=1)

    return model, gradient
