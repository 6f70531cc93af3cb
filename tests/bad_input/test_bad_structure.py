"""Structures that differ from that of the parameters, and arrays that change between steps."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import steepest as st
from refusals import G, grads_of, says
from runs import snapshot


def test_structure_that_holds_itself():
    params = [np.ones(1)]
    params.append(params)
    with says(ValueError, "params: nested more than 100 deep; does a list hold itself?"):
        st.SGD(params, lr=0.1)


def test_a_mapping_whose_arrays_are_new_each_time(tmp_path):
    np.savez(tmp_path / "z.npz", w=np.ones(3))
    with np.load(tmp_path / "z.npz") as arrays:
        with says(TypeError, "params: this NpzFile makes a new array at each look-up; pass a dict"):
            st.SGD(arrays, lr=0.1)
        params = dict(arrays)
    st.SGD(params, lr=1.0).step({"w": np.ones(3)})
    assert not params["w"].any()


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


W = 'grads["layer2"]'

BAD_STRUCTURE = [
    (lambda g: g.pop("layer2"), ValueError, "grads: keys ['layer2'] are missing"),
    (lambda g: g.update(x=1), ValueError, "grads: keys ['x'] are not in the parameters"),
    (
        lambda g: g.update(layer2=np.ones(5)),
        TypeError,
        W + ": got an ndarray; expected a dict with keys",
    ),
    (
        lambda g: g.update(layer2=[np.ones(5)]),
        TypeError,
        W + ": got a list; expected a dict with keys",
    ),
    (
        lambda g: g.update(layer2={"w": [np.ones(5)]}),
        TypeError,
        W + '["w"]: got a list; expected an array',
    ),
    (lambda g: g.update(layer2={}), ValueError, W + ": keys ['w'] are missing"),
    (
        lambda g: g.update(layer2=None),
        TypeError,
        W + ": got None; expected a dict with keys ['w']; None in place of each array leaves it",
    ),
    (
        lambda g: g.update(layer1=None),
        TypeError,
        'grads["layer1"]: got None; expected a list of 2; None in place of each array leaves it',
    ),
    (lambda g: g["layer1"].pop(), ValueError, 'grads["layer1"]: a list of 1 where the parameters'),
    (
        lambda g: g.update(layer1=np.ones((2, 3))),
        TypeError,
        'grads["layer1"]: got an ndarray; expected a l',
    ),
    (
        lambda g: g.update(layer1={0: 1, 1: 2}),
        TypeError,
        'grads["layer1"]: got a dict; expected a list',
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
        (lambda: opt.step([]), "grads: got a list; expected a dict with keys ['w0', "),
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
    with says(TypeError, "grads[0]: got an ndarray; expected a list of 1"):
        opt.step([np.ones(2), np.ones(3)])
    flat = st.SGD([np.ones(2), np.ones(3)], lr=1.0)
    with says(TypeError, "grads[0]: got a list; expected an array; make one by np.array("):
        flat.step([[np.ones(2)], [np.ones(3)]])
    deep = st.SGD({"a": [{"b": np.ones(1)}]}, lr=1.0)
    with says(TypeError, 'grads["a"][0]: got a list; expected a dict with keys'):
        deep.step({"a": [[np.ones(1)]]})
    with says(TypeError, "grads: got an ndarray; expected a list of 2"):
        flat.step(np.ones((2, 3)))
    with says(ValueError, "grads: a list of 3 where the parameters have 2"):
        flat.step([np.ones(2)] * 3)
    assert flat.step_count == 0


def test_a_list_that_grows_after_construction_is_not_the_structure():
    params = [np.ones(2)]
    opt = st.SGD(params, lr=1.0)
    params.append(np.ones(9))
    opt.step([np.ones(2)])
    with says(ValueError, "grads: a list of 2 where the parameters have 1"):
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
    with says(TypeError, "grads: got an ndarray; expected a list with one entry per group"):
        opt.step(np.ones(2))
    entries = "grads: a list of 1 for 2 groups; expected one entry per group, each as its params"
    with says(ValueError, entries):
        opt.step([np.ones(2)])
    with says(TypeError, "grads[1]: got an ndarray; expected a list of 1"):
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
