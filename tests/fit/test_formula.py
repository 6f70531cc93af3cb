"""Formulas: what is accepted, how it is differentiated, and where an error is said to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import erf

from steepest.apps.fits.formula import FUNCTIONS, FormulaError, parse
from steepest.apps.fits.model import compile_model

X = np.array([[0.3, 0.7, 1.1], [2.0, 3.0, 5.0]])  # columns x and z
P = np.array([1.7, 0.4])  # a, b


def values(text):
    model = compile_model(parse(text), ["x", "z"], ["a", "b"])
    return model.value(X, P), model.jacobian(X, P)


CASES = {
    "y = a*exp(-b*x) + z": lambda x, z, a, b: a * np.exp(-b * x) + z,
    "y = a/(1 + b*x**2) - z": lambda x, z, a, b: a / (1 + b * x**2) - z,
    "y = sqrt(a*x)*log(b + z)": lambda x, z, a, b: np.sqrt(a * x) * np.log(b + z),
    "y = sin(a*x)+cos(b*x)+tan(a*b*x)": lambda x, z, a, b: (
        np.sin(a * x) + np.cos(b * x) + np.tan(a * b * x)
    ),
    "y = sinh(a*x)*cosh(b)*tanh(a*b*x)": lambda x, z, a, b: (
        np.sinh(a * x) * np.cosh(b) * np.tanh(a * b * x)
    ),
    "y = asin(b*x)+acos(b*x*x)+atan(a*z)": lambda x, z, a, b: (
        np.arcsin(b * x) + np.arccos(b * x * x) + np.arctan(a * z)
    ),
    "y = arcsin(b*x)-arccos(b*x*x)/arctan(a*z)": lambda x, z, a, b: (
        np.arcsin(b * x) - np.arccos(b * x * x) / np.arctan(a * z)
    ),
    "y = log10(a*z) + erf(b*x)": lambda x, z, a, b: np.log10(a * z) + erf(b * x),
    "y = abs(x - a)**1.5*b": lambda x, z, a, b: np.abs(x - a) ** 1.5 * b,
    "y = abs(log(a*x))*abs(b)": lambda x, z, a, b: np.abs(np.log(a * x)) * abs(b),
    "y = a*cos(2*pi*b*x)": lambda x, z, a, b: a * np.cos(2 * np.pi * b * x),
    "y = -a**2**0.5 + +b": lambda x, z, a, b: -(a ** (2**0.5)) + b + 0 * x,
    "y = x**a*b**z": lambda x, z, a, b: x**a * b**z,
    "y = a*0.1 + b*1e-300 + 1.000000123": lambda x, z, a, b: (
        a * 0.1 + b * 1e-300 + 1.000000123 + 0 * x
    ),
    "y = a + b*max(x - b, 0)": lambda x, z, a, b: a + b * np.maximum(x - b, 0),
    "y = min(a*x, 1)*max(b, 0.5)": lambda x, z, a, b: np.minimum(a * x, 1) * max(b, 0.5),
    "y = min(min(x, b), a*z)**2": lambda x, z, a, b: np.minimum(np.minimum(x, b), a * z) ** 2,
    "y = max(log(x), b)*z": lambda x, z, a, b: np.maximum(np.log(x), b) * z,
    "y = abs(max(a, 1 - b*z))": lambda x, z, a, b: np.abs(np.maximum(a, 1 - b * z)),
    "y = max(1, 2)*a": lambda x, z, a, b: 2 * a + 0 * x,
    "y = a": lambda x, z, a, b: a + 0 * x,
    "y = x": lambda x, z, a, b: x,
}


@pytest.mark.parametrize("text", CASES)
def test_value_is_numpys(text):
    got = values(text)[0]
    np.testing.assert_allclose(got, CASES[text](*X, *P), rtol=1e-14)
    assert got.shape == X[0].shape


@pytest.mark.parametrize("text", CASES)
def test_jacobian_is_a_central_difference(text):
    h = 1e-6
    want = [
        (CASES[text](*X, *(P + h * e)) - CASES[text](*X, *(P - h * e))) / (2 * h) for e in np.eye(2)
    ]
    np.testing.assert_allclose(values(text)[1], np.transpose(want), rtol=2e-7, atol=2e-8)


POWERS = {  # at x = 0: the slopes by a and b
    "y = a*x**b": (0, 0),
    "y = a*x**b/(2**b + x**b)": (0, 0),
    "y = a*exp(-(x/2)**b)": (1, 0),
    "y = 2*exp(-(x/a)**b)": (0, 0),
    "y = a*x*log(b*x)": (0, 0),
}


@pytest.mark.parametrize("text", POWERS)
def test_a_slope_whose_formula_is_0_times_infinity_is_its_limit(text):
    model = compile_model(parse(text), ["x", "z"], ["a", "b"])
    x = np.array([[0, 0.3, 0], [1, 1, 1]])
    got = model.jacobian(x, P)
    if "log" in text:  # the value is NaN too, and has no slope
        assert np.isnan(got[0]).any()
    else:
        np.testing.assert_allclose(got[[0, 2]], [POWERS[text]] * 2, atol=1e-15)
    np.testing.assert_array_equal(got[1], model.jacobian(x[:, 1:2], P)[0])  # exact beside it


@pytest.mark.parametrize("zero", [0.0, 0.3, 1e6])
def test_a_slope_whose_formula_is_0_by_0_is_its_limit(zero):
    model = compile_model(parse(f"y = 1 + (a - {zero})**x"), ["x"], ["a"])
    np.testing.assert_allclose(model.jacobian(np.ones((1, 1)), np.full(1, zero)), 1.0, rtol=1e-9)


def test_a_slope_that_is_infinite_stays_so():
    model = compile_model(parse("y = sqrt(a)*x"), ["x"], ["a"])
    assert not np.isfinite(model.jacobian(np.ones((1, 1)), np.zeros(1))).any()


def test_every_function_is_tried():
    tried = " ".join(CASES)
    missing = [name for name in FUNCTIONS if f"{name}(" not in tried and name != "exp"]
    assert not missing


def test_names_are_listed_once_in_order_without_functions():
    formula = parse("rate = k*exp(-E/(R*T))*k + exp")
    assert (formula.response, formula.names) == ("rate", ["k", "E", "R", "T", "exp"])


def test_a_column_may_be_called_as_a_function_or_pi():
    model = compile_model(parse("y = sin*pi*lambda_"), ["sin", "pi"], ["lambda_"])
    np.testing.assert_allclose(model.value(X, np.array([3.0])), 3 * X[0] * X[1], rtol=1e-15)


def test_overflow_is_inf_without_a_warning():
    model = compile_model(parse("y = exp(a*x)"), ["x"], ["a"])
    assert np.isinf(model.value(X[:1], np.array([1e9]))).all()
    assert not np.isfinite(model.jacobian(X[:1], np.array([1e9]))).any()


ERRORS = [
    (
        "y = a*exp(-b*x) + z[0]",
        19,
        "Subscript is not allowed; expected + - * / ** and functions",
    ),
    ("y a", 4, 'no "="; write it as "y = a*x + b"'),
    ("  3 = x", 3, "'3' left of \"=\" is not the name of a column"),
    (
        "U in V = x",
        1,
        "'U in V' left of \"=\" is not the name of a column: letters, digits and _, which",
    ),
    (" = x", 2, "'' left of \"=\" is not the name of a column"),
    ("y = a*(x", 7, "'(' was never closed"),
    ("y = ", 4, "ends too early"),
    ("ñ = foo(x)", 5, "no function 'foo'"),  # characters, not bytes
    ("ñ = 2x", 6, "after '2' an operator is missing"),
    ("y = a\n\nx", 8, "no operator between 'a' and 'x'"),
    ("y == x", 4, 'write one "="'),
    ("y = a = x", 7, 'write one "="'),
    ("y = a <= x", 5, "Compare is not allowed"),
    ("y = x if", 7, "'if' is a keyword of Python, not a name; take another, or if_"),
    ("y = a*exp(-lambda*x)", 12, "'lambda' is a keyword of Python, not a name"),
    ("y = a*exp(-b*time ms)", 19, "no operator between 'time' and 'ms'; names have no spaces"),
    ("y = 2x", 6, "after '2' an operator is missing, as in \"2*x\""),
    ("y = a*x + 1.5e-3b", 17, "after '1.5e-3' an operator is missing"),
    ("y = 1e5*x + * a", 13, "invalid syntax"),
    ("y = 2*a*np.exp(x)", 9, "write exp(...), without what stands before it"),
    ("y = 2(a + x)", 5, "this is not a function; write a product with *"),
    ("y = α + y*x", 9, "'y' is left of \"=\", too"),
    ("y = a*x +  ", 10, "ends too early"),
    ("y = x + * a", 9, "invalid syntax"),
    ("y = x # note", 7, "'#' is not allowed"),
    ("y = __import__('os').system('ls')", 5, "this is not a function"),
    ("y = x.real", 5, "Attribute is not allowed"),
    ("y = a^x", 7, '"^" is not a power; write "**"'),
    ("y = a + foo(x)", 9, "no function 'foo'; expected one of abs, acos"),
    ("y = ln(x)", 5, "tan, tanh; log is the natural logarithm"),
    ("y = eval(x)", 5, "no function 'eval'"),
    ("y = exp(x, 2)", 5, "exp takes one argument"),
    ("y = exp(x=2)", 5, "exp takes one argument"),
    ("y = a*max(x)", 7, "max takes two arguments"),
    ("y = min(x, a, 1)", 5, "min takes two arguments"),
    ("y = max(x, foo(a))", 12, "no function 'foo'"),
    ("y = max(foo(a), x)", 9, "no function 'foo'"),
    ("y = max(x, key=a)", 5, "max takes two arguments"),
    ("y = exp(*x)", 9, "Starred is not allowed"),
    ("y = True*x", 5, "True is not a real number"),
    ("y = x*'a'", 7, "'a' is not a real number"),
    ("y = 1j*x", 5, "1j is not a real number"),
    ("y = x if a else b", 5, "IfExp is not allowed"),
    ("y = lambda: 1", 5, "Lambda is not allowed"),
    ("y = [x]", 5, "List is not allowed"),
    ("y = x > 2", 5, "Compare is not allowed"),
    ("y = x and a", 5, "And is not allowed"),
    ("y = ~x", 5, "Invert is not allowed"),
    ("y = -~x", 6, "Invert is not allowed"),
    ("y = x @ x", 5, "MatMult is not allowed"),
    ("y = x % 2", 5, "Mod is not allowed"),
    ('y = f"{x}"', 5, "JoinedStr is not allowed"),
    ("y = (x := 2)", 6, "NamedExpr is not allowed"),
    ("y = " + "-" * 5000 + "x", 4, "nested too deeply"),
    ("y = " + "-" * 9990 + "x", 4, "nested too deeply"),  # a MemoryError of Python's parser
    ("y = " + "+".join(["x"] * 4000), 4, "nested too deeply"),
    ("y = " + "a/(1 + " * 60 + "x" + ")" * 60, 4, "nested too deeply"),  # of SymPy's walk
    ("y = x + 1e400" + " " * 9987, 9, "a number too large for a float"),
    ("y = x + 1e400" + " " * 9988, 10001, "too long; expected at most 10000 char"),
    ("y = α*c + x", 7, "'c' is neither a column nor a parameter"),
    ("y = a + 9**9**9*x", 9, "numerical result out of range"),
    ("y = 1/0", 5, "division by zero"),
    ("y = x/(1-1)", 8, "division by zero"),
    ("y = 1e400*x", 5, "a number too large for a float"),
    ("y = x + 1" + "0" * 400, 9, "a number too large for a float"),
    ("y = x*exp(exp(exp(100)))", 11, "a number too large for a float"),
    ("y = x*pi**1e300", 7, "a number too large for a float"),
    ("y = x*acos(pi)", 7, "has no real value"),
    ("y = a + sqrt(-x*x)", 9, "has no real value"),
    ("y = x + sqrt(-b*b)", 9, "has no real value"),
    ("y = sqrt(-1)*x", 5, "has no real value"),
    ("y = log(0)*x", 5, "has no real value"),
    ("y = (-8)**0.5*x", 5, "has no real value"),
    ("y = x*acos(2)", 7, "has no real value"),
]


@pytest.mark.parametrize(("text", "column", "problem"), ERRORS, ids=[e[0][:30] for e in ERRORS])
def test_an_error_names_the_character(text, column, problem):
    with pytest.raises(FormulaError) as caught:
        compile_model(parse(text), ["x", "z", "α"], ["a", "b"])
    message = str(caught.value)
    assert message.startswith(f"formula, character {column}: ")
    assert problem in message
    assert caught.value.column == column


@pytest.mark.parametrize(("terms", "before"), [(1, 8), (60, 79)])
def test_the_caret_stands_below_the_character(terms, before):
    text = "y = " + "a + " * terms + "foo(x)"
    with pytest.raises(FormulaError) as caught:
        parse(text)
    _, shown, mark = str(caught.value).split("\n")
    assert mark.index("^") == before + 2
    assert shown[mark.index("^") :].startswith("foo(x)")


def test_a_null_character_is_refused():
    with pytest.raises(FormulaError, match=r"character 6: '.x00' is not allowed"):
        parse("y = x\0")


def test_a_formula_over_two_lines_is_one():
    assert values("y = a*\nx")[0] == pytest.approx(1.7 * X[0])


def test_huge_powers_end_quickly():
    model = compile_model(parse("y = (2*x)**1000000000"), ["x"], [])
    assert model.jacobian(X[:1], np.array([])).shape == (3, 0)
    assert math.isinf(model.value(X[:1], np.array([]))[2])
