"""`LeastSquares`: the solver without its loop."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from steepest import check
from steepest.nlls import arrays
from steepest.nlls.arguments import (
    DONE,
    INFINITE,
    JACOBIAN,
    RESIDUAL,
    Loss,
    Options,
    box,
    make_solver,
    start,
)
from steepest.nlls.arrays import Array
from steepest.nlls.device import in_use, moved_to_device_of
from steepest.nlls.joint import tell_blocks
from steepest.nlls.losses import tell_residual
from steepest.nlls.result import LeastSquaresResult, result_of

WANTED = {RESIDUAL: "residuals", JACOBIAN: "Jacobian"}


class LeastSquares:
    """`least_squares` by reverse communication: evaluate at `x`, `tell` the result, until `done`.

    `x` is the next point to evaluate (a copy), once `done` the answer. One fit is told by one of
    `tell`, `tell_blocks` and `tell_normal`. An error or interrupt in your loop leaves it as it was.
    It can be neither copied nor pickled; its result() can.

    Parameters
    ----------
    x0 : array_like, shape (n,)
        The start, NumPy or CuPy; float32 is computed in float32.
    method, linear_solver, damping, x_scale, loss, f_scale, bounds, ftol, xtol, gtol, max_nfev
        As for `least_squares`.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind, shape or range, as for `least_squares`.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> s = st.LeastSquares([-2.0, 1.0])
    >>> while not s.done:
    ...     a, b = s.x
    ...     s.tell([10 * (b - a * a), 1 - a], lambda x: [[-20 * x[0], 10], [-1, 0]])
    >>> s.result().x.round(6)
    array([1., 1.])
    """

    # An attribute that would change nothing, `damping` say, is an error.
    __slots__ = "_J", "_device", "_dtype", "_options", "_solver", "_within_blocks", "__weakref__"

    def __init__(
        self,
        x0: Any,
        *,
        method: str = "lm",
        linear_solver: str = "auto",
        damping: float = 1e-3,
        x_scale: Any = None,
        loss: Loss = "linear",
        f_scale: float = 1.0,
        bounds: Any = INFINITE,
        ftol: float | None = 1e-8,
        xtol: float | None = 1e-8,
        gtol: float | None = 1e-8,
        max_nfev: int | None = None,
    ) -> None:
        x, self._device = start(x0), arrays.device_of(x0)
        # fmt: off
        self._options = Options(
            method, linear_solver, damping, x_scale, loss, f_scale, bounds, ftol, xtol, gtol,
            max_nfev,
        )
        # fmt: on
        self._dtype = x.dtype
        self._J: Array | None = None
        self._within_blocks = False
        self._solver = make_solver(x, self._options, box(bounds, x), self._device)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"{type(self).__name__}: its solver in C++ can neither be copied nor pickled; start "
            "another from its x, or keep its result()"
        )

    def __repr__(self) -> str:
        solver = self._solver
        parameters, phase = check.counted(solver.n, "parameter"), solver.phase
        state = "done" if phase == DONE else f"waits for the {WANTED[phase]} at x"
        so_far = f", iteration {solver.nit}, cost {solver.cost:.6g}" if solver.started else ""
        return f"LeastSquares({parameters}, {state}{so_far})"

    @property
    def x(self) -> Array:
        """The point to evaluate, or the answer, (n,): where x0 lives."""
        point: Array = self._solver.point()
        return point if self._device is None else self._solver.to_device(point)

    @property
    def done(self) -> bool:
        """True when `x` is the answer."""
        return bool(self._solver.phase == DONE)

    @property
    def cost(self) -> float:
        """The cost of the last accepted point; NaN where there is none yet."""
        return float(self._solver.cost) if self._solver.started else math.nan

    @property
    def nit(self) -> int:
        """Accepted steps so far."""
        return int(self._solver.nit)

    def tell(self, f: Any, jac: Any) -> None:
        """Residuals at `x`, (m,), and their Jacobian there: an (m, n) array, or a callable of x
        that is called only if the point is accepted.

        Raises
        ------
        TypeError, ValueError
            Once it is `done`. For residuals or a Jacobian of the wrong kind or shape, or not finite
            at the start; the point can be told again. If a callable fails, or J is not finite at
            the start, ``f`` has been taken: of the next call only ``jac`` is read.
        numpy.linalg.LinAlgError
            JᵀJ is singular with method "gn": there is no next point; make a new solver.
        """
        self._refuse_within_blocks("tell")
        if callable(self._options.loss):  # it runs before they are read
            f, jac = arrays.copied_answer(f), jac if callable(jac) else arrays.copied_answer(jac)
        solver = self._solver = moved_to_device_of(self._solver, f)
        if solver.phase == DONE:
            raise ValueError("tell: the solver waits for nothing: it is done")
        with in_use(solver.device):
            if not callable(jac):
                f, jac = arrays.residual(f, self._dtype), arrays.jacobian(jac, self._dtype)
                if jac.shape != (f.size, solver.n):  # before the residuals are taken
                    raise ValueError(f"jac: shape {jac.shape}; expected {(f.size, solver.n)}")
                solver.set_look_ahead(False)
            if solver.phase == RESIDUAL:
                tell_residual(solver, f, self._options)
            if solver.phase != JACOBIAN:
                return
            J = arrays.copied(jac(self.x) if callable(jac) else jac)
            with solver:  # another thread may ask for the result
                try:
                    solver.tell_jacobian(J)
                except np.linalg.LinAlgError:  # of the step from there: the point was taken
                    self._J = self._J if solver.refused else J
                    raise
                self._J = self._J if solver.refused else J

    def tell_normal(self, cost: float, JtJ: Any, Jtf: Any) -> None:
        """½ Σf², JᵀJ (n, n; only the lower triangle is read) and Jᵀf (n,) at `x`, summed
        elsewhere. A `loss` is refused: the rows are weighted there, or not at all.

        Raises
        ------
        TypeError, ValueError
            For numbers of the wrong kind, shape or sign, or not finite at the start.

        Examples
        --------
        The rows of a line's residuals and Jacobian, say on three machines:

        >>> import numpy as np, steepest as st
        >>> t = np.arange(6.0).reshape(3, 2)
        >>> s = st.LeastSquares([0.0, 0.0])
        >>> while not s.done:
        ...     parts = [(s.x[0] + s.x[1] * t_i - (3 + 2 * t_i), np.c_[[1, 1], t_i]) for t_i in t]
        ...     s.tell_normal(
        ...         0.5 * sum(f @ f for f, J in parts),
        ...         sum(J.T @ J for f, J in parts),
        ...         sum(J.T @ f for f, J in parts),
        ...     )
        >>> s.x.round(6)
        array([3., 2.])
        """
        self._refuse_within_blocks("tell_normal")
        solver = self._solver = moved_to_device_of(self._solver, JtJ)
        n, dtype, options = solver.n, self._dtype, self._options
        if options.linear_solver in ("qr", "cg"):
            raise ValueError(
                f"linear_solver: {options.linear_solver!r} needs J; expected 'auto' or 'cholesky'"
            )
        if options.loss != "linear":
            raise ValueError(
                f"loss: {options.loss!r} needs residuals; weight the rows where they are summed"
            )
        half = arrays.as_float64("tell_normal: cost", cost)
        if half.ndim or half < 0:
            raise ValueError(f"tell_normal: cost {cost}; expected ½ Σf², a number, at least 0")
        with in_use(solver.device):
            H, g = arrays.jacobian(JtJ, dtype, "JtJ"), arrays.residual(Jtf, dtype, "Jtf")
            if H.shape != (n, n) or g.shape != (n,):
                raise ValueError(
                    f"tell_normal: JtJ {H.shape}, Jtf {g.shape}; expected ({n}, {n}) and ({n},)"
                )
            xp = arrays.namespace(H)
            if bool((xp.diagonal(H) < 0).any()):
                raise ValueError(
                    "tell_normal: JtJ has a negative diagonal entry; each is a sum of squares"
                )
            if not xp.isfinite(xp.tril(H)).all():
                H = xp.full_like(H, xp.nan)  # the solver looks at the diagonal alone
            solver.tell_normal(float(half), xp.ascontiguousarray(H), g)

    def tell_blocks(self, blocks: Iterable[tuple[Any, Any]]) -> None:
        """Residuals and Jacobian at `x` as pairs (f, J) of some rows each: f (k,), J (k, n), k may
        vary. A generator makes them one by one, so that memory is n² plus one block. On a GPU, make
        them in CuPy's current stream: it still reads one when the next is made.

        Raises
        ------
        TypeError, ValueError
            For anything but such pairs, and as `tell`; the point can be told again.

        Examples
        --------
        >>> import numpy as np, steepest as st
        >>> def blocks(x):
        ...     for t in np.arange(6.0).reshape(3, 2):
        ...         yield x[0] + x[1] * t - (3 + 2 * t), np.c_[[1, 1], t]
        >>> s = st.LeastSquares([0.0, 0.0])
        >>> while not s.done:
        ...     s.tell_blocks(blocks(s.x))
        >>> s.x.round(6)
        array([3., 2.])
        """
        if not isinstance(blocks, Iterable):
            given = check.got(blocks)
            raise TypeError(f"blocks: {given}; expected pairs (f, J), as from a generator")
        self._refuse_within_blocks("tell_blocks")
        self._within_blocks = True  # while a generator of the user's runs
        try:
            with in_use(self._device):
                self._solver = tell_blocks(self._solver, blocks, self._options)
        finally:
            self._within_blocks = False

    def _refuse_within_blocks(self, call: str) -> None:
        if self._within_blocks:
            raise ValueError(f"{call}: tell_blocks has not read all its blocks yet")

    def result(self) -> LeastSquaresResult:
        """What was found; before `done` the last accepted point, with success False.

        Raises
        ------
        ValueError
            Before a point and its Jacobian have been told.
        """
        if not self._solver.started:
            raise ValueError(
                "LeastSquares: no point has been told completely yet, so there is no result"
            )
        with in_use(self._solver.device), self._solver:
            J = None if self._J is None else arrays.copied(self._J)  # the solver goes on with J
            result = result_of(self._solver, J, True, self._options)
            if not self.done:
                result["message"] = "Not done: more points were asked for."  # its status is 0
        return result
