"""Least-squares problems on the simulated device."""

from __future__ import annotations

import fake_cupy
import numpy as np


def up(values, device=0):
    return fake_cupy.ndarray(np.array(values, order="K"), device)


def misaligned(values):
    """As CuPy's view makes of bytes."""
    memory = np.zeros(values.nbytes + 1, np.uint8)
    held = memory[1:].view(values.dtype).reshape(values.shape)
    held[...] = values
    return fake_cupy.ndarray(held)


def down(value):
    """What was answered on the device, on the host."""
    assert type(value) is fake_cupy.ndarray
    return value.held


def there(fun):
    """A function of host arrays as one of device arrays."""

    def on_device(x, *args):
        value = fun(x.held if isinstance(x, fake_cupy.ndarray) else x, *args)
        return tuple(map(up, value)) if isinstance(value, tuple) else up(value)

    return on_device


def decay(m=40, noise=0.01, dtype=float):
    """y = a exp(-b t) + c with noise: residual, Jacobian, start."""
    t = np.linspace(0, 3, m)
    y = 2 * np.exp(-1.5 * t) + 0.5 + noise * np.random.default_rng(1).standard_normal(m)

    def fun(p):
        return (p[0] * np.exp(-p[1] * t) + p[2] - y).astype(np.result_type(p, dtype))

    def jac(p):
        e = np.exp(-p[1] * t)
        return np.stack([e, -p[0] * t * e, np.ones(m)], axis=1).astype(dtype)

    return fun, jac, np.array([1.0, 1.0, 0.0], dtype)
