"""Moré, Garbow and Hillstrom's problems of fixed dimension, 1 to 19.

Residuals and their exact Jacobians; formulas, numbers and letters as in J. J. Moré, B. S. Garbow
and K. E. Hillstrom, Testing Unconstrained Optimization Software, ACM Trans. Math. Softw. 7 (1981)
17-41, section 3. Residuals also take complex x, for a complex step.
"""

from __future__ import annotations

import numpy as np
from numpy import cos, exp, log, sin, sqrt


def columns(*entries):
    """A Jacobian from its columns, each an array or a constant."""
    return np.stack(np.broadcast_arrays(*entries), axis=-1)


# 1 Rosenbrock
def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_jac(x):
    return np.array([[-20 * x[0], 10], [-1, 0]])


# 2 Freudenstein and Roth
def freudenstein_roth(x):
    x1, x2 = x
    return np.array([-13 + x1 + ((5 - x2) * x2 - 2) * x2, -29 + x1 + ((x2 + 1) * x2 - 14) * x2])


def freudenstein_roth_jac(x):
    x2 = x[1]
    return np.array([[1, (10 - 3 * x2) * x2 - 2], [1, (2 + 3 * x2) * x2 - 14]])


# 3 Powell badly scaled
def powell_badly_scaled(x):
    x1, x2 = x
    return np.array([1e4 * x1 * x2 - 1, exp(-x1) + exp(-x2) - 1.0001])


def powell_badly_scaled_jac(x):
    x1, x2 = x
    return np.array([[1e4 * x2, 1e4 * x1], [-exp(-x1), -exp(-x2)]])


# 4 Brown badly scaled
def brown_badly_scaled(x):
    x1, x2 = x
    return np.array([x1 - 1e6, x2 - 2e-6, x1 * x2 - 2])


def brown_badly_scaled_jac(x):
    return np.array([[1, 0], [0, 1], [x[1], x[0]]])


# 5 Beale
BEALE_Y = np.array([1.5, 2.25, 2.625])
BEALE_I = np.arange(1, 4)


def beale(x):
    return BEALE_Y - x[0] * (1 - x[1] ** BEALE_I)


def beale_jac(x):
    return columns(x[1] ** BEALE_I - 1, x[0] * BEALE_I * x[1] ** (BEALE_I - 1))


# 6 Jennrich and Sampson, m = 10
JENNRICH_I = np.arange(1, 11)


def jennrich_sampson(x):
    return 2 + 2 * JENNRICH_I - (exp(JENNRICH_I * x[0]) + exp(JENNRICH_I * x[1]))


def jennrich_sampson_jac(x):
    return columns(*(-JENNRICH_I * exp(JENNRICH_I * xj) for xj in x))


# 7 Helical valley
def helical_valley(x):
    x1, x2, x3 = x
    with np.errstate(divide="ignore"):
        theta = np.arctan(x2 / x1) / (2 * np.pi) + (0.5 if x1.real < 0 else 0)
    return np.array([10 * (x3 - 10 * theta), 10 * (sqrt(x1**2 + x2**2) - 1), x3])


def helical_valley_jac(x):
    x1, x2, _ = x
    square = x1**2 + x2**2
    turn, r = 50 / np.pi / square, sqrt(square)
    return np.array([[turn * x2, -turn * x1, 10], [10 * x1 / r, 10 * x2 / r, 0], [0, 0, 1]])


# 8 Bard
BARD_Y = np.array(
    [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
)
BARD_U = np.arange(1.0, 16)
BARD_V = 16 - BARD_U
BARD_W = np.minimum(BARD_U, BARD_V)


def bard(x):
    return BARD_Y - (x[0] + BARD_U / (BARD_V * x[1] + BARD_W * x[2]))


def bard_jac(x):
    square = (BARD_V * x[1] + BARD_W * x[2]) ** 2
    return columns(-1.0, BARD_U * BARD_V / square, BARD_U * BARD_W / square)


# 9 Gaussian
GAUSS_HALF = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
GAUSS_Y = np.array([*GAUSS_HALF, 0.3989, *GAUSS_HALF[::-1]])
GAUSS_T = (8 - np.arange(1, 16)) / 2


def gaussian(x):
    return x[0] * exp(-x[1] * (GAUSS_T - x[2]) ** 2 / 2) - GAUSS_Y


def gaussian_jac(x):
    d = GAUSS_T - x[2]
    e = exp(-x[1] * d**2 / 2)
    return columns(e, -x[0] * e * d**2 / 2, x[0] * e * x[1] * d)


# 10 Meyer
MEYER_Y = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744]
    + [8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
)
MEYER_T = 45 + 5 * np.arange(1.0, 17)


def meyer(x):
    return x[0] * exp(x[1] / (MEYER_T + x[2])) - MEYER_Y


def meyer_jac(x):
    s = MEYER_T + x[2]
    e = exp(x[1] / s)
    return columns(e, x[0] * e / s, -x[0] * e * x[1] / s**2)


# 11 Gulf research and development, m = 99; the paper prints |y m i x2|, where y - x2 is meant
GULF_T = np.arange(1, 100) / 100
GULF_Y = 25 + (-50 * log(GULF_T)) ** (2 / 3)


def gulf(x):
    d = GULF_Y - x[1]
    return exp(-((d * np.sign(d.real)) ** x[2]) / x[0]) - GULF_T


def gulf_jac(x):
    x1, x2, x3 = x
    d = GULF_Y - x2
    p = np.abs(d) ** x3 / x1
    e = exp(-p)
    return columns(e * p / x1, e * p * x3 / d, -e * p * log(np.abs(d)))


# 12 Box three-dimensional, m = 10
BOX_T = np.arange(1, 11) / 10


def box(x):
    return exp(-BOX_T * x[0]) - exp(-BOX_T * x[1]) - x[2] * (exp(-BOX_T) - exp(-10 * BOX_T))


def box_jac(x):
    t = BOX_T
    return columns(-t * exp(-t * x[0]), t * exp(-t * x[1]), exp(-10 * t) - exp(-t))


# 13 Powell singular
def powell_singular(x):
    x1, x2, x3, x4 = x
    return np.array(
        [x1 + 10 * x2, sqrt(5) * (x3 - x4), (x2 - 2 * x3) ** 2, sqrt(10) * (x1 - x4) ** 2]
    )


def powell_singular_jac(x):
    x1, x2, x3, x4 = x
    a, b = 2 * (x2 - 2 * x3), 2 * sqrt(10) * (x1 - x4)
    return np.array([[1, 10, 0, 0], [0, 0, sqrt(5), -sqrt(5)], [0, a, -2 * a, 0], [b, 0, 0, -b]])


# 14 Wood
def wood(x):
    x1, x2, x3, x4 = x
    return np.array(
        [10 * (x2 - x1**2), 1 - x1, sqrt(90) * (x4 - x3**2), 1 - x3]
        + [sqrt(10) * (x2 + x4 - 2), (x2 - x4) / sqrt(10)]
    )


def wood_jac(x):
    a, b, c = sqrt(10), sqrt(90), 1 / sqrt(10)
    return np.array(
        [[-20 * x[0], 10, 0, 0], [-1, 0, 0, 0], [0, 0, -2 * b * x[2], b]]
        + [[0, 0, -1, 0], [0, a, 0, a], [0, c, 0, -c]]
    )


# 15 Kowalik and Osborne
KOWALIK_Y = np.array(
    [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
)
KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


def kowalik_osborne(x):
    u = KOWALIK_U
    return KOWALIK_Y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def kowalik_osborne_jac(x):
    u = KOWALIK_U
    a, b = u**2 + u * x[1], u**2 + u * x[2] + x[3]
    return columns(-a / b, -x[0] * u / b, x[0] * a * u / b**2, x[0] * a / b**2)


# 16 Brown and Dennis, m = 20
BROWN_T = np.arange(1, 21) / 5


def brown_dennis(x):
    t = BROWN_T
    return (x[0] + t * x[1] - exp(t)) ** 2 + (x[2] + x[3] * sin(t) - cos(t)) ** 2


def brown_dennis_jac(x):
    t = BROWN_T
    a, b = 2 * (x[0] + t * x[1] - exp(t)), 2 * (x[2] + x[3] * sin(t) - cos(t))
    return columns(a, t * a, b, b * sin(t))


# 17 Osborne 1
OSBORNE1_Y = np.array(
    [0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751]
    + [0.718, 0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490]
    + [0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406]
)
OSBORNE1_T = 10.0 * np.arange(33)


def osborne1(x):
    t = OSBORNE1_T
    return OSBORNE1_Y - (x[0] + x[1] * exp(-t * x[3]) + x[2] * exp(-t * x[4]))


def osborne1_jac(x):
    t = OSBORNE1_T
    a, b = exp(-t * x[3]), exp(-t * x[4])
    return columns(-1.0, -a, -b, x[1] * t * a, x[2] * t * b)


# 18 Biggs EXP6, m = 13
BIGGS_T = np.arange(1, 14) / 10
BIGGS_Y = exp(-BIGGS_T) - 5 * exp(-10 * BIGGS_T) + 3 * exp(-4 * BIGGS_T)


def biggs(x):
    t = BIGGS_T
    return x[2] * exp(-t * x[0]) - x[3] * exp(-t * x[1]) + x[5] * exp(-t * x[4]) - BIGGS_Y


def biggs_jac(x):
    t = BIGGS_T
    a, b, c = exp(-t * x[0]), exp(-t * x[1]), exp(-t * x[4])
    return columns(-t * x[2] * a, t * x[3] * b, a, -b, -t * x[5] * c, c)


# 19 Osborne 2
OSBORNE2_Y = np.array(
    [1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608]
    + [0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661]
    + [0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428]
    + [0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559]
    + [0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054]
)
OSBORNE2_T = np.arange(65) / 10


def osborne2(x):
    t = OSBORNE2_T
    humps = (x[k] * exp(-((t - x[k + 7]) ** 2) * x[k + 4]) for k in (1, 2, 3))
    return OSBORNE2_Y - (x[0] * exp(-t * x[4]) + sum(humps))


def osborne2_jac(x):
    t = OSBORNE2_T
    jac = np.empty((65, 11))
    jac[:, 0] = -exp(-t * x[4])
    jac[:, 4] = x[0] * t * exp(-t * x[4])
    for k in (1, 2, 3):
        d = t - x[k + 7]
        e = exp(-(d**2) * x[k + 4])
        jac[:, k] = -e
        jac[:, k + 4] = x[k] * d**2 * e
        jac[:, k + 7] = -2 * x[k] * x[k + 4] * d * e
    return jac
