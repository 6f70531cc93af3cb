"""Saved states of runs that have ended, that were taken within a call, or that are of other bounds;
starts of libraries whose arrays are not to be written to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import steepest as st
from steepest.fullbatch import arrays

RUNS = [st.GradientDescent, st.BFGS, st.LBFGS]
X0 = np.linspace(-1, 1, 6)


def told(run, most=10_000):
    for _ in range(most):
        if run.done:
            break
        x = run.x
        run.tell(rosen(x), rosen_der(x))
    return run


@pytest.mark.parametrize("cls", RUNS)
@pytest.mark.parametrize("limit", ["maxiter", "max_nfev"])
def test_a_run_that_ended_at_a_limit_goes_on_where_it_is_larger(cls, limit):
    first = told(cls(X0, **{limit: 5}))
    assert first.done and first.status == 1
    same = cls(X0, **{limit: 5})
    same.load_state_dict(first.state_dict())
    assert same.done and same.message == first.message
    more = cls(X0, gtol=1e-2, **{limit: 20_000})
    more.load_state_dict(first.state_dict())
    assert not more.done and not more.success
    np.testing.assert_array_equal(more.x, first.x)
    told(more, 20_000)
    assert more.success and more.nit > first.nit and more.nfev > first.nfev


def test_a_search_that_has_ended_is_no_state():
    run = told(st.LBFGS(X0), 3)
    state = run.state_dict()
    low = (state["step"], state["f0"] - 1, 0.0)  # any search ends there
    state["told"] = [*state["told"], low, low]
    fresh = st.LBFGS(np.zeros(6))
    before = fresh.x
    with pytest.raises(ValueError, match=r"state_dict\['told'\]: its search has ended"):
        fresh.load_state_dict(state)
    np.testing.assert_array_equal(fresh.x, before)


def test_a_state_outside_the_bounds_is_refused():
    free = st.LBFGS(np.full(4, 2.0))
    free.tell(((free.x - 3) ** 2).sum(), 2 * (np.full(4, 2.0) - 3))
    boxed = st.LBFGS(np.zeros(4), bounds=[(0, 0.4)] * 4)
    with pytest.raises(ValueError, match="x is outside the bounds of this run"):
        boxed.load_state_dict(free.state_dict())
    np.testing.assert_array_equal(boxed.x, np.zeros(4))


def test_a_start_that_cannot_be_written_to_is_taken_as_numpys(monkeypatch):
    """As of JAX, which is not among the tests' packages."""
    strict = pytest.importorskip("array_api_strict")
    monkeypatch.setattr(arrays, "is_jax_array", lambda x: True)
    x0 = strict.asarray([0.0, 2.0])
    found = st.minimize(lambda x: (((x - 1) ** 2).sum(), 2 * (x - 1)), x0, jac=True)
    assert found.success and type(found.x) is np.ndarray
