"""Optimizers that are used on several streams, which wait for nothing that they are not told to.

Their counts, rates and tables are on the device, where the user cannot put their use in order.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import fake_cupy
import numpy as np
import pytest
from device_problems import decay, down, there, up

import steepest as st

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def other():
    """A stream beside the null stream, which is the current one."""
    return fake_cupy.Stream(non_blocking=True)


def used_up(stream, p):
    with stream:
        return down(p)[0]


@pytest.mark.parametrize("at_once", (False, True))
def test_a_rate_that_is_set_on_another_stream_comes_between_steps(device, other, at_once):
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)
    before = device.calls()[2]
    with other:
        opt.step(g)
    opt.lr = 10.0
    if at_once:
        fake_cupy.Stream.current[-1].synchronize()
    with other:
        opt.step(g)
    assert device.calls()[2] == before
    assert used_up(other, p) == -11


def test_counts_that_are_read_on_another_stream_are_those_of_all_steps(other):
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)
    with other:
        for _ in range(3):
            opt.step(g, max_norm=1.0)
    assert (opt.step_count, opt.skipped, opt.grad_norm) == (3, 0, 2)
    with other:
        opt.step(g)
    assert opt.state_dict()["step_count"] == 4


def test_a_group_that_is_added_on_another_stream_keeps_the_counts(other):
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.Adam(p, lr=1.0)
    with other:
        for _ in range(3):
            opt.step(g)
    opt.add_param_group({"params": up(np.zeros(2))})
    with other:
        opt.step([g, None])
    assert (opt.step_count, opt.state_dict()["state"][0]["step"]) == (4, 4)


def test_a_state_that_is_loaded_on_another_stream_is_the_next_steps(other):
    p, g, host = up(np.zeros(4)), up(np.ones(4)), np.zeros(4)
    opt, due = st.NAdam(p, lr=1.0), st.NAdam(host, lr=1.0)
    due.step(np.ones(4))
    state = due.state_dict()
    with other:
        for _ in range(3):
            opt.step(g)
    opt.load_state_dict(state)
    with other:
        p[...] = up(host.copy())
        opt.step(g)
    due.step(np.ones(4))
    assert used_up(other, p) == host[0] and opt.step_count == 2


def test_memory_goes_back_after_the_steps_of_all_streams(other):
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)  # its table is the null stream's
    with other:
        opt.step(g)
    assert opt.step_count == 1
    with other:
        opt.step(g)
    opt.lr = 2.0
    del opt
    assert used_up(other, p) == -2


def captured_on(stream):
    """Parameters, their optimizer and the graph of a step that has not been taken."""
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)
    opt.bind_grads(g)
    with stream:
        stream.begin_capture()
        opt.step()
        graph = stream.end_capture()
    return p, opt, graph


@pytest.mark.parametrize("also_live", (False, True))
def test_replays_are_in_order_with_calls_on_other_streams(device, other, also_live):
    """They are expected on the stream that was captured."""
    p, opt, graph = captured_on(other)
    due, before = 0, device.calls()[2]
    for rate in (1.0, 2.0, 3.0):
        opt.lr = rate
        graph.launch(other)
        due -= rate
        if also_live:
            opt.step()
            due -= rate
    assert device.calls()[2] == before
    assert opt.step_count == (6 if also_live else 3)
    assert used_up(other, p) == due


def test_a_capture_on_a_second_stream_takes_nothing_else_into_its_graph(device, other):
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt, second = st.SGD(p, lr=1.0), fake_cupy.Stream(non_blocking=True)
    opt.bind_grads(g)
    opt.step()
    for stream in (other, second):
        fake_cupy.Stream.current[-1].synchronize()
        with stream:
            stream.begin_capture()
            opt.step()
            graph = stream.end_capture()
    graph.launch(second)
    opt.step()
    with other:
        assert opt.step_count == 3
    assert used_up(other, p) == -3


def test_a_step_on_a_stream_that_has_all_of_them_asks_nothing_of_others(hooks, other):
    p, g = up(np.zeros(4)), up(np.ones(4))
    with other:
        opt = st.SGD(p, lr=1.0)
        opt.bind_grads(g)
        other.begin_capture()
        opt.step()
        graph = other.end_capture()
        graph.launch()
        hooks.simulated_only_stream()
        opt.step()
        assert hooks.simulated_only_stream() == other.ptr
    assert used_up(other, p) == -2


def test_default_streams_of_threads_are_put_in_order(device, other):
    """They have one handle, by which each names its own."""
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)
    before = device.calls()[2]
    fake_cupy.Stream.current.append(SimpleNamespace(ptr=2))
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(opt.step, g).result()
            opt.lr = 10.0
            thread.submit(opt.step, g).result()
            with other:
                opt.lr = 100.0
            thread.submit(opt.step, g).result()
            assert device.calls()[2] == before
            assert thread.submit(lambda: down(p)[0]).result() == -111
            opt.step(g)
            assert down(p)[0] == -211
            thread.submit(opt.step, g).result()
            with other:
                assert opt.step_count == 5
    finally:
        fake_cupy.Stream.current.pop()


def optimizer():
    opt = st.SGD(up(np.zeros(4)), lr=1.0)
    opt.step(up(np.ones(4)))
    return opt


def solver():
    fun, jac, x0 = decay()
    s = st.LeastSquares(up(x0))
    s.tell(there(fun)(s.x), there(jac)(s.x))
    return s


@pytest.mark.usefixtures("libraries_to_be_found")
@pytest.mark.parametrize("make", (optimizer, solver))
def test_the_last_stream_goes_after_the_memory(make, monkeypatch):
    """malloc_async's goes back on its stream; on any other, unordered, where that is gone."""
    ends, alloc = [], fake_cupy.cuda.alloc

    def seen(n):
        memory = alloc(n)
        weakref.finalize(memory, ends.append, "memory")
        return memory

    monkeypatch.setattr(fake_cupy.cuda, "alloc", seen)
    stream = fake_cupy.Stream(non_blocking=True)
    with stream:
        made = make()
    weakref.finalize(stream, ends.append, "stream")
    del stream
    assert "stream" not in ends
    del made
    assert ends.count("stream") == 1 and ends[-1] == "stream"


@pytest.fixture
def captured_elsewhere(hooks):
    """While a stream that blocks is captured: the null stream can neither be asked nor waited for.

    On a device any use of it, or of the whole device, ends that capture.
    """

    @contextlib.contextmanager
    def captured():
        hooks.simulated_capture_elsewhere(1)
        try:
            yield
        finally:
            hooks.simulated_capture_elsewhere(0)

    return captured


def test_nobody_waits_for_the_null_stream_while_another_is_captured(
    device, captured_elsewhere, other
):
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)
    with other:
        opt.step(g)
    opt.step(g)
    before = device.calls()[2]
    with captured_elsewhere():
        del opt
    assert device.calls()[2] == before and down(p)[0] == -2


def test_a_step_that_cannot_follow_the_null_stream_is_refused(captured_elsewhere, other):
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)
    opt.step(g)
    with captured_elsewhere(), other, pytest.raises(st.BackendError, match="CUDA error 906"):
        opt.step(g)
    with other:
        opt.step(g)
    assert opt.step_count == 2 and used_up(other, p) == -2


@pytest.mark.usefixtures("libraries_to_be_found")
def test_a_fit_goes_on_after_the_capture_of_another_stream(captured_elsewhere):
    fun, jac, _ = decay()
    s = solver()
    with captured_elsewhere(), pytest.raises(st.BackendError, match="CUDA error 906"):
        s.tell(there(fun)(s.x), there(jac)(s.x))
    while not s.done:
        s.tell(there(fun)(s.x), there(jac)(s.x))
    assert s.result().success


def test_threads_that_come_after_each_other_have_streams_of_their_own():
    """The system gives a thread's number to the next one, once it has been joined."""
    p, g = up(np.zeros(4)), up(np.ones(4))
    opt = st.SGD(p, lr=1.0)
    own = fake_cupy.Stream(non_blocking=True)
    own.ptr = 2

    def on_its_own(work):
        def run():
            with own:
                work()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    for k in range(20):
        on_its_own(lambda: opt.step(g))
        on_its_own(lambda k=k: setattr(opt, "lr", 10.0**-k))
    fake_cupy.Device().synchronize()
    assert down(p)[0] == pytest.approx(-1 - sum(10.0**-k for k in range(19)), rel=1e-12)


@pytest.mark.parametrize("called", (False, True))
def test_memory_goes_back_after_the_replays_that_use_it(other, called):
    p, opt, graph = captured_on(other)
    graph.launch(other)
    if called:  # on another stream, which is then the last
        assert opt.step_count == 1
    graph.launch(other)
    del opt
    assert used_up(other, p) == -2
