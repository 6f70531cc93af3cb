"""Checks of plain arguments: each returns the value as its own type or says what is expected."""

from __future__ import annotations

import inspect
import math
import numbers
import operator
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

if sys.version_info >= (3, 14):
    import annotationlib


def shown(value: Any) -> str:
    """A value as an error shows it: in one line, some 200 characters at most, whatever it is."""
    try:
        text = " ".join(line.strip() for line in repr(value).splitlines())  # of an array
    except Exception:  # of an integer of thousands of digits, say
        return "what was given"
    return text if len(text) <= 200 else f"{text[:200]}..."


def kind(value: Any) -> str:
    """The name of a value's class, with its article."""
    name = type(value).__name__
    return f"an {name}" if name.startswith((*"aeioAEIO", "nd")) else f"a {name}"


def named(value: Any) -> str:
    """A value by its class; None by itself."""
    return "None" if value is None else kind(value)


def got(value: Any) -> str:
    """What was given, by its class."""
    return f"got {named(value)}"


def seen(value: Any) -> str:
    """What was given, and its class."""
    return "got None" if value is None else f"{shown(value)} is {kind(value)}"


def counted(n: int, noun: str) -> str:
    """So many of them: "1 row", "2,000 rows"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _is_real_scalar(value: Any) -> bool:
    """Whether it is a real number or a real 0-d array, for float(); neither bool nor complex."""
    if type(value) in (float, int):
        return True
    try:
        dtype = getattr(value, "dtype", None)
        # PyTorch's has no kind. str(dtype) of NumPy takes 4 µs.
        letter = getattr(dtype, "kind", None) or ("b" if "bool" in str(dtype) else "f")
        scalar = isinstance(value, numbers.Real) or getattr(value, "ndim", None) == 0
        return letter in "fiu" and scalar and not isinstance(value, bool)
    except Exception:  # asking runs the code of whatever was given
        return False


def number(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> float:
    """A real number within the limits, as a float."""
    limits = at_least, above, at_most, below, finite
    if not _is_real_scalar(value):
        raise TypeError(f"{name}: {seen(value)}; {_expected(*limits)}")
    try:
        x = float(value)
    except Exception as error:  # float() runs the code of whatever was given
        if type(value) in (float, int) and not isinstance(error, OverflowError):
            raise  # by a signal's handler: a timeout, say
        what = f"{name}: {shown(value)} is not a real number"
        raise TypeError(f"{what}; {_expected(*limits)}") from error
    if (
        math.isnan(x)
        or (finite and math.isinf(x))
        or (at_least is not None and x < at_least)
        or (above is not None and x <= above)
        or (at_most is not None and x > at_most)
        or (below is not None and x >= below)
    ):
        raise ValueError(f"{name}: {x!r} is not allowed; {_expected(*limits)}")
    return x


def _expected(
    at_least: float | None,
    above: float | None,
    at_most: float | None,
    below: float | None,
    finite: bool,
) -> str:
    texts = (
        "a finite number" if finite else "a number (inf included)",
        f"at least {at_least:g}" if at_least is not None else "",
        f"above {above:g}" if above is not None else "",
        f"at most {at_most:g}" if at_most is not None else "",
        f"below {below:g}" if below is not None else "",
    )
    return "expected " + ", ".join(text for text in texts if text)


def integer(
    name: str, value: Any, *, at_least: int | None = None, at_most: int | None = None
) -> int:
    """A whole number, as an int."""

    def expected() -> str:
        least = f", at least {at_least}" if at_least is not None else ""
        most = f", at most {at_most}" if at_most is not None else ""
        return f"expected a whole number{least}{most}"

    try:
        if isinstance(value, bool):
            raise TypeError
        n = operator.index(value)
    except Exception:  # it runs the code of whatever was given
        if type(value) is int:
            raise  # as in `number`
        raise TypeError(f"{name}: {seen(value)}; {expected()}") from None
    if (at_least is not None and n < at_least) or (at_most is not None and n > at_most):
        raise ValueError(f"{name}: {shown(n)} is not allowed; {expected()}")
    return n


def limit(name: str, value: Any, *, at_least: int) -> int:
    """A limit on a count: any real number, as SciPy takes it; inf for no limit."""
    if isinstance(value, (float, np.floating)):
        value = math.floor(min(number(name, value, at_least=at_least, finite=False), 2.0**62))
    return min(integer(name, value, at_least=at_least), 2**62)


def pair(
    name: str, value: Any, *, at_least: float | None = None, below: float | None = None
) -> tuple[float, float]:
    """Two real numbers within the limits, as a tuple of floats."""
    try:
        if isinstance(value, (set, frozenset, dict)):
            raise TypeError  # has no order, or more than numbers
        first, second = value
    except Exception:  # walking runs the code of whatever was given
        if type(value) in (tuple, list) and len(value) == 2:
            raise  # as in `number`
        raise TypeError(f"{name}: {shown(value)}; expected a pair of numbers") from None
    return (
        number(f"{name}[0]", first, at_least=at_least, below=below),
        number(f"{name}[1]", second, at_least=at_least, below=below),
    )


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if value is True or value is False or isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"{name}: {seen(value)}; expected True or False")


def truth(name: str, value: Any) -> bool:
    """A flag as SciPy takes it: anything that bool() takes, which arrays are not."""
    try:
        return bool(value)
    except Exception:  # it runs the code of whatever was given
        raise ValueError(f"{name}: {seen(value)}; expected True or False") from None


def choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """One of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        listed = ", ".join(repr(word) for word in allowed)
        raise ValueError(f"{name}: {shown(value)} is not allowed; expected one of {listed}")
    return value


def same_list(given: Any, due: list[Any]) -> bool:
    """Whether a list or tuple holds what is due, words or whole numbers."""
    if not isinstance(given, (list, tuple)):
        return False
    # Nothing else is compared: that would run its code.
    return all(isinstance(x, (str, int, np.integer)) for x in given) and list(given) == due


def function(name: str, value: Any) -> Any:
    """What can be called."""
    if not callable(value):
        raise TypeError(f"{name}: {seen(value)}; expected a callable")
    return value


def users_level() -> int:
    """The `stacklevel` at which our caller's warning names the line that called this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "steepest":
        frame, level = frame.f_back, level + 1
    return level


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """By name. Annotations stay text: they may name what is imported for type checkers alone."""
    if sys.version_info >= (3, 14):  # it would evaluate them
        text = annotationlib.Format.STRING
        return inspect.signature(function, annotation_format=text).parameters
    return inspect.signature(function).parameters


def names_intermediate_result(callback: Any) -> bool:
    """SciPy's rule: whether `intermediate_result` is the callback's one parameter, else it is x."""
    function("callback", callback)
    try:
        return set(parameters_of(callback)) == {"intermediate_result"}
    except (TypeError, ValueError):  # built-in functions may have no signature
        return False
