"""The exceptions of the package that NumPy and Python do not have."""

from __future__ import annotations

__all__ = ["BackendError"]


class BackendError(RuntimeError):
    """A library underneath (CUDA, LAPACK) failed; carries its own code and text."""
