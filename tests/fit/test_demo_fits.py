"""The demonstration's fits: NIST's certified values, from data inside the package."""

from __future__ import annotations

import io
import json
from importlib.resources import files

import pytest
from problems import nist
from rich.console import Console
from steepest.apps.demo_fits import PROBLEMS, fit_nist


def test_the_table_has_certified_values_beside_ours():
    out = io.StringIO()
    assert fit_nist(Console(file=out, width=80)) > 4
    text = out.getvalue()
    for name in PROBLEMS:
        problem = nist.load(name)
        for j, value in enumerate(problem.certified, 1):
            (row,) = (line for line in text.splitlines() if f"{name} b{j} " in line)
            assert f"{value:.8g}" in row
    assert "…" not in text  # nothing is cut at 80 columns


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_package_has_nists_data(name):
    inside = json.loads((files("steepest") / "data" / f"{name}.json").read_text())
    assert inside == json.loads((nist.FOLDER / f"{name}.json").read_text())
