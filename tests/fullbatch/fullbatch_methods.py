"""The minimizers by name, and the start of Rosenbrock's function in four variables."""

import numpy as np

START = np.array([-1.2, 1.0, -0.5, 0.8])
ALL = ["l-bfgs", "bfgs", "gd", "newton"]


def extra(method, hess):
    """The Hessian, for the method that takes one."""
    return {"hess": hess} if method == "newton" else {}
