"""Full-batch minimization: line searches, gradient descent, Newton, BFGS and L-BFGS.

The methods are Python over the array namespace, NumPy's or CuPy's, above the four vector kernels
of `primitives`. Each is told values and gradients from outside (`Minimizer`); `minimize` is the
loop around it.
"""
