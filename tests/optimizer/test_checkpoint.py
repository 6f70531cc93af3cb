"""State dicts, files, pickles and deep copies: a run goes on bit for bit."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import sys
import tracemalloc

import numpy as np
import pytest

import steepest as st
from runs import bits, make, problem, snapshot
from steepest.updates import optimizer
from table import CLASSES, RULES

DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda d: d.__name__)


def by_dict(opt, fresh, tmp_path):
    fresh.load_state_dict(opt.state_dict())


def by_file(opt, fresh, tmp_path):
    opt.save(tmp_path / "run.npz")
    fresh.load(str(tmp_path / "run.npz"))


@pytest.mark.parametrize("carry", [by_dict, by_file])
@DTYPES
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_loaded_run_goes_on_bit_for_bit(rule, dtype, carry, tmp_path):
    """With a schedule, a skipped step, a missing gradient, running means."""
    thetas, grads = problem(dtype, sizes=(37, 0, 5), steps=7)
    grads[1][0][3] = np.nan  # skipped
    grads[2][2] = None
    schedule = dict(lr=lambda step: 0.1 / (1 + step), ema_decay=0.5, weight_decay=0.01)

    def go_on(opt, steps):
        for step in steps:
            opt.step(step, nonfinite="skip", max_norm=2.0)

    want = [t.copy() for t in thetas]
    whole = make(rule, want, **schedule)
    go_on(whole, grads)
    got = [t.copy() for t in thetas]
    opt = make(rule, got, **schedule)
    go_on(opt, grads[:4])
    fresh = make(rule, got, **schedule)
    carry(opt, fresh, tmp_path)
    assert (fresh.step_count, fresh.skipped) == (3, 1)
    if rule.cls == "Nesterov":
        pairs = zip(fresh.iterates(), opt.iterates(), strict=True)
        assert all(bits(a) == bits(b) for a, b in pairs)
    go_on(fresh, grads[4:])
    assert snapshot(fresh, got) == snapshot(whole, want)


def test_layout_is_pytorchs_and_holds_copies():
    params = {"layer1": {"w": np.ones(3)}, "head": np.ones((2, 2))}
    opt = st.Adam(params, lr=0.1)
    d = opt.state_dict()
    assert set(d) == {"state", "param_groups", "step_count", "skipped"}
    assert set(d["state"]) == {0, 1} and set(d["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    (group,) = d["param_groups"]
    assert group["params"] == [0, 1] and group["param_names"] == ["layer1/w", "head"]
    assert group["lr"] == 0.1 and group["betas"] == (0.9, 0.999)
    d["state"][0]["exp_avg"][...] = 7
    assert not opt.state_dict()["state"][0]["exp_avg"].any()
    given = opt.state_dict()
    opt.load_state_dict(given)
    opt.step({"layer1": {"w": np.ones(3)}, "head": np.ones((2, 2))})
    assert not given["state"][0]["exp_avg"].any()  # copied on the way in, too


def test_indices_run_on_over_the_groups():
    opt = st.SGD([{"params": [np.ones(1), np.ones(1)]}, {"params": np.ones(2)}], lr=0.1)
    groups = opt.state_dict()["param_groups"]
    assert [group["params"] for group in groups] == [[0, 1], [2]]


def test_hyperparameters_come_along_but_a_schedule_stays():
    opt = st.Adam(np.ones(1), lr=0.5, betas=(0.5, 0.75))
    fresh = st.Adam(np.ones(1))
    fresh.load_state_dict(opt.state_dict())
    assert fresh.lr == 0.5 and fresh.betas == (0.5, 0.75)
    schedule = st.schedules.cosine(0.1, 10)
    scheduled = st.Adam(np.ones(1), lr=schedule)
    d = scheduled.state_dict()
    assert d["param_groups"][0]["lr"] is None
    fresh.load_state_dict(d)
    assert fresh.lr == 0.5  # the present one stays
    scheduled.load_state_dict(d)
    assert scheduled.lr is schedule


def test_a_loaded_number_takes_the_place_of_a_schedule():
    opt, p = st.SGD(np.zeros(1), lr=0.5), np.zeros(1)
    opt.step(np.ones(1))
    scheduled = st.SGD(p, lr=lambda step: 8.0)
    scheduled.load_state_dict(opt.state_dict())
    scheduled.step(np.ones(1))
    assert scheduled.lr == 0.5 and p[0] == -0.5


@pytest.mark.parametrize("lr_in_velocity", [True, False])
@pytest.mark.parametrize("carry", [by_dict, by_file])
def test_iterates_are_by_the_last_step_after_a_change_and_a_load(carry, lr_in_velocity, tmp_path):
    p = np.ones(3)
    opt = st.Nesterov(p, lr=0.1, momentum=0.5, lr_in_velocity=lr_in_velocity)
    opt.lr = 0.25
    opt.step(np.ones(3))
    want = opt.iterates()
    assert want.tolist() == [0.75] * 3
    opt.lr, opt.momentum = 0.7, 0.25
    fresh = st.Nesterov(p, lr=0.3, lr_in_velocity=lr_in_velocity)
    carry(opt, fresh, tmp_path)
    assert bits(opt.iterates()) == bits(want) == bits(fresh.iterates())
    assert (fresh.lr, fresh.momentum) == (0.7, 0.25)


def test_loading_into_arrays_of_another_layout():
    p, g = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3)
    q = np.asfortranarray(p)
    opt, other = st.Adam(p, ema_decay=0.5), st.Adam(q, ema_decay=0.5)
    opt.step(g)
    q[...] = p
    other.load_state_dict(opt.state_dict())
    opt.step(g)
    other.step(np.asfortranarray(g))
    assert np.array_equal(p, q) and np.array_equal(opt.ema, other.ema)


def test_loading_the_means_of_other_arrays_of_the_same_optimizer():
    """`opt.ema` shows the optimizer's own arrays: the first was overwritten before it was read."""
    opt = st.SGD([np.zeros(3), np.ones(3)], lr=0.5, ema_decay=0.5)
    opt.step([np.ones(3), np.ones(3)])
    first, second = (mean.copy() for mean in opt.ema)
    d = opt.state_dict()
    d["state"][0]["ema"], d["state"][1]["ema"] = opt.ema[1], opt.ema[0][:]
    opt.load_state_dict(d)
    assert (first != second).all()
    assert bits(opt.ema[0]) == bits(second) and bits(opt.ema[1]) == bits(first)


# --- files ---


def laid_out(kind, dtype):
    p = np.arange(24, dtype=dtype)
    return {
        "C": p.reshape(2, 3, 4),
        "Fortran": p.reshape(2, 3, 4, order="F"),
        "between": p.reshape(3, 2, 4).transpose(1, 0, 2),
        "reversed": p[::-1],
        "lone": p[:1].reshape(()),
        "empty": p[:0].reshape(2, 0),
        "large": np.arange(40_000, dtype=dtype).reshape(200, 200, order="F"),
    }[kind]


@pytest.mark.parametrize(
    "kind, into",
    [
        *((k, k) for k in ("C", "Fortran", "between", "reversed", "lone", "empty", "large")),
        ("C", "Fortran"),
        ("Fortran", "C"),
        ("between", "Fortran"),
    ],
)
@DTYPES
def test_a_file_of_any_layout_is_loaded_into_any_other(kind, into, dtype, tmp_path):
    p, q = laid_out(kind, dtype), laid_out(into, dtype)
    opt, fresh, path = st.NAdam(p, ema_decay=0.5), st.NAdam(q, ema_decay=0.5), tmp_path / "run.npz"
    opt.step(laid_out(kind, dtype))
    opt.save(path)
    fresh.load(path)
    for name, array in opt.state_dict()["state"][0].items():
        assert np.array_equal(fresh.state_dict()["state"][0][name], array)
    # As any .npz file that NumPy wrote: compressed, say.
    with np.load(path) as file:
        np.savez_compressed(tmp_path / "again.npz", **file)
    again = st.NAdam(laid_out(into, dtype), ema_decay=0.5)
    again.load(tmp_path / "again.npz")
    for name, array in opt.state_dict()["state"][0].items():
        assert np.array_equal(again.state_dict()["state"][0][name], array)


def test_headers_of_small_arrays_are_compared_and_not_parsed(tmp_path, monkeypatch):
    """NumPy parses one in 50 µs: 20,000 tensors took 2.4 s to load, now 1.0."""
    params = [np.ones(10) for _ in range(5)]
    opt, path, parsed, parse = st.Adam(params), tmp_path / "run.npz", [], np.lib.format.read_array
    opt.save(path)

    def read_array(*arguments, **keywords):
        parsed.append(1)
        return parse(*arguments, **keywords)

    for module in (np.lib.format, sys.modules[parse.__module__]):
        monkeypatch.setattr(module, "read_array", read_array)
    opt.load(path)
    assert len(parsed) == 1  # the JSON


def test_file_has_no_pickle_and_any_name(tmp_path):
    opt = st.NAdam([np.ones(3), np.ones(())])
    opt.step([np.ones(3), np.ones(())])
    longest = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    for path in (longest, str(tmp_path / "run.ckpt"), os.fsencode(tmp_path / "b.npz")):
        opt.save(path)
        assert os.path.exists(path)
        fresh = st.NAdam([np.ones(3), np.ones(())])
        fresh.load(path)
        assert fresh.state_dict()["state"][0]["mu_product"] == pytest.approx(0.9 * 0.5, rel=1e-3)
        assert fresh.state_dict()["state"][1]["exp_avg"].shape == ()
        with np.load(path, allow_pickle=False) as file:
            assert "state/0/exp_avg" in file.files
    assert len(os.listdir(tmp_path)) == 3  # nothing is left beside them


class Broken(Exception):
    pass


def test_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    p = np.ones(3)
    opt = st.Adam(p)
    opt.step(np.ones(3))
    opt.save(tmp_path / "run.npz")
    before = (tmp_path / "run.npz").read_bytes()

    def savez(file, **arrays):
        file.write(b"half")
        raise Broken

    opt.step(np.ones(3))
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        with pytest.raises(Broken):
            opt.save(tmp_path / "run.npz")
    assert (tmp_path / "run.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["run.npz"]
    opt.save(tmp_path / "run.npz")  # the lock was let go
    assert (tmp_path / "run.npz").read_bytes() != before


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_another(tmp_path, monkeypatch):
    """A power failure must not leave an empty file where there was a checkpoint."""
    opt, path, calls = st.Adam(np.ones(3)), tmp_path / "run.npz", []

    def fsync(file):
        calls.append(("fsync", os.fstat(file).st_ino, os.fstat(file).st_size))

    def replace(source, target):
        calls.append(("replace", os.stat(source).st_ino, os.stat(source).st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    opt.save(path)
    (synced, *written), (replaced, *whole) = calls
    assert (synced, replaced) == ("fsync", "replace") and written == whole and whole[1] > 500


@pytest.mark.parametrize("code", ["EINVAL", "ENOSYS", "ENOTSUP"])
def test_saving_where_the_file_system_knows_no_fsync(code, tmp_path, monkeypatch):
    def fsync(file):
        raise OSError(getattr(errno, code), "no fsync here")

    opt, fresh, path = st.Adam(np.ones(3)), st.Adam(np.ones(3)), tmp_path / "run.npz"
    opt.step(np.ones(3))
    monkeypatch.setattr(os, "fsync", fsync)
    opt.save(path)
    fresh.load(path)
    assert fresh.step_count == 1 and os.listdir(tmp_path) == ["run.npz"]


def test_a_full_disk_is_told_with_the_files_name(tmp_path, monkeypatch):
    def fsync(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    opt, path = st.Adam(np.ones(3)), tmp_path / "run.npz"
    opt.save(path)
    before = path.read_bytes()
    opt.step(np.ones(3))
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left on device: .*run.npz'$"):
        opt.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["run.npz"]


def test_paths_that_lead_nowhere(tmp_path):
    opt = st.Adam(np.ones(1))
    with pytest.raises(FileNotFoundError):
        opt.load(tmp_path / "missing.npz")
    for path, error in ((tmp_path / "no folder" / "run.npz", FileNotFoundError), (tmp_path, None)):
        with pytest.raises(error or IsADirectoryError) as raised:
            opt.save(path)
        target, said = os.path.realpath(path), str(raised.value)
        assert raised.value.filename == target and said.endswith(f": {target!r}")
    for call in (opt.save, opt.load):
        with pytest.raises(TypeError, match="^path: got None; expected the name of a file"):
            call(None)
    assert os.listdir(tmp_path) == []


def test_saving_over_a_file_keeps_its_mode(tmp_path):
    opt = st.Adam(np.ones(1))
    opt.save(tmp_path / "run.npz")
    (tmp_path / "run.npz").chmod(0o600)
    opt.save(tmp_path / "run.npz")
    assert (tmp_path / "run.npz").stat().st_mode & 0o777 == 0o600


def test_saving_through_a_link_and_over_a_pipe(tmp_path):
    opt = st.Adam(np.ones(1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "folder" / "run.npz")
    opt.save(tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink() and os.listdir(tmp_path / "folder") == ["run.npz"]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="^path: .* is a device or pipe, which a file cannot repl"):
        opt.save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_save_stays_what_it_is(error, tmp_path, monkeypatch):
    """zipfile raises a ValueError where it closes in the midst of opening an entry."""

    def savez(file, **arrays):
        try:
            raise error
        finally:
            raise ValueError("Can't close the ZIP file while there is an open writing handle on it")

    opt = st.Adam(np.ones(3))
    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(error):
        opt.save(tmp_path / "run.npz")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error", [OSError("no number"), OSError(errno.EIO, "of another", "file"), ValueError("odd")]
)
def test_other_failures_of_a_save_stay_what_they_are(error, tmp_path, monkeypatch):
    def savez(file, **arrays):
        try:
            raise KeyError("an earlier one")
        finally:
            raise error

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(type(error)) as raised:
        st.Adam(np.ones(3)).save(tmp_path / "run.npz")
    assert raised.value is error and os.listdir(tmp_path) == []


def test_what_fails_in_a_save_after_an_interrupt_is_not_the_interrupt(tmp_path):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(FileNotFoundError):
            st.Adam(np.ones(3)).save(tmp_path / "nowhere" / "run.npz")


def test_a_save_within_a_save(tmp_path, monkeypatch):
    """As by the handler of a signal that comes while a file is written."""
    opt, path, savez = st.Adam(np.ones(3)), tmp_path / "run.npz", np.savez

    def interrupted(file, **arrays):
        monkeypatch.setattr(np, "savez", savez)
        file.write(b"half")
        file.seek(0)
        opt.save(path)
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", interrupted)
    opt.save(path)
    opt.load(path)
    assert os.listdir(tmp_path) == ["run.npz"]


# --- pickle and copies ---


def test_a_copy_is_given_no_attribute_of_the_engine():
    """It has made its own, which would be overwritten."""
    opt = st.Adam(np.ones(3))
    opt._mine = [1]  # as a subclass may have
    assert vars(opt).keys() - {"_mine"} == optimizer._ENGINE
    other = copy.deepcopy(opt)
    assert other._mine == [1] and other._mine is not opt._mine
    assert all(getattr(other, name) is not getattr(opt, name) for name in ("_plan", "_groups"))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_copies_of_optimizer_and_parameters_go_on_alike(rule, again):
    thetas, grads = problem(np.float32, sizes=(37, 5), steps=6)
    params = {"a": thetas[0].copy(), "b": [thetas[1].copy()]}
    opt = make(rule, params, lr=st.schedules.inverse_time(0.1, 2.0), ema_decay=0.5)
    for a, b in grads[:3]:
        opt.step({"a": a, "b": [b]})
    params2, opt2 = again([params, opt])
    assert type(opt2) is type(opt) and params2["a"] is not params["a"]
    assert snapshot(opt2, [params2["a"]]) == snapshot(opt, [params["a"]])
    for a, b in grads[3:]:
        opt2.step({"a": a, "b": [b]})
    assert bits(params2["a"]) != bits(params["a"])
    for a, b in grads[3:]:
        opt.step({"a": a, "b": [b]})
    assert snapshot(opt2, [params2["a"], *params2["b"]]) == snapshot(
        opt, [params["a"], *params["b"]]
    )


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_have_the_last_norm_until_one_of_their_own(again):
    opt = st.SGD(np.zeros(2), lr=0.1)
    assert again(opt).grad_norm is None
    opt.step(np.array([3.0, 4.0]), max_norm=1.0)
    other = again(again(opt))
    assert other.grad_norm == opt.grad_norm == 5.0
    other.step(np.ones(2))
    assert other.grad_norm == 5.0
    other.step(np.zeros(2), max_norm=1.0)
    assert (other.grad_norm, again(other).grad_norm, opt.grad_norm) == (0.0, 0.0, 5.0)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.filterwarnings("ignore:.*shape:DeprecationWarning")  # of later versions of NumPy
def test_a_copy_has_the_shape_that_a_parameter_was_given_since(again, order):
    """It could not be unpickled."""
    p = np.arange(6.0).reshape(2, 3).copy(order)
    g = np.arange(5.0, -1, -1).reshape(2, 3).copy(order)
    opt = st.Adam([p, np.ones(1)], ema_decay=0.5)
    opt.step([g, np.ones(1)])
    p.shape = g.shape = (2, 1, 3)
    other = again(opt)
    q = other.param_groups[0]["params"][0]
    entry, its = (o.state_dict()["state"][0] for o in (other, opt))
    assert q.shape == entry["exp_avg"].shape == (2, 1, 3) and its["exp_avg"].shape == (2, 3)
    other.step([g, np.ones(1)])
    opt.step([g.reshape(2, 3), np.ones(1)])
    assert bits(q) == bits(p) and bits(other.ema[0]) == bits(opt.ema[0].reshape(2, 1, 3))


def test_deepcopy_keeps_groups_and_does_not_share():
    opt = st.SGD([{"params": np.ones(2), "lr": 0.5}, {"params": np.ones(3)}], lr=0.25)
    other = copy.deepcopy(opt)
    other.param_groups[0]["lr"] = 0.125
    assert opt.param_groups[0]["lr"] == 0.5 and repr(other) != repr(opt)
    other.step([np.ones(2), np.ones(3)])
    assert opt.step_count == 0 and opt.param_groups[0]["params"].tolist() == [1, 1]
    assert other.param_groups[0]["params"].tolist() == [0.875, 0.875]


def test_a_copy_takes_no_memory_beside_itself():
    """The states were copied twice: once to be loaded."""
    opt = st.AMSGrad([np.ones(1 << 15) for _ in range(4)])  # 1 MiB, and thrice that of states
    opt.step([np.ones(1 << 15)] * 4)
    tracemalloc.start()
    try:
        other = copy.deepcopy(opt)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 4 << 20 <= now <= peak < 4.5 * (1 << 20)
    other.step([np.ones(1 << 15)] * 4)
    assert opt.step_count == 1 and opt.state_dict()["state"][3]["exp_avg"][0] == pytest.approx(0.1)


def test_means_that_an_attribute_shows_are_copied_with_it():
    opt = st.SGD(np.ones(3), lr=0.5, ema_decay=0.5)
    opt._shown = opt.ema  # as a subclass may
    other = copy.deepcopy(opt)
    opt.step(np.ones(3))
    assert other._shown.tolist() == [1.0] * 3 and opt._shown.tolist() == [0.75] * 3
