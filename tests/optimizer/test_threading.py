"""One optimizer in several Python threads, and several optimizers beside each other."""

from __future__ import annotations

import copy
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import steepest as st
from runs import bits, make, problem
from steepest.updates import gradients
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
    opt = st.SGD(p, lr=(lambda step: asked.append(step) or step + 1.0) if scheduled else 1.0)
    opt.bind_grads(g)

    def work():
        for _ in range(steps):
            opt.step() if bound else opt.step(g)

    together(*[work] * 4)
    assert opt.step_count == opt.state_dict()["state"][0]["step"] == 4 * steps
    taken = 4 * steps
    assert (p == (-taken * (taken + 1) // 2 if scheduled else -taken)).all()
    if scheduled:  # some twice, where another thread stepped meanwhile
        assert set(asked) == set(range(taken))


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


def test_a_group_added_while_a_hyperparameter_is_set():
    """The groups of before were set, and then zip complained of its arguments."""
    opt = st.SGD([np.zeros(1)], lr=1.0)

    class Slow(float):
        def __float__(self):
            with ThreadPoolExecutor(1) as other:
                other.submit(opt.add_param_group, {"params": np.zeros(1)}).result(timeout=60)
            return 0.5

    opt.lr = Slow()
    assert [group["lr"] for group in opt.param_groups] == [0.5, 1.0]


@pytest.fixture
def quick_switches():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_a_schedule_set_beside_steps(quick_switches):
    """Each step is by the schedule or by the number, which are the same rate here."""
    p, done = np.zeros(1), []
    opt = st.SGD(p, lr=0.5)

    def toggle():
        for _ in range(8000):
            opt.lr = st.schedules.constant(0.5)
            opt.lr = 0.5
        done.append(True)

    def step():
        while not done:
            opt.step(np.ones(1))

    together(toggle, step)
    assert p[0] == -0.5 * opt.step_count


def test_a_setting_of_all_groups_beside_steps(quick_switches):
    params, done = [np.zeros(1) for _ in range(20)], []
    opt = st.SGD([{"params": p} for p in params], lr=1.0)

    def toggle():
        for _ in range(1000):
            opt.lr = 2.0
            opt.lr = 1.0
        done.append(True)

    def step():
        while not done:
            opt.step([np.ones(1)] * 20)

    together(toggle, step)
    assert len({float(p[0]) for p in params}) == 1


def test_settings_of_one_group_beside_each_other(quick_switches):
    group = st.Adam(np.ones(1)).param_groups[0]

    def setting(name):
        for k in range(20_000):
            group[name] = k / 2**20
            assert group[name] == k / 2**20

    together(*[lambda name=name: setting(name) for name in ("lr", "weight_decay", "eps")])


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


def test_a_schedule_is_asked_again_after_a_step_taken_meanwhile():
    p, asked = np.zeros(1), []

    def rate(step):
        asked.append(step)
        if asked == [0]:
            opt.step(np.ones(1))
        return 10.0**step

    opt = st.SGD(p, lr=rate)
    opt.step(np.ones(1))
    assert asked == [0, 0, 1] and p[0] == -11


def test_a_schedule_may_wait_for_a_thread_that_reads_the_optimizer():
    """As with a lock of the logging module, which both take."""
    p, users, asked = np.zeros(1), threading.Lock(), threading.Event()

    def rate(step):
        asked.set()
        with users:
            return 1.0

    opt = st.SGD(p, lr=rate, ema_decay=0.5)

    def read():
        with users:
            asked.wait(60)
            assert "step 0" in repr(opt) and opt.ema == 0 and opt.state_dict()["step_count"] == 0

    together(lambda: opt.step(np.ones(1)), read)
    assert p == -1


def test_schedules_that_read_each_others_optimizers():
    def rate(step):
        ready.wait(60)
        return 1.0 + other[threading.get_ident()].step_count

    ready, other, p, q = threading.Barrier(2), {}, np.zeros(1), np.zeros(1)
    one, two = st.SGD(p, lr=rate), st.SGD(q, lr=rate)

    def work(opt, another):
        other[threading.get_ident()] = another
        opt.step(np.ones(1))

    together(lambda: work(one, two), lambda: work(two, one))
    assert one.step_count == two.step_count == 1


def test_copies_beside_steps_are_of_one_step():
    """Velocity and parameters both count the steps."""
    n = 300_000
    opt = st.Momentum([np.zeros(n), np.zeros(3)], lr=1.0, momentum=1.0)
    grads, copies = [np.ones(n), np.ones(3)], []

    def work():
        for _ in range(60):
            opt.step(grads)

    together(work, lambda: copies.extend(copy.deepcopy(opt) for _ in range(20)))
    for each in copies:
        t = each.step_count
        for theta, state in zip(each._views, each._states, strict=True):
            assert (state["velocity"] == -t).all() and (theta == -t * (t + 1) // 2).all()


def test_a_group_added_beside_reads():
    opt = st.SGD([{"params": np.zeros(3)}], lr=1.0, ema_decay=0.5)
    stop = threading.Event()

    def add():
        for _ in range(300):
            opt.add_param_group({"params": np.zeros(3)})
        stop.set()

    def read():
        while not stop.is_set():
            d = opt.state_dict()
            assert len(d["state"]) == sum(len(g["params"]) for g in d["param_groups"])
            assert len(opt.ema) >= len(d["param_groups"])

    together(add, read, read)


def test_a_group_that_is_added_while_gradients_are_bound_lets_go_of_them(monkeypatch):
    """Without the GIL it could be added when the plan had them, but the optimizer did not."""
    opt = st.SGD([np.ones(3)], lr=0.1)
    add = threading.Thread(target=opt.add_param_group, args=({"params": [np.ones(2)]},))

    def slowly(changes):
        bind, watch = changes
        monkeypatch.undo()
        assert bind() is None
        add.start()
        add.join(0.2)
        return watch()

    monkeypatch.setattr(gradients, "commit", slowly)
    opt.bind_grads([np.ones(3)])
    add.join()
    with pytest.raises(TypeError, match="none are bound"):
        opt.step()
    assert opt.step_count == 0
