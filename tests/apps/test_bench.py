"""`steepest bench`: the shape of what it prints, its yardsticks, and the peers' formulas."""

from __future__ import annotations

import inspect
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import steepest as st
from steepest import _cpu, cli
from steepest.apps import bench, bench_peers, bench_table, bench_timing, bench_work
from steepest.updates.rule_list import RULES

pytestmark = pytest.mark.usefixtures("settings_stay")

TINY = ["bench", "--quick", "--seconds", "1e-4"]


def test_json_has_a_row_for_each_rule_and_size(capsys):
    rules, sizes = "sgd,amsgradw,pipeline", "3x100,1x1K"
    blanks = ["--rules", rules.replace(",", ", "), "--sizes", sizes.replace(",", ", ")]
    assert cli.main([*TINY, *blanks, "--threads", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["triad_gb_s"] > 0 and found["threads"] == 1
    assert found["simd"] == _cpu.simd_level()
    rows = [(row["rule"], row["tensors"], row["elements"]) for row in found["rows"]]
    assert rows == [(r, *n) for r in rules.split(",") for n in ((3, 100), (1, 1024))]
    for row in found["rows"]:
        assert row["bytes"] == {"sgd": 12, "amsgradw": 36, "pipeline": 44}[row["rule"]] * (
            row["tensors"] * row["elements"]
        )
        assert {"bound", "traffic"} <= set(row["seconds"])
        assert set(row["ratio"]) == set(row["seconds"]) - {"bound"}
        assert all(value > 0 for value in (*row["seconds"].values(), *row["ratio"].values()))
        assert row["gb_s"] == pytest.approx(row["bytes"] / row["seconds"]["bound"] / 1e9)


def test_a_pytorch_that_does_not_load_is_left_out(capsys, monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch_cuda.so: no such file')\n")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main([*TINY, "--rules", "adam", "--sizes", "1x100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "torch" not in found and "torch fused" not in found["rows"][0]["seconds"]


def test_table_names_rules_and_limit(capsys):
    assert cli.main([*TINY, "--rules", "adam", "--sizes", "2x10"]) == 0
    out = capsys.readouterr().out
    assert "adam" in out and "2x10" in out and "STREAM" in out


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--rules", "adm", "--rules: 'adm' is not one of sgd, momentum"),
        ("--sizes", "10", "--sizes: '10' is not allowed; expected 10x1000, 1x64K or 1x32M"),
        ("--sizes", "0x10", "--sizes: '0x10' is not allowed"),
        ("--sizes", "-1", "--sizes: '-1' is not allowed"),
        ("--sizes", "99999999x99999999M", "--sizes: '99999999x99999999M': array is too big"),
        ("--sizes", "1x10,9x99999999M", "--sizes: '9x99999999M': Unable to allocate"),
        ("--seconds", "-1e-3", "--seconds: -0.001 is not allowed; expected a number above 0"),
        ("--seconds", "0", "--seconds: 0.0 is not allowed; expected a number above 0"),
        ("--threads", "0", "--threads: 0 is not allowed"),
    ],
)
def test_bad_options_are_named(capsys, monkeypatch, option, value, message):
    monkeypatch.setattr(bench, "run", lambda *_, **__: pytest.fail("measured"))
    assert cli.main([*TINY, option, value]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"steepest bench: {message}") and said.count("\n") == 1


def test_every_rule_is_measured():
    assert list(bench_work.cases()) == [name for name in RULES if not name.startswith("traffic")]


@pytest.mark.parametrize("size, due", [("1x32M", (1, 32 << 20)), ("10x64K", (10, 64 << 10))])
def test_sizes(size, due):
    assert bench.parse_size(size) == due


@pytest.mark.parametrize(
    "seconds, due",
    [(2.0, "2 s"), (0.9996, "1 s"), (0.9994, "999 ms"), (9.996e-4, "1 ms"), (9.994e-4, "999 µs")],
)
def test_a_time_has_the_unit_that_it_rounds_to(seconds, due):
    assert bench_table.written(seconds) == due


ROWS = [
    {
        "rule": "sgd",
        "tensors": 1,
        "elements": 32 << 20,
        "seconds": {"bound": 0.0202, "traffic": 0.02},
        "gb_s": 19.94,
        "ratio": {"traffic": 0.99, "torch fused": 123.4},
        "left_out": {},
        "share_of_copy": 0.75,
    },
    {
        "rule": "adam",
        "tensors": 1000,
        "elements": 1536,
        "seconds": {"bound": 3.4e-6, "traffic": 3e-6, "lists": 2.5},
        "gb_s": 5.06,
        "ratio": {"traffic": 0.9, "lists": 1.5, "numpy": 9.96},
        "left_out": {"torch fused": "RuntimeError: no kernel"},
        "share_of_copy": 0.25,
    },
]


@pytest.mark.parametrize("on_device", [False, True])
def test_every_number_stands_below_its_heading(on_device):
    found = {"rows": ROWS, "not_begun": [("lion", 3, 64 << 10)]}
    machine = {"processor": "P", "threads": 2, "simd": "avx2", "triad_gb_s": 21.04}
    device = {"device": "D", "driver": "13.0", "copy_gb_s": 99.6, "host_seconds": {"bound": 2e-4}}
    found |= device if on_device else machine
    steps, *others = bench_table.tables(found)
    columns = {column.header: list(column.cells) for column in steps.columns}
    assert columns == {
        "rule": ["sgd", "adam"],
        "size": ["1x32M", "1000x1536"],
        "bound": ["20.2 ms", "3.4 µs"],
        "lists": ["", "2.5 s"],
        "GB/s": ["19.9", "5.1"],
        **({"of\ncopy": ["0.75", "0.25"]} if on_device else {}),
        "of\nlimit": ["0.99", "0.90"],
        "torch\nfused": ["123 ×", ""],
        "numpy": ["", "10.0 ×"],
    }
    hosts = [(column.header, list(column.cells)) for table in others for column in table.columns]
    assert hosts == ([("bound", ["200 µs"])] if on_device else [])
    first, *_, left_out, not_begun = bench_table.footer(found).splitlines()
    assert first == (
        "D, driver 13.0; a copy in its memory 100 GB/s, of which 'of copy' is the share."
        if on_device
        else "P, 2 threads, SIMD level avx2; STREAM triad 21.0 GB/s."
    )
    assert left_out == "adam: without torch fused: RuntimeError: no kernel"
    assert not_begun == "lion 3x64K: not begun in time"


def stepped(call_of, steps=7):
    """Parameters after some steps, each on its own gradients, of the call that is made of both."""
    rng = np.random.default_rng(1)
    params = [rng.standard_normal(50), rng.standard_normal(3)]
    grads = [np.empty(50), np.empty(3)]
    call = call_of(params, grads)
    for t in range(steps):
        for g in grads:
            g[:] = 0.3**t * rng.standard_normal(g.size)  # for AMSGrad, whose maximum is then past
        call()
    return np.concatenate(params)


def our(rule):
    cls, kwargs = bench_work.cases()[rule]

    def call_of(params, grads):
        opt = cls(params, lr=bench_peers.LR, **kwargs)
        return lambda: opt.step(grads)

    return stepped(call_of)


@pytest.mark.parametrize("rule", bench_peers.EXPRESSIONS)
def test_numpy_expressions_are_the_same_update(rule):
    def call_of(params, grads):
        states = [[np.zeros_like(p) for _ in RULES[rule].states] for p in params]
        return bench_peers.expression_step(rule, np, params, grads, states)

    np.testing.assert_allclose(stepped(call_of), our(rule), rtol=0, atol=1e-12)


def test_nadam_in_expressions_takes_any_number_of_steps():
    assert [bench_peers.mu_product(t) for t in range(3000)][-1] < 1e-100


@pytest.mark.parametrize("kind", ["fused", "foreach"])
@pytest.mark.parametrize("rule", bench_peers.TORCH)
def test_pytorch_is_asked_for_the_same_update(rule, kind):
    pytest.importorskip("torch")

    def call_of(params, grads):
        step = bench_peers.torch_steps(rule, params, grads)[f"torch {kind}"]
        assert step.__self__.defaults[kind]
        theirs = [p.grad.numpy() for p in step.__self__.param_groups[0]["params"]]
        assert not np.shares_memory(grads[0], theirs[0])  # foreach's Nesterov adds to them
        grads[:] = theirs
        return step

    if kind == "fused" and bench_peers.TORCH[rule][0] not in ("SGD", "Adam", "AdamW", "Adagrad"):
        assert list(bench_peers.torch_steps(rule, [np.zeros(1)], [np.zeros(1)])) == [
            "torch foreach"
        ]
        return  # PyTorch has no such kernel
    np.testing.assert_allclose(stepped(call_of), our(rule), rtol=0, atol=1e-8)


def test_pytorchs_pipeline_is_the_same_update():
    pytest.importorskip("torch")
    options = {"scale": 64.0, "max_norm": 0.05, "ema_decay": 0.9}
    means = []

    def theirs(params, grads):
        (call,) = bench_peers.torch_pipeline(params, grads, **options).values()
        assert inspect.getclosurevars(call).nonlocals["opt"].defaults["fused"]
        means.append(inspect.getclosurevars(call).nonlocals["means"])
        return checked(call, grads)

    def ours(params, grads):
        opt = st.AdamW(params, lr=bench_peers.LR, ema_decay=0.9)
        means.append(opt.ema)
        clipped = {"grad_scale": 64.0, "max_norm": 0.05, "zero_grad": True}
        return checked(lambda: opt.step(grads, **clipped), grads)

    def checked(call, grads):
        def call_and_look():
            call()
            assert not any(g.any() for g in grads)

        return call_and_look

    np.testing.assert_allclose(stepped(theirs), stepped(ours), rtol=0, atol=1e-7)
    for mean, due in zip(*means, strict=True):
        np.testing.assert_allclose(mean, due, rtol=0, atol=1e-7)


@pytest.mark.parametrize("rule", ["sgd", "adam", "pipeline"])
def test_whatever_is_timed_changes_every_parameter(rule):
    """A yardstick that did nothing would make every step look slow."""

    class Kept(bench_work.Host):
        def array(self, some, elements):
            made.append(super().array(some, elements))
            return made[-1]

    made = []
    entrants = bench_work.contenders(rule, 2, 10, Kept())
    params = made[1:]  # after the gradients' values
    assert {"bound", "traffic"} <= {one.name for one in entrants}
    for one in entrants:
        before = np.array(params)
        one.time()
        assert (np.array(params) != before).all(), one.name


def test_in_turns_times_each_and_prepares_before_each_call():
    order = []
    plain = bench_timing.Contender("plain", lambda: order.append("p"))
    fresh = bench_timing.Contender("fresh", lambda: order.append("f"), lambda: order.append("r"))
    bench_timing.in_turns([plain, fresh], seconds=1e-9, rounds=10)
    assert len(plain.seconds) == len(fresh.seconds) == bench_timing.LEAST
    followers = [order[i + 1] for i, what in enumerate(order) if what == "r"]
    assert followers and set(followers) == {"f"}


def test_medians_are_of_calls_in_turns_after_one_of_each():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = bench_timing.medians(calls, rounds=2, inner=3)
    assert "".join(order) == "ab" + 2 * "aaabbb"
    assert list(seconds) == ["a", "b"] and all(s > 0 for s in seconds.values())


def test_seconds_are_those_of_one_call(monkeypatch):
    now = [0.0]

    def takes(seconds):
        return lambda: now.append(now.pop() + seconds)

    clock = SimpleNamespace(perf_counter=lambda: now[0], sleep=lambda seconds: None)
    monkeypatch.setattr(bench_timing, "time", clock)
    short = bench_timing.Contender("short", takes(1e-6))
    long = bench_timing.Contender("long", takes(1e-2))
    bench_timing.in_turns([short, long], seconds=0.055, rounds=9)
    assert short.calls * 1e-6 >= 0.99 * bench_timing.BATCH
    assert short.seconds == pytest.approx([1e-6] * 9)
    assert long.seconds == pytest.approx([1e-2] * 6)  # then its time is used up
    assert bench_timing.medians({"it": takes(0.5)}, 2, inner=3) == {"it": pytest.approx(0.5)}


def test_ratio_is_the_median_over_common_rounds():
    slow = bench_timing.Contender("slow", print, seconds=[4.0, 9.0, 10.0])
    fast = bench_timing.Contender("fast", print, seconds=[2.0, 3.0, 2.0, 77.0])
    assert bench_timing.ratio(slow, fast) == 3.0


def test_triad():
    rng = np.random.default_rng(2)
    n = 300_001
    a, b, c = np.zeros(n), rng.standard_normal(n), rng.standard_normal(n)
    for threads in (1, 2, 3):
        st.set_num_threads(threads)
        a[:] = 0
        _cpu.stream_triad(a, b, c, 3.0)
        np.testing.assert_array_equal(a, b + 3.0 * c)
    with pytest.raises(ValueError, match=r"stream_triad: sizes 300001, 300001, 300000 differ"):
        _cpu.stream_triad(a, b, c[1:].copy(), 3.0)
