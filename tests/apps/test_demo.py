"""`steepest demo`: its gradients, the NumPy updates beside it, and a short run of the whole."""

import dataclasses
import io
import re
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

import steepest as st
from steepest.apps import bench_peers, demo, demo_net, demo_pictures, demo_train
from steepest.apps.demo_rules import RULES
from steepest.cli import main


def small_net(dtype):
    net = demo_net.make_net((5, 4, 3, 3), seed=2)
    return [{name: array.astype(dtype) for name, array in layer.items()} for layer in net]


def test_backpropagation_against_the_complex_step():
    """Im L(theta + ih)/h is the derivative to rounding: nothing is subtracted."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(7, 5)), rng.integers(3, size=7)
    net = small_net(np.float64)
    grads = demo_train.zeros_of(net)
    demo_net.loss_and_gradient(net, x, y, grads)
    shifted = small_net(np.complex128)
    ignored = demo_train.zeros_of(shifted)
    h = 1e-30
    for k, layer in enumerate(shifted):
        for name, array in layer.items():
            for i in np.ndindex(array.shape):
                array[i] += 1j * h
                loss = demo_net.loss_and_gradient(shifted, x, y, ignored)
                array[i] -= 1j * h
                assert grads[k][name][i] == pytest.approx(loss.imag / h, rel=1e-12, abs=1e-15)


def test_loss_is_the_mean_negative_log_probability():
    x, y = np.zeros((2, 5)), np.array([0, 2])
    net = small_net(np.float64)
    for layer in net:
        layer["bias"][:] = 0
    net[-1]["bias"][:] = np.log([0.2, 0.3, 0.5])
    loss = demo_net.loss_and_gradient(net, x, y, demo_train.zeros_of(net))
    assert loss == pytest.approx(-(np.log(0.2) + np.log(0.5)) / 2)
    assert demo_net.accuracy(net, x, y) == 0.5


def test_large_scores_do_not_overflow():
    net = small_net(np.float32)
    net[-1]["bias"][:] = [0, 1e4, -1e4]
    grads = demo_train.zeros_of(net)
    loss = demo_net.loss_and_gradient(net, np.zeros((1, 5), np.float32), np.array([0]), grads)
    assert 9e3 < loss < 2e4 and all(np.isfinite(g).all() for g in demo_train.flat(grads))


def test_weights_start_as_glorot_and_bengio_have_them():
    net, other = (demo_net.make_net((64, 128, 10), seed) for seed in (1, 2))
    for layer, shape in zip(net, ((64, 128), (128, 10)), strict=True):
        weights, bias = layer["weights"], layer["bias"]
        assert weights.shape == shape and bias.shape == shape[1:] and not bias.any()
        assert weights.dtype == bias.dtype == np.float32
        ends = [weights.max(), -weights.min()]
        np.testing.assert_allclose(ends, np.sqrt(6 / sum(shape)), rtol=0.02)
    assert (net[0]["weights"] != other[0]["weights"]).all()


def test_digits_are_split_without_overlap():
    digits = demo_net.load_digits(seed=0)
    assert digits.train_x.shape == (1438, 64) and digits.test_x.shape == (359, 64)
    assert digits.train_x.dtype == digits.test_x.dtype == np.float32
    assert digits.train_x.min() == 0 and digits.train_x.max() == 1
    assert set(digits.train_y) == set(range(10))
    assert not np.array_equal(digits.test_y, demo_net.load_digits(seed=1).test_y)


def test_gradient_of_the_surface_against_the_complex_step():
    for p in np.random.default_rng(1).normal(size=(9, 2)) * 2:
        x, y = p
        by_step = [
            demo_pictures.surface(x + 1e-30j, y).imag / 1e-30,
            demo_pictures.surface(x, y + 1e-30j).imag / 1e-30,
        ]
        np.testing.assert_allclose(demo_pictures.gradient(p), by_step, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_peers_are_of_the_same_rule(rule):
    """Of the bench's, which are tested against ours: the form with lr outside is PyTorch's."""
    assert rule.ours is getattr(st, rule.name) and rule.numpy == rule.name.lower()
    assert rule.torch.removesuffix("_unscaled") == rule.numpy
    assert rule.numpy in bench_peers.EXPRESSIONS and rule.torch in bench_peers.TORCH
    assert [other.colour for other in RULES].count(rule.colour) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_too_large_a_rate_settles_late_or_never(rule):
    """What the picture claims: steps until the height stays below 0.05."""

    def settled(lr):
        heights = demo_pictures.surface(*demo_pictures.path(rule, lr, 400).T)
        return 1 + np.flatnonzero(heights > 0.05).max()

    assert settled(rule.small) < 110
    assert settled(rule.too_large) > 1.9 * settled(rule.small)


def test_path_that_runs_away_ends():
    runaway = demo_pictures.path(RULES[0], 100.0, 24)
    assert 2 <= len(runaway) < 24 and np.abs(runaway[:-1]).max() < 50 < np.abs(runaway[-1]).max()


@pytest.fixture
def saved(monkeypatch):
    """The figures that are written, by the file's name."""
    from matplotlib.figure import Figure

    figures, write = {}, Figure.savefig

    def keep(figure, file, **options):
        figures[file.name] = figure
        write(figure, file, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.fixture
def bars(monkeypatch):
    """The progress bars that are shown."""
    from rich import progress

    shown, start = [], progress.Progress.start
    monkeypatch.setattr(progress.Progress, "start", lambda bar: shown.append(bar) or start(bar))
    return shown


def test_runs_and_writes_pictures(tmp_path, capsys, monkeypatch, saved, bars):
    import matplotlib

    def spied(module, name):
        calls, real = [], getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: calls.append(given) or real(*given))
        return calls

    loaded, trained = spied(demo_net, "load_digits"), spied(demo_train, "train")
    timed, folder = spied(demo_train, "time_update"), tmp_path / "new" / "folder"
    matplotlib.use("svg")  # a user's choice, perhaps one that needs a screen
    start = time.perf_counter()
    assert main(["demo", "--epochs", "2", "--seed", "3", "--output", str(folder)]) == 0
    seconds = time.perf_counter() - start
    assert matplotlib.get_backend().lower() == "agg"
    assert loaded == [(3,)] and timed == [(rule, 3) for rule in RULES]
    assert [(rule, *given[1:3]) for rule, *given in trained] == [(rule, 2, 3) for rule in RULES]
    for name, words in (("losses.png", "training loss"), ("paths.png", "a small learning rate")):
        assert saved[name].axes[0].get_title().startswith(words)
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "learns 1438 handwritten digits; it is tested on 359 others" in " ".join(printed.split())
    assert all(text in printed for text in (*(rule.name for rule in RULES), "accuracy", "Misra1a"))
    assert printed.count("wrote ") == 2 and "…" not in printed
    assert int(re.search(r"(\d+) s in all", printed)[1]) <= round(seconds)
    ((task,),) = (bar.tasks for bar in bars if bar.tasks[0].total is not None)
    assert (task.description, task.completed, task.total) == (RULES[-1].name, 10, 10)


def test_the_table_has_what_was_measured():
    from rich.console import Console

    run = demo_train.Run(losses=[4.0, 2.0, 1.0, 0.5], accuracies=[0.5, 0.9], seconds=1.234)
    times = {
        "SGD": demo_train.UpdateTimes(ours=1e-6, numpy=3e-6, torch=None),
        "Adam": demo_train.UpdateTimes(ours=2e-6, numpy=1e-5, torch=1e-4),
    }
    table = demo.results({"Adam": run, "SGD": run}, times)
    assert {column.header: list(column.cells) for column in table.columns} == {
        "rule": ["Adam", "SGD"],
        "loss": ["0.7500", "0.7500"],  # the mean over the last epoch
        "accuracy": ["90.0%", "90.0%"],
        "time": ["1.23 s", "1.23 s"],
        "update": ["2.0 µs", "1.0 µs"],
        "NumPy": ["10 µs (5×)", "3 µs (3×)"],
        "PyTorch": ["100 µs (50×)", "–"],
    }
    assert [column.justify for column in table.columns] == ["left", *6 * ["right"]]
    Console(file=(out := io.StringIO()), width=40).print(table)
    assert "…" not in out.getvalue()  # a narrow terminal cuts no number


@pytest.mark.parametrize("epochs", [1, 2])
def test_losses_are_drawn_by_epoch(tmp_path, saved, epochs):
    runs = {
        rule.name: demo_train.Run(
            [4.0, 2.0, 1.0, i][: 2 * epochs], [0.5 - i / 100, 0.9 - i / 100][:epochs], 1
        )
        for i, rule in enumerate(RULES, 1)
    }
    demo_pictures.draw_losses(tmp_path / "losses.png", runs)
    loss, error = saved["losses.png"].axes
    for ax, title in (
        (loss, "training loss (mean over the epoch)"),
        (error, "test digits misread (%)"),
    ):
        assert (ax.get_title(), ax.get_xlabel(), ax.get_yscale()) == (title, "epoch", "log")
        assert [line.get_color() for line in ax.lines] == [rule.colour for rule in RULES]
        assert all(line.get_marker() == "." for line in ax.lines)  # one epoch has no line
        assert all(tick == round(tick) for tick in ax.get_xticks())
    for i, (mean, wrong) in enumerate(zip(loss.lines, error.lines, strict=True), 1):
        due = [[1, 3.0], [2, (1 + i) / 2]], [[1, 50 + i], [2, 10 + i]]
        np.testing.assert_allclose(mean.get_xydata(), due[0][:epochs])
        np.testing.assert_allclose(wrong.get_xydata(), due[1][:epochs])
    assert [text.get_text() for text in loss.get_legend().get_texts()] == [r.name for r in RULES]
    assert 5 < error.get_ylim()[0] and error.get_ylim()[1] < 80


def test_paths_are_drawn_over_the_surface(tmp_path, saved):
    demo_pictures.draw_paths(tmp_path / "paths.png")
    for ax, title, rate, steps in zip(
        saved["paths.png"].axes,
        ("a small learning rate, 60 steps", "too large a learning rate, 16 steps"),
        ("small", "too_large"),
        (60, 16),
        strict=True,
    ):
        assert ax.get_title() == title
        *drawn, start, minimum = ax.lines
        for i, rule in enumerate(RULES):
            line, dots, key = drawn[3 * i : 3 * i + 3]
            points = demo_pictures.path(rule, getattr(rule, rate), steps)
            assert len(points) == steps + 1 and tuple(points[0]) == demo_pictures.START
            assert {one.get_color() for one in (line, dots, key)} == {rule.colour}
            np.testing.assert_array_equal(line.get_xydata(), points)
            np.testing.assert_array_equal(dots.get_xydata(), points)
            assert key.get_label() == rule.name
        np.testing.assert_array_equal(start.get_xydata(), [demo_pictures.START])
        (at,) = minimum.get_xydata()
        assert demo_pictures.surface(*at) == 0 and not demo_pictures.gradient(at).any()
        left, right, bottom, top = demo_pictures.WINDOW
        hills = ax.collections[0]
        ends = hills.get_datalim(ax.transData).get_points()
        np.testing.assert_allclose(ends, [[left, bottom], [right, top]])
        assert (ax.get_xlim(), ax.get_ylim()) == ((left, right), (bottom, top))
        assert (np.diff(hills.get_facecolor()[:, :3].sum(axis=1)) > 0).all()  # darkest where low
        for x, y in np.random.default_rng(3).uniform(*ends, size=(40, 2)):
            inside = [k for k, area in enumerate(hills.get_paths()) if area.contains_point((x, y))]
            height = np.log(demo_pictures.surface(x, y) + 0.03)
            assert hills.levels[min(inside)] - 0.1 < height < hills.levels[max(inside) + 1] + 0.1
    names = [text.get_text() for text in saved["paths.png"].axes[0].get_legend().get_texts()]
    assert names == [*(rule.name for rule in RULES), "start", "minimum"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_training_learns(rule):
    digits = demo_net.load_digits(seed=0)
    ticks = []
    start = time.perf_counter()
    run = demo_train.train(rule, digits, epochs=3, seed=0, advance=lambda: ticks.append(1))
    assert 0 < run.seconds <= time.perf_counter() - start
    assert len(ticks) == len(run.accuracies) == 3 and len(run.losses) == 3 * 45
    assert run.accuracies[-1] > 0.9 and run.final_loss < run.losses[0] / 4
    again = demo_train.train(rule, digits, epochs=3, seed=0, advance=lambda: None)
    assert again.losses == run.losses


def test_training_follows_the_minibatches_and_the_schedule():
    rates, steps = [], []

    def still(net, lr):  # the network stays as it began
        rates.append(lr)
        return SimpleNamespace(bind_grads=lambda grads: None, step=lambda: steps.append(1))

    digits, rule = demo_net.load_digits(seed=0), dataclasses.replace(RULES[0], ours=still)
    run = demo_train.train(rule, digits, epochs=2, seed=3, advance=lambda: None)
    assert len(steps) == 90
    assert rates == [st.schedules.linear_warmup(st.schedules.cosine(rule.lr, 86), steps=4)]
    net = demo_net.make_net(demo_train.SIZES, 3)
    batches = [b for i in range(2) for b in st.minibatches(1438, 32, seed=3, epoch=i)]
    x, y, unused = digits.train_x, digits.train_y, demo_train.zeros_of(net)
    due = [demo_net.loss_and_gradient(net, x[b], y[b], unused) for b in batches]
    np.testing.assert_allclose(run.losses, due, rtol=1e-5)
    assert run.accuracies == [demo_net.accuracy(net, digits.test_x, digits.test_y)] * 2


def test_an_update_is_timed_beside_its_peers(monkeypatch):
    given, rates, threads = [], [], [7]

    def ours(params, lr):
        given.append(params)
        rates.append(lr)
        return RULES[1].ours(params, lr=lr)

    def numpy(rule, xp, params, grads, states):
        assert rule == RULES[1].numpy
        given.append(params)
        assert [len(s) for s in states] == [1] * len(params)  # the velocity
        assert not any(array.any() for s in states for array in s)
        return lambda: None

    def torch(rule, params, grads):
        assert rule == RULES[1].torch
        given.append(params)
        return {"fused": lambda: None, "foreach": lambda: None}

    def in_turns(sides, **_):
        assert threads == [7, 1]
        for side, seconds in zip(sides, (1.0, 2.0, 3.0, 4.0), strict=True):
            side.seconds.append(seconds)

    counts = SimpleNamespace(get_num_threads=lambda: 7, set_num_threads=threads.append)
    monkeypatch.setattr(bench_peers, "expression_step", numpy)
    monkeypatch.setattr(bench_peers, "torch_steps", torch)
    monkeypatch.setattr(bench_peers, "torch_for", lambda arrays: counts)
    monkeypatch.setattr(demo_train, "in_turns", in_turns)
    times = demo_train.time_update(dataclasses.replace(RULES[1], ours=ours), seed=0)
    assert times == demo_train.UpdateTimes(ours=1.0, numpy=2.0, torch=3.0)
    assert threads == [7, 1, 7] and rates == [bench_peers.LR]
    shapes = (64, 128), (128,), (128, 64), (64,), (64, 10), (10,)
    assert [tuple(a.shape for a in params) for params in given] == [shapes] * 3
    for one, other in combinations(given, 2):
        assert not any(map(np.shares_memory, one, other))


@pytest.mark.parametrize(("option", "value", "least"), [("--epochs", 0, 1), ("--seed", -1, 0)])
def test_bad_arguments(capsys, option, value, least):
    with pytest.raises(SystemExit):
        main(["demo", option, str(value)])
    assert demo._at_least(least)(str(least)) == least
    due = f"argument {option}: {value} is not allowed; expected at least {least}"
    assert due in capsys.readouterr().err


def test_what_is_no_number_is_said_in_words(capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--epochs", "-1e-3"])
    assert "argument --epochs: '-1e-3' is not a whole number" in capsys.readouterr().err


def test_a_folder_that_cannot_be_is_said_before_the_work(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(demo, "train_all", lambda *_: pytest.fail("trained"))
    folder = tmp_path / "file" / "pictures"
    assert main(["demo", "--output", str(folder)]) == 2
    assert capsys.readouterr().err == f"steepest demo: {folder}: Not a directory\n"


@pytest.mark.parametrize("name", demo.PICTURES)
def test_a_picture_that_cannot_be_is_said_before_the_work(name, tmp_path, capsys, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(demo, "train_all", lambda *_: pytest.fail("trained"))
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"steepest demo: {tmp_path / name}: Is a directory\n"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder without files to make")
def test_a_folder_that_takes_no_files_is_said_before_the_work(capsys, monkeypatch):
    monkeypatch.setattr(demo, "train_all", lambda *_: pytest.fail("trained"))
    assert main(["demo", "--output", "/proc/self"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("steepest demo: /proc/self/losses.png: ") and said.count("\n") == 1


def test_an_update_is_timed_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    times = demo_train.time_update(RULES[-1], seed=0)
    assert times.torch is None and 0 < times.ours and 0 < times.numpy
    run = demo_train.Run(losses=[1.0, 0.5], accuracies=[0.9], seconds=1.0)
    table = demo.results({"Adam": run}, {"Adam": times})
    assert list(table.columns[-1].cells) == ["–"]


@pytest.mark.parametrize("package", ["matplotlib", "sklearn", "sympy"])
def test_says_what_is_missing(package, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["demo", "--output", str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"steepest demo: import of {package} halted")
    assert said.endswith("; pip install 'steepest[demo]'\n") and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_command_line_stays_light():
    code = "import sys, steepest.apps.demo; print({'matplotlib', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
