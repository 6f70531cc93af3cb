"""What is wrong with arrays and structures is said, with its place, and nothing is changed.

Every case asserts the message, and that parameters, state and counts are bitwise as before.
"""

from __future__ import annotations

import array
import ctypes
import re

import numpy as np
import pytest

import steepest as st
from refusals import grads_of, says
from steepest import check

NOT_A_DTYPE = [
    np.int32,
    np.uint8,
    np.float16,
    np.complex64,
    np.complex128,
    np.longdouble,
    bool,
    object,
    "S4",
    "U4",
    "datetime64[s]",
    ">f4",
    ">f8",
    [("x", "f4")],
]


@pytest.mark.parametrize("dtype", NOT_A_DTYPE, ids=str)
def test_parameter_of_another_dtype(dtype):
    p = np.zeros(3, dtype)
    message = f'params["a"]: dtype {p.dtype}; expected float32 or float64 in native byte order'
    with says(TypeError, message):
        st.SGD({"a": p}, lr=0.1)


@pytest.mark.parametrize(
    ("dtype", "due"),
    [
        ("i8", "float64"),
        ("g", "float64"),
        (">f8", "float64"),
        (">f4", "float32"),
        ("i2", "float32"),
    ],
)
def test_parameter_is_told_a_float_as_wide(dtype, due):
    """Integers and long doubles were told float32."""
    with pytest.raises(TypeError, match=re.escape(f"(a copy of that kind: .astype({due!r}))")):
        st.SGD(np.zeros(3, dtype), lr=0.1)


@pytest.mark.parametrize("dtype", NOT_A_DTYPE, ids=str)
def test_gradient_of_another_dtype(setup, dtype):
    opt, params, unchanged = setup
    g = np.zeros(5, dtype)
    with says(TypeError, f'grads["layer2"]["w"]: dtype {g.dtype}; expected float32 or'):
        opt.step(grads_of(params, layer2_w=g))
    unchanged()


@pytest.mark.parametrize("dtype", [np.int64, bool, np.float16, ">f4"], ids=str)
def test_gradient_is_told_its_parameters_dtype(setup, dtype):
    """It was told float32, and then that this is not the parameter's."""
    opt, params, unchanged = setup
    g = np.ones(5, dtype)
    with pytest.raises(TypeError, match=re.escape("(a copy of that kind: .astype('float64'))")):
        opt.step(grads_of(params, layer2_w=g))
    unchanged()
    opt.step(grads_of(params, layer2_w=g.astype("float64")))


def test_gradient_of_the_other_float(setup):
    opt, params, unchanged = setup
    with says(
        TypeError,
        'grads["layer2"]["w"]: dtype float32 differs from the parameter\'s float64; '
        "pass g.astype('float64')",
    ):
        opt.step(grads_of(params, layer2_w=np.ones(5, np.float32)))
    unchanged()


NO_ARRAY = [
    (1.0, "got a float; expected an array; make one by np.array(..., float)"),
    (3, "got an int; expected an array"),
    ("text", "got a str; expected an array"),
    (b"text", "got a bytes; expected an array"),
    (True, "got a bool; expected an array"),
    (1j, "got a complex; expected an array"),
    (
        np.float64(1),
        "got a float64; expected an array; an expression of 0",
    ),
    (object(), "got an object; expected an array: NumPy's own, or one that exports DLPack or"),
    (
        {"w": np.ones(2)}.values(),
        "got a dict_values; expected an array: NumPy's own, or one that exports DLPack or "
        "__array_interface__; for several arrays pass a list",
    ),
    (np.ndarray, "the class ndarray; expected an array"),
    (
        type("Series", (), {"to_numpy": lambda self: np.ones(2)})(),
        "got a Series; expected an array: NumPy's own, or one that exports DLPack or "
        "__array_interface__; pass its .to_numpy(copy=True)",
    ),
    *(
        (
            value,
            f"got {check.kind(value)}; expected an array: NumPy's own, or one that exports DLPack "
            "or __array_interface__; pass np.asarray(...) of it, which shares its memory",
        )
        for value in (memoryview(np.ones(5)), (ctypes.c_double * 5)(), array.array("d", [1.0] * 5))
    ),
    (iter([np.ones(2)]), "got a list_iterator, which can be read only once; pass a list"),
    ((np.ones(1) for _ in range(2)), "got a generator, which can be read only once; pass a list"),
    (np.ma.ones(5), "a masked array, whose mask would be ignored; pass its .data"),
]


@pytest.mark.parametrize("value, message", NO_ARRAY, ids=lambda v: str(v)[:11])
def test_what_is_no_array(setup, value, message):
    opt, params, unchanged = setup
    with says(TypeError, "params: " + message):
        st.SGD(value, lr=0.1)
    with says(TypeError, "params[1]: " + message):
        st.SGD([np.ones(1), value], lr=0.1)
    with says(TypeError, 'grads["layer2"]["w"]: ' + message):
        opt.step(grads_of(params, layer2_w=value))
    unchanged()


def test_none_is_no_parameter():
    with says(TypeError, "params[0]: got None; expected an array"):
        st.SGD([None], lr=0.1)


@pytest.mark.parametrize("params", [[], (), {}, [[], {}], [{"params": []}]], ids=str)
def test_no_array_at_all(params):
    with says(ValueError, "params: contains no array; expected at least one"):
        st.SGD(params, lr=0.1)


def read_only():
    p = np.ones(4)
    p.flags.writeable = False
    return p


def misaligned():
    return np.zeros(33, np.uint8)[1:].view(np.float64)


BAD_LAYOUT = [
    (read_only, "read-only; pass a writeable array, such as a copy of it"),
    (lambda: np.broadcast_to(np.ones(1), 4), "read-only"),
    (misaligned, "not aligned to its elements; pass np.require(a, None, 'A')"),
    (lambda: np.ones(8)[::2], "strides (16,) of shape (4,) leave gaps or repeat elements"),
    (lambda: np.ones((4, 4))[:, :2], "strides (32, 8) of shape (4, 2) leave gaps or repeat"),
    (
        lambda: np.lib.stride_tricks.as_strided(np.ones(1), (4,), (0,)),
        "strides (0,) of shape (4,) leave gaps or repeat elements",
    ),
    (
        lambda: np.lib.stride_tricks.as_strided(np.ones(5), (3, 3), (8, 8)),
        "strides (8, 8) of shape (3, 3) leave gaps or repeat elements",
    ),
]


@pytest.mark.parametrize("array, message", BAD_LAYOUT)
def test_parameter_laid_out_badly(array, message):
    with says(ValueError, 'params["a"][1]: ' + message):
        st.SGD({"a": [np.ones(1), array()]}, lr=0.1)


def test_parameters_that_overlap():
    memory = np.ones(10)
    for first, second in (
        (memory, memory),
        (memory[:5], memory[4:]),
        (memory, memory[3:5]),
        (memory[3:5], memory),
        (memory.reshape(2, 5), memory[::-1]),
    ):
        with says(
            ValueError, "params[2]: shares memory with params[0]; each array may appear once"
        ):
            st.SGD([first, np.ones(3), second], lr=0.1)
    with says(ValueError, 'params[1]["params"]["b"]: shares memory with params[0]["params"]["a"]'):
        st.SGD([{"params": {"a": memory[:5]}}, {"params": {"b": memory[2:]}}], lr=0.1)
    st.SGD([memory[:5], memory[5:], memory[2:2]], lr=0.1)  # beside each other, or empty


def test_added_group_that_overlaps(setup):
    opt, params, unchanged = setup
    with says(ValueError, 'params[1]["params"]: shares memory with params["layer2"]["w"]'):
        opt.add_param_group({"params": params["layer2"]["w"][1:3]})
    with says(ValueError, 'params[1]["params"]: shares memory with the running mean of params["'):
        opt.add_param_group({"params": opt.ema["layer2"]["w"]})
    unchanged()
    assert len(opt.param_groups) == 1
    opt.step(grads_of(params))
    p = np.ones(3)
    grouped = st.SGD([{"params": [p]}], lr=0.1)
    with says(ValueError, 'params[1]["params"]: shares memory with params[0]["params"][0]; each'):
        grouped.add_param_group({"params": p[1:]})
