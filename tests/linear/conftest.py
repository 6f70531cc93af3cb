"""What the tests of compiled passes set."""

import pytest

from steepest import _cpu


@pytest.fixture
def settings(settings_stay):
    """Threads for the smallest arrays; everything back to normal afterwards."""
    _cpu.set_bytes_per_thread(1)
