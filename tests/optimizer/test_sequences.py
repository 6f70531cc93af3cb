"""Random sequences of all that may be asked of an optimizer, beside AdamW in NumPy expressions."""

from __future__ import annotations

import copy
import pickle
import random

import numpy as np
import pytest

import steepest as st

SHAPES = [(3,), (2, 5), (), (0, 2), (70,)]
RATES = [0.1, 0.01, st.schedules.cosine(0.1, 7)]


class Reference:
    """Groups of dicts that hold a parameter, its moments, its step count and its mean."""

    def __init__(self):
        self.groups, self.count, self.skipped = [], 0, 0

    def add(self, params, hyper):
        tensors = [dict(p=p.copy(), m=0 * p, v=0 * p, t=0, ema=p.copy()) for p in params]
        self.groups.append((dict(hyper), tensors))

    def step(self, grads, grad_scale=1.0, max_norm=np.inf, nonfinite="propagate"):
        given = [g for group in grads for g in group if g is not None]
        if nonfinite == "skip" and not all(np.isfinite(g).all() for g in given):
            self.skipped += 1
            return
        norm = np.sqrt(sum((g * g).sum() for g in given)) / grad_scale
        factor = (min(1.0, max_norm / norm) if norm > 0 else 1.0) / grad_scale
        for (hyper, tensors), group in zip(self.groups, grads, strict=True):
            lr = hyper["lr"]
            lr = lr(self.count + self.skipped) if callable(lr) else lr
            for s, g in zip(tensors, group, strict=True):
                if g is not None:
                    self.adamw(s, factor * (-g if hyper["maximize"] else g), lr, hyper)
                s["ema"] += 0.1 * (s["p"] - s["ema"])
        self.count += 1

    @staticmethod
    def adamw(s, g, lr, hyper):
        (b1, b2), s["t"] = hyper["betas"], s["t"] + 1
        s["m"], s["v"] = b1 * s["m"] + (1 - b1) * g, b2 * s["v"] + (1 - b2) * g * g
        m, v = s["m"] / (1 - b1 ** s["t"]), s["v"] / (1 - b2 ** s["t"])
        s["p"] -= lr * hyper["weight_decay"] * s["p"] + lr * m / (np.sqrt(v) + hyper["eps"])


class Run:
    """An optimizer and its reference, taken through calls that are drawn at random."""

    def __init__(self, seed, path):
        self.draw, self.normal, self.path = random.Random(seed), np.random.default_rng(seed), path
        self.hyper = dict(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, maximize=False)
        self.params, self.grouped, self.reference = [self.arrays()], False, Reference()
        self.opt = st.AdamW(self.params[0], ema_decay=0.9, **self.hyper)
        self.reference.add(self.params[0], self.hyper)

    def array(self, shape):
        return np.asarray(self.normal.normal(size=shape))

    def arrays(self):
        return [self.array(shape) for shape in [(3,), *self.draw.choices(SHAPES, k=3)]]

    def step(self):
        draw = self.draw
        grads = [
            [self.array(p.shape) if draw.random() < 0.8 else None for p in group]
            for group in self.params
        ]
        options = dict(
            draw.sample([("grad_scale", 2.0), ("max_norm", 0.5), ("nonfinite", "skip")], k=2)
        )
        if "nonfinite" in options and grads[0][0] is not None:
            grads[0][0][-1] = draw.choice([1.0, np.nan, np.inf])
        before = copy.deepcopy(grads)
        self.opt.bind_grads(grads if self.grouped else grads[0])
        self.opt.step(**options)
        self.reference.step(before, **options)
        np.testing.assert_equal(grads, before)

    def add(self):
        if len(self.params) == 3:
            return
        new = {"betas": (0.5, 0.6), "maximize": True, "lr": self.draw.choice(RATES)}
        self.params.append(self.arrays())
        self.opt.add_param_group({"params": self.params[-1], **new})
        self.reference.add(self.params[-1], {**self.hyper, **new})
        self.grouped = True

    def set(self):
        self.hyper["lr"] = self.opt.lr = self.draw.choice(RATES)
        for hyper, _ in self.reference.groups:
            hyper["lr"] = self.hyper["lr"]
        self.opt.param_groups[-1]["eps"] = self.reference.groups[-1][0]["eps"] = 0.01

    def copy(self):
        again = self.draw.choice([copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
        self.opt, self.params = again((self.opt, self.params))

    def save(self):
        self.opt.save(self.path)
        self.params = copy.deepcopy(self.params)
        rates = [group["lr"] for group in self.opt.param_groups]
        groups = [{"params": p, "lr": r} for p, r in zip(self.params, rates, strict=True)]
        given = groups if self.grouped else self.params[0]
        self.opt = st.AdamW(given, ema_decay=0.9, **self.hyper)
        self.opt.load(self.path)

    def refused(self):
        params = self.params if self.grouped else self.params[0]
        for call in (
            lambda: self.opt.step([]),
            lambda: self.opt.step(params),
            lambda: self.opt.add_param_group({"params": self.params[0]}),
            lambda: setattr(self.opt, "betas", (1, 2)),
        ):
            with pytest.raises(ValueError):
                call()

    def check(self):
        opt, reference = self.opt, self.reference
        means = opt.ema if self.grouped else [opt.ema]
        for params, group_means, (_, tensors) in zip(
            self.params, means, reference.groups, strict=True
        ):
            for p, ema, s in zip(params, group_means, tensors, strict=True):
                np.testing.assert_allclose(p, s["p"], rtol=1e-10, atol=1e-11)
                np.testing.assert_allclose(ema, s["ema"], rtol=1e-10, atol=1e-11)
        assert (opt.step_count, opt.skipped) == (reference.count, reference.skipped)


@pytest.mark.parametrize("seed", range(40))
def test_any_sequence_of_calls(seed, tmp_path):
    run = Run(seed, tmp_path / "run.npz")
    calls = [run.step] * 4 + [run.add, run.set, run.copy, run.save, run.refused]
    for call in run.draw.choices(calls, k=30):
        call()
        run.check()
