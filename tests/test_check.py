"""What the checks of plain arguments say, and let through."""

import sys

import numpy as np
import pytest
from interrupts import Interrupt

from steepest import check


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "an int"),
        (1.0, "a float"),
        (np.ones(1), "an ndarray"),
        ([], "a list"),
        (None, "a NoneType"),
    ]
    + [(np.uint8(1), "a uint8"), (object(), "an object")],
)
def test_the_name_of_a_class_has_its_article(value, words):
    assert check.kind(value) == words


def test_an_array_is_shown_in_one_line():
    with pytest.raises(TypeError, match=r"^n: array\(\[\[0\., 0\.\], \[0\., .* is an ndarray; .*$"):
        check.integer("n", np.zeros((100, 2)))


@pytest.mark.parametrize(
    ("value", "limit"),
    [(3, 3), (3.7, 3), (np.float32(2.5), 2), (float("inf"), 2**62), (2**70, 2**62), (1e300, 2**62)],
)
def test_a_limit_may_be_any_real_number(value, limit):
    got = check.limit("maxiter", value, at_least=1)
    assert got == limit and type(got) is int


@pytest.mark.parametrize("value", [True, "3", None, 3j, [3]])
def test_what_is_no_number_is_no_limit(value):
    with pytest.raises(TypeError, match="expected a whole number, at least 1"):
        check.limit("maxiter", value, at_least=1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: check.pair("betas", (0.9, 0.99), below=1),
        lambda: check.pair("betas", [0.9, 0.99], below=1),
        lambda: check.same_list(["w", "b"], ["w", "b"]),
        lambda: check.same_list([0, np.int64(1)], [0, 1]),
        lambda: check.number("lr", 0.1),
        lambda: check.integer("n", 3),
    ],
)
def test_what_a_signals_handler_raises_in_a_check_of_plain_values_comes_through(ask):
    wanted, n, before = ask(), 0, sys.gettrace()
    while n < 1000:
        sys.settrace(Interrupt(n, check.__file__, TimeoutError))
        try:
            got = ask()
        except TimeoutError:
            n += 1
            continue
        finally:
            sys.settrace(before)
        assert got == wanted and n > 5
        return
    raise AssertionError("it has no end")
