"""The passes over a dense A that Gauss-Seidel and SSOR are made of.

Two classes with the same methods: compiled for NumPy, and over the array namespace for the rest.
Both take the rows of A in blocks: X_I ← X_I + (D_I/ω + L_I)⁻¹ (B_I − A_I X), which row for row is
SOR (csrc/linalg/systems/sweep.hpp). Right-hand sides are rows here, shape (k, n), so that each is
contiguous.
"""

from __future__ import annotations

from typing import Any, Protocol

import array_api_compat
import numpy as np

from steepest import _cpu
from steepest.linear.system import Array


class Sweeps(Protocol):
    """Passes over the A and ω that it was made with."""

    def sweep(self, b: Array, x: Array, *, backward: bool = False) -> None:
        """One SOR sweep on A x = b, in place in x."""

    def sweep_with_residual(
        self, b: Array, x: Array, before: Array, *, backward: bool = False
    ) -> Array:
        """The same; returns b − A x for the x that it was given, of which `before` is a copy."""

    def triangle(self, b: Array, *, backward: bool = False) -> Array:
        """(D/ω + L)⁻¹ b, or (D/ω + U)⁻¹ b backward."""


def sweeps_of(xp: Any, a: Array, omega: float) -> Sweeps:
    """The passes for the library that A lives in."""
    if array_api_compat.is_numpy_array(a):
        return CompiledSweeps(a, omega)
    return NamespaceSweeps(xp, a, omega)


class CompiledSweeps:
    """The passes in C++, for NumPy. A is copied if its rows are not contiguous, or not aligned."""

    def __init__(self, a: Array, omega: float) -> None:
        self.a = np.require(a, requirements=("C", "A"))
        self.omega = omega

    def sweep(self, b: Array, x: Array, *, backward: bool = False) -> None:
        _cpu.sweep(self.a, b, x, self.omega, backward)

    def sweep_with_residual(
        self, b: Array, x: Array, before: Array, *, backward: bool = False
    ) -> Array:
        residual = np.empty(x.shape, x.dtype)
        _cpu.sweep(self.a, b, x, self.omega, backward, before, residual)
        return residual

    def triangle(self, b: Array, *, backward: bool = False) -> Array:
        x = np.zeros(b.shape, b.dtype)
        # positional: keywords take longer than a small triangle
        _cpu.sweep(self.a, b, x, self.omega, backward, None, None, True)
        return x


class NamespaceSweeps:
    """The passes as matrix products, for any array namespace.

    The triangles of the diagonal blocks are inverted once: they are small, and an iteration
    corrects its own rounding.
    """

    BLOCK = 64

    def __init__(self, xp: Any, a: Array, omega: float) -> None:
        self.xp, self.a = xp, a
        starts = range(0, a.shape[0], self.BLOCK)
        self.blocks = [(begin, min(begin + self.BLOCK, a.shape[0])) for begin in starts]
        self.inverses = {False: [], True: []}  # type: dict[bool, list[Array]]
        for begin, end in self.blocks:
            square = a[begin:end, begin:end]
            identity = xp.eye(end - begin, dtype=a.dtype, device=array_api_compat.device(a))
            d = identity * square / omega
            self.inverses[False].append(xp.linalg.inv(d + xp.tril(square, k=-1)))
            self.inverses[True].append(xp.linalg.inv(d + xp.triu(square, k=1)))

    def _visit(self, backward: bool) -> list[tuple[int, int, Array]]:
        steps = [
            (*block, inverse)
            for block, inverse in zip(self.blocks, self.inverses[backward], strict=True)
        ]
        return steps[::-1] if backward else steps

    def sweep(self, b: Array, x: Array, *, backward: bool = False) -> None:
        for begin, end, inverse in self._visit(backward):
            r = b[:, begin:end] - x @ self.a[begin:end, :].T
            x[:, begin:end] += r @ inverse.T

    def sweep_with_residual(
        self, b: Array, x: Array, before: Array, *, backward: bool = False
    ) -> Array:
        residual = b - before @ self.a.T
        self.sweep(b, x, backward=backward)
        return residual

    def triangle(self, b: Array, *, backward: bool = False) -> Array:
        x = self.xp.zeros_like(b)
        for begin, end, inverse in self._visit(backward):
            visited = slice(end, None) if backward else slice(0, begin)
            r = b[:, begin:end] - x[:, visited] @ self.a[begin:end, visited].T
            x[:, begin:end] = r @ inverse.T
        return x
