"""Every rule that PyTorch has, over its combinations of keywords; and where the two part.

PyTorch has no Lion and no Adam without bias correction: those are held to the papers only.
"""

import itertools

import numpy as np
import pytest

import steepest as st
from table import CLASSES

torch = pytest.importorskip("torch")


def combinations(**options):
    """All choices of one value from each option, as dicts."""
    return [
        dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())
    ]


BETAS = [(0.9, 0.999), (0.5, 0.8)]
ADAM = combinations(betas=BETAS, eps=[1e-8, 0.1], amsgrad=[False, True])

# our class, its keywords, PyTorch's class, keywords of its own or of another name
PAIRS = [
    ("SGD", {}, "SGD", {}),
    *(
        (cls, {**k, "lr_in_velocity": inside}, "SGD", {**k, "nesterov": cls == "Nesterov"})
        for cls in ("Momentum", "Nesterov")
        for k in combinations(momentum=[0.5, 0.9])
        for inside in (True, False)
    ),
    *(
        ("RMSProp", {**k, "beta": beta}, "RMSprop", {**k, "alpha": beta})
        for k in combinations(eps=[1e-8, 0.1], momentum=[0.0, 0.8], centered=[False, True])
        for beta in (0.6, 0.9)
    ),
    *(("Adam", k, "Adam", k) for k in ADAM),
    *(("AdamW", k, "AdamW", k) for k in ADAM),
    *(
        ("AMSGrad", k, "Adam", {**k, "amsgrad": True})
        for k in combinations(betas=BETAS, eps=[1e-8, 0.1])
    ),
    *(
        ("Adagrad", k, "Adagrad", k)
        for k in combinations(
            lr_decay=[0.0, 0.3], initial_accumulator_value=[0.0, 0.5], eps=[1e-10, 0.1]
        )
    ),
    *(("Adadelta", k, "Adadelta", k) for k in combinations(rho=[0.9, 0.5], eps=[1e-6, 0.1])),
    *(("AdaMax", k, "Adamax", k) for k in combinations(betas=BETAS, eps=[1e-8, 0.1])),
    *(
        ("NAdam", k, "NAdam", k)
        for k in combinations(betas=BETAS, eps=[1e-8, 0.1], momentum_decay=[4e-3, 0.5])
    ),
    *(("RAdam", k, "RAdam", k) for k in combinations(betas=[*BETAS, (0.5, 0.6)], eps=[1e-8, 0.1])),
]


@pytest.fixture(autouse=True)
def double_scalars():
    """PyTorch keeps NAdam's product of mu in the default dtype, whatever the parameters' is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def problem(dtype, steps=12):
    rng = np.random.default_rng(11)
    shapes = [(7,), (3, 5), ()]
    params = [np.array(rng.normal(size=shape), dtype) for shape in shapes]
    grads = [[np.array(rng.normal(size=s), dtype) for s in shapes] for _ in range(steps)]
    return params, grads


def by_torch(name, params, steps, lr, clip=None, **kwargs):
    """The parameters after PyTorch's optimizer; lr is a number or callable(step)."""
    tensors = [torch.tensor(p, requires_grad=True) for p in params]
    first = lr(0) if callable(lr) else lr
    optimizer = getattr(torch.optim, name)(tensors, lr=first, **kwargs)
    for step, grads in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr(step) if callable(lr) else lr
        for tensor, g in zip(tensors, grads, strict=True):
            tensor.grad = None if g is None else torch.tensor(g)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(tensors, clip)
        optimizer.step()
    return [tensor.detach().numpy() for tensor in tensors], optimizer


def by_us(name, params, steps, lr, step_kwargs=None, **kwargs):
    params = [p.copy() for p in params]
    optimizer = getattr(st, name)(params, lr=lr, **kwargs)
    for grads in steps:
        optimizer.step(grads, **(step_kwargs or {}))
    return params, optimizer


def assert_close(ours, theirs, atol):
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=atol)


def test_every_rule_that_torch_has_is_here():
    theirs = {name.lower() for name in dir(torch.optim)} | {"momentum", "nesterov", "amsgrad"}
    assert {cls for cls, *_ in PAIRS} == {r.cls for r in CLASSES if r.cls.lower() in theirs}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("ours, kwargs, theirs, torch_kwargs", PAIRS)
def test_same_steps(ours, kwargs, theirs, torch_kwargs, weight_decay, maximize):
    params, steps = problem(np.float64)
    steps[4][1] = None  # that tensor's own step count stays behind
    common = dict(lr=0.03, weight_decay=weight_decay, maximize=maximize)
    got, _ = by_us(ours, params, steps, **common, **kwargs)
    want, _ = by_torch(theirs, params, steps, **common, **torch_kwargs)
    assert_close(got, want, atol=1e-13)


@pytest.mark.parametrize("ours, kwargs, theirs, torch_kwargs", PAIRS)
def test_same_steps_in_float32(ours, kwargs, theirs, torch_kwargs):
    """To a few roundings each step: the two round beta and fold constants differently."""
    params, steps = problem(np.float32)
    got, _ = by_us(ours, params, steps, lr=0.03, **kwargs)
    want, _ = by_torch(theirs, params, steps, lr=0.03, **torch_kwargs)
    assert_close(got, want, atol=2e-5)


@pytest.mark.parametrize(
    "ours, kwargs, theirs, torch_kwargs",
    [pair for pair in PAIRS if not pair[1].get("lr_in_velocity")],  # where the two part: see below
)
def test_same_steps_under_a_schedule(ours, kwargs, theirs, torch_kwargs):
    params, steps = problem(np.float64)
    schedule = st.schedules.one_cycle(0.05, steps=10)
    got, _ = by_us(ours, params, steps, lr=schedule, **kwargs)
    want, _ = by_torch(theirs, params, steps, lr=schedule, **torch_kwargs)
    assert_close(got, want, atol=1e-13)


def test_cpu_tensors_are_parameters_as_they_are():
    params, steps = problem(np.float32)
    want, _ = by_us("Adam", params, steps, lr=0.03)
    tensors = [torch.tensor(p) for p in params]
    optimizer = st.Adam(tensors, lr=0.03)
    for grads in steps:
        optimizer.step([torch.tensor(g) for g in grads])
    for tensor, array in zip(tensors, want, strict=True):
        assert np.array_equal(tensor.numpy(), array)


# --- where the table of DESIGN and PyTorch part ---


@pytest.mark.parametrize("cls, nesterov", [("Momentum", False), ("Nesterov", True)])
def test_parting_learning_rate_in_the_velocity(cls, nesterov):
    """Ours scales each gradient by its own step's rate; PyTorch rescales all earlier ones too."""
    params, steps = problem(np.float64)
    schedule = st.schedules.exponential(0.1, 0.5)
    inside, _ = by_us(cls, params, steps, lr=schedule)
    outside, _ = by_us(cls, params, steps, lr=schedule, lr_in_velocity=False)
    want, _ = by_torch("SGD", params, steps, lr=schedule, momentum=0.9, nesterov=nesterov)
    assert_close(outside, want, atol=1e-13)
    assert np.abs(inside[0] - want[0]).max() > 0.01


def test_parting_default_of_rmsprop():
    """beta = 0.9 as in the lecture, PyTorch's alpha is 0.99; the rates are the same."""
    params, steps = problem(np.float64)
    ours, _ = by_us("RMSProp", params, steps, lr=1e-2)
    assert np.abs(ours[0] - by_torch("RMSprop", params, steps, lr=1e-2)[0][0]).max() > 0.01
    assert_close(ours, by_torch("RMSprop", params, steps, lr=1e-2, alpha=0.9)[0], atol=1e-13)


def test_parting_centered_rmsprop_on_a_constant_gradient():
    """s - a^2 goes below zero in float32; the variance kept in its place cannot."""
    params = [np.zeros(200, np.float32)]
    steps = [[np.linspace(0.1, 3, 200, dtype=np.float32)]] * 600
    ours, _ = by_us("RMSProp", params, steps, lr=1e-4, centered=True)
    theirs, _ = by_torch("RMSprop", params, steps, lr=1e-4, alpha=0.9, centered=True)
    assert np.isfinite(ours[0]).all()
    assert np.isnan(theirs[0]).any()


def test_parting_beta_is_rounded_before_one_minus_beta():
    """PyTorch's weights in float32, 0.99900001 and 0.001, add up to more than one."""
    params, steps = [np.zeros(1, np.float32)], [[np.ones(1, np.float32)]]
    _, ours = by_us("Adam", params, steps, lr=1e-3)
    _, theirs = by_torch("Adam", params, steps, lr=1e-3)
    rounded, mine = 1 - float(np.float32(0.999)), ours.state_dict()["state"][0]["exp_avg_sq"][0]
    assert mine == np.float32(rounded)
    (state,) = theirs.state.values()
    assert state["exp_avg_sq"].item() / rounded - 1 == pytest.approx(1.3e-5, rel=0.05)


def test_parting_clip_adds_nothing_to_the_norm():
    """PyTorch's factor is max_norm/(norm + 1e-6): a small clipped gradient comes out too short."""
    params, steps = [np.zeros(1)], [[np.array([1e-5])]]
    ours, optimizer = by_us("SGD", params, steps, lr=1.0, step_kwargs={"max_norm": 5e-6})
    theirs, _ = by_torch("SGD", params, steps, lr=1.0, clip=5e-6)
    assert ours[0][0] == pytest.approx(-5e-6, rel=1e-14) and optimizer.grad_norm == 1e-5
    assert theirs[0][0] == pytest.approx(-5e-6 / 1.1, rel=1e-6)


def test_same_clip_where_the_norm_is_large():
    params, steps = problem(np.float64)
    got, _ = by_us("AdamW", params, steps, lr=0.03, step_kwargs={"max_norm": 0.5})
    want, _ = by_torch("AdamW", params, steps, lr=0.03, clip=0.5)
    assert_close(got, want, atol=1e-6)
