"""On a GPU: the bits of the host, streams, graphs, and arrays past 2^31 elements."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import steepest as st
from runs import make, problem
from table import RULES, STAGES, STEP_STAGES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda d: d.__name__)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_rule_and_stage_gives_the_bits_of_the_host(cupy, rule, dtype):
    for stages, step_stages in zip(STAGES, (*STEP_STAGES, {}), strict=True):
        thetas, grads = problem(dtype, sizes=(100_003, 1, 0, 4097), steps=4)
        host, there = [t.copy() for t in thetas], [cupy.asarray(t) for t in thetas]
        a, b = make(rule, host, **stages), make(rule, there, **stages)
        for step in grads:
            a.step([g.copy() for g in step], **step_stages)
            b.step([cupy.asarray(g) for g in step], **step_stages)
        for x, y in zip(host, there, strict=True):
            assert x.tobytes() == cupy.asnumpy(y).tobytes()
        assert a.grad_norm == b.grad_norm and a.step_count == b.step_count


def test_a_captured_graph_sees_counts_and_rates_change(cupy):
    host, there = np.ones(5000), cupy.ones(5000)
    gradient = np.linspace(-1, 1, 5000)
    a, b = st.Adam(host), st.Adam(there)
    b.bind_grads(cupy.asarray(gradient))
    a.step(gradient)
    b.step()
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.get_current_stream().synchronize()
    with stream:
        stream.begin_capture()
        b.step()
        graph = stream.end_capture()
        for lr in (1e-3, 1e-2, 1e-4):
            a.lr = b.lr = lr
            a.step(gradient)
            graph.launch(stream)
        stream.synchronize()
        assert b.step_count == 4
    assert host.tobytes() == cupy.asnumpy(there).tobytes()


def test_a_rate_is_not_set_while_a_graph_is_captured(cupy):
    opt = st.SGD(cupy.ones(3), lr=0.1)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            with pytest.raises(ValueError, match="lr: cannot be set or read while"):
                opt.lr = 0.2
        finally:
            stream.end_capture()


def test_more_tensors_than_arguments_hold(cupy):
    host = [np.full(7, float(i)) for i in range(1000)]
    there = [cupy.asarray(x) for x in host]
    a, b = st.Adam(host), st.Adam(there)
    for k in range(3):
        a.step([x + k for x in host])
        b.step([x + k for x in there])
    for x, y in zip(host, there, strict=True):
        assert x.tobytes() == cupy.asnumpy(y).tobytes()


@pytest.mark.parametrize("clip", (False, True))
def test_many_short_tensors(cupy, clip):
    """So many that a block takes several at once."""
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(n) for n in rng.integers(1, 1500, 2500)]
    grads = [rng.standard_normal(x.size) for x in host]
    there, grads_there = [cupy.asarray(x) for x in host], [cupy.asarray(g) for g in grads]
    a, b = st.Adam(host), st.Adam(there)
    for _ in range(3):
        a.step(grads, max_norm=1.0 if clip else None)
        b.step(grads_there, max_norm=1.0 if clip else None)
    assert all(x.tobytes() == cupy.asnumpy(y).tobytes() for x, y in zip(host, there, strict=True))


@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda d: d.__name__)
def test_steps_that_follow_each_other_at_once(cupy, dtype):
    """The next one's blocks may be there before the last of this one's have ended."""
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(n).astype(dtype) for n in rng.integers(500, 1500, 4000)]
    grads = [rng.standard_normal(x.size).astype(dtype) for x in host]
    there, grads_there = [cupy.asarray(x) for x in host], [cupy.asarray(g) for g in grads]
    a, b = st.Adam(host, ema_decay=0.9), st.Adam(there, ema_decay=0.9)
    a.bind_grads(grads)
    b.bind_grads(grads_there)
    for k in range(60):
        a.step(max_norm=1.0 if k % 7 == 0 else None)
        b.step(max_norm=1.0 if k % 7 == 0 else None)
    assert all(x.tobytes() == cupy.asnumpy(y).tobytes() for x, y in zip(host, there, strict=True))
    assert a.step_count == b.step_count == 60 and a.grad_norm == b.grad_norm


@pytest.mark.parametrize("sizes", ([1000] * 4000, [10] * 10), ids=("4000x1000", "10x10"))
def test_constants_folded_early_are_not_used_once_they_are_old(cupy, sizes):
    """Rates, counts and gradients change between steps, which begin before the last has ended."""
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(n) for n in sizes]
    grads = [rng.standard_normal(n) for n in sizes]
    there, grads_there = [cupy.asarray(x) for x in host], [cupy.asarray(g) for g in grads]
    half = len(sizes) // 2
    groups = ([{"params": x[:half]}, {"params": x[half:]}] for x in (host, there))
    both = [st.NAdam(group, lr=0.01) for group in groups]
    for k in range(200):
        for opt, given in zip(both, (grads, grads_there), strict=True):
            if k % 50 == 0:
                some = [None if i % 7 == k // 50 else g for i, g in enumerate(given)]
                opt.bind_grads([some[:half], some[half:]])
            if k % 3 == 0:
                opt.param_groups[k % 2]["lr"] = 0.01 + 1e-5 * k
            opt.step()
    assert all(x.tobytes() == cupy.asnumpy(y).tobytes() for x, y in zip(host, there, strict=True))


def test_a_copy_goes_on_as_the_original_would(cupy):
    p, g = cupy.ones(5000), cupy.linspace(-1, 1, 5000)
    opt = st.Adam([p], ema_decay=0.9)
    opt.step([g], max_norm=1.0)
    other = copy.deepcopy(opt)
    assert other.grad_norm == opt.grad_norm > 1
    q = other.param_groups[0]["params"][0]
    assert q.data.ptr != p.data.ptr
    for one in (opt, other):
        one.step([g])
    assert bool((p == q).all()) and bool((opt.ema[0] == other.ema[0]).all())
    assert other.step_count == 2 and other.grad_norm == opt.grad_norm


@pytest.mark.parametrize("mode", (0, 1, 2), ids=("global", "thread_local", "relaxed"))
@pytest.mark.parametrize("n", (3, 1000))
def test_the_first_step_may_be_the_captured_one(cupy, n, mode):
    """Pointers and kernels are loaded then; more tensors than arguments hold have a table. A mode
    that is not relaxed forbids whatever may wait or allocate."""
    there = [cupy.zeros(9, np.float32) for _ in range(n)]
    grads = [cupy.ones(9, np.float32) for _ in range(n)]
    opt = st.SGD(there, lr=1.0)
    opt.bind_grads(grads)
    cupy.cuda.Device().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture(mode)
        try:
            opt.step(max_norm=1e9)
        finally:
            graph = stream.end_capture()
        for _ in range(3):
            graph.launch(stream)
        opt.step(grads)
        stream.synchronize()
        assert opt.step_count == 4 and opt.grad_norm == np.sqrt(9.0 * n)
    assert all(bool((p == -4).all()) for p in there)


def test_memory_order_does_not_matter(cupy):
    base, g = np.arange(12.0).reshape(3, 4), np.linspace(-1, 1, 12).reshape(3, 4)
    for view in (lambda x: x[::-1], lambda x: x.T, lambda x: x[:, ::-1].T):
        host, there = view(base.copy()), view(cupy.asarray(base))
        a, b = st.Adam(host, ema_decay=0.5), st.Adam(there, ema_decay=0.5)
        a.step(view(g))
        b.step(view(cupy.asarray(g)))
        assert host.tobytes() == cupy.asnumpy(there).tobytes()
        assert a.ema.tobytes() == cupy.asnumpy(b.ema).tobytes()


def test_a_step_runs_on_the_current_stream(cupy):
    """On a stream that waits for no other: what is filled there just before is seen."""
    p, g = cupy.zeros(1 << 24), cupy.zeros(1 << 24)
    opt = st.SGD(p, lr=1.0)
    cupy.cuda.Device().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        for k in range(1, 6):
            g.fill(k)
            opt.step(g)
            opt.step(g, max_norm=0.5 * k * 2**12)  # the norm is k * 2^12
    stream.synchronize()
    assert bool((p == -22.5).all())


def some_milliseconds(cupy):
    """An array that takes long to fill."""
    return cupy.empty(1 << 27 if cupy.__name__ == "cupy" else 1)


def busy(large):
    """Gives the current stream some milliseconds of work."""
    for _ in range(20):
        large.fill(0)


def test_calls_on_several_streams_keep_their_order(cupy):
    """Streams that do not block: rates, counts and a group come from another one than the steps."""
    from steepest import _cuda

    p, g, large = cupy.zeros(1000), cupy.ones(1000), some_milliseconds(cupy)
    opt, other = st.SGD(p, lr=1.0), cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    waits = _cuda.calls()[2]
    for rate in (10.0, 100.0):
        with other:
            busy(large)
            opt.step(g)
        opt.lr = rate
    with other:
        opt.step(g)
    assert _cuda.calls()[2] == waits
    assert opt.step_count == 3
    with other:
        assert bool((p == -111).all())
        busy(large)
        opt.step(g)
    opt.add_param_group({"params": cupy.zeros(3)})
    with other:
        opt.step([g, None])
    assert opt.step_count == opt.state_dict()["state"][0]["step"] == 5


def test_calls_on_default_streams_of_threads_keep_their_order(cupy, true_device):
    """They have one handle."""
    p, g, large = cupy.zeros(1000), cupy.ones(1000), some_milliseconds(cupy)
    opt = st.SGD(p, lr=1.0)
    cupy.cuda.Device().synchronize()

    def step():
        with cupy.cuda.Stream.ptds:
            busy(large)
            opt.step(g)

    with ThreadPoolExecutor(1) as thread:
        for rate in (10.0, 100.0):
            thread.submit(step).result()
            with cupy.cuda.Stream.ptds:
                opt.lr = rate
        thread.submit(step).result()
        assert opt.step_count == 3
    assert bool((p == -111).all())


def test_replays_are_in_order_with_rates_set_on_another_stream(cupy):
    p, g, large = cupy.zeros(1000), cupy.ones(1000), some_milliseconds(cupy)
    opt, other = st.SGD(p, lr=1.0), cupy.cuda.Stream(non_blocking=True)
    opt.bind_grads(g)
    cupy.cuda.Device().synchronize()
    with other:
        other.begin_capture()
        opt.step()
        graph = other.end_capture()
    for rate in (1.0, 10.0, 100.0):
        opt.lr = rate
        with other:
            busy(large)
        graph.launch(other)
    assert opt.step_count == 3
    with other:
        assert bool((p == -111).all())


def test_memory_goes_back_on_the_stream_that_it_is_of(cupy, true_device):
    """malloc_async frees on that, or where it is gone on the current one."""
    p, g, large = cupy.zeros(1000), cupy.ones(1000), some_milliseconds(cupy)
    cupy.cuda.Device().synchronize()
    for k in range(1, 20):
        with cupy.cuda.using_allocator(cupy.cuda.malloc_async):
            stream = cupy.cuda.Stream(non_blocking=True)
            with stream:
                opt = st.SGD(p, lr=1.0)
                busy(large)
                opt.step(g)
            del stream, opt
            others = [cupy.full(n, 255, np.uint8) for n in (256, 512, 1024, 2048, 4096)]
            cupy.cuda.Device().synchronize()
            del others
        assert bool((p == -k).all())


def test_a_gradient_that_is_not_aligned_leaves_the_device_in_use(cupy):
    p = cupy.ones(5)
    opt = st.SGD(p, lr=0.5)
    bad = cupy.zeros(41, np.uint8)[1:].view(np.float64)
    for give in (opt.step, opt.bind_grads):
        with pytest.raises(ValueError, match="grads: not aligned to its elements"):
            give(bad)
    opt.step(bad.view("u1").copy().view(bad.dtype))  # bad.copy() is a kernel that reads doubles
    opt.step(cupy.ones(5))
    assert p.tolist() == [0.5] * 5


def test_a_state_of_the_host_is_loaded_without_memory(cupy, true_device):
    n = 1 << 20
    host, p, pool = np.ones(n), cupy.ones(n), cupy.get_default_memory_pool()
    a, b = st.Adam(host, lr=0.5), st.Adam(p)
    a.step(np.linspace(-1, 1, n))
    b.step(p.copy())
    pool.free_all_blocks()
    limit = pool.get_limit()
    pool.set_limit(size=pool.total_bytes() + 1000)
    try:
        b.load_state_dict(a.state_dict())
    finally:
        pool.set_limit(size=limit)
    assert b.lr == 0.5
    mine, other = a.state_dict()["state"][0], b.state_dict()["state"][0]
    for name in ("exp_avg", "exp_avg_sq"):
        assert mine[name].tobytes() == cupy.asnumpy(other[name]).tobytes()


@pytest.mark.parametrize("by", ("event", "default stream"))
def test_a_step_waits_for_what_its_stream_waits_for(cupy, true_device, by):
    """It is launched early, after its stream's last kernel; other streams' work is due as well."""
    p, g, large = cupy.zeros(1 << 20), cupy.zeros(1 << 20), some_milliseconds(cupy)
    opt = st.SGD(p, lr=1.0)
    opt.step(g)
    cupy.cuda.Device().synchronize()
    other = cupy.cuda.Stream(non_blocking=by == "event")
    own = cupy.cuda.Stream(non_blocking=True) if by == "event" else cupy.cuda.Stream.null
    for k in range(1, 4):
        with own:
            p += 0
        with other:
            for _ in range(10):  # some milliseconds
                large.fill(k)
            g.fill(k)
        with own:
            if by == "event":
                own.wait_event(other.record())
            opt.step(g)
        if by == "event":
            other.wait_event(own.record())
    cupy.cuda.Device().synchronize()
    assert bool((p == -6).all())


def test_functions_of_python_in_the_stream(cupy, true_device):
    """They want the GIL, while a step or a number waits for the device: more steps than a stream
    takes before it lets the host wait."""
    p, g, large = cupy.zeros(100), cupy.ones(100), some_milliseconds(cupy)
    opt, called = st.SGD(p, lr=1.0), []
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        large.fill(0)
        stream.launch_host_func(called.append, "first")
        opt.step(g, max_norm=5.0)
        assert opt.grad_norm == 10 and called == ["first"]
        for _ in range(100):
            large.fill(0)
        stream.launch_host_func(called.append, "second")
        for _ in range(5000):
            opt.step(g)
    stream.synchronize()
    assert called == ["first", "second"] and bool((p == -5000.5).all())


def test_tensors_of_pytorch(cupy):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    p, g = torch.ones(5, device="cuda"), torch.ones(5, device="cuda")
    st.SGD([p], lr=0.5).step([g])
    st.SGD([p.requires_grad_()], lr=0.5).step([g])
    assert p.tolist() == [0.0] * 5
    with pytest.raises(TypeError, match="does not export its device memory"):
        st.SGD([2 * p], lr=0.5)


def test_no_memory_leaves_no_optimizer(cupy, true_device):
    p, pool = cupy.ones(1 << 20), cupy.get_default_memory_pool()
    pool.free_all_blocks()
    limit = pool.get_limit()
    pool.set_limit(size=pool.total_bytes() + 1000)
    try:
        with pytest.raises(MemoryError):
            st.Adam(p)
    finally:
        pool.set_limit(size=limit)
    st.Adam(p).step(p.copy())


def test_arrays_and_streams_of_another_device(cupy, true_device):
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    p, g = cupy.ones(3), cupy.ones(3)
    with cupy.cuda.Device(1):
        other, stream = cupy.ones(3), cupy.cuda.Stream(non_blocking=True)
        elsewhere = st.SGD(cupy.ones(3), lr=0.5)
    opt = st.SGD(p, lr=0.5)
    with pytest.raises(ValueError, match="lives on CUDA device 1, but the parameter on CUDA dev"):
        opt.step(other)
    elsewhere.step(other)  # while device 0 is the current one
    foreign = (
        cupy.cuda.Stream.from_external(stream)
        if hasattr(cupy.cuda.Stream, "from_external")
        else cupy.cuda.ExternalStream(stream.ptr)
    )
    with foreign, pytest.raises(st.BackendError, match="CUDA error"):
        opt.step(g)
    opt.step(g)
    assert opt.step_count == elsewhere.step_count == 1


def test_the_device_need_not_be_the_current_one(cupy, true_device):
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    values, g = np.ones(5000), np.linspace(-1, 1, 5000)
    with cupy.cuda.Device(1):
        p, there, points = cupy.asarray(values), cupy.asarray(g), cupy.linspace(0, 1, 50)
    a, b = st.Nesterov(values, lr=0.1, ema_decay=0.5), st.Nesterov(p, lr=0.1, ema_decay=0.5)
    a.step(g)
    b.step(there)
    b.load_state_dict(b.state_dict())
    for x, y in ((values, p), (a.ema, b.ema), (a.iterates(), b.iterates())):
        assert y.device.id == 1 and x.tobytes() == cupy.asnumpy(y).tobytes()
    with cupy.cuda.Device(1):
        x0 = cupy.ones(1)
    fit = st.least_squares(lambda x: cupy.exp(x * points) - 2, x0, loss="soft_l1")
    assert fit.success and fit.x.device.id == fit.fun.device.id == fit.jac.device.id == 1


@pytest.mark.parametrize("clip", (False, True))
def test_past_two_to_the_31_elements(cupy, true_device, clip):
    n = 2**31 + 16
    cupy.get_default_memory_pool().free_all_blocks()
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free < 9 * n:
        pytest.skip(f"{9 * n} bytes are due, {free} are free")
    p, g = cupy.zeros(n, np.float32), cupy.ones(n, np.float32)
    opt = st.SGD(p, lr=1.0)
    opt.step(g, max_norm=float(np.sqrt(n)) / 2 if clip else None)
    assert bool((p == (-0.5 if clip else -1)).all())
    assert not clip or opt.grad_norm == np.sqrt(n)
