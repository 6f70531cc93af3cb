"""What was handed in goes with its last owner; Python may end, or be interrupted, at any time."""

import gc
import os
import weakref

import numpy as np
import pytest
from fresh_process import run

import steepest as st


@pytest.fixture(autouse=True)
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Operator:
    def __init__(self):
        self.A = np.diag([4.0, 3.0, 2.0])

    def matvec(self, x):
        return self.A @ x


@pytest.mark.parametrize(
    "options", [{"method": "cg"}, {"method": "jacobi", "diagonal": np.ones(3)}]
)
@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_solve_lets_go_of_a_matvec(options, shape):
    A = Operator()
    kept = weakref.ref(A)
    st.solve(A, np.ones(shape), maxiter=3, return_info=True, **options)
    del A
    assert kept() is None


class Job:
    """Keeps the error of its model, and so, by the traceback, what the calls of it held."""

    def model(self, x, a, b):
        raise RuntimeError

    def run(self):
        x = np.arange(5.0)
        try:
            st.curve_fit(self.model, x, x, [1.0, 1.0])
        except RuntimeError as error:
            self.error = error


def test_an_error_kept_by_the_owner_of_a_model_is_collected_with_it():
    job = Job()
    job.run()
    kept = weakref.ref(job)
    del job
    gc.collect()
    assert kept() is None


class Parameter(np.ndarray):
    """Has attributes."""


def test_a_parameter_that_refers_to_its_optimizer_is_collected():
    p = np.ones(3).view(Parameter)
    p.optimizer = st.Adam(p)
    p.optimizer.step(np.ones(3))
    gc.collect()  # the plan is visited while it is in use
    p.optimizer.step(np.ones(3))
    kept = weakref.ref(p)
    del p
    gc.collect()
    assert kept() is None


def test_an_object_may_be_visited_before_it_is_laid_out():
    """The first one of a subclass makes Python objects then: it crashed."""
    run("""
    import gc
    gc.set_threshold(1)
    for _ in range(20):
        class Mine(_cpu.Plan):
            pass
        Mine()
    """)


@pytest.mark.parametrize("work", ["opt.step(g)", "st.solve(A, A[0], method='lu')"])
def test_a_daemon_thread_at_work_does_not_abort_the_end_of_python(work):
    run(f"""
    import threading, time
    import numpy as np
    p, g = np.zeros((2, 4_000_000))
    opt, A = st.SGD(p, lr=0.1), np.eye(400) + np.ones((400, 400))
    st.solve(A, A[0])  # imports SciPy
    def forever():
        while True:
            {work}
    threading.Thread(target=forever, daemon=True).start()
    time.sleep(0.3)
    """)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_the_handler_of_a_signal_may_make_an_optimizer_and_fork_wherever_it_comes():
    run(
        """
        import numpy as np
        from steepest.updates import forks
        def handler():
            st.Adam(np.zeros(2))
            pid = os.fork()
            if pid == 0:
                st.Adam(np.zeros(2)).step(np.ones(2))
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        def trace(frame, event, arg):
            if frame.f_code is forks.watch.__code__:
                frame.f_trace_opcodes = True
                handler()
                return trace
        sys.settrace(trace)
        st.Adam(np.zeros(2))
        """,
        timeout=20,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_by_a_handler_leaves_the_plans_to_the_fork_that_it_interrupts():
    """They were let go, and the child of that fork might have one halfway through a step."""
    run("""
    import threading
    import numpy as np
    from steepest.updates import forks
    opt, stepped = st.SGD(np.zeros(2), lr=0.1), threading.Event()
    def step():
        opt.step(np.ones(2))
        stepped.set()
    forks._before()  # of a fork, and the handler comes right after it
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    threading.Thread(target=step).start()
    assert not stepped.wait(0.2)
    forks._in_parent()
    assert stepped.wait(20)
    """)
