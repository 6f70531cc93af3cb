"""The optimizer that bad input is given to."""

import pytest

from refusals import under_way


@pytest.fixture
def setup():
    return under_way()
