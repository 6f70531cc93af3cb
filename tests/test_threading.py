"""One optimizer in several Python threads, and several optimizers beside each other."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest

import steepest as st
from runs import bits, make, problem
from table import CLASSES


def together(*works):
    """Runs them in threads that start at once; the first exception is raised here."""
    ready, failed = threading.Barrier(len(works)), []

    def run(work):
        try:
            ready.wait()
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


@pytest.mark.parametrize("n", [10, 200_000], ids=["with GIL", "without GIL"])
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("scheduled", [False, True])
def test_one_optimizer_in_four_threads_takes_every_step(n, bound, scheduled):
    p, g, asked = np.zeros(n), np.ones(n), []
    steps = 200 if n == 10 else 25
    opt = st.SGD(p, lr=(lambda step: asked.append(step) or 1.0) if scheduled else 1.0)
    opt.bind_grads(g)

    def work():
        for _ in range(steps):
            opt.step() if bound else opt.step(g)

    together(*[work] * 4)
    assert opt.step_count == opt.state_dict()["state"][0]["step"] == 4 * steps
    assert (p == -4 * steps).all()
    if scheduled:
        assert asked == list(range(4 * steps))


def test_different_optimizers_in_parallel():
    thetas, grads = problem(np.float32, sizes=(70_001, 3), steps=10)
    runs = []
    for rule in CLASSES[:4]:
        params = [t.copy() for t in thetas]
        runs.append((rule, params, make(rule, params)))

    def work(opt):
        for step in grads:
            opt.step(step, max_norm=1.0)

    together(*[lambda opt=opt: work(opt) for _, _, opt in runs])
    for rule, params, _ in runs:
        alone = [t.copy() for t in thetas]
        work(make(rule, alone))
        assert [bits(p) for p in params] == [bits(p) for p in alone]


def test_a_state_dict_beside_steps_is_of_one_step():
    """Both moments of a constant gradient after t steps are known."""
    n = 100_000
    p, g = np.zeros(n), np.ones(n)
    opt = st.Adam(p, betas=(0.5, 0.75))
    opt.bind_grads(g)
    seen = []

    def work():
        for _ in range(60):
            opt.step()

    together(work, lambda: seen.extend(opt.state_dict() for _ in range(30)))
    for d in seen:
        entry = d["state"][0]
        assert entry["step"] == d["step_count"]
        for name, beta in (("exp_avg", 0.5), ("exp_avg_sq", 0.75)):
            np.testing.assert_allclose(entry[name], 1 - beta ** entry["step"], rtol=1e-12)


def test_hyperparameters_set_beside_steps():
    p = np.zeros(1000)
    opt = st.SGD(p, lr=1.0)

    def work():
        for _ in range(500):
            opt.step(np.ones(1000))

    def change():
        for k in range(500):
            opt.lr = 1.0 + k % 2

    together(work, change)
    assert opt.step_count == 500 and -1000 <= p[0] <= -500 and (p == p[0]).all()


def test_a_long_step_lets_other_threads_run():
    n = 1_000_000
    opt = st.Adam([np.zeros(n)])
    opt.bind_grads([np.ones(n)])
    stop, counted = threading.Event(), [0]

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)  # gives the GIL away

    def work():
        for _ in range(50):
            opt._plan.step_bound_plain()
        stop.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(30)  # nobody is made to give it away
    try:
        together(work, count)
    finally:
        sys.setswitchinterval(interval)
    assert counted[0] > 50


def test_a_schedule_may_read_and_step_the_optimizer_it_serves():
    p = np.zeros(1)
    opt = st.SGD(p, lr=lambda step: 1.0 + opt.step_count)
    for _ in range(3):
        opt.step(np.ones(1))
    assert p[0] == -6.0
