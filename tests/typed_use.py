"""What a user's type checker sees of the package: checked by mypy, never run."""

# mypy: warn-unused-ignores
from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

import steepest as st

Array = NDArray[np.float64]


def updates(params: dict[str, Array], grads: dict[str, Array | None]) -> float | None:
    opt = st.Adam(params, lr=st.schedules.linear_warmup(1e-3, 100), betas=(0.9, 0.99))
    opt.step(grads, max_norm=1.0, nonfinite="skip", zero_grad=True)
    opt.bind_grads(grads)
    opt.step()
    opt.lr = 1e-4
    opt.lr = lambda step: 1 / (1 + step)
    opt.param_groups[0].update(weight_decay=0.1)
    opt.add_param_group({"params": [np.zeros(2)], "lr": 0.1})
    again: st.Adam = copy.deepcopy(opt)
    again.load_state_dict(opt.state_dict())
    st.Nesterov([np.zeros(2)], 0.1, 0.9, lr_in_velocity=False).iterates()
    mu: float | None = st.functional.nadam(*[np.ones(2)] * 4, step=1, lr=0.1)
    taken: int = opt.step_count + opt.skipped
    return opt.grad_norm if taken else mu


def batches(n: int) -> list[NDArray[np.int64]]:
    cycle: st.schedules.one_cycle = st.schedules.one_cycle(
        0.1, steps=len(st.minibatches(n, 8, seed=0))
    )
    assert cycle(0) > 0
    return list(st.minibatches(n, 8, seed=0, epoch=1, drop_last=True))


def residuals(x: Array) -> Array:
    return x - 1


def jacobian(x: Array) -> Array:
    return np.eye(x.size)


def loss(x: Array) -> tuple[float, Array]:
    return float(x @ x), 2 * x


def least_squares(x0: list[float]) -> Any:
    result = st.least_squares(residuals, x0, jacobian, bounds=([0, 0], [2, 2]), loss="huber")
    st.least_squares(lambda x: (residuals(x), jacobian(x)), x0, True, x_scale="jac")
    result.summary(names=["a", "b"])
    solver = st.LeastSquares(x0, method="gn")
    while not solver.done:
        solver.tell(residuals(solver.x), jacobian)
    print(st.check_jacobian(residuals, jacobian, x0))
    popt, pcov = st.curve_fit(lambda t, a, b: a * t + b, np.arange(5.0), np.arange(5.0))
    band: Array = st.confidence_band(np.ones((5, 2)), pcov, dof=3)
    return solver.result().covariance() + result.stderr(), popt, band


def full_batch(x0: Array) -> Any:
    st.minimize(loss, x0, jac=True, method="bfgs", callback=print)
    st.minimize(lambda x: loss(x)[0], [1.0], jac=lambda x: loss(x)[1], bounds=[(0, None)])
    run = st.LBFGS(x0, history=5)
    while not run.done:
        run.tell(*loss(run.x))
    newton = st.Newton(x0)
    newton.tell(*loss(newton.x), lambda x: 2 * np.eye(x.size))
    found = st.line_search(lambda x: loss(x)[0], lambda x: loss(x)[1], x0, -x0, rule="armijo")
    return run.result().x, run.state_dict(), found.step


def systems(A: Array, b: Array) -> Any:
    try:
        x, info = st.solve(A, b, method="pcg", preconditioner="ssor", return_info=True)
        return x, info.residuals, st.solve(lambda v: A @ v, b, method="cg")
    except st.ConvergenceError as error:
        return error.x, error.info
    except st.BackendError:
        st.set_num_threads(st.get_num_threads())
        st.set_flush_denormals(True)
        return st.info()["simd"]


def mistakes(opt: st.Adam) -> None:  # an "ignore" that hides no error is one
    opt.learning_rate = 0.1  # type: ignore[attr-defined]
    opt.param_groups[0].lr = 0.1  # type: ignore[attr-defined]
    opt.step(max_nrm=1.0)  # type: ignore[call-arg]
    st.SGD([np.zeros(2)], lr="fast")  # type: ignore[arg-type]
    st.nothing()  # type: ignore[attr-defined]
