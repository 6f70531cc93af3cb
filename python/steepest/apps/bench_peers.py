"""What the rules are measured against: array expressions, and PyTorch's optimizers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

LR, B1, B2, EPS = 1e-3, 0.9, 0.999, 1e-8
Arrays = list[Any]


def sgd(xp: Any, t: int, p: Any, g: Any) -> None:
    p -= LR * g


def momentum(xp: Any, t: int, p: Any, g: Any, v: Any) -> None:
    v *= B1
    v -= LR * g
    p += v


def nesterov(xp: Any, t: int, p: Any, g: Any, v: Any) -> None:
    v *= B1
    v -= LR * g
    p += B1 * v - LR * g


def rmsprop(xp: Any, t: int, p: Any, g: Any, s: Any) -> None:
    s *= B1
    s += (1 - B1) * g * g
    p -= LR * g / (xp.sqrt(s) + EPS)


def adam(xp: Any, t: int, p: Any, g: Any, m: Any, v: Any) -> None:
    m *= B1
    m += (1 - B1) * g
    v *= B2
    v += (1 - B2) * g * g
    p -= LR / (1 - B1**t) * m / (xp.sqrt(v) / (1 - B2**t) ** 0.5 + EPS)


def adamw(xp: Any, t: int, p: Any, g: Any, m: Any, v: Any) -> None:
    p -= LR * 1e-2 * p
    adam(xp, t, p, g, m, v)


def amsgrad(xp: Any, t: int, p: Any, g: Any, m: Any, v: Any, x: Any) -> None:
    m *= B1
    m += (1 - B1) * g
    v *= B2
    v += (1 - B2) * g * g
    xp.maximum(x, v, out=x)
    p -= LR / (1 - B1**t) * m / (xp.sqrt(x) / (1 - B2**t) ** 0.5 + EPS)


def adagrad(xp: Any, t: int, p: Any, g: Any, s: Any) -> None:
    s += g * g
    p -= LR * g / (xp.sqrt(s) + 1e-10)


def adadelta(xp: Any, t: int, p: Any, g: Any, v: Any, u: Any) -> None:
    v *= B1
    v += (1 - B1) * g * g
    d = xp.sqrt(u + 1e-6) / xp.sqrt(v + 1e-6) * g
    u *= B1
    u += (1 - B1) * d * d
    p -= LR * d


def adamax(xp: Any, t: int, p: Any, g: Any, m: Any, u: Any) -> None:
    m *= B1
    m += (1 - B1) * g
    u *= B2
    xp.maximum(u, xp.abs(g) + EPS, out=u)
    p -= LR / (1 - B1**t) * m / u


def mu(t: int) -> float:
    return B1 * (1 - 0.5 * float(0.96 ** (t * 4e-3)))


@functools.lru_cache(maxsize=2)
def mu_product(t: int) -> float:
    return mu_product(t - 1) * mu(t) if t else 1.0


def nadam(xp: Any, t: int, p: Any, g: Any, m: Any, v: Any) -> None:
    m *= B1
    m += (1 - B1) * g
    v *= B2
    v += (1 - B2) * g * g
    mean = mu(t + 1) / (1 - mu_product(t) * mu(t + 1)) * m
    mean += (1 - mu(t)) / (1 - mu_product(t)) * g
    p -= LR * mean / (xp.sqrt(v) / (1 - B2**t) ** 0.5 + EPS)


def radam(xp: Any, t: int, p: Any, g: Any, m: Any, v: Any) -> None:
    m *= B1
    m += (1 - B1) * g
    v *= B2
    v += (1 - B2) * g * g
    limit = 2 / (1 - B2) - 1
    rho = limit - 2 * t * B2**t / (1 - B2**t)
    if rho > 5:
        r2 = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        p -= LR / (1 - B1**t) * (r2 * (1 - B2**t)) ** 0.5 * m / (xp.sqrt(v) + EPS)
    else:
        p -= LR / (1 - B1**t) * m


def lion(xp: Any, t: int, p: Any, g: Any, m: Any) -> None:
    p -= LR * xp.sign(B1 * m + (1 - B1) * g)
    m *= 0.99
    m += 0.01 * g


# By the rule's name in the rule list. The first argument is NumPy or CuPy.
EXPRESSIONS: dict[str, Callable[..., None]] = {
    f.__name__: f
    for f in (
        sgd, momentum, nesterov, rmsprop, adam, adamw, amsgrad,
        adagrad, adadelta, adamax, nadam, radam, lion,
    )
}  # fmt: skip


def expression_step(
    rule: str, xp: Any, params: Arrays, grads: Arrays, states: list[Arrays]
) -> Callable[[], None] | None:
    """A call that takes a step of the rule in expressions of arrays, or None."""
    if rule not in EXPRESSIONS:
        return None
    step, count = EXPRESSIONS[rule], 0

    def call() -> None:
        nonlocal count
        count += 1
        for p, g, s in zip(params, grads, states, strict=True):
            step(xp, count, p, g, *s)

    return call


def fused_step(
    rule: str, cupy: Any, params: Arrays, grads: Arrays, states: list[Arrays]
) -> Callable[[], None] | None:
    """The same by `cupy.fuse`, one kernel a tensor, or None.

    The step's number is a constant of the kernel, which takes the same time as any other.
    """
    if rule not in EXPRESSIONS:
        return None

    def step(*arrays: Any) -> None:
        EXPRESSIONS[rule](cupy, 10, *arrays)

    fused = cupy.fuse(kernel_name=f"fused_{rule}")(step)

    def call() -> None:
        for p, g, s in zip(params, grads, states, strict=True):
            fused(p, g, *s)

    return call


# PyTorch's class and keywords, by our rule.
TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum_unscaled": ("SGD", {"momentum": 0.9}),
    "nesterov_unscaled": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "rmsprop": ("RMSprop", {"alpha": 0.9}),
    "rmsprop_momentum": ("RMSprop", {"alpha": 0.9, "momentum": 0.9}),
    "rmsprop_centered": ("RMSprop", {"alpha": 0.9, "centered": True}),
    "rmsprop_centered_momentum": ("RMSprop", {"alpha": 0.9, "centered": True, "momentum": 0.9}),
    "adam": ("Adam", {}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "adamw": ("AdamW", {}),
    "amsgradw": ("AdamW", {"amsgrad": True}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "adamax": ("Adamax", {}),
    "nadam": ("NAdam", {}),
    "radam": ("RAdam", {}),
}


def pytorch() -> Any:
    """PyTorch, where it can be imported, or None."""
    try:
        import torch
    except (ImportError, OSError):  # none, or its libraries lack something
        return None
    return torch


def torch_for(arrays: Arrays) -> Any:
    """PyTorch, where it can be imported and can use these arrays, or None."""
    torch = pytorch()
    if torch is None:
        return None
    return torch if isinstance(arrays[0], np.ndarray) or torch.cuda.is_available() else None


def _tensor(array: Any) -> Any:
    """PyTorch's view of an array, on the host or on a device."""
    import torch

    on_host = isinstance(array, np.ndarray)
    return torch.from_numpy(array) if on_host else torch.utils.dlpack.from_dlpack(array)


def _tensors(arrays: Arrays, grads: Arrays) -> list[Any]:
    """Parameters over the same memory, with their gradients."""
    params = [_tensor(a).requires_grad_() for a in arrays]
    for p, g in zip(params, grads, strict=True):
        p.grad = _tensor(g)
    return params


def torch_steps(rule: str, arrays: Arrays, grads: Arrays) -> dict[str, Callable[[], Any]]:
    """PyTorch's steps of the rule, by implementation; none where there is no PyTorch."""
    torch = torch_for(arrays)
    if rule not in TORCH or torch is None:
        return {}
    name, kwargs = TORCH[rule]
    cls = getattr(torch.optim, name)
    calls: dict[str, Callable[[], Any]] = {}
    for kind in ("fused", "foreach"):
        if kind == "fused" and name not in ("SGD", "Adam", "AdamW", "Adagrad"):
            continue  # PyTorch has no other fused rules
        own = [g.copy() for g in grads]  # foreach's Nesterov adds to the gradients
        try:
            opt = cls(_tensors(arrays, own), lr=LR, **kwargs, **{kind: True})
        except RuntimeError:
            continue  # no such kernel where the arrays live
        calls[f"torch {kind}"] = opt.step
    return calls


def torch_pipeline(
    arrays: Arrays, grads: Arrays, *, scale: float, max_norm: float, ema_decay: float
) -> dict[str, Callable[[], Any]]:
    """Unscale, clip, fused AdamW, running mean, zeroed gradients: PyTorch's fastest calls."""
    torch = torch_for(arrays)
    if torch is None:
        return {}
    params = _tensors(arrays, grads)
    opt = torch.optim.AdamW(params, lr=LR, fused=True)
    means = [p.detach().clone() for p in params]
    gradients = [p.grad for p in params]

    def call() -> None:
        with torch.no_grad():
            torch._foreach_mul_(gradients, 1 / scale)
            torch.nn.utils.clip_grad_norm_(params, max_norm, foreach=True)
            opt.step()
            torch._foreach_lerp_(means, params, 1 - ema_decay)
            torch._foreach_zero_(gradients)

    return {"torch fused": call}
