"""SGD and its relatives with momentum, and Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from steepest import check
from steepest.updates.groups import MISSING, Rate, at_least_zero, decay_rates
from steepest.updates.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent: θ ← θ − αg.

    Parameters
    ----------
    params : array, structure of arrays, or list of dicts
        Float32 or float64, updated in place. The optimizer keeps these very arrays: ``w *= 0.5``
        changes a parameter, ``w = w * 0.5`` makes an array that it does not know.
    lr : float or callable(step) -> float
        Learning rate α, at least 0. There is no default, but each group may have its own.
    weight_decay : float
        Coupled decay λ: g ← g + λθ; Keras decouples it for every rule, as `AdamW` does. PyTorch,
        Keras and optax have the momentum in its place, after the rate.
    maximize : bool
        Climb instead: g ← −g.
    ema_decay : float, optional
        Keep running means of the parameters, e ← e + (1−d)(θ−e), in ``ema``. They start as copies
        of those given; for means that start at the first step's, as PyTorch's and Keras's do, set
        it to 0 for that step: ``opt.param_groups[0]["ema_decay"] = 0``.

    Raises
    ------
    TypeError, ValueError
        For invalid arrays or hyperparameters, naming them; for ``params`` without any array.

    See Also
    --------
    Momentum, Nesterov : PyTorch's ``SGD`` with ``momentum`` and ``nesterov``.

    References
    ----------
    Robbins & Monro 1951, "A stochastic approximation method".

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.ones(2)
    >>> st.SGD(p, lr=0.1).step(np.array([1.0, 2.0]))
    >>> p
    array([0.9, 0.8])
    """

    _rule = "sgd"

    def __init__(
        self,
        params: Any,
        lr: Rate = MISSING,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params, lr=lr, weight_decay=weight_decay, maximize=maximize, ema_decay=ema_decay
        )


class Momentum(Optimizer):
    """Momentum, the heavy ball: v ← βv − αg;  θ ← θ + v.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    momentum : float
        β, at least 0.
    lr_in_velocity : bool
        False gives PyTorch's form, v ← βv + g; θ ← θ − αv: the same path for a constant α.

    Notes
    -----
    State: ``velocity``.
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.
    PyTorch's ``dampening`` is not supported.

    References
    ----------
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods", equation 9.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(1)
    >>> opt = st.Momentum(p, lr=0.1, momentum=0.5)
    >>> opt.step(np.ones(1))
    >>> opt.step(np.ones(1))
    >>> p
    array([-0.25])
    """

    momentum: float
    lr_in_velocity: bool

    _checks = {"momentum": at_least_zero, "lr_in_velocity": check.flag}
    _structural = ("lr_in_velocity",)

    @classmethod
    def _variant(cls, values: Mapping[str, Any]) -> str:
        return "momentum" if values["lr_in_velocity"] else "momentum_unscaled"

    def __init__(
        self,
        params: Any,
        lr: Rate = MISSING,
        momentum: float = 0.9,
        lr_in_velocity: bool = True,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            lr_in_velocity=lr_in_velocity,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )


class Nesterov(Momentum):
    """Nesterov's momentum, stored at the look-ahead point: v ← βv − αg;  θ̃ ← θ̃ + βv − αg.

    The arrays hold θ̃ = θ + βv, where the gradient is to be taken, so that a step is one pass over
    memory; ``iterates()`` gives θ. Equivalent to v' = βv − α∇L(θ + βv); θ' = θ + v'.

    Parameters
    ----------
    params, lr
        As in `SGD`.
    momentum : float
        β, at least 0.
    lr_in_velocity : bool
        False gives PyTorch's ``nesterov=True``: v ← βv + g; θ̃ ← θ̃ − α(g + βv).

    Notes
    -----
    State: ``velocity``.
    ``weight_decay``, ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Nesterov 1983; Sutskever, Martens, Dahl & Hinton 2013, equations 3 and 4.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.ones(1)
    >>> opt = st.Nesterov(p, lr=0.1, momentum=0.5)
    >>> opt.step(p.copy())
    >>> opt.iterates()
    array([0.9])
    """

    @classmethod
    def _variant(cls, values: Mapping[str, Any]) -> str:
        return "nesterov" if values["lr_in_velocity"] else "nesterov_unscaled"

    def iterates(self) -> Any:
        """The points θ themselves, in the structure of ``params``.

        β and α are those of the group's last step. If an array took no part in it, since its
        gradient was None, and they have changed since its own last step, its θ changes with them.

        Returns
        -------
        structure of arrays
            New arrays: θ = θ̃ − βv, or θ̃ + αβv with ``lr_in_velocity=False``.

        Raises
        ------
        ValueError
            For a parameter whose memory has moved or shrunk.
        """
        found = []
        with self._lock, self._backend.in_use(), np.errstate(all="ignore"):
            self._check_parameters()
            given = self._plan.given_of_last_step()
            for (group, _), theta, state in zip(
                self._paths, self._views, self._states, strict=True
            ):
                lr, momentum = given[group]
                scale = momentum if self._groups[group]["lr_in_velocity"] else -lr * momentum
                iterate = theta.copy(order="K")
                iterate -= theta.dtype.type(scale) * state["velocity"]  # 0-d too stays an array
                found.append(iterate)
            return self._structured(iter(found))


class Lion(Optimizer):
    """Lion: c = β₁m + (1−β₁)g;  θ ← θ − α(sign c + λθ);  m ← β₂m + (1−β₂)g.

    Parameters
    ----------
    params, lr
        As in `SGD`; the paper advises a third to a tenth of AdamW's rate.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    weight_decay : float
        Decoupled decay λ.

    Notes
    -----
    State: ``exp_avg`` (m). ``maximize`` and ``ema_decay`` as in `SGD`.

    References
    ----------
    Chen et al. 2023, Algorithm 2, arXiv:2302.06675.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> p = np.zeros(3)
    >>> st.Lion(p, lr=0.1).step(np.array([-2.0, 0.0, 5.0]))
    >>> p
    array([ 0.1,  0. , -0.1])
    """

    betas: tuple[float, float]

    _checks = {"betas": decay_rates}
    _rule = "lion"

    def __init__(
        self,
        params: Any,
        lr: Rate = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            weight_decay=weight_decay,
            maximize=maximize,
            ema_decay=ema_decay,
        )
