"""A formula made a model: NumPy functions of it and of its derivatives, which SymPy finds."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest.apps.fits.formula import FUNCTIONS, OPERATORS, Formula, not_too_deep


@dataclass(frozen=True)
class Model:
    """A compiled formula: `value(x, p)` of shape (m,), `jacobian(x, p)` by p of shape (m, n).

    x has the variables' columns, (k, m), p the n parameters. The derivatives are exact. Where their
    formula is not finite, as that of x**n by n at x = 0, they are central differences.
    """

    variables: tuple[str, ...]
    parameters: tuple[str, ...]
    value: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
    jacobian: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


def compile_model(formula: Formula, variables: Sequence[str], parameters: Sequence[str]) -> Model:
    """NumPy functions of a formula and of its derivatives by the parameters.

    Raises `FormulaError` at a name that is neither, nor `pi`.
    """
    import sympy

    # neutral names: a column may have the name of a function or keyword of NumPy, or of cse's x0
    columns = sympy.symbols(f"column:{len(variables)}", real=True)
    coefficients = sympy.symbols(f"parameter:{len(parameters)}", real=True)
    symbols = dict(zip((*variables, *parameters), (*columns, *coefficients), strict=True))
    symbols.setdefault("pi", sympy.pi)
    arguments, modules = [columns, coefficients], ["scipy", "numpy"]
    with not_too_deep(formula.text):
        expression = to_sympy(formula, formula.tree, symbols)
        derivatives = [derivative(expression, p) for p in coefficients]
        value = sympy.lambdify(arguments, expression, modules)
        slopes = sympy.lambdify(arguments, derivatives, modules, cse=True)

    def evaluate(x: NDArray[Any], p: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(all="ignore"):  # a rejected trial may overflow
            return np.broadcast_to(np.asarray(value(x, p), dtype=float), x.shape[-1:])

    def jacobian(x: NDArray[Any], p: NDArray[Any]) -> NDArray[Any]:
        jac = np.empty((x.shape[-1], len(parameters)))
        with np.errstate(all="ignore"):
            for j, slope in enumerate(slopes(x, p)):
                jac[:, j] = slope
        for j, bad in enumerate(~np.isfinite(jac.T)):
            if bad.any():
                jac[bad, j] = central_difference(x[:, bad], p, j)
        return jac

    def central_difference(x: NDArray[Any], p: NDArray[Any], j: int) -> NDArray[Any]:
        h = np.zeros_like(p)
        h[j] = np.cbrt(np.finfo(float).eps) * (p[j] or 1.0)
        with np.errstate(invalid="ignore"):  # inf - inf, where there is no derivative
            slope: NDArray[Any] = (evaluate(x, p + h) - evaluate(x, p - h)) / (2 * h[j])
        return slope

    return Model(tuple(variables), tuple(parameters), evaluate, jacobian)


def derivative(expression: Any, symbol: Any) -> Any:
    """The derivative where there is one; that of abs(u) is sign(u), whose own is 0."""
    import sympy

    return expression.replace(sympy.Abs, real_abs()).diff(symbol)


@functools.cache
def real_abs() -> Any:
    """abs of real numbers: SymPy's own has complex slopes, and a DiracDelta in the curvature."""
    import sympy

    class sign(sympy.Function):  # type: ignore[misc]
        def fdiff(self, argindex: int = 1) -> Any:
            return sympy.S.Zero

    class Abs(sympy.Function):  # type: ignore[misc]
        def fdiff(self, argindex: int = 1) -> Any:
            return sign(self.args[0])

    return Abs


@functools.cache
def choices() -> Any:
    """NumPy's less and where; SymPy's own refuse what may be complex, and do not nest."""
    import sympy

    class less(sympy.Function):  # type: ignore[misc]
        is_number = False  # which SymPy would want to evaluate

    class where(less):
        def _eval_derivative(self, s: Any) -> Any:
            condition, yes, no = self.args
            return where(condition, yes.diff(s), no.diff(s))

    return less, where


def where(a: Any, b: Any, yes: Any, no: Any) -> Any:
    """yes where a < b, else no."""
    less, choice = choices()
    return choice(less(a, b), yes, no)


def to_sympy(formula: Formula, node: ast.expr, symbols: dict[str, Any]) -> Any:
    """The SymPy expression of a checked tree."""
    import sympy

    match node:
        case ast.Constant(value=int() | float() as value):
            result = number(formula, node, value)
        case ast.Name(id=name):
            if name not in symbols:
                raise formula.error(node, f"{name!r} is neither a column nor a parameter")
            result = symbols[name]
        case ast.UnaryOp(op=op, operand=operand):
            inner = to_sympy(formula, operand, symbols)
            result = -inner if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            a, b = to_sympy(formula, left, symbols), to_sympy(formula, right, symbols)
            result = binary(formula, node, a, b)
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=[left, right]):
            a, b = to_sympy(formula, left, symbols), to_sympy(formula, right, symbols)
            result = where(b, a, b, a) if name == "min" else where(a, b, b, a)  # as Python's
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            inner = to_sympy(formula, argument, symbols)
            function = getattr(sympy, FUNCTIONS[name])
            result = function(inner, 10) if name == "log10" else function(inner)
        case _:
            raise AssertionError(f"unchecked node {type(node).__name__}")
    value = result.evalf() if result.is_number else result
    if value.has(sympy.I, sympy.zoo):
        raise formula.error(node, "has no real value")
    if value.is_number:
        number(formula, node, value)
    return result


def binary(formula: Formula, node: ast.BinOp, a: Any, b: Any) -> Any:
    """a op b; in floats where both are numbers, since SymPy would write out 9**9**9."""
    both = a.is_Number and b.is_Number
    if both:
        a, b = float(a), float(b)
    elif isinstance(node.op, ast.Div) and b.is_zero:
        raise formula.error(node.right, "division by zero")
    try:
        value = OPERATORS[type(node.op)](a, b)
    except (ZeroDivisionError, OverflowError) as error:
        raise formula.error(node, str(error.args[-1]).lower()) from None
    return number(formula, node, value) if both else value


def number(formula: Formula, node: ast.expr, value: complex) -> Any:
    """A SymPy Float."""
    import sympy

    if isinstance(value, complex):
        raise formula.error(node, "has no real value")
    try:
        x = float(value)
    except OverflowError:
        x = np.inf
    if not np.isfinite(x):
        raise formula.error(node, "a number too large for a float")
    return sympy.Float(repr(x))
