"""What least squares refuse: arguments, shapes and kinds of answers, each named in its message."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from steepest import _cpu
from steepest.nlls.arguments import Options, make_solver


def identity(x):
    return x - np.arange(x.size)


def test_number_of_residuals_changes():
    sizes = iter([3, 4])
    with pytest.raises(ValueError, match="fun: 4 residuals, 3 at x0; their number must not change"):
        st.least_squares(lambda x: np.full(next(sizes), x[0]), [1.0], lambda x: np.ones((3, 1)))


def test_complex_residuals_and_jacobians():
    with pytest.raises(TypeError, match="fun: dtype complex128; expected real numbers; stack"):
        st.least_squares(lambda x: x + 1j, [1.0], lambda x: np.eye(1))
    with pytest.raises(TypeError, match="jac: dtype complex128; expected real numbers$"):
        st.least_squares(lambda x: x, [1.0], lambda x: 1j * np.eye(1))
    with pytest.raises(ValueError, match="x0: dtype complex128; expected real numbers"):
        st.least_squares(identity, [1j])
    with pytest.raises(TypeError, match="jac 'cs': fun returned real residuals"):
        st.least_squares(lambda x: np.abs(x) - 1, [3.0], "cs")


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r"fun: residuals of shape \(2, 2\); expected one"):
        st.least_squares(lambda x: np.eye(2), [1.0, 1.0])
    with pytest.raises(ValueError, match=r"jac: shape \(3, 2\); expected \(2, 2\)"):
        st.least_squares(identity, [1.0, 2.0], lambda x: np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"x0: shape \(2, 2\)"):
        st.least_squares(identity, np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"jac: shape \(2, 3\); expected \(2, 2\)"):
        st.least_squares(identity, [1.0, 2.0], lambda x: np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"jac: shape \(2, 2, 1\); expected two dimensions"):
        st.least_squares(identity, [1.0, 2.0], lambda x: np.ones((2, 2, 1)))
    with pytest.raises(ValueError, match=r"fun: an empty array of shape \(0,\)"):
        st.least_squares(lambda x: [], [1.0, 2.0])
    for scheme in ("2-point", lambda x: np.empty((0, 2))):  # jac is not to blame
        with pytest.raises(ValueError, match="fun: no residuals; expected at least one"):
            st.least_squares(lambda x: x[:0], [1.0, 2.0], scheme)
    for empty in ([], np.array([])):
        with pytest.raises(ValueError, match="x0: no parameters"):
            st.least_squares(identity, empty)


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(method="trf"), ValueError, "method: 'trf' is not allowed; expected one of 'lm'"),
        (dict(linear_solver="svd"), ValueError, "linear_solver: 'svd' is not allowed"),
        (dict(loss="hinge"), ValueError, "loss: 'hinge' is not allowed"),
        (dict(damping=-1.0), ValueError, "damping: -1.0 is not allowed"),
        (dict(f_scale=0), ValueError, "f_scale: 0.0 is not allowed"),
        (dict(x_scale="auto"), ValueError, "x_scale: 'auto'; expected 'jac' or positive numbers"),
        (
            dict(x_scale="jac", method="levenberg"),
            ValueError,
            "x_scale: 'jac' with method 'levenberg'",
        ),
        (
            dict(damping=1.0, method="gn"),
            ValueError,
            "damping: 1.0 with method 'gn', which has none; allowed",
        ),
        (
            dict(x_scale=[1e-200, 1e200]),
            ValueError,
            r"x_scale: 1e-200 to 1e\+200; expected a ratio of at most",
        ),
        (dict(max_nfev=0), ValueError, "max_nfev: 0 is not allowed; .*number, at least 1"),
        (dict(jac="oops"), ValueError, "jac: 'oops'; expected one of"),
        (dict(jac=np.eye(2)), ValueError, r"jac: array\(\[\[1"),
        (dict(verbose=3), ValueError, "verbose: 3; expected 0, 1 or 2"),
        (dict(verbose=np.ones(2)), ValueError, r"verbose: array.*; expected 0, 1 or 2"),
        (dict(method=np.ones(2)), ValueError, "method: array.* is not allowed; expected one"),
        (dict(linear_solver=np.ones(2)), ValueError, "linear_solver: array.* is not allowed"),
        (dict(loss=np.ones(2)), ValueError, "loss: array.* is not allowed; expected one of"),
        (dict(kwargs=np.ones(2)), TypeError, r"kwargs: array.*; expected a dict"),
        (
            dict(ftol=None, xtol=None, gtol=None),
            ValueError,
            "at least one must be higher than the machine",
        ),
        (dict(bounds=(1, 2, 3)), ValueError, "bounds: 3 elements; `bounds` must contain 2"),
        (
            dict(bounds=(2, 1)),
            ValueError,
            r"bounds: lower\[0\] = 2 is not strictly less than upper\[0\] = 1",
        ),
        (dict(bounds=(5, 6)), ValueError, r"x0: x0\[0\] = 1 is outside of its bounds, 5 to 6"),
        (dict(max_nfev="9"), TypeError, "max_nfev: '9' is a str; .*number, at least 1"),
        (dict(max_nfev=np.ones(2)), TypeError, "max_nfev: array.* an ndarray; .*, at least 1"),
        (dict(bounds=3), TypeError, "bounds: 3; expected a pair"),
        (dict(bounds="ab"), ValueError, "bounds: 'a'; expected real numbers"),
        (dict(diff_step="a"), ValueError, "diff_step: 'a'; expected real numbers"),
        (
            dict(f_scale=np.ones(2)),
            TypeError,
            r"f_scale: array.* is an ndarray; expected a finite number",
        ),
        (
            dict(damping=np.ones(2)),
            TypeError,
            r"damping: array.* is an ndarray; expected a finite number",
        ),
        (dict(diff_step=np.nan), ValueError, "diff_step: nan; expected finite numbers"),
        (
            dict(diff_step="a", jac=lambda x: np.eye(2)),
            ValueError,
            "diff_step: 'a'; expected real numbers",
        ),
        (dict(diff_step="a", jac=True), ValueError, "diff_step: 'a'; expected real numbers"),
        (dict(bounds=([-1, 1], [1, 1])), ValueError, r"lower\[1\] = 1 is not strictly less"),
        (dict(bounds=(-2, 0.5)), ValueError, r"x0\[0\] = 1 is outside of its bounds, -2 to 0.5"),
        (dict(bounds=(-2, [2, 0.5])), ValueError, r"x0\[1\] = 1 is outside of its bounds, -2"),
        (dict(ftol=-1e-3), ValueError, "ftol: -0.001 is not allowed; .* at least 0"),
        (dict(x_scale=[0, 1]), ValueError, r"x_scale: \[0, 1\]; expected 'jac' or positive"),
        (dict(x_scale=[1, -1]), ValueError, r"x_scale: \[1, -1\]; expected 'jac' or positive"),
        (dict(x_scale=[1, np.inf]), ValueError, r"x_scale: \[1, inf\]; expected 'jac' or positi"),
        (dict(x_scale=np.ma.ones(2)), ValueError, r"x_scale: (?s:.*); expected 'jac' or posi"),
        (dict(x_scale=np.ones(2) + 1j), ValueError, "x_scale: array.*j.*; expected 'jac' or pos"),
        (dict(diff_step=np.ma.ones(2)), TypeError, "diff_step: a masked array, whose mask would"),
        (dict(diff_step=np.ones(2) + 1j), TypeError, "diff_step: array.*; expected real numb"),
        (dict(bounds=(np.ma.zeros(2), 3)), TypeError, "bounds: a masked array, whose mask would"),
        (dict(bounds=(np.zeros(2) + 1j, 3)), TypeError, "bounds: array.*j.*; expected real nu"),
        (
            dict(x_scale=[1, 2, 3]),
            ValueError,
            r"x_scale: shape \(3,\), x0 \(2,\); expected a number or the same",
        ),
        (
            dict(bounds=(0, [3])),
            ValueError,
            r"upper has shape \(1,\), x0 \(2,\); expected a number or the same",
        ),
        (
            dict(bounds=([0] * 3, 3)),
            ValueError,
            r"lower has shape \(3,\), x0 \(2,\); expected",
        ),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        st.least_squares(identity, [1.0, 1.0], **options)


class NoArray:
    """As a tensor of PyTorch that requires grad."""

    def __repr__(self):
        return "NoArray()"

    def __array__(self, *_, **__):
        raise ZeroDivisionError("no")


@pytest.mark.parametrize(
    "options", [dict(bounds=(NoArray(), 3)), dict(x_scale=NoArray()), dict(diff_step=NoArray())]
)
def test_what_cannot_become_numbers_is_named(options):
    with pytest.raises((TypeError, ValueError), match=rf"^{[*options][0]}: NoArray\(\); expected "):
        st.least_squares(identity, [1.0, 1.0], **options)


@pytest.mark.parametrize("x_scale", [1e-60, 1e60, [1, 1e60], [1e-60, 1]])
def test_a_scale_that_float32_does_not_hold_is_named(x_scale):
    with pytest.raises(ValueError, match="x_scale: .*1e.60.*; expected numbers that float32 holds"):
        st.least_squares(identity, np.ones(2, np.float32), x_scale=x_scale)


@pytest.mark.parametrize(
    "call",
    [
        lambda: st.least_squares(identity, [1.0, 1.0], ftol=1e-20),
        lambda: st.LeastSquares([1.0, 1.0], ftol=1e-20),
        lambda: st.curve_fit(lambda x, a: a * x, np.ones(3), np.arange(3.0), ftol=1e-20),
        lambda: st.curve_fit(lambda x, a, b: a * x, np.ones(3), np.arange(3.0)),
        lambda: st.least_squares(lambda x: x**2, 1.0).covariance(),
        lambda: st.least_squares(lambda x: x**2, 1.0).stderr(),
    ],
    ids=["least_squares", "LeastSquares", "curve_fit", "its covariance", "covariance", "stderr"],
)
def test_a_warning_is_of_the_users_line(call):
    with pytest.warns() as told:
        call()
    line = call.__code__.co_firstlineno
    assert [(warning.filename, warning.lineno) for warning in told] == [(__file__, line)]


def test_check_jacobian_takes_functions():
    with pytest.raises(TypeError, match="jac: 3 is an int; expected a callable"):
        st.check_jacobian(identity, 3, [1.0])
    with pytest.raises(TypeError, match="fun: 3 is an int; expected a callable"):
        st.check_jacobian(3, identity, [1.0])


def test_options_go_to_cpp_by_their_names():
    """Only those that are not the default: it has the same ones."""
    options = Options(max_nfev=100)._asdict()
    for name in ("bounds", "diff_step", "args", "kwargs", "callback", "verbose"):
        del options[name]

    def fun(x):
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    start, states = np.array([-2.0, 1.0]), ({}, {})
    spelt = _cpu.Solver64(start, options), make_solver(start, Options(max_nfev=100), (None, None))
    for solver, state in zip(spelt, states, strict=True):
        solver.run_differences(fun, False, None, None, None, None)
        solver.put_state(state, None)
    np.testing.assert_equal(*states)
    with pytest.raises(ValueError, match="dampings is not an option of the solver"):
        _cpu.Solver64(start, {"dampings": 1.0})
