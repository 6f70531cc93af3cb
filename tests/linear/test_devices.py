"""Arrays that are not on their library's own device, as PyTorch's on a GPU."""

from types import ModuleType, SimpleNamespace

import array_api_strict as strict
import numpy as np
import pytest
from linear_systems import ITERATIVE, definite, right_hand_side

import steepest as st
from steepest.linear.direct import _may_overwrite

ELSEWHERE = strict.Device("device1")


@pytest.mark.parametrize("columns", [None, 1, 3])
@pytest.mark.parametrize("name", ITERATIVE)
def test_the_same_numbers_in_the_same_place(name, columns):
    a, b = definite(70), right_hand_side(70, columns)
    if columns is not None:
        b[:, 0] = np.linalg.eigh(a)[1][:, 0]  # converges before the others
    for matrix in (a, 2 * np.eye(70)):  # with the second the residual is 0 in the end
        here, there = (
            [strict.asarray(v, device=d) for v in (matrix, b)] for d in (None, ELSEWHERE)
        )
        x, y = (st.solve(*given, **ITERATIVE[name]) for given in (here, there))
        assert y.device == ELSEWHERE
        assert bool(strict.all(y == strict.asarray(np.asarray(x), device=ELSEWHERE)))


@pytest.mark.parametrize("shared", [None, False, True])
def test_memory_elsewhere_is_overwritten_only_where_it_is_known_to_hold_nothing_else(shared):
    xp = ModuleType("elsewhere")
    if shared is not None:
        xp.may_share_memory = lambda a, b: shared
    array = SimpleNamespace(__array_namespace__=lambda **kw: xp)
    assert _may_overwrite(array, array) is (shared is False)


def test_the_first_inverse_hessian():
    h = st.BFGS(strict.ones(2, device=ELSEWHERE)).inverse_hessian
    assert h.device == ELSEWHERE and bool(strict.all(h == strict.eye(2, device=ELSEWHERE)))
