"""Copies of a run, by pickle and copy, at every point of it: each goes on to the same bits."""

import copy
import pickle

import array_api_strict
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st

START = np.array([-1.2, 0.3, 0.2, -0.5])
BOX = [(-2, 0.8)] * 4
RUNS = {
    "l-bfgs": lambda: st.LBFGS(START, history=3, maxiter=12),
    "l-bfgs, float32": lambda: st.LBFGS(START.astype(np.float32), maxiter=12),
    "l-bfgs, bounds": lambda: st.LBFGS(START, bounds=BOX, maxiter=12),
    "l-bfgs, exact": lambda: st.LBFGS(START, line_search="exact", maxiter=12),
    "bfgs": lambda: st.BFGS(START, line_search="armijo", maxiter=12),
    "newton": lambda: st.Newton(START, bounds=BOX, maxiter=12),
    "gd": lambda: st.GradientDescent(START, maxiter=12),
    "gd, lr": lambda: st.GradientDescent(START, lr=1e-3, maxiter=12),
    "other namespace": lambda: st.LBFGS(array_api_strict.asarray(START), bounds=BOX, maxiter=6),
}
COPIES = {
    "pickle": lambda run: pickle.loads(pickle.dumps(run)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def tell(run):
    """The point that was asked for, and its answer."""
    x = run.x
    at = np.asarray(x, dtype=float)
    g = array_api_strict.asarray(rosen_der(at)) if type(x) is not np.ndarray else rosen_der(at)
    run.tell(rosen(at), g, *([rosen_hess(at)] if isinstance(run, st.Newton) else []))
    return at


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("name", RUNS)
def test_copies_go_on_to_the_same_bits_and_leave_the_run_alone(name, kind):
    run, path, copies = RUNS[name](), [], []
    while not run.done:
        copies.append(COPIES[kind](run))
        path.append(tell(run))
    copies.append(COPIES[kind](run))
    for told, other in enumerate(copies):
        rest = []
        while not other.done:
            rest.append(tell(other))
        np.testing.assert_array_equal(rest, path[told:] or rest)
        assert (other.f, other.nit, other.message) == (run.f, run.nit, run.message)
    assert len(path) > 6


@pytest.mark.parametrize("name", ["l-bfgs", "l-bfgs, bounds"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle_copies_the_pairs(name, protocol):
    """With 0 and 1 the process ended: "terminate called after throwing std::runtime_error"."""
    run = RUNS[name]()
    for _ in range(4):
        tell(run)
    other = pickle.loads(pickle.dumps(run, protocol=protocol))
    for _ in range(3):
        np.testing.assert_array_equal(tell(other), tell(run))


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_known_before_the_first_tell(name):
    """A gradient of 0 would have looked like the end: `while run.optimality > tol`."""
    run = RUNS[name]()
    for known in (run.f, run.optimality, np.asarray(run.g), np.asarray(run.result().jac)):
        assert np.isnan(known).all()
    np.testing.assert_array_equal(np.asarray(run.best_x), np.asarray(run.x))
