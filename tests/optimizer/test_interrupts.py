"""Ctrl-C at any bytecode: an optimizer is as before the call, or as after it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from interrupts import Interrupt

import steepest
import steepest as st
import steepest.updates
from runs import snapshot

FOLDER = steepest.updates.__path__[0]


def under_way():
    """An optimizer with two groups and bound gradients; another one's state, for it to load."""
    grads = [[np.ones(2), np.ones(1)], np.ones(3)]

    def made(**kwargs):
        params = [np.ones(2), np.ones(1)], np.ones(3)
        return st.Adam([{"params": p} for p in params], **kwargs, ema_decay=0.5)

    opt, other = made(lr=0.1), made(lr=0.7, eps=0.5)
    opt.bind_grads(grads)
    opt.step()
    for _ in range(3):
        other.step(grads)
    return opt, other.state_dict()


def rate(step):
    return 0.25


def add_group(opt, _):
    opt.add_param_group({"params": [np.zeros(3), np.zeros(2)], "lr": rate})


def load(opt, state):
    opt.load_state_dict(state)


def set_rate(opt, _):
    opt.lr = 0.5


def set_schedule(opt, _):
    opt.lr = rate


def set_several(opt, _):
    opt.param_groups[1].update(lr=0.75, eps=0.25)


def bind(opt, _):
    opt.bind_grads([[np.full(2, 3.0), np.full(1, 3.0)], np.full(3, 3.0)])


def seen(opt):
    """All that there is to be seen of it, before two more steps and after each."""
    groups = [group["params"] for group in opt.param_groups]
    params = [p for group in groups for p in (group if isinstance(group, list) else [group])]
    yield [float(grad()[0]) for grad in opt._pinned]  # bound gradients that cannot be resized
    for step in (lambda: None, opt.step, lambda: opt.step(groups_of_ones(groups))):
        try:
            step()
        except TypeError as error:  # of gradients that are not bound
            yield str(error)
        yield repr(opt), snapshot(opt, params)


def groups_of_ones(groups):
    return [list(map(np.ones_like, g)) if isinstance(g, list) else np.ones_like(g) for g in groups]


@pytest.mark.parametrize("call", [add_group, load, set_rate, set_schedule, set_several, bind])
def test_an_interrupted_call_is_made_whole_or_not_at_all(call):
    opt, state = under_way()
    before = list(seen(opt))
    opt, state = under_way()
    call(opt, state)
    after = list(seen(opt))
    assert before != after
    n, ends = 0, set()
    while True:
        opt, state = under_way()
        sys._getframe().f_trace_opcodes = True  # or Python 3.12 traces none
        sys.settrace(Interrupt(n, FOLDER))
        try:
            call(opt, state)
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        now = list(seen(opt))
        assert now in (before, after), n
        ends.add(now == after)
        n += 3  # no two calls of functions are closer
    assert n > 100 and ends == {False, True}


@pytest.mark.parametrize("max_norm", [1.5, 2])
def test_a_timeout_is_not_taken_for_an_argument_of_the_wrong_kind(max_norm):
    """What asks for it under an `except` lets the error of a signal's handler through."""
    opt, grads, n = st.SGD(np.zeros(2), lr=1.0), np.ones(2), 0
    while True:
        sys._getframe().f_trace_opcodes = True  # or Python 3.12 traces none
        sys.settrace(trace := Interrupt(n, steepest.__path__[0], TimeoutError))
        try:
            opt.bind_grads(grads)
            opt.step(max_norm=max_norm)
            st.minibatches(9, 3, seed=1)
            break
        except TimeoutError:
            n += 1
        finally:
            sys.settrace(None)
    assert n > 300 and trace.left >= 0  # it has not been raised, and dropped
