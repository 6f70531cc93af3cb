"""What the tests of compiled passes set."""

import pytest

from steepest import _cpu


@pytest.fixture
def settings():
    """Threads for the smallest arrays; everything back to normal afterwards."""
    bytes_per_thread, level = _cpu.bytes_per_thread(), _cpu.simd_level()
    _cpu.set_bytes_per_thread(1)
    yield
    _cpu.set_bytes_per_thread(bytes_per_thread)
    _cpu.set_simd_level(level)
    _cpu.set_num_threads(0)
