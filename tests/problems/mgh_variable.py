"""Moré, Garbow and Hillstrom's problems of variable dimension, 20 to 35; see `mgh_fixed`.

Residuals and their exact Jacobians; n is the length of x, and m is given where the paper leaves
it free. Residuals also take complex x, for a complex step.
"""

from __future__ import annotations

import numpy as np
from numpy import cos, exp, sin, sqrt

A = 1e-5  # a of the two penalty functions


def counts(x):
    """1, 2, ..., n."""
    return np.arange(1.0, x.size + 1)


# 20 Watson, 2 <= n <= 31, m = 31
WATSON_T = np.arange(1, 30) / 29


def watson_bases(n):
    """Rows i: (j - 1) t_i^(j - 2) and t_i^(j - 1), j = 1 ... n."""
    powers = WATSON_T[:, None] ** np.arange(n)
    slopes = np.zeros((29, n))
    slopes[:, 1:] = np.arange(1, n) * powers[:, :-1]
    return slopes, powers


def watson(x):
    slopes, powers = watson_bases(x.size)
    return np.append(slopes @ x - (powers @ x) ** 2 - 1, [x[0], x[1] - x[0] ** 2 - 1])


def watson_jac(x):
    slopes, powers = watson_bases(x.size)
    jac = np.zeros((31, x.size))
    jac[:29] = slopes - 2 * (powers @ x)[:, None] * powers
    jac[29, 0], jac[30, 0], jac[30, 1] = 1, -2 * x[0], 1
    return jac


# 21 Extended Rosenbrock, n even
def extended_rosenbrock(x):
    f = np.empty_like(x)
    f[::2], f[1::2] = 10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]
    return f


def extended_rosenbrock_jac(x):
    jac, odd = np.zeros((x.size, x.size)), np.arange(0, x.size, 2)
    jac[odd, odd], jac[odd, odd + 1], jac[odd + 1, odd] = -20 * x[odd], 10, -1
    return jac


# 22 Extended Powell singular, n a multiple of 4
def extended_powell(x):
    x1, x2, x3, x4 = x.reshape(-1, 4).T
    f = (x1 + 10 * x2, sqrt(5) * (x3 - x4), (x2 - 2 * x3) ** 2, sqrt(10) * (x1 - x4) ** 2)
    return np.stack(f, axis=1).ravel()


def extended_powell_jac(x):
    jac, i = np.zeros((x.size, x.size)), np.arange(0, x.size, 4)
    a, b = 2 * (x[i + 1] - 2 * x[i + 2]), 2 * sqrt(10) * (x[i] - x[i + 3])
    jac[i, i], jac[i, i + 1] = 1, 10
    jac[i + 1, i + 2], jac[i + 1, i + 3] = sqrt(5), -sqrt(5)
    jac[i + 2, i + 1], jac[i + 2, i + 2] = a, -2 * a
    jac[i + 3, i], jac[i + 3, i + 3] = b, -b
    return jac


# 23 Penalty I, m = n + 1
def penalty1(x):
    return np.append(sqrt(A) * (x - 1), x @ x - 0.25)


def penalty1_jac(x):
    return np.vstack([sqrt(A) * np.eye(x.size), 2 * x])


# 24 Penalty II, m = 2 n
def penalty2(x):
    i = counts(x)[1:]
    y = exp(i / 10) + exp((i - 1) / 10)
    middle = exp(x[1:] / 10) + exp(x[:-1] / 10) - y
    last = counts(x)[::-1] @ x**2 - 1
    ends = exp(x[1:] / 10) - exp(-0.1)
    return np.concatenate([[x[0] - 0.2], sqrt(A) * middle, sqrt(A) * ends, [last]])


def penalty2_jac(x):
    n, e = x.size, sqrt(A) * exp(x / 10) / 10
    jac, i = np.zeros((2 * n, n)), np.arange(1, n)
    jac[0, 0] = 1
    jac[i, i], jac[i, i - 1] = e[1:], e[:-1]
    jac[n + i - 1, i] = e[1:]
    jac[-1] = 2 * counts(x)[::-1] * x
    return jac


# 25 Variably dimensioned, m = n + 2
def variably_dimensioned(x):
    s = counts(x) @ (x - 1)
    return np.append(x - 1, [s, s**2])


def variably_dimensioned_jac(x):
    j = counts(x)
    return np.vstack([np.eye(x.size), j, 2 * (j @ (x - 1)) * j])


# 26 Trigonometric
def trigonometric(x):
    return x.size - cos(x).sum() + counts(x) * (1 - cos(x)) - sin(x)


def trigonometric_jac(x):
    return np.tile(sin(x), (x.size, 1)) + np.diag(counts(x) * sin(x) - cos(x))


# 27 Brown almost-linear
def brown_almost_linear(x):
    return np.append(x[:-1] + x.sum() - (x.size + 1), x.prod() - 1)


def brown_almost_linear_jac(x):
    n = x.size
    jac = np.eye(n) + 1
    jac[-1] = [np.delete(x, j).prod() for j in range(n)]
    return jac


# 28 Discrete boundary value
def interior(x):
    """The step h = 1/(n + 1) and the points t_i = i h."""
    h = 1 / (x.size + 1)
    return h, counts(x) * h


def boundary_value(x):
    h, t = interior(x)
    return np.convolve(x, [-1, 2, -1], "same") + h**2 * (x + t + 1) ** 3 / 2


def boundary_value_jac(x):
    h, t = interior(x)
    n = x.size
    return 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1) + np.diag(1.5 * h**2 * (x + t + 1) ** 2)


# 29 Discrete integral equation
def integral_kernel(x):
    """h/2 (1 - t_i) t_j where j <= i, h/2 t_i (1 - t_j) else."""
    h, t = interior(x)
    return h / 2 * (np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t)))


def integral_equation(x):
    _, t = interior(x)
    return x + integral_kernel(x) @ (x + t + 1) ** 3


def integral_equation_jac(x):
    _, t = interior(x)
    return np.eye(x.size) + integral_kernel(x) * (3 * (x + t + 1) ** 2)


# 30 Broyden tridiagonal
def broyden_tridiagonal(x):
    return (3 - 2 * x) * x + 1 - np.append(0, x[:-1]) - 2 * np.append(x[1:], 0)


def broyden_tridiagonal_jac(x):
    n = x.size
    return np.diag(3 - 4 * x) - np.eye(n, k=-1) - 2 * np.eye(n, k=1)


# 31 Broyden banded: 5 below the diagonal, 1 above
def band(n):
    return (np.tri(n, k=1) - np.tri(n, k=-6)) * (1 - np.eye(n))


def broyden_banded(x):
    return x * (2 + 5 * x**2) + 1 - band(x.size) @ (x * (1 + x))


def broyden_banded_jac(x):
    return np.diag(2 + 15 * x**2) - band(x.size) * (1 + 2 * x)


# 32 Linear, full rank, m >= n
def linear_full_rank(x, m):
    return np.append(x, np.zeros(m - x.size)) - 2 / m * x.sum() - 1


def linear_full_rank_jac(x, m):
    return np.eye(m, x.size) - 2 / m


# 33 Linear, rank 1, m >= n
def linear_rank1(x, m):
    return np.arange(1, m + 1) * (counts(x) @ x) - 1


def linear_rank1_jac(x, m):
    return np.outer(np.arange(1, m + 1), counts(x))


# 34 Linear, rank 1, with zero columns and rows, m >= n
def linear_zeros(x, m):
    return linear_zeros_jac(x, m) @ x - 1


def linear_zeros_jac(x, m):
    i, j = np.arange(m, dtype=float), counts(x)
    i[-1] = j[0] = j[-1] = 0
    return np.outer(i, j)


# 35 Chebyquad, m = n: the shifted Chebyshev polynomials' means over x less their integrals
def chebyshev(x):
    """T_i(2 x_j - 1) and its derivative by x_j, i = 1 ... n, by the three-term recursion."""
    z = 2 * x - 1
    t, dt = [np.ones_like(z), z], [np.zeros_like(z), 2 * np.ones_like(z)]
    for _ in range(2, x.size + 1):
        dt.append(4 * t[-1] + 2 * z * dt[-1] - dt[-2])
        t.append(2 * z * t[-1] - t[-2])
    return np.array(t[1 : x.size + 1]), np.array(dt[1 : x.size + 1])


def chebyquad(x):
    i = counts(x)
    even = i % 2 == 0
    integrals = np.where(even, -1 / np.where(even, i**2 - 1, 1), 0)
    return chebyshev(x)[0].mean(axis=1) - integrals


def chebyquad_jac(x):
    return chebyshev(x)[1] / x.size
