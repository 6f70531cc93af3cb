"""`steepest bench --device cuda`: its shape over the simulated device, and where there is none."""

from __future__ import annotations

import argparse
import json
import sys
from types import SimpleNamespace

import fake_cupy
import numpy as np
import pytest

import steepest as st
from steepest import cli
from steepest.apps import bench, bench_cuda, bench_peers
from steepest.updates.rule_list import RULES

QUICK = ["bench", "--device", "cuda", "--quick", "--seconds", "1e-4"]


@pytest.fixture(autouse=True)
def _few_tensors(monkeypatch):
    monkeypatch.setattr(bench_cuda, "HOST_SIZE", (3, 10))


@pytest.fixture
def torch(monkeypatch):
    """PyTorch takes the simulated device's arrays for its own."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(bench_peers, "_tensor", lambda array: torch.from_numpy(array.held))


@pytest.mark.usefixtures("device", "torch")
def test_json_has_shares_peers_and_the_hosts_time(capsys):
    rules, sizes = "sgd,adam,adagrad,pipeline", "3x100,1x1K"
    assert cli.main([*QUICK, "--rules", rules, "--sizes", sizes, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["device"], found["driver"]) == ("simulated", "13.0")
    rows = [(row["rule"], row["tensors"], row["elements"]) for row in found["rows"]]
    assert rows == [(r, *n) for r in rules.split(",") for n in ((3, 100), (1, 1024))]
    for row in found["rows"]:
        assert row["share_of_copy"] == pytest.approx(row["gb_s"] / found["copy_gb_s"])
        peers = {"torch fused"}
        if row["rule"] != "pipeline":
            peers |= {"lists", "cupy", "cupy fuse", "torch foreach"}
        assert set(row["ratio"]) == {"traffic", *peers} and row["left_out"] == {}
        assert all(value > 0 for value in (*row["seconds"].values(), *row["ratio"].values()))
    kinds = ["bound", "graph replay", "torch fused", "torch foreach"]
    assert list(found["host_seconds"]) == kinds


@pytest.mark.usefixtures("device")
def test_tables_show_the_share_and_say_what_was_left_out(capsys, monkeypatch):
    def no_kernel(rule, *arrays):
        def call():
            raise RuntimeError("no kernel image")

        return call

    monkeypatch.setattr(bench_peers, "fused_step", no_kernel)
    assert cli.main([*QUICK, "--rules", "lion", "--sizes", "2x10"]) == 0
    out = capsys.readouterr().out
    assert "simulated, driver 13.0; a copy in its memory" in out and "graph replay" in out
    assert "lion: without cupy fuse: RuntimeError: no kernel image" in out


@pytest.mark.usefixtures("device", "torch")
def test_alone_and_within_limits(capsys):
    alone = [*QUICK, "--alone", "--rules", "adam,pipeline", "--sizes", "1x100"]
    assert cli.main([*alone, "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert [set(row["ratio"]) - {"lists"} for row in found["rows"]] == 2 * [{"traffic"}]
    assert list(found["host_seconds"]) == ["bound", "graph replay"]
    assert "adam 1 x 100: " in told.err and found["not_begun"] == []
    assert cli.main([*alone, "--within", "1e-9"]) == 0
    assert "adam 1x100: not begun in time" in capsys.readouterr().out
    assert cli.main([*alone, "--within", "0"]) == 2
    assert (
        capsys.readouterr().err
        == "steepest bench: --within: 0.0 is not allowed; expected a number above 0\n"
    )


def test_seconds_are_those_of_one_call_by_either_clock(monkeypatch):
    now = [0.0]

    def takes(seconds):
        return lambda: now.append(now.pop() + seconds)

    def event():
        made = SimpleNamespace(synchronize=lambda: None)
        made.record = lambda: setattr(made, "at", now[0])
        return made

    monkeypatch.setattr(bench_cuda, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    host = bench_cuda.ByHost("host", takes(2.0), calls=5, wait=takes(7.0))
    assert host.time() == 2.0 and now == [7.0 + 5 * 2.0 + 7.0]
    events = (event(), event(), lambda start, end: 1e3 * (end.at - start.at))
    for prepare, before in ((None, 2.0), (takes(3.0), 3.0)):  # one call, or what prepares them
        now[0] = 0.0
        on_device = bench_cuda.ByEvents("device", takes(2.0), prepare, 5, events=events)
        assert on_device.time() == 2.0 and now == [before + 5 * 2.0]


@pytest.mark.parametrize("rule", bench_peers.EXPRESSIONS)
@pytest.mark.usefixtures("device")
def test_expressions_on_a_device_are_those_of_the_host(rule):
    def stepped(xp, wrap, make):
        p, g = wrap(np.linspace(1, 2, 7)), wrap(np.linspace(-1, 1, 7))
        states = [wrap(np.ones(7)) for _ in RULES[rule].states]
        make(rule, xp, [p], [g], [states])()
        return [getattr(x, "held", x).tobytes() for x in (p, *states)]

    def there(x):
        return fake_cupy.ndarray(x.copy())

    host = stepped(np, np.copy, bench_peers.expression_step)
    assert stepped(fake_cupy, there, bench_peers.expression_step) == host

    def tenth(rule, xp, params, grads, states):
        return lambda: bench_peers.EXPRESSIONS[rule](np, 10, params[0], grads[0], *states[0])

    fused = stepped(fake_cupy, there, bench_peers.fused_step)
    assert fused == stepped(np, np.copy, tenth)


def test_the_sizes_that_a_device_is_asked_by_itself():
    def asked(*options):
        parser = argparse.ArgumentParser()
        bench.add_arguments(parser)
        return bench.rows_asked(parser.parse_args(["--device", "cuda", *options]))

    rows = asked()
    assert ("lion", 1, 256 << 20) in rows and ("lion", 10_000, 1000) not in rows
    lists = [(1, 256 << 20), (1000, 100_000), (10_000, 1000), (10_000, 100)]
    assert [(t, n) for rule, t, n in rows if rule == "adam"] == lists
    assert len(asked("--rules", "lion")) == 4
    with pytest.raises(ValueError, match="--threads: not for --device cuda"):
        asked("--threads", "2")


def test_without_a_device_it_says_why(capsys, monkeypatch, device, hooks):
    words = "cudaGetDeviceCount: CUDA error 100 (cudaErrorNoDevice): no CUDA-capable device"
    hooks.simulated_no_device(words.encode())
    assert cli.main(QUICK) == 1
    why = (
        "steepest bench: --device cuda: arrays are to live on a GPU, and no device is usable: "
        + words
    )
    assert capsys.readouterr().err.strip() == why
    hooks.simulated_no_device(b"")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cli.main(QUICK) == 1
    assert "CuPy cannot be imported" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "steepest._cuda", None)
    assert cli.main(QUICK) == 1
    assert "this build of steepest has no CUDA module" in capsys.readouterr().err


def test_a_graph_whose_capture_fails_is_ended(device):
    """Else the stream would stay in capture for whoever comes next."""

    def fail():
        raise RuntimeError("in between")

    place = bench_cuda.open_device()
    with pytest.raises(RuntimeError, match="in between"):
        bench_cuda._replay(place, SimpleNamespace(step=fail))
    p = place.array(np.ones(2, np.float32), 2)
    st.SGD(p, lr=0.5).step(p.copy())
    assert p.held.tolist() == [0.5, 0.5]
