"""Settings of the process, as they were before each test."""

import pytest

import steepest as st
from steepest import _cpu


@pytest.fixture(autouse=True)
def settings_stay():
    grain = _cpu.bytes_per_thread()
    yield
    st.set_num_threads(None)
    st.set_flush_denormals(False)
    _cpu.set_bytes_per_thread(grain)
    _cpu.note_wait(0.0)
    _cpu.reset_account()
