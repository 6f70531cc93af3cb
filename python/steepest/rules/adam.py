"""Adam with its variants AMSGrad and AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from steepest import check
from steepest.updates.groups import Rate, at_least_zero, decay_rates
from steepest.updates.optimizer import Optimizer


class Adam(Optimizer):
    """Adam: m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  θ ← θ − α m̂/(√v̂ + ε).

    m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ); t counts the steps of each array, from 1. Keras and scikit-learn
    add ε to √v, in place of √v̂.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps : float
        ε, outside the root.
    bias_correction : bool
        False uses m and v in place of m̂ and v̂.
    amsgrad : bool
        As `AMSGrad`.

    Notes
    -----
    State: ``exp_avg`` (m), ``exp_avg_sq`` (v); with ``amsgrad`` ``max_exp_avg_sq``.
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Kingma & Ba 2015, Algorithm 1, arXiv:1412.6980.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.ones(2)
    >>> st.Adam(p, lr=0.1).step(np.ones(2))
    >>> p.round(3)
    array([0.9, 0.9])
    """

    betas: tuple[float, float]
    eps: float
    bias_correction: bool
    amsgrad: bool

    _checks = {
        "betas": decay_rates,
        "eps": at_least_zero,
        "bias_correction": check.flag,
        "amsgrad": check.flag,
    }
    _structural: ClassVar[tuple[str, ...]] = ("amsgrad",)

    @classmethod
    def _variant(cls, values: Mapping[str, Any]) -> str:
        return "amsgrad" if values["amsgrad"] else "adam"

    def __init__(
        self,
        params: Any,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        bias_correction: bool = True,
        amsgrad: bool = False,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            bias_correction=bias_correction,
            amsgrad=amsgrad,
            maximize=maximize,
            ema_decay=ema_decay,
        )


class AMSGrad(Adam):
    """AMSGrad: Adam with x ← max(x, v) and √(x/(1−β₂ᵗ)) in place of √v̂.

    The maximum is over v uncorrected, as in PyTorch and Keras; in optax it is over v̂. The same as
    ``Adam(..., amsgrad=True)``.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps : float
        ε, outside the root.
    bias_correction : bool
        As in `Adam`.

    Notes
    -----
    State: ``exp_avg``, ``exp_avg_sq``, ``max_exp_avg_sq``.
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Reddi, Kale & Kumar 2018, Algorithm 2, arXiv:1904.09237, which has no bias correction.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.ones(1)
    >>> st.AMSGrad(p, lr=0.1).step(np.ones(1))
    >>> p.round(3)
    array([0.9])
    """

    amsgrad = True  # of Adam's hyperparameters it is none here

    _checks = {name: test for name, test in Adam._checks.items() if name != "amsgrad"}
    _structural: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def _variant(cls, values: Mapping[str, Any]) -> str:
        return "amsgrad"

    def __init__(
        self,
        params: Any,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        bias_correction: bool = True,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        Optimizer.__init__(
            self,
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            bias_correction=bias_correction,
            maximize=maximize,
            ema_decay=ema_decay,
        )


class AdamW(Adam):
    """AdamW, Adam with decoupled decay: θ ← θ − (αλθ + Adam's step).

    1 − αλ is never formed: in float32 it would lose a small αλ.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps : float
        ε, outside the root.
    weight_decay : float
        λ, at least 0.
    bias_correction, amsgrad : bool
        As in `Adam`.

    Notes
    -----
    State: as `Adam`. ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Loshchilov & Hutter 2019, Algorithm 2, arXiv:1711.05101; the decay is scaled by α, as in
    PyTorch.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.ones(1)
    >>> st.AdamW(p, lr=0.1, weight_decay=0.5).step(np.zeros(1))
    >>> p
    array([0.95])
    """

    @classmethod
    def _variant(cls, values: Mapping[str, Any]) -> str:
        return "amsgradw" if values["amsgrad"] else "adamw"

    def __init__(
        self,
        params: Any,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        bias_correction: bool = True,
        amsgrad: bool = False,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            bias_correction=bias_correction,
            amsgrad=amsgrad,
            maximize=maximize,
            ema_decay=ema_decay,
        )
