"""Ctrl-C in the midst of `tell`, at any bytecode: the loop may be started again."""

import sys
from itertools import count

import pytest
from fullbatch_methods import START, extra
from interrupts import Interrupt
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st
import steepest.fullbatch

FOLDER = steepest.fullbatch.__path__[0]
BOX = [(-2, 2), (0, 0.5), (-2, 2), (None, None)]
RUNS = [
    (st.LBFGS, {}),
    (st.LBFGS, {"bounds": BOX}),
    (st.LBFGS, {"ftol": 1e-15}),  # by Python's part of an iteration
    (st.BFGS, {}),
    (st.GradientDescent, {"lr": lambda k: 1e-3, "gtol": 0.3}),
    (st.Newton, {}),
    (st.LBFGS, {"line_search": "armijo", "gtol": 1e-2}),  # which calls for its gradients
]


def run(make, options, n=None, first=0):
    """The run, and the numbers of the calls of `tell` that were interrupted, and of those that
    ended an iteration. The interrupt comes at the n-th bytecode from call `first` on."""
    hess = extra(make.__name__.lower(), rosen_hess)
    s, interrupted, ended = make(START, **options), [], []
    for call in count():
        if s.done:
            return s, interrupted, ended
        x, nit = s.x, s.nit
        g = rosen_der if s.line_search in ("armijo", "exact") else rosen_der(x)
        answer = rosen(x), g, *(h(x) for h in hess.values())
        traced = n is not None and call >= first and not interrupted
        if traced:
            sys._getframe().f_trace_opcodes = True  # or Python 3.12 traces none
            sys.settrace(trace := Interrupt(n, FOLDER))
        try:
            s.tell(*answer)
        except KeyboardInterrupt:
            interrupted.append(call)
        finally:
            sys.settrace(None)
        n = trace.left if traced else n
        ended += [call] if s.nit > nit else []


def ends_well(s):
    return s.success and s.f == rosen(s.x) and s.optimality <= s.gtol


@pytest.mark.parametrize("make, options", RUNS)
def test_an_interrupted_run_goes_on(make, options):
    for n in range(0, 3_000, 37):
        s, interrupted, _ = run(make, options, n)
        assert ends_well(s) and len(interrupted) == 1, (n, s.message)


@pytest.mark.parametrize("make, options", RUNS)
def test_every_bytecode_of_an_iteration(make, options):
    third = run(make, options)[2][2]
    for n in count():
        s, interrupted, _ = run(make, options, n, third)
        assert ends_well(s), (n, s.message)
        if interrupted != [third]:
            break
    assert n > 50
