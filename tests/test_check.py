"""Words of errors."""

import numpy as np
import pytest

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
