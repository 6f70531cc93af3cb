"""A model written as text, such as "y = a*exp(-b*x) + c": parsed and checked.

Python's parser gives a syntax tree; only the nodes listed here are accepted, and nothing of the
text is ever executed.
"""

from __future__ import annotations

import ast
import keyword
import operator
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# name in a formula -> SymPy's name of the function
FUNCTIONS = {
    "abs": "Abs",
    "acos": "acos",
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "asin": "asin",
    "atan": "atan",
    "cos": "cos",
    "cosh": "cosh",
    "erf": "erf",
    "exp": "exp",
    "log": "log",
    "log10": "log",
    "max": "Max",
    "min": "Min",
    "sin": "sin",
    "sinh": "sinh",
    "sqrt": "sqrt",
    "tan": "tan",
    "tanh": "tanh",
}
OF_TWO = ("min", "max")
NATURAL = "log is the natural logarithm"
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
NUMBER_BEFORE_A_NAME = r"(?<![\w.])[\d.]+([eE][+-]?\d+)?(?=(?![eE][+-]?\d)[^\W\d_])"
LONGEST = 10_000  # characters; Python's parser and SymPy recurse over the tree


class FormulaError(ValueError):
    """What is wrong with a formula, and at which character (1 is the first)."""

    def __init__(self, text: str, column: int, problem: str) -> None:
        self.column = column
        first = max(0, column - 80)  # show the part around the character
        part = text[first : first + 120]
        mark = " " * (column - 1 - first) + "^"
        super().__init__(f"formula, character {column}: {problem}\n  {part}\n  {mark}")


@dataclass(frozen=True)
class Formula:
    """A checked formula: its text, the name left of "=", and the tree right of it."""

    text: str
    response: str
    tree: ast.expr
    offset: int  # of the tree's first column in the text

    @property
    def names(self) -> list[str]:
        """The variables and parameters on the right, each once, as they appear."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.Name)]
        called = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        found.sort(key=lambda node: node.col_offset)
        return list(dict.fromkeys(node.id for node in found if id(node) not in called))

    def error(self, node: ast.expr, problem: str) -> FormulaError:
        before = self.text.encode()[: self.offset + node.col_offset]  # ast counts bytes of UTF-8
        return FormulaError(self.text, len(before.decode()) + 1, problem)


def spelled(name: str) -> str:
    """A name as Python's parser spells it: the keyboard's µ (micro) becomes the Greek letter."""
    return unicodedata.normalize("NFKC", name)


@contextmanager
def not_too_deep(text: str) -> Iterator[None]:
    """A context for walking over a tree: `FormulaError` where it is too deep for Python's stack."""
    try:
        yield
    except (RecursionError, MemoryError):
        raise FormulaError(text, text.index("=") + 2, "nested too deeply") from None


def parse(text: str) -> Formula:
    """Check "response = expression" and return its parts; raises `FormulaError`."""
    text = " ".join(text.splitlines())
    if len(text) > LONGEST:
        raise FormulaError(text, LONGEST + 1, f"too long; expected at most {LONGEST} characters")
    for mark in "#\0":  # a comment, and what Python's parser does not read
        if mark in text:
            raise FormulaError(text, text.index(mark) + 1, f"{mark!r} is not allowed")
    left, equals, right = text.partition("=")
    response = spelled(left.strip())
    if not equals:
        raise FormulaError(text, len(text) + 1, 'no "="; write it as "y = a*x + b"')
    if keyword.iskeyword(response):  # as columns are named
        response += "_"
    if not response.isidentifier():
        problem = f'{response!r} left of "=" is not the name of a column: letters, digits and _, '
        problem += "which replaces all other characters"
        raise FormulaError(text, len(left) - len(left.lstrip()) + 1, problem)
    padding = len(right) - len(right.lstrip())
    offset = len((left + equals + right[:padding]).encode())
    with not_too_deep(text):
        try:
            tree = ast.parse(right.strip(), mode="eval").body
        except SyntaxError as error:
            start = len(left) + 1 + padding
            raise unreadable(text, start, right.strip(), error) from None
        formula = Formula(text, response, tree, offset)
        check(formula, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == response:
            raise formula.error(node, f'{response!r} is left of "=", too')
    return formula


def unreadable(text: str, start: int, right: str, error: SyntaxError) -> FormulaError:
    """The error for a right side, from character `start` on, that Python cannot parse."""
    for word in re.finditer(r"\w+", right):
        if keyword.iskeyword(word.group()):
            problem = f"{word.group()!r} is a keyword of Python, not a name; take another, or "
            problem += f"{word.group()}_ for a column of that name"
            return FormulaError(text, start + word.start() + 1, problem)
    if row := re.search(r"(\w+)\s+(\w+)", right):
        problem = f"no operator between {row[1]!r} and {row[2]!r}; names have no spaces: write "
        problem += f"{row[1]}_{row[2]} for a column of that name"
        return FormulaError(text, start + row.start(2) + 1, problem)
    if product := re.search(NUMBER_BEFORE_A_NAME, right):
        problem = f'after {product.group()!r} an operator is missing, as in "2*x"'
        return FormulaError(text, start + product.end() + 1, problem)
    if again := re.search("(?<![<>!:])=", right):
        return FormulaError(text, start + again.start() + 1, 'write one "="')
    if not error.offset:  # Python's sign for the end
        return FormulaError(text, len(text.rstrip()) + 1, "ends too early")
    return FormulaError(text, start + error.offset, error.msg)


def check(formula: Formula, node: ast.expr) -> None:
    """Raise unless the tree has numbers, names, + - * / ** and known functions only."""
    match node:
        case ast.Name():
            return
        case ast.Constant(value=value):
            if type(value) not in (int, float):
                raise formula.error(node, f"{value!r} is not a real number")
        case ast.UnaryOp(op=ast.UAdd() | ast.USub()):
            check(formula, node.operand)
        case ast.BinOp(op=ast.BitXor()):
            raise formula.error(node.right, '"^" is not a power; write "**"')
        case ast.BinOp() if type(node.op) in OPERATORS:
            check(formula, node.left)
            check(formula, node.right)
        case ast.Call(func=ast.Name(id=name), args=[left, right], keywords=[]) if name in OF_TWO:
            check(formula, left)
            check(formula, right)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if (
            name in FUNCTIONS and name not in OF_TWO
        ):
            check(formula, argument)
        case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
            taken = "two arguments" if name in OF_TWO else "one argument"
            raise formula.error(node, f"{name} takes {taken}")
        case ast.Call(func=ast.Name(id=name)):
            known = ", ".join(sorted(FUNCTIONS))
            raise formula.error(node, f"no function {name!r}; expected one of {known}; {NATURAL}")
        case ast.Call(func=ast.Attribute(attr=name)) if name in FUNCTIONS:
            raise formula.error(node, f"write {name}(...), without what stands before it")
        case ast.Call():
            raise formula.error(node, "this is not a function; write a product with *")
        case _:
            kind = type(getattr(node, "op", node)).__name__
            raise formula.error(node, f"{kind} is not allowed; expected + - * / ** and functions")
