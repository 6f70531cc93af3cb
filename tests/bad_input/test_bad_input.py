"""What is wrong with arrays and structures is said, with its place, and nothing is changed.

Every case asserts the message, and that parameters, state and counts are bitwise as before.
"""

from __future__ import annotations

import array
import ctypes
import re
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import steepest as st
from refusals import G, grads_of, says
from runs import make, snapshot
from steepest import check
from table import CLASSES

# --- parameters ---

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
    message = f'params["a"]: dtype {p.dtype}; allowed are float32 and float64 in native byte order'
    with says(TypeError, message):
        st.SGD({"a": p}, lr=0.1)


@pytest.mark.parametrize("dtype", NOT_A_DTYPE, ids=str)
def test_gradient_of_another_dtype(setup, dtype):
    opt, params, unchanged = setup
    g = np.zeros(5, dtype)
    with says(TypeError, f'grads["layer2"]["w"]: dtype {g.dtype}; allowed are float32 and'):
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
    (1.0, "a float; allowed is an array; make one by np.array(..., float)"),
    (3, "an int; allowed is an array"),
    ("text", "a str; allowed is an array"),
    (b"text", "a bytes; allowed is an array"),
    (True, "a bool; allowed is an array"),
    (1j, "a complex; allowed is an array"),
    (np.float64(1), "a float64; allowed is an array; NumPy gives a scalar for an expression of 0"),
    (object(), "an object; allowed is an array: one of NumPy, or what exports DLPack or"),
    (
        {"w": np.ones(2)}.values(),
        "a dict_values; allowed is an array: one of NumPy, or what exports DLPack or "
        "__array_interface__; of several arrays pass a list",
    ),
    (np.ndarray, "the class ndarray; allowed is an array"),
    (
        type("Series", (), {"to_numpy": lambda self: np.ones(2)})(),
        "a Series; allowed is an array: one of NumPy, or what exports DLPack or "
        "__array_interface__; pass its .to_numpy(copy=True)",
    ),
    *(
        (
            value,
            f"{check.kind(value)}; allowed is an array: one of NumPy, or what exports DLPack "
            "or __array_interface__; pass np.asarray(...) of it, which shares its memory",
        )
        for value in (memoryview(np.ones(5)), (ctypes.c_double * 5)(), array.array("d", [1.0] * 5))
    ),
    (iter([np.ones(2)]), "a list_iterator, which is read only once; pass a list"),
    ((np.ones(1) for _ in range(2)), "a generator, which is read only once; pass a list"),
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
    with says(TypeError, "params[0]: a NoneType; allowed is an array"):
        st.SGD([None], lr=0.1)


@pytest.mark.parametrize("params", [[], (), {}, [[], {}], [{"params": []}]], ids=str)
def test_no_array_at_all(params):
    with says(ValueError, "params: no array in it; allowed is at least one"):
        st.SGD(params, lr=0.1)


def test_structure_that_holds_itself():
    params = [np.ones(1)]
    params.append(params)
    with says(ValueError, "params: nested more than 100 deep; does a list hold itself?"):
        st.SGD(params, lr=0.1)


def test_deep_nesting_works():
    p = np.ones(2)
    params = p
    for _ in range(99):
        params = [params]
    opt = st.SGD(params, lr=1.0)
    opt.step(params_like(params, np.ones(2)))
    assert (p == 0).all()


def params_like(structure, g):
    return [params_like(structure[0], g)] if isinstance(structure, list) else g


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


def test_gradient_may_not_be_a_parameter_added_later():
    """It lay in a gap between arrays that the engine remembered."""
    memory = np.zeros(100)
    opt = st.SGD([memory[:10], memory[90:]], lr=0.1)
    opt.step([memory[20:30], memory[30:40]])
    opt.add_param_group({"params": memory[20:30]})
    with says(ValueError, "grads[0][0]: shares memory with a parameter or state; pass a copy"):
        opt.step([[memory[20:30], None], None])


# --- gradients ---


@pytest.mark.parametrize("share", [lambda p: p, lambda p: p[:], lambda p: p.view()])
def test_gradient_that_is_the_parameter(setup, share):
    opt, params, unchanged = setup
    w = params["layer2"]["w"]
    for g in (share(w), opt.ema["layer2"]["w"], opt._states[2]["exp_avg"]):
        for step in (opt.step, opt.bind_grads):
            with says(
                ValueError, 'grads["layer2"]["w"]: shares memory with a parameter or state; pass'
            ):
                step(grads_of(params, layer2_w=g))
            unchanged()


def test_gradient_that_overlaps_a_parameter_in_part(setup):
    memory = np.ones(20)
    for lo, hi in ((0, 10), (1, 11), (9, 19), (10, 20)):
        p = memory[5:15].copy() * 0 + 2
        memory[5:15] = p
        opt = st.Momentum([memory[5:15]], lr=0.1)
        before = snapshot(opt, [memory])
        with says(ValueError, "grads[0]: shares memory with a parameter or state"):
            opt.step([memory[lo:hi]])
        assert snapshot(opt, [memory]) == before


BAD_GRADIENT = [
    (np.ones(4), "shape (4,) differs from the parameter's (5,)"),
    (np.ones((5, 1)), "shape (5, 1) differs from the parameter's (5,)"),
    (np.ones(()), "shape () differs from the parameter's (5,)"),
    (np.ones(10)[::2], "strides (16,) differ from the parameter's (8,); pass np.ascontiguous"),
    (np.ones(5)[::-1], "strides (-8,) differ from the parameter's (8,); pass np.ascontiguous"),
    (np.broadcast_to(np.ones(1), 5), "strides (0,) differ from the parameter's (8,)"),
    (np.zeros(41, np.uint8)[1:].view(np.float64), "not aligned to its elements"),
]


@pytest.mark.parametrize("g, message", BAD_GRADIENT, ids=lambda v: v if isinstance(v, str) else "")
def test_gradient_laid_out_badly(setup, g, message):
    opt, params, unchanged = setup
    for step in (opt.step, opt.bind_grads):
        with says(ValueError, 'grads["layer2"]["w"]: ' + message):
            step(grads_of(params, layer2_w=g))
        unchanged()


def test_fortran_order_beside_c_order():
    p = np.asfortranarray(np.ones((3, 4)))
    opt = st.SGD([p], lr=0.1)
    with says(ValueError, "grads[0]: strides (32, 8) differ from the parameter's (8, 24); pass np"):
        opt.step([np.ones((3, 4))])
    assert (p == 1).all()


LAYOUTS = [
    lambda a: np.asfortranarray(a),
    lambda a: a[::-1],
    lambda a: a[:, ::-1, ::-1],
    lambda a: a.transpose(2, 0, 1)[:, None],  # an axis whose stride says nothing
    lambda a: a.transpose(1, 2, 0)[::-1, :, ::-1],
    lambda a: a[:, None],
    lambda a: a.view(np.ndarray),
]


@pytest.mark.parametrize("lay", LAYOUTS)
@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_any_dense_layout_is_accepted_when_all_agree(rule, lay):
    rng = np.random.default_rng(0)
    theta, g = rng.standard_normal((2, 2, 3, 5))
    want = lay(theta).copy()
    flat = make(rule, want, ema_decay=0.5)
    p, grad = lay(theta), lay(g)
    opt = make(rule, p, ema_decay=0.5)
    for _ in range(3):
        flat.step(np.ascontiguousarray(grad))
        opt.step(grad)
    assert np.array_equal(p, want) and np.array_equal(opt.ema, flat.ema)
    entry, other = opt.state_dict()["state"][0], flat.state_dict()["state"][0]
    assert all(np.array_equal(entry[k], other[k]) for k in other)


def test_subclasses_and_memmaps_work(tmp_path):
    matrix = np.ones((2, 2)).view(np.matrix) if hasattr(np, "matrix") else np.ones((2, 2))
    mapped = np.memmap(tmp_path / "p.bin", np.float64, "w+", shape=(3,))
    opt = st.SGD([matrix, mapped], lr=1.0)
    opt.step([np.ones((2, 2)), np.ones(3)])
    assert (matrix == 0).all() and (mapped == -1).all()
    mapped.flush()
    assert (np.fromfile(tmp_path / "p.bin") == -1).all()
    readonly = np.memmap(tmp_path / "p.bin", np.float64, "r", shape=(3,))
    with says(ValueError, "params: read-only"):
        st.SGD(readonly, lr=1.0)
    opt.step([None, readonly])  # as a gradient it may be


def test_read_only_or_shared_gradients_cannot_be_zeroed(setup):
    opt, params, unchanged = setup
    g = np.ones(5)
    g.flags.writeable = False
    with says(ValueError, 'grads["layer2"]["w"]: read-only, so zero_grad cannot zero it'):
        opt.step(grads_of(params, layer2_w=g), zero_grad=True)
    unchanged()
    one = np.ones(8)
    pair = st.SGD([np.ones(5), np.ones(5)], lr=0.1)
    pair.step([one[:5], one[3:]])  # read twice: allowed
    with says(ValueError, "grads[1]: shares memory with another gradient; zero_grad cannot zero"):
        pair.step([one[:5], one[3:]], zero_grad=True)
    assert (one == 1).all() and pair.step_count == 1


# --- structure ---

W = 'grads["layer2"]'
BAD_STRUCTURE = [
    (lambda g: g.pop("layer2"), ValueError, "grads: keys ['layer2'] are missing"),
    (lambda g: g.update(x=1), ValueError, "grads: keys ['x'] are not in the parameters"),
    (
        lambda g: g.update(layer2=np.ones(5)),
        TypeError,
        W + ": an ndarray; allowed is a dict with keys",
    ),
    (
        lambda g: g.update(layer2=[np.ones(5)]),
        TypeError,
        W + ": a list; allowed is a dict with keys",
    ),
    (
        lambda g: g.update(layer2={"w": [np.ones(5)]}),
        TypeError,
        W + '["w"]: a list; allowed is an array',
    ),
    (lambda g: g.update(layer2={}), ValueError, W + ": keys ['w'] are missing"),
    (lambda g: g.update(layer2=None), TypeError, W + ": a NoneType; allowed is a dict"),
    (lambda g: g["layer1"].pop(), ValueError, 'grads["layer1"]: 1 entries where the parameters'),
    (
        lambda g: g.update(layer1=np.ones((2, 3))),
        TypeError,
        'grads["layer1"]: an ndarray; allowed is a l',
    ),
    (
        lambda g: g.update(layer1={0: 1, 1: 2}),
        TypeError,
        'grads["layer1"]: a dict; allowed is a list',
    ),
]


@pytest.mark.parametrize("change, error, message", BAD_STRUCTURE)
def test_structure_mismatch(setup, change, error, message):
    opt, params, unchanged = setup
    grads = grads_of(params)
    change(grads)
    with says(error, message):
        opt.step(grads)
    unchanged()


def test_messages_stay_short_where_there_are_thousands_of_arrays():
    arrays = {f"w{i}": np.ones(1) for i in range(3000)}
    opt, fewer = st.SGD(arrays, lr=1.0), st.SGD({"w0": np.ones(1)}, lr=1.0)
    renamed = st.SGD({"w0": np.ones(1), **{i: np.ones(1) for i in range(2999)}}, lr=1.0)
    calls = [
        (lambda: opt.step({}), "grads: keys ['w0', 'w1', "),
        (lambda: opt.step([]), "grads: a list; allowed is a dict with keys ['w0', "),
        (lambda: fewer.step(arrays), "grads: keys ['w1', 'w2', "),
        (lambda: opt.load_state_dict(fewer.state_dict()), f"{G}[0]: params from 1 on: [] differ"),
        (lambda: opt.load_state_dict(renamed.state_dict()), f"{G}[0]: param_names from 1 on: ['0"),
    ]
    for call, message in calls:
        with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}") as caught:
            call()
        assert len(str(caught.value)) < 700


def test_lists_in_and_out_of_step():
    params = [[np.ones(2)], [np.ones(3)]]
    opt = st.SGD(params, lr=1.0)
    opt.step([[np.ones(2)], [np.ones(3)]])
    assert (params[0][0] == 0).all()
    with says(TypeError, "grads[0]: an ndarray; allowed is a list of 1"):
        opt.step([np.ones(2), np.ones(3)])
    flat = st.SGD([np.ones(2), np.ones(3)], lr=1.0)
    with says(TypeError, "grads[0]: a list; allowed is an array; make one by np.array("):
        flat.step([[np.ones(2)], [np.ones(3)]])
    deep = st.SGD({"a": [{"b": np.ones(1)}]}, lr=1.0)
    with says(TypeError, 'grads["a"][0]: a list; allowed is a dict with keys'):
        deep.step({"a": [[np.ones(1)]]})
    with says(TypeError, "grads: an ndarray; allowed is a list of 2"):
        flat.step(np.ones((2, 3)))
    with says(ValueError, "grads: 3 entries where the parameters have 2"):
        flat.step([np.ones(2)] * 3)
    assert flat.step_count == 0


def test_a_list_that_grows_after_construction_is_not_the_structure():
    params = [np.ones(2)]
    opt = st.SGD(params, lr=1.0)
    params.append(np.ones(9))
    opt.step([np.ones(2)])
    with says(ValueError, "grads: 2 entries where the parameters have 1"):
        opt.step([np.ones(2), np.ones(9)])
    params.clear()
    opt.step([np.ones(2)])
    assert opt.step_count == 2


def test_array_that_gets_another_shape_after_construction():
    p = np.ones(6)
    opt = st.Nesterov(p, lr=1.0, momentum=0.5)
    p.resize((2, 3), refcheck=False)
    for g in (np.ones(6), np.ones(6).view(np.memmap)):  # one as it is, one by a view
        opt.step(g)
    assert p.shape == (2, 3) and (p == -2.25).all()
    assert opt.iterates().tolist() == [-1.5] * 6


@pytest.mark.parametrize("kind", [np.ndarray, np.memmap])
@pytest.mark.parametrize("bound", [False, True])
def test_parameter_made_read_only_after_construction(bound, kind):
    params, grads = {"a": [np.ones(2), np.ones(3).view(kind)]}, {"a": [np.ones(2), np.ones(3)]}
    opt = st.Adam(params, ema_decay=0.5)
    opt.bind_grads(grads)
    given = () if bound else (grads,)
    opt.step(*given)
    before = snapshot(opt, params["a"])
    params["a"][1].flags.writeable = False
    for options in ({}, dict(max_norm=1.0, zero_grad=True)):
        with says(ValueError, 'params["a"][1]: read-only since the optimizer was made; no step'):
            opt.step(*given, **options)
        assert snapshot(opt, params["a"]) == before and (grads["a"][0] == 1).all()
    params["a"][1].flags.writeable = True
    opt.step(*given)
    assert opt.step_count == 2


def test_parameter_that_moves_after_construction():
    p = np.ones(4)
    opt = st.Nesterov([p], lr=0.1)
    memory, kept = p.ctypes.data, []
    while p.ctypes.data == memory:
        kept.append(np.ones(4))  # so that it cannot grow in its place
        p.resize(p.size * 64, refcheck=False)
    with says(ValueError, "params[0]: its memory has moved or shrunk since the optimizer was made"):
        opt.step([np.ones(4)])
    with says(ValueError, "params[0]: its memory has moved or shrunk since the optimizer was made"):
        opt.iterates()
    assert opt.step_count == 0


@pytest.mark.parametrize("bound", [False, True])
def test_parameter_that_shrinks_in_its_place(bound):
    p, g = np.ones((2, 500)), np.ones((2, 500))
    opt = st.SGD([p], lr=0.1)
    opt.bind_grads([g])
    p.resize((2, 499), refcheck=False)  # in its place, unless the C library moves it
    with says(ValueError, "params[0]: its memory has moved or shrunk since the optimizer was made"):
        opt.step() if bound else opt.step([g])
    assert opt.step_count == 0 and (p == 1).all()


@pytest.mark.parametrize("bound", [False, True])
def test_parameter_that_shrinks_as_another_dtype(bound):
    """It had as many elements as before, of half the bytes: the step wrote beyond its memory."""
    p, g = np.ones((2, 500)), np.ones((2, 500))
    opt = st.SGD([p], lr=0.1)
    opt.bind_grads([g])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy means to forbid it
        p.dtype = np.float32
    opt.step() if bound else opt.step([g])  # the same memory
    p.resize((2, 999), refcheck=False)
    with says(ValueError, "params[0]: its memory has moved or shrunk since the optimizer was made"):
        opt.step() if bound else opt.step([g])
    assert opt.step_count == 1


def test_groups_mismatch():
    opt = st.SGD([{"params": np.ones(2)}, {"params": [np.ones(3)]}], lr=0.1)
    with says(TypeError, "grads: an ndarray; allowed is a list with an entry for each group"):
        opt.step(np.ones(2))
    with says(ValueError, "grads: 1 entries where there are 2 groups"):
        opt.step([np.ones(2)])
    with says(TypeError, "grads[1]: an ndarray; allowed is a list of 1"):
        opt.step([np.ones(2), np.ones(3)])
    with says(ValueError, "grads[1][0]: shape (2,) differs from the parameter's (3,)"):
        opt.step([np.ones(2), [np.ones(2)]])
    assert opt.step_count == 0


def test_ordered_dicts_and_mixed_keys_work():
    params = OrderedDict([(0, np.ones(2)), ("é", np.ones(2)), ((1, 2), np.ones(2))])
    opt = st.SGD(params, lr=1.0)
    opt.step({(1, 2): np.full(2, 3.0), "é": np.full(2, 2.0), 0: np.ones(2)})
    assert [p[0] for p in params.values()] == [0, -1, -2]
    with says(ValueError, 'grads["é"]: shape (3,) differs'):
        opt.step({(1, 2): np.ones(2), "é": np.ones(3), 0: np.ones(2)})
