"""What the tests of compiled passes set."""

import sys

import pytest

from steepest import _cpu


@pytest.fixture
def settings(settings_stay):
    """Threads for the smallest arrays; everything back to normal afterwards."""
    _cpu.set_bytes_per_thread(1)


@pytest.fixture
def never_switching():
    """A thread keeps the GIL until it gives it up."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)
    yield
    sys.setswitchinterval(interval)
