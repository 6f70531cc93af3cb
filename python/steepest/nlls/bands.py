"""Bands around a fitted curve: where its mean lies, and where a new observation would fall.

The delta method with Student's t, as in G. A. F. Seber and C. J. Wild, Nonlinear Regression
(Wiley 1989), section 5.1: with the covariance C of the estimate and the gradient g of the model
by its parameters, the variance of the curve is gᵀCg, and that of a new observation s² + gᵀCg.
The bands hold pointwise, not for the whole curve at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import check
from steepest.arrays import real_numbers
from steepest.nlls.arrays import from_host, to_host


def confidence_band(
    gradient: ArrayLike, covariance: ArrayLike, *, dof: float, level: float = 0.95
) -> NDArray[np.float64]:
    """Half the width of the pointwise confidence band of a fitted curve.

    Parameters
    ----------
    gradient : array_like, (m, n)
        Derivatives of the model by its n parameters at m points, at the estimate: what the
        model's ``jac(x, *popt)`` returns, in units of y over those of the parameter. NumPy or
        CuPy.
    covariance : array_like, (n, n)
        Covariance of the estimate: ``result.covariance()``, or `curve_fit`'s ``pcov``.
    dof : float
        Degrees of freedom of the variance, m − n, at least 0.1; ``numpy.inf`` where sigma is known.
    level : float
        Probability that the band contains the curve at a point, between 0 and 1.

    Returns
    -------
    ndarray, (m,)
        t · √(gᵀCg), in units of y: the band is the curve ± this. CuPy's where `gradient` is.

    Raises
    ------
    TypeError
        For anything but real numbers.
    ValueError
        If shapes do not fit, if a variance is negative by more than rounding, or `dof` or `level`
        is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x, y = np.arange(5.0), np.array([1.1, 2.9, 5.2, 6.8, 9.1])
    >>> g = np.stack([np.ones(5), x], axis=1)
    >>> fit = st.least_squares(lambda p: g @ p - y, [0.0, 0.0], lambda p: g)
    >>> st.confidence_band(g, fit.covariance(), dof=3).round(3)
    array([0.466, 0.329, 0.269, 0.329, 0.466])
    """
    variance = curve_variance(gradient, covariance)
    return from_host(quantile(dof, level) * np.sqrt(variance), gradient)


def prediction_band(
    gradient: ArrayLike,
    covariance: ArrayLike,
    noise: ArrayLike,
    *,
    dof: float,
    level: float = 0.95,
) -> NDArray[np.float64]:
    """Half the width of the pointwise band in which a new observation falls.

    Parameters
    ----------
    gradient, covariance, dof, level
        As in `confidence_band`.
    noise : array_like, () or (m,)
        Standard deviation of one observation at each point, in units of y: √(2·cost/(m − n)) of
        an unweighted fit.

    Returns
    -------
    ndarray, (m,)
        t · √(s² + gᵀCg).

    Raises
    ------
    TypeError, ValueError
        As `confidence_band`, and if `noise` is negative or has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x, y = np.arange(5.0), np.array([1.1, 2.9, 5.2, 6.8, 9.1])
    >>> g = np.stack([np.ones(5), x], axis=1)
    >>> fit = st.least_squares(lambda p: g @ p - y, [0.0, 0.0], lambda p: g)
    >>> s = np.sqrt(2 * fit.cost / 3)
    >>> st.prediction_band(g, fit.covariance(), s, dof=3).round(3)
    array([0.76 , 0.685, 0.658, 0.685, 0.76 ])
    """
    variance = curve_variance(gradient, covariance)
    s = real_numbers("noise", to_host(noise)).astype(float)
    if s.shape not in ((), variance.shape) or not (s >= 0).all():
        raise ValueError(
            f"noise: shape {s.shape}, smallest {s.min(initial=np.inf):g}; "
            f"expected one number or shape {variance.shape}, at least 0"
        )
    return from_host(quantile(dof, level) * np.hypot(s, np.sqrt(variance)), gradient)


def curve_variance(gradient: ArrayLike, covariance: ArrayLike) -> NDArray[np.float64]:
    """gᵀCg at each of m points."""
    g = real_numbers("gradient", to_host(gradient)).astype(float)
    c = real_numbers("covariance", to_host(covariance)).astype(float)
    if g.ndim != 2 or c.shape != (g.shape[1],) * 2:
        raise ValueError(
            f"gradient: shape {g.shape}, with covariance of shape {c.shape}; "
            "expected (m, n) and (n, n)"
        )
    variance: NDArray[np.float64] = np.einsum("ij,jk,ik->i", g, c, g)
    size = np.einsum("ij,jk,ik->i", abs(g), abs(c), abs(g))
    if (variance < -1e-6 * len(c) * size).any():  # of float32 rounding leaves less
        raise ValueError(
            f"covariance: gives a variance of {np.nanmin(variance):g}; expected a positive "
            "semidefinite matrix"
        )
    variance[variance < 0] = 0.0  # a NaN stays
    return variance


def quantile(dof: float, level: float) -> float:
    """t such that |T| <= t with probability `level`; normal where dof is infinite."""
    from scipy.special import ndtri, stdtrit

    # Below, stdtrit gives any number, and ends the process (SciPy 1.11).
    dof = check.number("dof", dof, at_least=0.1, finite=False)
    level = check.number("level", level, above=0, below=1)
    upper = 0.5 + 0.5 * level
    return float(ndtri(upper) if np.isinf(dof) else stdtrit(dof, upper))
