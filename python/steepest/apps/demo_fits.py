"""The fits of the demonstration: two NIST problems, certified values beside our own."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from steepest.apps.fits.formula import parse
from steepest.apps.fits.model import compile_model

PROBLEMS = ("Misra1a", "MGH09")


def fit_nist(console: Console) -> None:
    """Fit both problems from NIST's far start; print a table."""
    table = Table(
        title="NIST StRD, from the far start",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("parameter", overflow="fold")
    for heading in ("certified", "steepest", "digits", "certified ±", "steepest ±"):
        table.add_column(heading, justify="right", overflow="fold")
    for name in PROBLEMS:
        add_rows(table, json.loads((files("steepest") / "data" / f"{name}.json").read_text()))
        table.add_section()
    console.print(table)


def add_rows(table: Table, problem: dict[str, Any]) -> None:
    """One row a parameter."""
    from steepest import least_squares

    model = compile_model(parse(problem["model"]), problem["predictors"], problem["parameters"])
    x, y = np.array([problem["x"]]), np.array(problem["y"])
    result = least_squares(
        lambda b: model.value(x, b) - y, problem["starts"][0], lambda b: model.jacobian(x, b)
    )
    certified = np.array(problem["certified"]["params"])
    with np.errstate(divide="ignore"):
        digits = np.minimum(-np.log10(np.abs(result.x - certified) / np.abs(certified)), 11)
    columns = (certified, result.x, problem["certified"]["stderr"], result.stderr(), digits)
    for i, (value, ours, error, our_error, correct) in enumerate(zip(*columns, strict=True)):
        title = f"{problem['name']} {problem['parameters'][i]}"
        values = (f"{value:.8g}", f"{ours:.8g}", f"{correct:.1f}")
        table.add_row(title, *values, f"{error:.3g}", f"{our_error:.3g}")
