"""Several threads that tell one run: an error for those who come second, not garbage."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
from fullbatch_methods import START
from interrupts import Halt
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st

OTHER = "tell: another thread is inside this run"


class Held(st.BFGS):
    """Calls `pause` before its first direction and before that of its fourth point."""

    pause = staticmethod(lambda run: None)

    def _first_direction(self):
        Held.pause(self)
        return super()._first_direction()

    def _direction(self, at, g):
        if self.nit == 3:
            Held.pause(self)
        return super()._direction(at, g)


def elsewhere(work):
    """What `work` raises in another thread."""
    raised = []

    def run():
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    return raised


def ended(s):
    while not s.done:
        x = s.x
        s.tell(rosen(x), rosen_der(x))
    return s


@pytest.fixture
def pause(monkeypatch):
    return lambda what: monkeypatch.setattr(Held, "pause", staticmethod(what))


def test_the_second_thread_is_refused_and_the_first_goes_on(pause):
    raised = []
    pause(lambda run: raised.extend(elsewhere(lambda: run.tell(0.0, np.zeros(4)))))
    s, alone = ended(Held(START)), ended(st.BFGS(START))
    assert [str(error) for error in raised] == [OTHER] * 2 and type(raised[0]) is RuntimeError
    assert s.success and s.nfev == alone.nfev and s.x.tobytes() == alone.x.tobytes()


def test_newton_keeps_what_the_first_thread_has_told():
    raised, wrong = [], -np.eye(4)

    def hess(x):
        raised.extend(elsewhere(lambda: s.tell(0.0, np.zeros(4), wrong)))
        return rosen_hess(x)

    runs = []
    for h in (hess, rosen_hess):
        s = st.Newton(START)
        while not s.done:
            x = s.x
            s.tell(rosen(x), rosen_der(x), h)
        runs.append(s)
    assert raised and {str(error) for error in raised} == {OTHER}
    assert runs[0].success and runs[0].x.tobytes() == runs[1].x.tobytes()


def refusals_where_the_first_waits(n, pause):
    """Of two threads, where the first waits at its n-th bytecode for the second to be inside, or
    refused; None where it is inside before."""
    s, halt, ended, raised = Held(START), Halt(n), threading.Event(), []

    def tell():
        try:
            s.tell(rosen(START), rosen_der(START))
        except RuntimeError as error:
            raised.append(str(error))

    def first():
        sys.settrace(halt)
        tell()
        sys.settrace(None)
        ended.set()
        halt.there.set()

    def let_it_go_on(run):
        if threading.current_thread() is not thread:
            halt.go_on.set()
            assert ended.wait(60)

    thread = threading.Thread(target=first)
    pause(let_it_go_on)
    thread.start()
    assert halt.there.wait(60)
    if ended.is_set():
        return None
    tell()
    halt.go_on.set()
    thread.join(60)
    return raised


def test_of_two_that_come_at_once_one_is_refused(pause):
    """Both were let in where the second came between the first one's look and its claim."""
    n = 0
    while (raised := refusals_where_the_first_waits(n, pause)) is not None:
        assert raised == [OTHER], n
        n += 1
    assert n > 10


def test_threads_may_take_turns():
    s = st.LBFGS(START)
    while not s.done:
        x = s.x
        assert elsewhere(lambda x=x: s.tell(rosen(x), rosen_der(x))) == []
    assert s.success


@pytest.mark.parametrize("make", [Held, st.Newton])
def test_ctrl_c_leaves_the_run_open_to_others(make, pause, monkeypatch):
    def interrupt(*_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    pause(interrupt)
    s, further = make(START), [interrupt] if make is st.Newton else []
    with pytest.raises(KeyboardInterrupt):
        while not s.done:
            x = s.x
            s.tell(rosen(x), rosen_der(x), *further)
    x = s.x
    further = [rosen_hess(x)] if further else []
    assert elsewhere(lambda: s.tell(rosen(x), rosen_der(x), *further)) == []


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_made_inside_are_nobodys(copied, pause):
    copies = []
    pause(lambda run: copies.append(copied(run)))
    Held(START).tell(rosen(START), rosen_der(START))
    assert elsewhere(lambda: copies[0].tell(rosen(START), rosen_der(START))) == []


@pytest.mark.parametrize("line_search", ["armijo", "wolfe"])
@pytest.mark.parametrize("cls", [st.GradientDescent, st.LBFGS, st.BFGS, st.Newton])
def test_a_function_that_tells_its_own_run_is_refused(cls, line_search):
    """It was taken as the next point, or was an UnboundLocalError."""

    def run(slope, steps):
        s = cls(START, line_search=line_search)
        for _ in range(steps):
            hess = [rosen_hess(s.x)] if cls is st.Newton else []
            s.tell(rosen(s.x), lambda x, s=s, hess=hess: slope(x, s, hess), *hess)
        return s

    refused = []

    def tells(x, s, hess):
        with pytest.raises(RuntimeError, match="^tell: called by a function that a tell of this"):
            s.tell(rosen(s.x), rosen_der(s.x), *hess)
        refused.append(x)
        return rosen_der(x)

    s, alone = run(tells, 8), run(lambda x, s, hess: rosen_der(x), 8)
    assert refused and (s.nit, s.nfev) == (alone.nit, alone.nfev)
    assert s.x.tobytes() == alone.x.tobytes()
