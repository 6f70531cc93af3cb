"""The demonstration's fits: NIST's certified values, from data inside the package."""

from __future__ import annotations

import io
import json
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import steepest as st
from problems import nist
from steepest.apps.demo_fits import PROBLEMS, fit_nist


def test_the_table_has_certified_values_beside_ours():
    out = io.StringIO()
    fit_nist(Console(file=out, width=80))
    text = out.getvalue()
    for name in PROBLEMS:
        problem = nist.load(name)
        for j, value in enumerate(problem.certified, 1):
            (row,) = (line for line in text.splitlines() if f"{name} b{j} " in line)
            assert row.split()[2] == f"{value:.8g}" and float(row.split()[4]) > 4
    assert "…" not in text  # nothing is cut at 80 columns


def test_the_table_has_what_the_fits_return(monkeypatch):
    errors = {"Misra1a": [0, -5e-4], "MGH09": [4e-3, 1e-5, 2e-7, 0]}  # relative, of each parameter
    problems, tables = iter(map(nist.load, errors)), []

    def least_squares(fun, x0, jac):
        problem = next(problems)
        np.testing.assert_array_equal(x0, problem.starts[0])
        x0 = np.array(x0)
        np.testing.assert_allclose(fun(x0), problem.residual(x0), rtol=1e-9)
        np.testing.assert_allclose(jac(x0), problem.jacobian(x0), rtol=1e-9)
        x = problem.certified * np.add(1, errors[problem.name])
        return SimpleNamespace(x=x, stderr=lambda: 2 * problem.stderr)

    monkeypatch.setattr(st, "least_squares", least_squares)
    fit_nist(SimpleNamespace(print=tables.append))
    due = []
    for name, digits in (("Misra1a", "11.0 3.3"), ("MGH09", "2.4 5.0 6.7 11.0")):
        certified, stderr = nist.load(name).certified, nist.load(name).stderr
        ours = certified * np.add(1, errors[name])
        due += [
            (f"{name} b{i + 1}", f"{c:.8g}", f"{x:.8g}", right, f"{s:.3g}", f"{2 * s:.3g}")
            for i, (c, x, right, s) in enumerate(
                zip(certified, ours, digits.split(), stderr, strict=True)
            )
        ]
    (table,) = tables
    assert list(zip(*(column.cells for column in table.columns), strict=True)) == due
    headings = "parameter", "certified", "steepest", "digits", "certified ±", "steepest ±"
    assert tuple(column.header for column in table.columns) == headings
    assert [column.justify for column in table.columns] == ["left", *5 * ["right"]]
    assert [i for i, row in enumerate(table.rows) if row.end_section] == [1, 5]
    Console(file=(out := io.StringIO()), width=40).print(table)
    assert "…" not in out.getvalue()


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_package_has_nists_data(name):
    inside = json.loads((files("steepest") / "data" / f"{name}.json").read_text())
    assert inside == json.loads((nist.FOLDER / f"{name}.json").read_text())
