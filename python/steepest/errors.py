"""The package's own exceptions, beside those of Python and NumPy."""

from __future__ import annotations

from typing import Any

from numpy.linalg import LinAlgError


class BackendError(RuntimeError):
    """A library underneath (CUDA, LAPACK) failed; carries its own code and text."""


class ConvergenceError(LinAlgError):
    """An iterative method stopped short of its tolerance.

    Attributes
    ----------
    x : array
        The last iterate.
    info : steepest.linear.SolveInfo
        The residuals so far, and why it stopped.
    """

    def __init__(self, message: str, x: Any, info: Any) -> None:
        super().__init__(message)
        self.x = x
        self.info = info

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.x, self.info)
