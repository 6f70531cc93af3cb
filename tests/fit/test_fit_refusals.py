"""What `steepest fit` refuses, and how it says so."""

from __future__ import annotations

import sys

import pytest
from fit_runs import FORMULA, START, fit

import steepest as st
from steepest.cli import main

ERRORS = [
    (["y = a*x +", *START], "formula, character 10: ends too early"),
    (["y = a*foo(x)", *START], "formula, character 7: no function 'foo'"),
    (["w = a*x", "--start", "a=1"], "data.csv, line 1: no column 'w'; the header has x, y, erro"),
    (["y = a*t + q", "--start", "a=1"], 'the right side of "=" names no column (columns: '),
    ([FORMULA, "--start", "a=1", "--start", "b=2,a=1"], "--start: 'a' is given twice"),
    ([FORMULA, *START, "--encoding", "none"], "--encoding: 'none' is not known"),
    ([FORMULA, *START, "--encoding", "hex"], "--encoding: 'hex' is not known"),
    (["y = a*(x - 9)**b"], "data.csv, line 2: its derivative by b is nan at x = 0, a = 1, b = 1"),
    ([FORMULA, "--start", "a=1,b=1,c=0,d=1"], "--start: 'd' is not in the formula"),
    ([FORMULA, "--start", "a=1,b=1,c=0,x=1"], "--start: 'x' is a column of the data"),
    ([FORMULA, "--start", "a=1,b,c=0"], "--start: 'b' is not of the form name=value"),
    ([FORMULA, "--start", "a=1,,c=0"], "--start: 'a=1,,c=0' has an empty part between commas"),
    ([FORMULA, "--start", "a=1,b=two,c=0"], "--start: b='two' is not a number"),
    ([FORMULA, "--start", "a=1,b=nan,c=0"], "--start: b=nan is not a number"),
    ([FORMULA, "--start", "a=1,b=inf,c=0"], "--start: b=inf is not finite"),
    ([FORMULA, "--start", "a=1,a=2"], "--start: 'a' is given twice"),
    ([FORMULA, *START, "--fix", "d"], "--fix: no parameter 'd'; expected one of a, b, c"),
    ([FORMULA, *START, "--fix", "a,b,c"], "nothing to fit: every parameter is fixed"),
    ([FORMULA, *START, "--bounds", "d=0:1"], "--bounds: no parameter 'd'; expected one of a, b, c"),
    ([FORMULA, *START, "--bounds", "a=3"], "--bounds: a=3 is not of the form low:high"),
    ([FORMULA, *START, "--bounds", "a=3:2"], "--bounds: a=3:2: the lower is not below the upper\n"),
    ([FORMULA, *START, "--bounds", "a=1:1"], "below the upper; --fix a holds it at its start"),
    ([FORMULA, *START, "--bounds", "a=low:2"], "--bounds: a='low' is not a number"),
    ([FORMULA, *START, "--bounds", "a=2:3"], "--start: a=1 is outside 2:3"),
    ([FORMULA, *START, "--sigma", ""], "data.csv, line 1: no column ''; the header has x, y, erro"),
    ([FORMULA, *START, "--sigma", "w"], "data.csv, line 1: no column 'w'"),
    ([FORMULA, *START, "--sigma", "z"], "data.csv, line 4: column 'z': -"),
    (
        [FORMULA, *START, "--sigma", "x"],
        "data.csv, line 2: column 'x': 0 is not a standard deviation, as it is not",
    ),
    ([FORMULA, *START, "--absolute-sigma"], "--absolute-sigma: needs --sigma"),
    ([FORMULA, *START, "--f-scale", "2"], "--f-scale: needs --loss, one of soft_l1, huber, "),
    (
        ["y = exp(a*x)", "--start", "a=1e6"],
        "line 3: the formula is inf at x = 0.102564, a = 1e+06;",
    ),
    (["y = a*log(x)"], "data.csv, line 2: the formula is -inf at x = 0, a = 1; leave the line out"),
    (["y = a*log(z*x)"], "line 2: the formula is -inf at z = 1, x = 0, a = 1; leave the line out"),
    (["y = x"], "nothing to fit: every name of the formula is a column"),
    ([FORMULA, *START, "--output", "no/such/folder"], "no/such/folder.png: No such file or dir"),
    ([FORMULA, *START, "--output", "none/"], "none/data_fit.png: No such file or directory"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS)
def test_unfit_arguments_are_exit_status_two(here, capsys, arguments, message):
    assert fit(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("steepest fit: ") and message in captured.err
    assert captured.out == "" and not list(here.glob("*.png"))


def test_a_missing_file_is_exit_status_two(here, capsys):
    assert main(["fit", "none.csv", FORMULA, *START]) == 2
    assert capsys.readouterr().err == "steepest fit: none.csv: No such file or directory\n"


def test_a_bad_field_names_its_line(here, capsys):
    text = (here / "data.csv").read_text().splitlines()
    text[7] = "1,oops,1,1"
    (here / "data.csv").write_text("\n".join(text))
    assert fit(FORMULA, *START) == 2
    assert "data.csv, line 8: column 'y': 'oops' is not a number" in capsys.readouterr().err


def test_fewer_rows_than_parameters(here, capsys):
    (here / "data.csv").write_text("x,y\n1,2\n2,3\n")
    assert fit(FORMULA, *START) == 2
    assert "2 rows for 3 free parameters; give more, or --fix some" in capsys.readouterr().err
    assert fit(FORMULA, *START, "--fix", "c") == 0


def test_argparse_refuses_an_unknown_loss(here, capsys):
    with pytest.raises(SystemExit, match="2"):
        fit(FORMULA, *START, "--loss", "cubic")
    assert "invalid choice: 'cubic'" in capsys.readouterr().err


def test_a_picture_that_cannot_be_is_said_before_the_work(here, capsys, monkeypatch):
    monkeypatch.setattr(st, "least_squares", lambda *_, **__: pytest.fail("fitted"))
    assert fit(FORMULA, *START, "--output", "no/such/folder") == 2
    assert "steepest fit: no/such/folder.png: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["sympy", "matplotlib"])
def test_a_missing_package_is_named_before_the_work(here, capsys, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(st, "least_squares", lambda *_, **__: pytest.fail("fitted"))
    assert fit(FORMULA, *START) == 2
    assert "pip install 'steepest[demo]'" in capsys.readouterr().err


def test_the_line_of_a_sigma_of_0_is_told(here, capsys):
    (here / "data.csv").write_text("x,y,z\n1,2,1\n2,4,0\n")
    assert fit("y = a*x", "--sigma", "z") == 2
    assert "data.csv, line 3: column 'z': 0 is not a standard" in capsys.readouterr().err
