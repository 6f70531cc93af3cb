"""AdaMax, NAdam and RAdam: Adam with another norm, momentum or warm-up."""

from __future__ import annotations

from typing import Any

from steepest.updates.groups import Rate, at_least_zero, decay_rates
from steepest.updates.optimizer import Optimizer


class AdaMax(Optimizer):
    """AdaMax: m as in Adam;  u ← max(β₂u, |g| + ε);  θ ← θ − α/(1−β₁ᵗ) · m/u.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps : float
        ε prevents 0/0, as in PyTorch; the paper has none.

    Notes
    -----
    State: ``exp_avg`` (m), ``exp_inf`` (u).
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Kingma & Ba 2015, Algorithm 2, arXiv:1412.6980.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(1)
    >>> st.AdaMax(p, lr=0.1).step(np.full(1, 3.0))
    >>> p.round(6)
    array([-0.1])
    """

    betas: tuple[float, float]
    eps: float

    _checks = {"betas": decay_rates, "eps": at_least_zero}
    _rule = "adamax"

    def __init__(
        self,
        params: Any,
        lr: Rate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )


class NAdam(Optimizer):
    """NAdam, Adam with Nesterov's momentum: θ ← θ − α m̂/(√v̂ + ε), with

    m̂ = μₜ₊₁m/(1−∏₁ᵗ⁺¹μ) + (1−μₜ)g/(1−∏₁ᵗμ),  μₜ = β₁(1 − ½·0.96^(tψ)); m, v, v̂ as in Adam.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps : float
        ε, outside the root.
    momentum_decay : float
        ψ, at least 0. Keras has 1; optax has μ = β₁ throughout, which a large ψ gives, such as 1e9.

    Notes
    -----
    State: ``exp_avg``, ``exp_avg_sq`` and ``mu_product``, one number per array.
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.
    The paper forms m with μₜ, too; β₁ in its place is PyTorch's and Keras's. PyTorch's
    ``decoupled_weight_decay`` is not supported.

    References
    ----------
    Dozat 2016, "Incorporating Nesterov momentum into Adam", Algorithm 2 and section 3.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(1)
    >>> st.NAdam(p, lr=0.1).step(np.ones(1))
    >>> p.round(4)
    array([-0.1056])
    """

    betas: tuple[float, float]
    eps: float
    momentum_decay: float

    _checks = {"betas": decay_rates, "eps": at_least_zero, "momentum_decay": at_least_zero}
    _rule = "nadam"

    def __init__(
        self,
        params: Any,
        lr: Rate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        momentum_decay: float = 4e-3,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            momentum_decay=momentum_decay,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )


class RAdam(Optimizer):
    """RAdam: Adam whose step is rectified by rₜ once its variance is tractable, ρₜ > 5.

    ρ∞ = 2/(1−β₂) − 1;  ρₜ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ);
    ρₜ > 5: θ ← θ − α m̂ rₜ √(1−β₂ᵗ)/(√v + ε), rₜ² = (ρₜ−4)(ρₜ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρₜ);
    else: θ ← θ − α m̂.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps : float
        ε, outside the root.

    Notes
    -----
    State: ``exp_avg``, ``exp_avg_sq``.
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.
    The paper switches at ρₜ > 4; this is PyTorch's threshold. PyTorch's
    ``decoupled_weight_decay`` is not supported.

    References
    ----------
    Liu et al. 2020, Algorithm 2, arXiv:1908.03265.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(1)
    >>> st.RAdam(p, lr=0.1).step(np.full(1, 3.0))
    >>> p.round(6)
    array([-0.3])
    """

    betas: tuple[float, float]
    eps: float

    _checks = {"betas": decay_rates, "eps": at_least_zero}
    _rule = "radam"

    def __init__(
        self,
        params: Any,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )
