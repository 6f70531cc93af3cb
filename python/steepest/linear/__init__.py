"""Linear systems: direct and iterative methods behind ``steepest.solve``.

dispatch.py       st.solve: checks, and the choice of a method
system.py         A, b and x0 brought to one form
progress.py       tolerance, residual history, callback, verdict
direct.py         Cholesky, LU, QR; in LAPACK (NumPy), or through cusolver.py (CuPy)
stationary.py     Jacobi, Gauss-Seidel; the passes over A are in sweeps.py
krylov.py         conjugate gradients, with or without a preconditioner
preconditioners.py
"""

from steepest.linear.dispatch import solve
from steepest.linear.progress import SolveInfo

__all__ = ["SolveInfo", "solve"]
