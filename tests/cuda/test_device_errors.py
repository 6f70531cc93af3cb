"""What optimizers on a device refuse, and that nothing is changed then."""

from __future__ import annotations

import sys

import fake_cupy
import numpy as np
import pytest
from device_problems import misaligned

import steepest as st

pytestmark = pytest.mark.usefixtures("device")

LAUNCH = r"cudaLaunchKernel: CUDA error 400 \(cudaErrorInvalidResourceHandle\): invalid resource"
NO_DRIVER = (
    "cudaGetDeviceCount: CUDA error 35 (cudaErrorInsufficientDriver): "
    "CUDA driver version is insufficient for CUDA runtime version"
)


def there(array, device=0):
    return fake_cupy.ndarray(np.array(array, np.float64), device)


class Exporter:
    """Another library's device array."""

    def __init__(self, read_only=False, refusal=None):
        self.memory, self.read_only, self.refusal = np.ones(3), read_only, refusal

    @property
    def __cuda_array_interface__(self):
        if self.refusal is not None:
            raise self.refusal
        pointer = self.memory.ctypes.data, self.read_only
        return {"shape": (3,), "typestr": "<f8", "data": pointer, "version": 3}

    def __dlpack_device__(self):
        return (2, 0)


def test_exporters_are_updated_in_place():
    p, g = Exporter(), Exporter()
    opt = st.SGD([p], lr=0.5)
    opt.step([g])
    opt.step([there(np.ones(3))])
    fake_cupy.cuda.Device().synchronize()
    assert p.memory.tolist() == [0.0, 0.0, 0.0]


def test_read_only_exporters_are_gradients_only():
    with pytest.raises(ValueError, match=r"params\[0\]: read-only; pass a writeable array"):
        st.SGD([Exporter(read_only=True)], lr=0.5)
    p = there(np.ones(3))
    st.SGD([p], lr=0.5).step([Exporter(read_only=True)])
    assert p.held.tolist() == [0.5, 0.5, 0.5]


def test_an_exporter_that_refuses_is_quoted():
    refusal = RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")
    with pytest.raises(TypeError, match="params: this Exporter does not export.*requires grad"):
        st.SGD(Exporter(refusal=refusal), lr=0.5)


class Leaf(Exporter):
    """A parameter of PyTorch's, which exports its memory once it is detached."""

    requires_grad = is_leaf = True

    def __init__(self):
        super().__init__(refusal=RuntimeError("Can't get it on Variable that requires grad."))
        self.detached = Exporter()

    def detach(self):
        return self.detached


def test_a_leaf_that_requires_grad_is_updated_in_place():
    p = Leaf()
    st.SGD([p], lr=0.5).step([Exporter()])
    fake_cupy.cuda.Device().synchronize()
    assert p.detached.memory.tolist() == [0.5, 0.5, 0.5]


def test_host_and_device_are_told_apart_in_every_place():
    p, host = there(np.ones(3)), np.ones(3)
    with pytest.raises(
        ValueError, match=r"params\[1\]: lives on CUDA device 0, but params\[0\] on"
    ):
        st.SGD([host, p], lr=0.1)
    with pytest.raises(
        ValueError, match=r"params\[1\]: lives on the host, but params\[0\] on CUDA"
    ):
        st.SGD([p, host], lr=0.1)
    opt = st.SGD([p], lr=0.1)
    for give in (opt.step, opt.bind_grads):
        with pytest.raises(ValueError, match=r"grads\[0\]: lives on the host, but the parameter"):
            give([host])
    with pytest.raises(ValueError, match=r'params\[1\]\["params"\]: lives on the host, but params'):
        opt.add_param_group({"params": host})
    mine = st.SGD([host], lr=0.1)
    for give in (mine.step, mine.bind_grads):
        with pytest.raises(ValueError, match=r"grads\[0\]: lives on CUDA device 0, but the param"):
            give([p])
    with pytest.raises(ValueError, match="exp_avg: lives on the host, but the parameter on CUDA"):
        st.functional.lion(p, there(np.ones(3)), host, step=1, lr=0.1)
    assert p.held.tolist() == host.tolist() == [1.0, 1.0, 1.0]
    assert opt.step_count == mine.step_count == 0 and len(opt.param_groups) == 1


def test_a_gradient_on_another_device_is_refused():
    p, g = there(np.ones(3)), there(np.ones(3), device=1)
    opt = st.SGD([p], lr=0.1)
    for give in (opt.step, opt.bind_grads):
        with pytest.raises(ValueError, match=r"grads\[0\]: lives on CUDA device 1, but the parame"):
            give([g])
    assert p.held.tolist() == [1.0, 1.0, 1.0] and opt.step_count == 0


@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda d: d.__name__)
def test_a_gradient_that_is_not_aligned_is_refused(dtype):
    """A kernel that reads it faults, and the process has no device any more."""
    params = [fake_cupy.ndarray(np.ones(3, dtype)) for _ in range(2)]
    good, bad = fake_cupy.ndarray(np.ones(3, dtype)), misaligned(np.ones(3, dtype))
    opt = st.SGD(params, lr=0.5)
    opt.bind_grads([good, None])
    for give in (opt.step, opt.bind_grads):
        with pytest.raises(ValueError, match=r"grads\[1\]: not aligned to its elements; pass a co"):
            give([good, bad])
    with pytest.raises(ValueError, match=r"grads\[1\]: not aligned to its elements"):
        opt.step([good, bad], max_norm=1.0)
    assert opt.step_count == 0
    opt.step()
    assert [p.held.tolist() for p in params] == [[0.5] * 3, [1.0] * 3]
    with pytest.raises(RuntimeError, match="misaligned"):  # as said in the message
        bad.copy()
    opt.step([good, bad.view("u1").copy().view(bad.dtype)])
    assert [p.held.tolist() for p in params] == [[0.0] * 3, [0.5] * 3]


@pytest.mark.parametrize("dtype", ("f2", "c8", "i8", ">f8", "?"))
def test_dtypes_without_a_kernel(dtype):
    other = fake_cupy.ndarray(np.ones(3, dtype))
    with pytest.raises(TypeError, match="params: dtype .*; expected float32 or float64"):
        st.Adam(other)
    p = there(np.ones(3))
    opt = st.Adam(p)
    with pytest.raises(TypeError, match="grads: dtype .*; expected float32 or float64"):
        opt.step(other)
    assert opt.step_count == 0 and p.held.tolist() == [1.0, 1.0, 1.0]


def test_no_driver_and_none_that_is_new_enough(hooks):
    hooks.simulated_no_device(NO_DRIVER.encode())
    with pytest.raises(st.BackendError) as caught:
        st.SGD([Exporter()], lr=0.1)
    due = "params[0]: this Exporter lives on a GPU, and no device is usable: " + NO_DRIVER
    assert str(caught.value) == due + "; CUDA 13 needs driver 580 or newer"


def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(st.BackendError, match=r"lives on a GPU, and CuPy cannot be imported"):
        st.SGD([Exporter()], lr=0.1)


@pytest.mark.parametrize("allocations", (0, 1, 2))
def test_no_memory_changes_nothing(allocations):
    """However far it comes: the states, the mean, and the plan's own table."""
    p = there(np.ones(3))
    fake_cupy.left[0] = allocations
    with pytest.raises(MemoryError, match="Out of memory allocating"):
        st.Adam(p, ema_decay=0.9)
    fake_cupy.left[0] = False
    opt, q = st.Adam([p], ema_decay=0.9), there(np.ones(3))
    fake_cupy.left[0] = allocations
    with pytest.raises(MemoryError, match="Out of memory allocating"):
        opt.add_param_group({"params": q})
    fake_cupy.left[0] = False
    assert len(opt.param_groups) == 1 and len(opt.state_dict()["state"]) == 1
    opt.step([there(np.ones(3))])
    opt.add_param_group({"params": q})
    opt.step([[there(np.ones(3))], there(np.ones(3))])
    assert opt.step_count == 2 and (q.held != 1).all()


@pytest.mark.parametrize("home", ("here", "there", "elsewhere"))
def test_a_state_is_loaded_without_memory(home):
    """Or not at all: where arrays run backwards, it has to be copied first."""
    put = {"here": np.array, "there": there, "elsewhere": lambda x: there(x, 1)}[home]
    for backwards in (False, True):
        views = [lambda x: x, lambda x: x.T, *[lambda x: x[::-1]] * backwards]
        due = st.Adam([view(np.ones((2, 3))) for view in views], lr=0.5)
        opt = st.Adam([view(there(np.ones((2, 3)))) for view in views], lr=0.1)
        due.step([view(np.full((2, 3), 2.0)) for view in views])
        opt.step([view(there(np.ones((2, 3)))) for view in views])
        old, state = opt.state_dict(), due.state_dict()
        for entry in state["state"].values():
            entry.update({k: put(v) for k, v in entry.items() if k.startswith("exp")})
        fake_cupy.left[0] = 0
        if backwards and home != "there":
            with pytest.raises(MemoryError, match="Out of memory allocating"):
                opt.load_state_dict(state)
        else:
            opt.load_state_dict(state)
        fake_cupy.left[0] = False
        now, failed = opt.state_dict(), backwards and home != "there"
        assert (opt.lr, opt.step_count) == ((0.1, 1) if failed else (0.5, 1))
        for i, entry in now["state"].items():
            for k in ("exp_avg", "exp_avg_sq"):
                want = old["state"][i][k].held if failed else due.state_dict()["state"][i][k]
                assert entry[k].held.tolist() == want.tolist()


@pytest.mark.parametrize("options, launches", (({}, 1), (dict(max_norm=1.0), 2)))
def test_a_launch_that_fails_is_no_step(hooks, options, launches):
    """Of a stream that is another device's, say."""
    for after in range(launches):
        p = there(np.ones(3))
        opt = st.Adam(p, lr=0.1)
        hooks.simulated_fail_after(after)
        with pytest.raises(st.BackendError, match=LAUNCH):
            opt.step(there(np.ones(3)), **options)
        hooks.simulated_fail_after(-1)
        assert p.held.tolist() == [1.0, 1.0, 1.0] and opt.step_count == 0
        opt.step(there(np.ones(3)), **options)
        host = np.ones(3)
        st.Adam(host, lr=0.1).step(np.ones(3), **options)
        assert p.held.tobytes() == host.tobytes() and opt.step_count == 1


def test_a_hyperparameter_that_cannot_be_written_is_not_set(hooks):
    p = there(np.ones(3))
    opt = st.SGD(p, lr=0.1)
    hooks.simulated_fail_after(0)
    for rate in (0.5, lambda step: 0.5):
        with pytest.raises(st.BackendError, match=LAUNCH):
            opt.lr = rate
    hooks.simulated_fail_after(-1)
    assert opt.lr == 0.1
    opt.add_param_group({"params": there(np.ones(3))})  # all groups are written again
    assert opt.lr == 0.1  # of the new one, too
    opt.step([there(np.ones(3)), None])
    assert p.held.tolist() == [0.9, 0.9, 0.9]


def test_a_group_is_not_added_while_a_graph_is_captured(hooks):
    p, q, ones = there(np.ones(3)), there(np.ones(3)), there(np.ones(3))
    opt = st.SGD([p], lr=0.1)
    opt.bind_grads([ones])
    hooks.simulated_capture(1, None)
    with pytest.raises(ValueError, match="a plan's table: cannot be set or read while a CUDA gr"):
        opt.add_param_group({"params": q})
    opt.step()  # into the graph
    hooks.simulated_capture(0, None)
    assert len(opt.param_groups) == 1
    opt.add_param_group({"params": q})
    opt.step([[ones], ones])
    assert p.held.tolist() == q.held.tolist() == [0.9, 0.9, 0.9]


@pytest.mark.parametrize("ema", (None, 0.9))
def test_nothing_is_made_while_a_graph_is_captured(hooks, ema):
    """What fills a state would be in the graph, over memory that has gone back to the pool."""
    p = there(np.ones(3))
    opt = st.Adam(p, ema_decay=ema)
    hooks.simulated_capture(1, None)
    fake_cupy.left[0] = 0
    for make in (lambda: st.Adam(p, ema_decay=ema), lambda: opt.add_param_group({"params": p + 1})):
        with pytest.raises(
            ValueError, match="a plan's table: cannot be set or read while a CUDA gr"
        ):
            make()
    fake_cupy.left[0] = False
    hooks.simulated_capture(0, None)
    assert len(opt.param_groups) == 1
    st.Adam(p, ema_decay=ema).step(there(np.ones(3)))


def test_memory_order_does_not_matter():
    """States and means lie in memory as the parameter does, also where it runs backwards."""
    base = np.arange(12.0).reshape(3, 4)
    for view in (lambda x: x[::-1], lambda x: x.T, lambda x: x[:, ::-1].T, lambda x: x[::-1, ::-1]):
        host, device = view(base.copy()), fake_cupy.ndarray(view(base.copy()))
        g = view(np.linspace(-1, 1, 12).reshape(3, 4))
        a, b = st.Adam(host, ema_decay=0.5), st.Adam(device, ema_decay=0.5)
        for _ in range(2):
            a.step(g)
            b.step(fake_cupy.ndarray(g))
        assert host.tobytes() == device.held.tobytes()
        assert a.ema.tobytes() == b.ema.held.tobytes()
        mine, other = a.state_dict()["state"][0], b.state_dict()["state"][0]
        assert mine["exp_avg"].tobytes() == other["exp_avg"].held.tobytes()
