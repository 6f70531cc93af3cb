"""The settings of the process, for the tests that change them."""

import pytest

import steepest as st
from steepest import _cpu


@pytest.fixture
def settings_stay():
    """What a test sets is as before it once it has ended."""
    level, bytes_per_thread = _cpu.simd_level(), _cpu.bytes_per_thread()
    yield
    st.set_num_threads(None)
    st.set_flush_denormals(False)
    _cpu.set_simd_level(level)
    _cpu.set_bytes_per_thread(bytes_per_thread)
    _cpu.note_wait(0.0)
    _cpu.reset_account()
