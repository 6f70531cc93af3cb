"""What the tests of `steepest fit` share: data, a formula, and runs of the command."""

from __future__ import annotations

import json

import numpy as np

from steepest.cli import main

FORMULA = "y = a*exp(-b*x) + c"

START = ["--start", "a=1,b=1,c=0"]

X = np.linspace(0, 4, 40)

ERROR = 0.05 + 0.02 * X

Y = 2.5 * np.exp(-1.3 * X) + 0.5 + ERROR * np.random.default_rng(2).standard_normal(40)


def model(x, a, b, c):
    return a * np.exp(-b * x) + c


def fit(*arguments):
    return main(["fit", "data.csv", *arguments])


def as_json(capsys, *arguments):
    assert fit(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def estimates(record):
    rows = record["parameters"]
    return [row["value"] for row in rows], [row["stderr"] for row in rows]
