"""What was handed in goes with its last owner: at once, and where the user made a cycle, with it."""

import gc
import weakref

import numpy as np
import pytest

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


@pytest.mark.parametrize("options", [{"method": "cg"}, {"method": "jacobi", "diagonal": np.ones(3)}])
@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_solve_lets_go_of_a_matvec(options, shape):
    A = Operator()
    kept = weakref.ref(A)
    st.solve(A, np.ones(shape), maxiter=3, return_info=True, **options)
    del A
    assert kept() is None
