"""Rules that divide by a root of accumulated squares: Adagrad, Adadelta, RMSProp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steepest import check
from steepest.updates.groups import Rate, at_least_zero, decay_rate
from steepest.updates.optimizer import Optimizer


class Adagrad(Optimizer):
    """Adagrad: s ← s + g²;  θ ← θ − α/(1+(t−1)η) · g/(√s + ε).

    Parameters
    ----------
    params, lr
        As in `SGD`.
    lr_decay : float
        η, at least 0.
    initial_accumulator_value : float
        Initial value of s, at least 0; in Keras and optax 0.1 by default.
    eps : float
        ε, outside the root. Inside, as in Keras and optax, it is the same as an initial s that is
        larger by ε, with 0 for it here.

    Notes
    -----
    State: ``sum`` (s).
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Duchi, Hazan & Singer 2011, JMLR 12, equation 1 with a diagonal matrix; η as in PyTorch.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(1)
    >>> st.Adagrad(p, lr=0.1).step(np.full(1, 4.0))
    >>> p.round(6)
    array([-0.1])
    """

    lr_decay: float
    initial_accumulator_value: float
    eps: float

    _checks = {
        "lr_decay": at_least_zero,
        "initial_accumulator_value": at_least_zero,
        "eps": at_least_zero,
    }
    _structural = ("initial_accumulator_value",)
    _rule = "adagrad"

    @classmethod
    def _fill(cls, values: Mapping[str, Any]) -> float:
        return float(values["initial_accumulator_value"])

    def __init__(
        self,
        params: Any,
        lr: Rate = 1e-2,
        lr_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )


class Adadelta(Optimizer):
    """Adadelta: v ← ρv + (1−ρ)g²;  d = √(u+ε)/√(v+ε) · g;  u ← ρu + (1−ρ)d²;  θ ← θ − αd.

    Parameters
    ----------
    params, lr
        As in `SGD`; the paper has α = 1.
    rho : float
        ρ, in [0, 1); the paper's experiments use 0.95.
    eps : float
        ε, under the roots.

    Notes
    -----
    State: ``square_avg`` (v), ``acc_delta`` (u).
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Zeiler 2012, Algorithm 1, arXiv:1212.5701.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(1)
    >>> st.Adadelta(p, eps=0.01).step(np.ones(1))
    >>> p.round(4)
    array([-0.3015])
    """

    rho: float
    eps: float

    _checks = {"rho": decay_rate, "eps": at_least_zero}
    _rule = "adadelta"

    def __init__(
        self,
        params: Any,
        lr: Rate = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            rho=rho,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )


class RMSProp(Optimizer):
    """RMSProp: s ← βs + (1−β)g²;  d = g/(√s + ε);  θ ← θ − αd.

    With ``momentum`` μ: b ← μb + d; θ ← θ − αb. ``centered``: the variance in place of s,
    w ← β(w + (1−β)(g−a)²), a ← a + (1−β)(g−a), which is s − a² and never negative.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    beta : float
        β, in [0, 1); PyTorch's ``alpha``, which is 0.99 there.
    eps : float
        ε, outside the root.
    momentum : float
        μ, at least 0. Whether it is zero is decided at construction: it needs an array.
    centered : bool
        Whether to subtract the mean of the gradients.

    Notes
    -----
    State: ``square_avg``, or ``grad_avg`` and ``grad_var``; with momentum ``velocity``.
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.
    PyTorch forms s − a², which in float32 may become negative and then gives NaN. Graves, Keras,
    and optax by default, have ε inside the root.

    References
    ----------
    Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850, equations 38-45.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(1)
    >>> st.RMSProp(p, lr=0.1, beta=0.75).step(np.ones(1))
    >>> p.round(6)
    array([-0.2])
    """

    beta: float
    eps: float
    momentum: float
    centered: bool

    _checks = {
        "beta": decay_rate,
        "eps": at_least_zero,
        "momentum": at_least_zero,
        "centered": check.flag,
    }
    _structural = ("momentum", "centered")

    @classmethod
    def _variant(cls, values: Mapping[str, Any]) -> str:
        centered = "_centered" if values["centered"] else ""
        return "rmsprop" + centered + ("_momentum" if values["momentum"] else "")

    def __init__(
        self,
        params: Any,
        lr: Rate = 1e-2,
        beta: float = 0.9,
        eps: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            beta=beta,
            eps=eps,
            momentum=momentum,
            centered=centered,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )
