"""Arrays of others: PyTorch's CPU tensors, DLPack capsules, __array_interface__."""

from __future__ import annotations

import copy
import ctypes
import pickle
import weakref

import numpy as np
import pytest

import steepest as st
from refusals import says
from steepest import _cpu
from steepest.devices import lives_on_cuda


class Dlpack:
    """The least exporter: hands on the capsule of an array."""

    device = (1, 0)

    def __init__(self, array, versioned=True):
        self.array, self.versioned = array, versioned

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, max_version=None, **rest):
        return self.array.__dlpack__(max_version=(1, 0) if self.versioned else None)


class OnGpu(Dlpack):
    device = (2, 0)


class Interface:
    """The least exporter of ``__array_interface__``."""

    def __init__(self, array):
        self.array = array

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


class BrokenInterface:
    __array_interface__ = {"shape": (2,), "typestr": "?!", "version": 3}


class CudaInterface:
    __cuda_array_interface__ = {"shape": (2,), "typestr": "<f4", "data": (16, False), "version": 3}


OLD = np.lib.NumpyVersion(np.__version__) < "2.2.5"
EXPORTERS = [
    pytest.param(
        Dlpack,
        marks=pytest.mark.skipif(OLD, reason="NumPy's capsules have no version, or say read-only"),
    ),
    Interface,
]


@pytest.mark.parametrize("kind", range(1, 20))
def test_dlpacks_kinds_of_memory_are_told_apart(kind):
    exporter = Dlpack(np.ones(2))
    exporter.device = (kind, 0)
    assert lives_on_cuda(exporter) == (kind in (2, 13))  # kDLCUDA and kDLCUDAManaged
    if kind not in (1, 2, 3, 13):
        with pytest.raises(TypeError, match="lives on a device that is not a CUDA device"):
            st.SGD(exporter, lr=0.1)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_exporters_are_updated_in_place(exporter):
    memory, g = np.ones((3, 4), np.float32), np.ones((3, 4), np.float32)
    opt = st.Momentum({"w": exporter(memory)}, lr=1.0, ema_decay=0.5)
    opt.step({"w": exporter(g)})
    opt.bind_grads({"w": exporter(g)})
    opt.step(zero_grad=True)
    assert np.allclose(memory, 1 - 1 - 1.9) and not g.any()


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_read_only_exporters_are_gradients_only(exporter):
    g = np.ones(3)
    if exporter is Dlpack:  # what NumPy takes from an unversioned capsule is read-only
        shown, why = Dlpack(g, versioned=False), "read-only (or its DLPack capsule is unversioned)"
    else:
        g.flags.writeable = False
        shown, why = Interface(g), "read-only"
    with says(ValueError, f"params: {why}"):
        st.SGD(shown, lr=0.1)
    p = np.ones(3)
    opt = st.SGD(p, lr=1.0)
    opt.step(shown)
    assert (p == 0).all()
    with says(ValueError, "grads: read-only, so zero_grad cannot zero it"):
        opt.step(shown, zero_grad=True)
    assert (p == 0).all() and (g == 1).all()


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_exporters_are_checked_as_arrays_are(exporter):
    p = np.ones(4)
    with says(ValueError, "params[1]: shares memory with params[0]"):
        st.SGD([p, exporter(p[2:])], lr=0.1)
    due = "expected float32 or float64 in native byte order"
    with says(TypeError, f"params: dtype int64; {due} (a copy in float64)"):  # it has no astype
        st.SGD(exporter(np.ones(3, np.int64)), lr=0.1)
    with says(TypeError, f"grads: dtype float16; {due} (a copy in float64)"):
        st.SGD(p, lr=0.1).step(exporter(np.ones(4, np.float16)))
    opt = st.SGD(p, lr=0.1)
    with says(ValueError, "grads: shares memory with a parameter or state"):
        opt.step(exporter(p))
    with says(ValueError, "grads: strides (16,) differ from the parameter's (8,)"):
        opt.step(exporter(np.ones(8)[::2]))
    assert (p == 1).all() and opt.step_count == 0


def test_memory_of_an_exporter_is_kept_alive():
    opt = st.SGD(Interface(np.ones(1000)), lr=1.0)
    rubbish = [np.full(1000, 7.0) for _ in range(50)]
    opt.step(np.ones(1000))
    assert opt.param_groups[0]["params"].array.sum() == 0 and len(rubbish) == 50


def test_a_broken_interface_is_named():
    with says(TypeError, "params[0]: __array_interface__ of this BrokenInterface is not valid: "):
        st.SGD([BrokenInterface()], lr=0.1)


class Raises:
    """An exporter whose members raise, or answer oddly."""

    def __init__(self, device, capsule=None):
        self.device, self.capsule = device, capsule

    def __dlpack_device__(self):
        return self.device()

    def __dlpack__(self, **options):
        return self.capsule()


class RaisingInterface:
    @property
    def __array_interface__(self):
        raise KeyError("shape")


ODD_EXPORTERS = [
    (Raises(lambda: None), "the device of this Raises is not known: TypeError: "),
    (Raises(lambda: ("gpu", 0)), "the device of this Raises is not known: ValueError: "),
    (Raises(lambda: (8, 0)), "this Raises lives on a device that is not a CUDA device; move it to"),
    (Raises(lambda: {}[3]), "the device of this Raises is not known: KeyError: 3"),
    (Raises(lambda: (1, 0), lambda: None), "this Raises does not export its memory: ValueError: "),
    (Raises(lambda: (1, 0), lambda: 1 / 0), "this Raises does not export its memory: ZeroDivisi"),
    (RaisingInterface(), "__array_interface__ of this RaisingInterface is not valid: KeyError: "),
]


@pytest.mark.parametrize("value, message", ODD_EXPORTERS)
def test_an_exporter_that_raises_is_named(value, message):
    with says(TypeError, 'params["w"]: ' + message):
        st.SGD({"w": value}, lr=0.1)
    p, q = np.ones(2), np.ones(2)
    opt = st.Momentum([p, q], lr=0.1)
    for step in (opt.step, opt.bind_grads):
        with says(TypeError, "grads[1]: " + message):
            step([np.ones(2), value])
    assert (p == 1).all() and opt.step_count == 0 and not opt._states[0]["velocity"].any()


class Reticent(Dlpack):
    """It exports its memory, and raises where it is asked for more."""

    @property
    def dtype(self):
        raise RuntimeError("not this")

    def data_ptr(self):
        raise RuntimeError("nor this")


def test_what_an_exporter_need_not_have_may_raise():
    p = np.ones(3)
    opt = st.SGD(Reticent(p), lr=0.5)
    opt.step(Reticent(np.ones(3)))
    opt.bind_grads(Reticent(np.ones(3)))
    opt.step()
    np.testing.assert_array_equal(p, np.zeros(3))


@pytest.mark.parametrize("value", [OnGpu(np.ones(2, np.float32)), CudaInterface()])
def test_arrays_of_a_gpu_without_a_cuda_module(value):
    message = f"params[0]: this {type(value).__name__} lives on a GPU"
    try:
        from steepest import _cuda  # noqa: F401
    except ImportError:
        with says(st.BackendError, message):
            st.SGD([value], lr=0.1)
        with says(st.BackendError, message.replace("params", "grads")):
            st.SGD([np.ones(2, np.float32)], lr=0.1).step([value])


# --- PyTorch ---


@pytest.fixture(params=["table", "no table"])
def torch(request, monkeypatch):
    """PyTorch with DLPack's table of C functions, and as before it had one."""
    torch = pytest.importorskip("torch")
    if request.param == "no table":
        monkeypatch.delattr(torch.Tensor, "__dlpack_c_exchange_api__", raising=False)
    return torch


def test_tensors_of_pytorch_as_parameters_and_gradients():
    torch = pytest.importorskip("torch")
    w, g = torch.ones(3, 4), torch.ones(3, 4)
    mine, plain = w.clone(), np.ones((3, 4), np.float32)
    opt, other = st.Adam({"w": mine}, lr=0.1), st.Adam(plain, lr=0.1)
    theirs = torch.optim.Adam([w], lr=0.1)
    w.grad = g
    for _ in range(5):
        opt.step({"w": g})
        other.step(g.numpy())
        theirs.step()
    assert mine.numpy().tobytes() == plain.tobytes()
    np.testing.assert_allclose(mine.numpy(), w.numpy(), rtol=1e-5)
    opt.step({"w": torch.ones(3, 4)}, zero_grad=True)
    with says(ValueError, 'grads["w"]: strides (4, 12) differ from the parameter\'s (16, 4)'):
        opt.step({"w": torch.ones(4, 3).T})


def test_hyperparameters_of_pytorch():
    torch = pytest.importorskip("torch")
    assert st.SGD(np.ones(1), lr=torch.tensor(0.5)).lr == 0.5
    for value in (torch.tensor(True), torch.tensor([0.5]), torch.tensor(1j)):
        with pytest.raises(TypeError, match="^lr: tensor"):
            st.SGD(np.ones(1), lr=value)


def give_other(torch, tensor):
    tensor.data = torch.zeros(3)


def share(torch, tensor):
    """As it is to go to another process: its memory is freed."""
    tensor.share_memory_()


@pytest.mark.parametrize("move", [give_other, share])
def test_a_tensor_that_is_given_other_memory(move):
    torch = pytest.importorskip("torch")
    p, g = torch.zeros(1 << 20), torch.ones(1 << 20)  # large: its memory goes back to the system
    opt = st.Nesterov(p, lr=1.0, momentum=0.0)
    opt.bind_grads(g)
    opt.step()
    move(torch, g)
    with says(ValueError, "grads: its memory has moved since it was bound; bind it again"):
        opt.step()
    opt.step(np.ones(1 << 20, np.float32))  # they are not read
    assert (opt.iterates() == -2).all()
    opt.bind_grads(None)  # lets go of them
    move(torch, p)
    message = "params: its memory has moved or shrunk since the optimizer was made"
    calls = [opt.step, lambda: opt.step(max_norm=1.0), opt.iterates]
    for given in (torch.ones(1 << 20), np.ones(1 << 20, np.float32)):
        calls += [lambda g=given: opt.step(g), lambda g=given: opt.bind_grads(g)]
    for call in calls:
        with says(ValueError, message):
            call()
    assert opt.step_count == 2


def test_memory_that_a_tensor_lets_go_of_is_kept():
    """For a step that another thread has begun."""
    torch = pytest.importorskip("torch")
    memory = np.zeros(3)
    p, kept = torch.from_numpy(memory), weakref.ref(memory)
    opt = st.SGD(p, lr=1.0)
    del memory
    give_other(torch, p)
    assert kept() is not None
    del opt
    assert kept() is None


def test_gradients_that_were_bound_before_may_move():
    torch = pytest.importorskip("torch")
    p, first, second = torch.zeros(3), torch.ones(3), torch.ones(3)
    opt = st.SGD(p, lr=1.0)
    opt.bind_grads(first)
    opt.bind_grads(second)
    give_other(torch, first)
    opt.step()
    assert (p == -1).all()


def test_a_transposed_tensor_takes_gradients_laid_out_alike():
    torch = pytest.importorskip("torch")
    p = torch.ones(4, 3).T
    st.SGD(p, lr=1.0).step(torch.ones(4, 3).T)
    assert not p.any()


def test_gradients_of_pytorch_need_no_dlpack(monkeypatch, torch):
    for p in (torch.ones(4, 3).T, np.ones((4, 3), np.float32).T):
        opt = st.SGD([p, p[:0]], lr=1.0)
        with monkeypatch.context() as without:  # a list of them would take eight times as long
            without.delattr(torch.Tensor, "__dlpack__")
            opt.step([torch.ones(4, 3).T, torch.empty(0, 4)], zero_grad=True)
        assert not p.any()
        for bad in (torch.ones(3, 4), torch.ones(4, 3).T.double(), torch.ones(3, 4).T):
            with pytest.raises(
                (TypeError, ValueError), match=r"^grads\[0\]: (strides|dtype|shape)"
            ):
                opt.step([bad, None])
        with pytest.raises(TypeError, match=r"^grads\[1\]: this Tensor does not export .*grad"):
            opt.step([torch.ones(4, 3).T, torch.empty(0, 4, requires_grad=True)])
        assert not p.any()


def test_views_of_tensors_are_those_of_their_own_numpy(torch):
    memory = np.arange(24.0)
    tensors = (
        torch.tensor(1.0),
        torch.empty(0, 4),
        torch.from_numpy(memory).reshape(2, 3, 4)[:, 1:].transpose(0, 2),
        torch.ones(1).expand(5),
        torch.frombuffer(bytearray(9), dtype=torch.float32, offset=1),  # not aligned
    )
    array, masked = np.ones(3), np.ma.array([1.0, 2.0], mask=[0, 1])
    *views, same, none, other = _cpu.tensor_views((*tensors, array, None, masked))
    assert same is array and none is None and other is masked
    for tensor, view in zip(tensors, views, strict=True):
        due = tensor.numpy()
        assert (view.dtype, view.shape, view.tobytes()) == (due.dtype, due.shape, due.tobytes())
        assert not view.size or view.__array_interface__ == due.__array_interface__
        assert view.flags.aligned == due.flags.aligned
    kept = weakref.ref(memory)
    del memory, tensors, tensor, due
    assert kept() is not None
    del views
    assert kept() is None


def test_tensors_whose_memory_does_not_say_what_they_are():
    torch = pytest.importorskip("torch")

    class Shifted(torch.Tensor):
        def numpy(self):
            return torch.Tensor.numpy(self) + 1

    class Broken:
        is_cpu = True

        def numpy(self):
            raise KeyboardInterrupt

    tensors = (
        torch.ones(3).to_sparse(),
        torch.ones(3, device="meta"),
        torch.ones(3, requires_grad=True),
        torch.ones(3, dtype=torch.complex64).conj().imag,
        torch.ones(3).to(torch.bfloat16),
    )
    assert all(a is b for a, b in zip(_cpu.tensor_views(tensors), tensors, strict=True))
    plain, shifted = torch.ones(3), torch.ones(3).as_subclass(Shifted)
    views = _cpu.tensor_views((plain, shifted, plain))
    assert [view.tolist() for view in views] == [[1] * 3, [2] * 3, [1] * 3]
    (many,) = _cpu.tensor_views((torch.ones((1,) * 40),))  # more than NumPy had before 2.0
    assert many.shape == (1,) * 40
    with pytest.raises(KeyboardInterrupt):
        _cpu.tensor_views((Broken(),))


def test_a_modules_parameters_are_stepped_and_stay_its_own():
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    model.opt = st.SGD(list(model.parameters()), lr=1.0, ema_decay=0.5)
    grads = [torch.ones(2, 3), torch.ones(2)]
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        before = one.weight.detach().clone()
        one.opt.step(grads)
        torch.testing.assert_close(one.weight.detach(), before - 1)
        assert one.weight.requires_grad and one.opt.param_groups[0]["params"][0] is one.weight
    loss = model(torch.ones(1, 3)).sum()
    loss.backward()
    model.opt.step([p.grad for p in model.parameters()], zero_grad=True)
    assert not model.weight.grad.any()
    model.double()
    with pytest.raises(ValueError, match=r"^params\[0\]: its memory has moved or shrunk"):
        model.opt.step([torch.ones(2, 3).double(), torch.ones(2).double()])


def test_a_tensor_that_was_computed_from_leaves_says_how():
    torch = pytest.importorskip("torch")
    p = 2 * torch.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"^params: this Tensor does not export its memory: .*grad"):
        st.SGD(p, lr=1.0)
    st.SGD(p.detach(), lr=1.0).step(torch.full((3,), 2.0))
    assert not p.detach().any()


def test_memory_that_numpy_shares_is_updated_in_place():
    """What an error advises for a buffer."""
    buffer = (ctypes.c_double * 3)(1.0, 1.0, 1.0)
    with says(TypeError, "params: got a c_double_Array_3; expected an array: "):
        st.SGD(buffer, lr=1.0)
    st.SGD(np.asarray(buffer), lr=1.0).step(np.ones(3))
    assert list(buffer) == [0.0, 0.0, 0.0]


def test_tensor_of_another_dtype_is_told_of_no_astype():
    torch = pytest.importorskip("torch")
    opt = st.SGD([torch.ones(3)], lr=1.0)
    differs = "grads[0]: dtype float64 differs from the parameter's float32; pass a copy of it"
    with says(TypeError, differs):
        opt.step([torch.ones(3, dtype=torch.float64)])


def test_tensors_of_dtypes_that_are_not_here():
    torch = pytest.importorskip("torch")
    for dtype, seen in (
        (torch.float16, "dtype float16; expected float32 or float64"),
        (torch.int32, "dtype int32; expected float32 or float64"),
        (torch.complex64, "dtype complex64; expected float32 or float64"),
        (torch.bfloat16, "this Tensor of torch.bfloat16, neither float32 nor float64, does not"),
    ):
        with says(TypeError, f"params: {seen}"):
            st.SGD(torch.ones(3).to(dtype), lr=1.0)
        with says(TypeError, f"grads[0]: {seen}"):
            st.SGD([torch.ones(3)], lr=1.0).step([torch.ones(3).to(dtype)])


def test_a_tensor_that_is_the_negative_of_its_memory_is_refused():
    torch = pytest.importorskip("torch")
    negative = torch.complex(torch.zeros(1), torch.ones(1)).conj().imag  # -1, stored as 1
    assert negative.is_neg()
    p = torch.zeros(1)
    opt = st.SGD(p, lr=1.0)
    for call in (opt.step, opt.bind_grads, lambda g: st.functional.sgd(p, g, step=1, lr=1.0)):
        with pytest.raises(TypeError, match=r"g(rads)?: this Tensor is the negative of its memory"):
            call(negative)
    with says(TypeError, "params: this Tensor is the negative of its memory; pass .resolve_neg()"):
        st.SGD(negative, lr=1.0)
    assert (p.item(), opt.step_count) == (0, 0)
    opt.step(negative.resolve_neg())
    assert p.item() == 1


def test_a_tensor_without_memory_is_refused(torch):
    freed = torch.ones(3)
    freed.untyped_storage().resize_(0)
    for tensor in (freed, torch._efficientzerotensor(3)):
        p = np.zeros(3, np.float32)
        opt = st.SGD([p], lr=1.0)
        for call in (opt.step, opt.bind_grads):
            with says(TypeError, "grads[0]: this Tensor has no memory"):
                call([tensor])
        with says(TypeError, "params: this Tensor has no memory"):
            st.SGD(tensor, lr=1.0)
        assert (list(p), opt.step_count) == ([0, 0, 0], 0)


def test_a_start_of_pytorch_that_requires_grad():
    torch = pytest.importorskip("torch")
    x0 = torch.tensor([-1.0, 1.5], dtype=torch.float64, requires_grad=True)

    def fun(x):
        x = x.detach().requires_grad_()
        f = ((x - 1) ** 4).sum() + (x[0] * x[1] - 1) ** 2
        (g,) = torch.autograd.grad(f, x)
        return f.detach(), g

    found = st.minimize(fun, x0, jac=True)
    assert found.success and isinstance(found.x, torch.Tensor) and not found.x.requires_grad


def test_newton_in_pytorch_where_a_hessian_is_indefinite():
    """PyTorch's error for one is not NumPy's."""
    torch = pytest.importorskip("torch")
    found = st.minimize(
        lambda x: float(((x**2 - 1) ** 2).sum()),
        torch.full((2,), 0.1, dtype=torch.float64),
        jac=lambda x: 4 * x * (x**2 - 1),
        hess=lambda x: torch.diag(12 * x**2 - 4),
        method="newton",
    )
    assert found.success and isinstance(found.x, torch.Tensor)
    np.testing.assert_allclose(found.x, 1.0)
