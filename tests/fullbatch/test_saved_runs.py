"""Minimizers told from outside: saved runs that go on, refused states, what telling checks."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from fullbatch_methods import ALL, START
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st
from steepest.fullbatch import arrays


def make(method, **options):
    classes = {"l-bfgs": st.LBFGS, "bfgs": st.BFGS, "newton": st.Newton, "gd": st.GradientDescent}
    return classes[method](START, **options)


def tell(s):
    x = s.x
    if isinstance(s, st.Newton):
        s.tell(rosen(x), rosen_der(x), rosen_hess(x))
    else:
        s.tell(rosen(x), rosen_der(x))


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("after", [0, 1, 4, 13, 22])
def test_a_saved_run_goes_on_to_the_same_bits(method, after):
    options = {"line_search": "exact"} if method == "gd" else {}
    whole = make(method, maxiter=30, **options)
    for _ in range(min(after, 16) if method == "newton" else after):  # which ends after 18
        tell(whole)
    state = pickle.loads(pickle.dumps(whole.state_dict()))
    resumed = make(method, maxiter=30, **options)
    resumed.load_state_dict(state)
    while not whole.done:
        tell(whole)
        tell(resumed)
        np.testing.assert_array_equal(whole.x, resumed.x)
    assert resumed.done and resumed.message == whole.message and resumed.nfev == whole.nfev


@pytest.mark.parametrize("after", [0, 9])
def test_a_saved_run_with_bounds_goes_on(after):
    bounds = [(-2, 0.5)] * 4
    start = np.minimum(START, 0.5)
    whole = st.LBFGS(start, bounds=bounds)
    for _ in range(after):
        tell(whole)
    resumed = st.LBFGS(start, bounds=bounds)
    resumed.load_state_dict(whole.state_dict())
    while not whole.done:
        tell(whole)
        tell(resumed)
    np.testing.assert_array_equal(whole.x, resumed.x)


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "newton"])
def test_a_state_may_be_loaded_again(method):
    whole, ends = make(method), []
    for _ in range(13):
        tell(whole)
    state = whole.state_dict()
    for _ in range(2):
        resumed = make(method)
        resumed.load_state_dict(state)
        while not resumed.done:
            tell(resumed)
        ends.append((resumed.nit, *resumed.x))
    assert ends[0] == ends[1]


def test_loading_refuses_another_run():
    state = make("l-bfgs").state_dict()
    for other, message in [
        (make("bfgs"), r"state_dict\['method'\]: 'l-bfgs'; expected 'bfgs', as here"),
        (make("l-bfgs", line_search="armijo"), r"state_dict\['line_search'\]: 'wolfe'; expected"),
        (make("l-bfgs", history=4), r"state_dict\['workspace'\]: shape \(25, 4\); expected"),
        (st.LBFGS(START[:3]), r"state_dict\['workspace'\]: shape \(25, 4\); expected \(25, 3\)"),
        (st.LBFGS(START.astype("f4")), "state_dict: dtype float64; expected float32"),
    ]:
        before = other.x
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(state)
        np.testing.assert_array_equal(other.x, before)
    with pytest.raises(ValueError, match="state_dict: the keys differ from those of 'bfgs' in d, "):
        make("bfgs").load_state_dict({})
    with pytest.raises(TypeError, match="^state_dict: got None; expected a dict"):
        make("bfgs").load_state_dict(None)
    searching = make("l-bfgs")
    while not searching.state_dict()["told"]:
        tell(searching)
    state = searching.state_dict()
    with pytest.raises(ValueError, match=r"state_dict\['step'\]: 7; the search over 'told' gives"):
        make("l-bfgs").load_state_dict({**state, "step": 7})


@pytest.mark.parametrize("history", [1, 5])
@pytest.mark.parametrize("bounded", [True, False])
def test_loading_refuses_what_was_learned_with_bounds_where_there_are_none(history, bounded):
    """And the other way round: what a pair keeps differs, but with one pair has the same shape."""
    start, bounds = np.minimum(START, 0.5), [(-2, 0.5)] * 4
    one = st.LBFGS(start, history=history, bounds=bounds if bounded else None)
    other = st.LBFGS(start, history=history, bounds=None if bounded else bounds)
    while one.nit < 2:
        tell(one)
    before, here = other.x, "without" if bounded else "with"
    message = rf"state_dict\['memory'\]: expected .* with as many pairs {here} bounds, as here"
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other.x, before)
    assert other.nit == 0


DAMAGE = [
    ("bfgs", "h", "x", TypeError),
    ("bfgs", "h", np.eye(3), ValueError),
    ("bfgs", "h", np.eye(4) * 1j, TypeError),
    ("bfgs", "step", 0.0, ValueError),
    ("l-bfgs", "memory", 3, TypeError),
    ("l-bfgs", "memory", (None,) * 4, TypeError),
    ("newton", "given_lowest", 3, TypeError),
    ("gd", "method", START, ValueError),
    ("gd", "line_search", START, ValueError),
]


@pytest.mark.parametrize("method, key, value, error", DAMAGE)
def test_loading_refuses_damage(method, key, value, error):
    """Some was found only by later calls of tell."""
    s = make(method)
    while s.nit < 2:
        tell(s)
    state, before = {**s.state_dict(), key: value}, s.x
    with pytest.raises(error, match=f"^state_dict.'{key}'.: ((?!truth|incompatible).)*$"):
        s.load_state_dict(state)
    np.testing.assert_array_equal(s.x, before)


def test_telling_checks_first_and_ends():
    s = make("l-bfgs")
    for f, g, error, message in [
        ("high", START, TypeError, "f: 'high' is a str; expected a real number"),
        (1j, START, TypeError, "f: 1j is complex; expected a real number"),
        (START, START, ValueError, r"f: shape \(4,\); expected a scalar"),
        (1.0, START[:2], ValueError, r"g: shape \(2,\); expected \(4,\)"),
        (1.0, START * 1j, TypeError, "g: dtype complex128; expected real numbers"),
    ]:
        with pytest.raises(error, match=message):
            s.tell(f, g)
    assert s.nfev == 0 and not s.done
    while not s.done:
        tell(s)
    assert s.success and s.optimality <= 1e-5
    with pytest.raises(RuntimeError, match="tell: the run has ended"):
        tell(s)


def test_newton_is_told_a_hessian():
    s = make("newton")
    with pytest.raises(TypeError, match="tell: give one of hess and hessp"):
        s.tell(1.0, START)
    with pytest.raises(ValueError, match="hess: not symmetric, entries differ .* by up to 1"):
        s.tell(1.0, START, np.triu(np.ones((4, 4))))
    with pytest.raises(ValueError, match=r"hess: shape \(3, 3\); expected \(4, 4\)"):
        s.tell(1.0, START, np.eye(3))
    assert s.nfev == 0
    make("newton").tell(1.0, START, np.eye(4) + 1e-12 * np.triu(np.ones((4, 4))))  # rounding
    with pytest.raises(TypeError, match="hess: a csr_array, sparse; expected a dense array"):
        s.tell(1.0, START, scipy.sparse.csr_array(np.eye(4)))
    s.tell(1.0, START, np.diag([1, 1, 1, np.nan]))
    assert s.done and s.status == 3 and s.message == "the Hessian is not finite"


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
