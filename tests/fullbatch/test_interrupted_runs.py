"""Ctrl-C in the midst of `tell`, at any bytecode: the loop may be started again."""

import sys

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
]


@pytest.mark.parametrize("make, options", RUNS)
def test_an_interrupted_run_goes_on(make, options):
    hess = extra(make.__name__.lower(), rosen_hess)

    def run(n):
        s, interrupted = make(START, **options), 0
        while not s.done:
            x = s.x
            answer = rosen(x), rosen_der(x), *(h(x) for h in hess.values())
            if not interrupted:
                sys._getframe().f_trace_opcodes = True  # or Python 3.12 traces none
                sys.settrace(trace := Interrupt(n, FOLDER))
            try:
                s.tell(*answer)
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                sys.settrace(None)
            n = trace.left
        return s, interrupted

    for n in range(0, 3_000, 37):
        s, interrupted = run(n)
        assert s.success and interrupted == 1, (n, s.message)
        assert s.f == rosen(s.x) and s.optimality <= s.gtol
