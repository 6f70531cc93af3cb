"""Measures the cases that `steepest advise` answers from, and writes them to its data file.

loss, full batch    f(x) = sum h_i (sqrt(1 + u_i^2) - 1), u = x - minimum reflected, so that no
                    coordinate is a principal axis, and 0 is nothing special; h runs from 1 down
                    to 1/condition. Evaluations of f and its gradient until f <= 1e-8 f(x0), at
                    most 3000.
loss, minibatch     the same with normal noise on each gradient, its length `noise` times that of
                    the first gradient; f after 1000 steps with a cosine schedule, over f(x0).
residuals           sums of squares: a curve of 5 parameters, and 200 parameters in 1000 rows.
linear              A x = b, symmetric positive definite, to a residual of 1e-8.

First-order rules get the best of a grid of learning rates, as someone would tune them. Usage:
python bench/advise.py python/steepest/apps/advise.json
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import steepest as st

MOST, STEPS, TARGET = 3000, 1000, 1e-8
RULES = {"sgd": st.SGD, "momentum": st.Momentum, "nesterov": st.Nesterov, "adam": st.Adam}
NOISY_RULES = {"rmsprop": st.RMSProp, "lion": st.Lion}  # without a schedule they do not settle
RATES = {
    **dict.fromkeys(("sgd", "momentum", "nesterov"), (1.5, 1.0, 0.5, 0.2, 0.05)),
    **dict.fromkeys(("rmsprop", "adam"), (0.3, 0.1, 0.03, 0.01, 0.003)),
    "lion": (0.1, 0.03, 0.01, 0.003, 0.001),
}


class Loss:
    """The convex test loss; counts its evaluations."""

    def __init__(self, n: int, condition: float, noise: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.h = np.logspace(0, -np.log10(condition), n)
        v = rng.standard_normal(n)
        self.v = v / np.linalg.norm(v)
        self.minimum = rng.standard_normal(n)
        self.x0 = self.minimum + self.reflect(rng.choice([-2.0, 2.0], n))
        self.calls = 0
        self.f0, g0 = self(self.x0)
        self.sigma = noise * float(np.linalg.norm(g0)) / n**0.5
        self.rng = rng

    def reflect(self, x: np.ndarray) -> np.ndarray:
        return x - 2 * (self.v @ x) * self.v

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.calls += 1
        u = self.reflect(x - self.minimum)
        root = np.sqrt(1 + u * u)
        # root - 1 without cancellation
        return float(self.h @ (u * u / (1 + root))), self.reflect(self.h * u / root)

    def hessian(self, x: np.ndarray) -> np.ndarray:
        q = np.eye(len(x)) - 2 * np.outer(self.v, self.v)
        u = self.reflect(x - self.minimum)
        return (q * (self.h / (1 + u * u) ** 1.5)) @ q

    def noisy(self, g: np.ndarray) -> np.ndarray:
        return g + self.sigma * self.rng.standard_normal(len(g))


def rule_to_target(name: str, lr: float, loss: Loss, most: int) -> int | None:
    """Evaluations that a rule takes to the target on exact gradients."""
    x = loss.x0.copy()
    optimizer = RULES[name](x, lr=lr)
    for k in range(most):
        f, g = loss(x)
        if f <= TARGET * loss.f0:
            return k + 1
        if not f < 100 * loss.f0:
            return None
        optimizer.step(g)
    return None


def rule_under_noise(name: str, lr: float, make: Callable[[], Loss]) -> float:
    """f at the end of a run on noisy gradients, over f(x0)."""
    loss = make()
    x = loss.x0.copy()
    optimizer = (RULES | NOISY_RULES)[name](x, lr=st.schedules.cosine(lr, STEPS))
    for _ in range(STEPS):
        optimizer.step(loss.noisy(loss(x)[1]))
    return loss(x)[0] / loss.f0


class Reached(Exception):
    """The target is met."""


def minimizer_to_target(name: str, loss: Loss) -> int | None:
    """Evaluations that a full-batch method takes to the target."""

    def fun(x: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = loss(x)
        if f <= TARGET * loss.f0:
            raise Reached
        return f, g

    loss.calls = 0
    hess = {"hess": loss.hessian} if name == "newton" else {}
    try:
        st.minimize(fun, loss.x0, jac=True, method=name, gtol=0.0, max_nfev=MOST, **hess)
    except Reached:
        return loss.calls
    return None


def full_batch(n: int, condition: float) -> dict[str, Any]:
    methods: dict[str, Any] = {}
    for name in RULES:
        best, rate = None, 0.0
        for lr in RATES[name]:
            count = rule_to_target(name, lr, Loss(n, condition, 0.0), best or MOST)
            if count is not None:
                best, rate = count, lr
        methods[name] = {"evaluations": best, "lr": rate}
    for name in ("gd", "l-bfgs", *(("bfgs", "newton") if n <= 1000 else ())):
        methods[name] = {"evaluations": minimizer_to_target(name, Loss(n, condition, 0.0))}
    return {"kind": "loss", "batch": "full", "n": n, "condition": condition, "methods": methods}


def minibatch(n: int, condition: float, noise: float) -> dict[str, Any]:
    def make() -> Loss:
        return Loss(n, condition, noise)

    methods: dict[str, Any] = {}
    for name in RULES | NOISY_RULES:
        ends = {lr: rule_under_noise(name, lr, make) for lr in RATES[name]}
        lr = min(ends, key=lambda lr: ends[lr] if np.isfinite(ends[lr]) else np.inf)
        methods[name] = {"end": ends[lr], "lr": lr}
    loss = make()
    noisy = lambda x: (lambda f, g: (f, loss.noisy(g)))(*loss(x))  # noqa: E731
    result = st.minimize(noisy, loss.x0, jac=True, method="l-bfgs", max_nfev=STEPS)
    methods["l-bfgs"] = {"end": loss(result.x)[0] / loss.f0}
    case = {"kind": "loss", "batch": "minibatch", "n": n, "condition": condition, "noise": noise}
    return {**case, "methods": methods}


def timed(run: Callable[[], Any], repeats: int = 5) -> tuple[Any, float]:
    """The result, and the least seconds."""
    seconds = []
    time.sleep(0.15)  # BLAS threads of another method's last run spin for a tenth of a second
    for _ in range(repeats):
        begin = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - begin)
    return result, min(seconds)


def residual_case(m: int, n: int) -> dict[str, Any]:
    """y = sum a_i exp(-b_i t) + c (5 parameters), or tanh of a linear map (n parameters)."""
    rng = np.random.default_rng(1)
    if n == 5:
        t = np.linspace(0, 4, m)
        truth, x0 = np.array([2.0, 0.4, 1.0, 3.0, 0.5]), np.array([1.0, 1.0, 1.0, 2.0, 0.0])
        np.seterr(over="ignore")  # trials far out
        model = lambda p: p[0] * np.exp(-p[1] * t) + p[2] * np.exp(-p[3] * t) + p[4]  # noqa: E731

        def jac(p: np.ndarray) -> np.ndarray:
            e, d = np.exp(-p[1] * t), np.exp(-p[3] * t)
            return np.stack([e, -p[0] * t * e, d, -p[2] * t * d, np.ones(m)], axis=1)
    else:
        a = rng.standard_normal((m, n)) / n**0.5 * np.logspace(0, -1.5, n)
        truth, x0 = rng.standard_normal(n), np.zeros(n)
        model = lambda p: np.tanh(a @ p)  # noqa: E731
        jac = lambda p: (1 - np.tanh(a @ p) ** 2)[:, None] * a  # noqa: E731
    y = model(truth) + 0.01 * rng.standard_normal(m)

    def cost(p: np.ndarray) -> tuple[float, np.ndarray]:
        f = model(p) - y
        return 0.5 * float(f @ f), jac(p).T @ f

    methods: dict[str, Any] = {}
    for name in ("lm", "gn"):
        run = lambda name=name: st.least_squares(  # noqa: E731
            lambda p: model(p) - y, x0, jac, method=name
        )
        result = run()
        methods[f"least_squares {name}"] = {"evaluations": result.nfev}
        best = result.cost
    for name in ("l-bfgs", "bfgs"):
        run = lambda name=name: st.minimize(  # noqa: E731
            cost, x0, jac=True, method=name, gtol=1e-8, max_nfev=MOST
        )
        result = run()
        reached = result.fun <= best * (1 + 1e-6)
        methods[name] = {"evaluations": result.nfev if reached else None}
    return {"kind": "residuals", "m": m, "n": n, "methods": methods}


def linear_case(n: int, condition: float) -> dict[str, Any]:
    q, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((n, n)))
    a = (q * np.logspace(0, -np.log10(condition), n)) @ q.T
    a = (a + a.T) / 2
    b = np.random.default_rng(3).standard_normal(n)
    methods: dict[str, Any] = {}
    for name in ("cholesky", "lu", "qr", "cg", "pcg", "gauss-seidel"):
        limit = {} if name in ("cholesky", "lu", "qr") else {"maxiter": 2000}
        run = lambda name=name, limit=limit: st.solve(  # noqa: E731
            a, b, method=name, return_info=True, **limit
        )
        (_, info), seconds = timed(run, 7)
        methods[name] = {"iterations": info.nit if info.success else None, "seconds": seconds}

    def gradient_descent() -> int | None:
        x = np.zeros(n)
        optimizer = st.SGD(x, lr=1.9)
        for k in range(2000):
            r = a @ x - b
            if np.linalg.norm(r) <= 1e-8 * np.linalg.norm(b):
                return k
            optimizer.step(r)
        return None

    count, seconds = timed(gradient_descent, 1)
    methods["gradient descent"] = {"iterations": count, "seconds": seconds}
    return {"kind": "linear", "n": n, "condition": condition, "methods": methods}


def main() -> None:
    cases = []
    for n in (10, 1000, 10_000):
        for condition in (10.0, 1e3, 1e5):
            cases.append(full_batch(n, condition))
            cases += [minibatch(n, condition, noise) for noise in (0.1, 1.0)]
            print(n, condition, flush=True)
    cases += [residual_case(200, 5), residual_case(1000, 200)]
    cases += [linear_case(1000, condition) for condition in (10.0, 1e3, 1e5)]
    about = "written by bench/advise.py, which says what was measured"
    text = json.dumps({"about": about, "cases": [rounded(case) for case in cases]}, indent=1)
    with open(sys.argv[1], "w") as file:
        file.write(text + "\n")


def rounded(value: Any) -> Any:
    """Three digits are enough."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return float(f"{value:.3g}") if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
