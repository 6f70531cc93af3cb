"""jac=True: residuals and Jacobian from one call, whole or in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from steepest import _cpu, check
from steepest.nlls.arguments import DONE, JACOBIAN, Options
from steepest.nlls.arrays import Array
from steepest.nlls.device import in_use, moved_to_device_of
from steepest.nlls.losses import tell_residual

Block = tuple[Any, Any]


def run_joint(
    solver: Any, fun: Callable[[Array], Any], options: Options, watch: Any
) -> tuple[Any, Array | None]:
    """Tell the solver what fun gives until it is done. Returns the solver, which may have moved to
    a device, and the last Jacobian, None after blocks."""
    J: Array | None = None
    while solver.phase != DONE:
        given = _cpu.owned_pair(fun, solver.point())
        pair = is_pair(given)
        if pair:
            solver = moved_to_device_of(solver, given[0])
        else:
            solver = tell_blocks(solver, given, options)
        solver.set_look_ahead(False)
        with in_use(solver.device):
            if pair and tell_residual(solver, given[0], options) == JACOBIAN:
                solver.tell_jacobian(given[1])
                J = J if solver.refused else given[1]
            if watch is not None:
                watch.solver = solver
                watch()
    return solver, J


def is_pair(given: Any) -> bool:
    """Whether fun gave (f, J); else it gave blocks of rows."""
    if isinstance(given, tuple) and len(given) == 2:
        return True
    if isinstance(given, Iterable) and not (isinstance(given, tuple) or hasattr(given, "dtype")):
        return False
    raise TypeError(
        f"fun: returned {check.named(given)}; expected (f, J) with jac=True, or a generator "
        "of such pairs for blocks of rows"
    )


def without_rows(f: Any, J: Any, n: int) -> bool:
    """Whether a block is empty, as on a machine that has none of the data."""
    return (getattr(f, "shape", None), getattr(J, "shape", None)) == ((0,), (0, n))


def tell_blocks(solver: Any, blocks: Iterable[Block], options: Options) -> Any:
    """Tell the solver blocks of rows at its point, until it needs no more to refuse the point.
    Returns the solver: the first block may have moved it to a device."""
    if callable(options.loss):
        raise ValueError("loss: a callable needs all residuals at once; blocks take a named loss")
    if options.linear_solver == "cg":
        raise ValueError("linear_solver: 'cg' needs J itself; blocks take 'auto', 'cholesky', 'qr'")
    solver.begin_blocks()
    whole, told = True, False
    try:
        for block in blocks:
            if not (isinstance(block, (tuple, list)) and len(block) == 2):
                given = check.named(block)
                hint = "; (f, J) without blocks is a tuple" if isinstance(blocks, list) else ""
                raise TypeError(f"fun: a block of rows is {given}; expected a pair (f, J){hint}")
            (f, J), told = block, True
            if without_rows(f, J, solver.n):
                continue
            moved = moved_to_device_of(solver, f)
            if moved is not solver:
                solver = moved
                solver.begin_blocks()
            with in_use(solver.device):
                whole = solver.add_block(f, J)
            if not whole:
                break
    finally:
        close = getattr(blocks, "close", None)
        if close is not None:
            close()
    if not told:
        raise ValueError("fun: gave no block of rows; expected at least one, from a fresh iterator")
    solver.end_blocks(whole)
    return solver
