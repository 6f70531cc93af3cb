"""How often a fit on the simulated device waits, and on which streams it asks for what."""

from __future__ import annotations

import ctypes
import weakref
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace

import fake_cupy
import numpy as np
import pytest
from device_problems import decay, down, there, up

import steepest as st
from problems import boxes

pytestmark = pytest.mark.usefixtures("libraries_to_be_found")


def waits_of_each_answer(device, s, fun, jac):
    """By iteration: what the residuals and the Jacobian made the device do."""

    def counted(call, *args):
        before = device.calls()
        call(*args)
        return [b - a for a, b in zip(before, device.calls(), strict=True)]

    counts = []
    while not s.done:
        nit, f, J = s.nit, there(fun)(s.x), there(jac)(s.x)
        residual, linearization = counted(s._solver.tell_residual, f), None
        if s._solver.phase == 1:
            linearization = counted(s._solver.tell_jacobian, J)
        counts.append((nit, residual, linearization))
    return counts


@pytest.mark.parametrize("method", ("lm", "levenberg", "gn"))
@pytest.mark.parametrize("loss", ("linear", "cauchy"))
def test_an_iteration_waits_twice(device, method, loss):
    """Once for the cost, which decides whether J is asked for, and once for what J makes of x.

    The numbers that come with the second: gradient, norms, the undamped step with its product, the
    factor's diagonal and whether there is one.
    """
    fun, jac, _ = decay()
    x0 = np.array([1.8, 1.4, 0.4])  # from where no step is held back
    counts = waits_of_each_answer(
        device, st.LeastSquares(up(x0), method=method, loss=loss), fun, jac
    )
    assert len(counts) >= 4 and all(J is not None for _, _, J in counts)
    assert all(waits == 1 for _, (_, _, waits), _ in counts)
    # the first step of the damped methods is λ₀'s, and waits for the norms that D is made of, and
    # for what a loss leaves of them
    first = 1 if method == "gn" else 2 if loss == "linear" else 3
    assert [waits for _, _, (_, _, waits) in counts] == [first] + (len(counts) - 1) * [1]
    assert all(launches <= (7 if loss == "linear" else 12) for _, _, (launches, _, _) in counts)


def valley():
    """Rosenbrock's residuals and their Jacobian."""
    return (
        lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]),
        lambda x: np.array([[-20 * x[0], 10], [-1, 0.0]]),
    )


def test_a_step_that_is_held_back_waits_once_for_each_damping(device):
    """The undamped step from a point is asked for once, however often used."""
    fun, jac = valley()
    s = st.LeastSquares(up([-5.0, 1.0]))
    s._solver.set_look_ahead(False)
    counts = waits_of_each_answer(device, s, fun, jac)
    after = [(residual, J) for nit, residual, J in counts if nit > 0]
    tried = [(J if J is not None else residual)[2] - 1 for residual, J in after]
    assert set(tried) == {0, 1, 2}  # dampings
    for k, (residual, J) in zip(tried, after, strict=True):
        if J is None:
            assert residual == [1 + 5 * k, k, 1 + k]
        else:
            assert (residual, J) == ([1, 0, 1], [5 + 5 * k, 1 + k, 1 + k])


def test_residuals_ahead_of_a_step_wait_three_times(device):
    """For their cost, the curvature, and the step corrected by it."""
    fun, jac = valley()
    points, counts = {}, {}
    for ahead in (False, True):
        s, points[ahead] = st.LeastSquares(up([-5.0, 1.0])), []
        s._solver.set_look_ahead(ahead)

        def watched(x, seen=points[ahead]):
            seen.append(tuple(x))
            return fun(x)

        counts[ahead] = waits_of_each_answer(device, s, watched, jac)
    # up to the first that is asked for ahead of a step, both are told of the same points
    k = [a == b for a, b in zip(points[False], points[True], strict=False)].index(False)
    nit, (_, _, waits), J = counts[True][k]
    assert (nit, waits, J) == (6, 3, None)


@pytest.mark.parametrize("linear_solver", ("cholesky", "qr", "cg"))
def test_looking_ahead_in_a_box(linear_solver):
    """A corrected step is solved for on the free variables alone, by the factor at hand."""
    fun, x0, jac, lower, upper = boxes.faster_decays()
    options = {"bounds": (lower, upper), "linear_solver": linear_solver}
    got = st.least_squares(there(fun), up(x0), there(jac), **options)
    want = st.least_squares(fun, x0, jac, **options)
    assert got.success and got.cost < 1e-15 and got.nfev > 1.2 * got.njev
    assert abs(got.njev - want.njev) < 0.2 * want.njev


def test_everything_is_asked_of_the_current_stream(hooks, libraries):
    fun, jac, x0 = decay()
    with fake_cupy.Stream(non_blocking=True) as stream:
        hooks.simulated_only_stream()
        fit = st.least_squares(there(fun), up(x0), there(jac), loss="cauchy", verbose=0)
        assert down(fit.fun).shape == (40,) and down(fit.covariance()).shape == (3, 3)
        assert hooks.simulated_only_stream() == stream.ptr
    for name in ("libcublas.so.13", "libcusolver.so.12"):
        fake = ctypes.CDLL(libraries / name)
        fake.fake_stream.restype = ctypes.c_int64
        assert fake.fake_stream() == stream.ptr


def test_whoever_may_wait_for_the_device_gives_up_the_gil(hooks, tmp_path):
    """A function of Python's in a stream (launch_host_func) wants it; launches wait for it, too."""
    hooks.simulated_asked_with_gil()
    p, g = up(np.ones(5000)), up(np.linspace(-1, 1, 5000))
    opt = st.Adam(p, lr=lambda step: 1e-3, ema_decay=0.5)
    opt.step(g, max_norm=1.0, nonfinite="raise")
    opt.bind_grads(g)
    opt.step()
    opt.add_param_group({"params": up(np.ones(3)), "lr": 0.1})
    opt.step([g, None], nonfinite="skip")
    opt.param_groups[1]["weight_decay"] = 0.5
    opt.load_state_dict(opt.state_dict())
    opt.save(tmp_path / "state.npz")
    assert (opt.step_count, opt.skipped) == (3, 0) and opt.grad_norm > 0
    fun, jac, x0 = decay()
    for solver in ("cholesky", "qr", "cg"):
        fit = st.least_squares(there(fun), up(x0), there(jac), linear_solver=solver, loss="cauchy")
        assert fit.success and down(fit.covariance()).shape == (3, 3)
    assert hooks.simulated_asked_with_gil() == 0


def test_who_used_several_streams_waits_before_memory_goes_back(device):
    """CuPy hands it out again on the stream that it was allocated on; one that is gone is kept."""
    fun, jac, x0 = decay()
    s = st.LeastSquares(up(x0))
    f, J = there(fun)(up(x0)), there(jac)(up(x0))

    def waits(call):
        before = device.calls()[2]
        call()
        return device.calls()[2] - before

    s.tell(f, J)
    stream = fake_cupy.Stream(non_blocking=True)
    kept = weakref.ref(stream)
    with stream:
        assert waits(s._solver.fun) == 1  # for what the other stream was asked
    del stream
    assert kept() is not None
    assert waits(lambda: delattr(s, "_solver")) == 1
    assert kept() is None


def test_a_call_that_is_refused_is_not_on_its_stream(device):
    """The stream that has the work is there until it has been waited for."""
    fun, jac, x0 = decay()
    s = st.LeastSquares(up(x0))
    with fake_cupy.Stream(non_blocking=True) as stream:
        s.tell(there(fun)(s.x), there(jac))
    waits_at_its_end = []
    weakref.finalize(stream, lambda: waits_at_its_end.append(device.calls()[2]))
    del stream
    with fake_cupy.Stream(non_blocking=True) as captured:
        captured.begin_capture()
        with pytest.raises(ValueError, match="cannot run while a CUDA graph is captured"):
            s._solver.fun()
        captured.end_capture()
    before = device.calls()[2]
    with fake_cupy.Stream():
        s._solver.fun()
    assert waits_at_its_end == [before + 1]


def test_memory_that_has_served_in_another_stream_waits_before_it_goes_back(device):
    """It is freed for the stream that it was allocated on, while blocks before are still summed."""
    fun, jac, x0 = decay()

    def waits_of_blocks(first, second):
        with first:
            s = st.LeastSquares(up(x0))._solver
            s.begin_blocks()
        counts = []
        for stream, m in ((first, 5), (second, 3), (second, 7)):
            with stream:
                before = device.calls()[2]
                s.add_block(up(fun(x0)[:m]), up(jac(x0)[:m]))
                counts.append(device.calls()[2] - before)
        return counts

    here, there = fake_cupy.Stream(), fake_cupy.Stream()
    assert waits_of_blocks(here, here) == [1, 1, 1]
    assert waits_of_blocks(here, there) == [1, 2, 2]  # for the move; for room for more rows


@pytest.mark.parametrize("linear_solver", ("cholesky", "qr"))
def test_a_block_is_read_before_its_stream_makes_the_next(linear_solver):
    """In the same memory; the host does not wait for it."""
    fun, jac, x0 = decay()
    f, J = up(np.zeros(8)), up(np.zeros((8, 3)))

    def blocks(x):
        for rows in np.split(np.arange(40), 5):
            f[...], J[...] = up(fun(x.held)[rows]), up(jac(x.held)[rows])
            yield f, J

    with fake_cupy.Stream(non_blocking=True):
        fit = st.least_squares(blocks, up(x0), True, linear_solver=linear_solver, loss="cauchy")
        want = st.least_squares(fun, x0, jac, loss="cauchy")
        np.testing.assert_allclose(down(fit.x), want.x, rtol=1e-6)


def test_who_leaves_work_half_done_waits_before_its_handles_go_on(device):
    """The libraries' handles, which the next solver takes, and workspace on the host."""
    fun, jac, x0 = decay()
    f, J = up(fun(x0)), up(jac(x0))

    def waits_at_its_end(told):
        s = st.LeastSquares(up(x0), linear_solver="qr")
        told(s._solver)
        before = device.calls()[2]
        del s
        return device.calls()[2] - before

    def blocks(s):
        s.begin_blocks()
        s.add_block(f, J)

    def no_memory(s):
        s.tell_residual(f)
        fake_cupy.left[0] = 3
        try:
            with pytest.raises(MemoryError):
                s.tell_jacobian(J)
        finally:
            fake_cupy.left[0] = False

    def whole(s):
        s.tell_residual(f)
        s.tell_jacobian(J)

    assert [*map(waits_at_its_end, (whole, blocks, no_memory))] == [0, 1, 1]


def test_threads_have_default_streams_of_their_own(device):
    """By the same handle (CUPY_CUDA_PER_THREAD_DEFAULT_STREAM); only all can be waited for."""

    def waits_at_its_end(*threads):
        opt = st.SGD(up(np.ones(3)), lr=0.1)
        for thread in threads:
            thread.submit(opt.step, up(np.ones(3))).result()
        before = device.calls()[2]
        del opt
        return device.calls()[2] - before

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        fake_cupy.Stream.current.append(SimpleNamespace(ptr=2))
        try:
            assert waits_at_its_end() == 0
            assert waits_at_its_end(one, other) == 1
        finally:
            fake_cupy.Stream.current.pop()
        assert waits_at_its_end(one, other) == 0


def test_a_solver_goes_on_in_another_thread(device):
    """Whose default stream has the same handle; all are waited for then, as one cannot be."""
    fun, jac, x0 = decay()
    s = st.LeastSquares(up(x0))
    s.tell(there(fun)(s.x), there(jac))

    def waits():
        before = device.calls()[2]
        s._solver.fun()
        return device.calls()[2] - before

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        assert [t.submit(waits).result() for t in (one, other)] == [0, 0]
        fake_cupy.Stream.current.append(SimpleNamespace(ptr=2))
        try:
            assert [t.submit(waits).result() for t in (one, one, other, one)] == [1, 0, 1, 1]
        finally:
            fake_cupy.Stream.current.pop()
        assert [t.submit(waits).result() for t in (other, one)] == [1, 0]


@pytest.mark.parametrize("name, given", [("put_state", [{}, None]), ("x", []), ("point", [])])
def test_who_reads_waits_for_who_tells(name, given, monkeypatch):
    """A call moves arrays about, without the GIL."""
    fun, jac, x0 = decay()
    others, reads, early, allocate = [], [], [], fake_cupy.cuda.alloc

    def alloc(n):  # in the midst of a call
        for other in others:
            reads.append(other.submit(getattr(s._solver._core, name), *given))
            early.extend(wait(reads, 0.1).done)
        return allocate(n)

    monkeypatch.setattr(fake_cupy.cuda, "alloc", alloc)
    s = st.LeastSquares(up(x0))
    f = there(fun)(s.x)
    with ThreadPoolExecutor(1) as other:
        others.append(other)
        s._solver.tell_residual(f)
        assert reads and not early
    assert all(read.result() is not None or given[0] for read in reads)


def test_not_while_a_graph_is_captured():
    fun, jac, x0 = decay()
    s = st.LeastSquares(up(x0))
    with fake_cupy.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        try:
            with pytest.raises(ValueError, match="cannot run while a CUDA graph is captured"):
                s.tell(there(fun)(s.x), there(jac))
            with pytest.raises(ValueError, match="cannot run while a CUDA graph is captured"):
                st.LeastSquares(up(x0))
        finally:
            stream.end_capture()
    s.tell(there(fun)(s.x), there(jac))
    with fake_cupy.Stream(non_blocking=True) as last:
        s.tell(there(fun)(s.x), there(jac))
    last.begin_capture()
    try:
        with pytest.raises(ValueError, match="cannot go on in another stream while the last one"):
            s.tell(there(fun)(s.x), there(jac))
    finally:
        last.end_capture()
    while not s.done:
        s.tell(there(fun)(s.x), there(jac))
    assert s.result().success
    s = st.LeastSquares(up(x0))
    s.tell_normal(1.0, up(np.eye(3)), up(np.ones(3)))
    with stream:
        stream.begin_capture()
        try:
            with pytest.raises(ValueError, match="cannot run while a CUDA graph is captured"):
                s._solver.gram()
        finally:
            stream.end_capture()
    assert s._solver.gram()[1].shape == (3, 3)
