"""`steepest fit`: from a CSV file and a formula to estimates, summary, JSON and a picture."""

from __future__ import annotations

import io
import json
import re
from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from fit_runs import ERROR, FORMULA, START, X, Y, as_json, estimates, fit, model
from scipy.optimize import curve_fit

import steepest as st
from problems import nist
from steepest.apps import fit as fit_app
from steepest.apps.fits.fitting import default_start
from steepest.apps.fits.formula import FUNCTIONS, parse
from steepest.apps.fits.model import compile_model
from steepest.apps.fits.table import read_table
from steepest.cli import main


@pytest.mark.parametrize("sigma", [False, True])
@pytest.mark.parametrize("absolute", [False, True])
def test_estimates_and_errors_are_scipys(here, capsys, sigma, absolute):
    options = ["--sigma", "error"] * sigma + ["--absolute-sigma"] * (sigma and absolute)
    record = as_json(capsys, FORMULA, *START, *options)
    weights = {"sigma": ERROR if sigma else None, "absolute_sigma": sigma and absolute}
    popt, pcov = curve_fit(model, X, Y, ftol=1e-12, xtol=1e-12, **weights)
    values, errors = estimates(record)
    np.testing.assert_allclose(values, popt, rtol=1e-5)
    np.testing.assert_allclose(errors, np.sqrt(np.diag(pcov)), rtol=1e-4)
    np.testing.assert_allclose(record["covariance"], pcov, rtol=1e-3)
    assert (record["dof"], record["observations"], record["success"]) == (37, 40, True)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_numbers_that_cannot_be_drawn_are_printed(here, capsys, monkeypatch, options):
    def fail(fitted, path):
        raise ValueError("no room for the axes")

    monkeypatch.setattr("steepest.apps.fits.fit_plot.save_plot", fail)
    assert fit(FORMULA, *START, *options) == 2
    shown = capsys.readouterr()
    assert "covariance" in shown.out if options else "residual" in shown.out
    assert "no room" in shown.err and "plot:" not in shown.out


def test_without_a_start_all_parameters_start_at_one(here, capsys):
    record = as_json(capsys, "y = a*exp(-b*x) + c + 0*pi")
    assert [row["name"] for row in record["parameters"]] == ["a", "b", "c"]
    assert record == as_json(capsys, "y = a*exp(-b*x) + c + 0*pi", "--start", "a=1,b=1,c=1")
    assert fit("y = a*exp(-b*t)") == 2
    assert (
        "the right side of \"=\" names no column (columns: 'x', 'y', 'error', 'z');"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("bounds", "start"), [("2:3", 2.5), ("2:", 3), (":0.5", -0.5), ("0:9", 1), ("-9:1", 1)]
)
def test_without_a_start_a_parameter_starts_within_its_bounds(here, capsys, bounds, start):
    assert default_start(parse("y = a*x"), read_table("data.csv"), (), {}) == {"a": 1}
    record = as_json(capsys, FORMULA, "--bounds", f"a={bounds}")
    assert record == as_json(capsys, FORMULA, "--bounds", f"a={bounds}", "--start", f"a={start}")


def test_the_keyboards_micro_sign_may_stand_in_every_name(here, capsys):
    """Python's parser reads it as the Greek letter."""
    options = (FORMULA, "--start", "a=1,b=1,c=0.4", "--bounds", "a=:9", "--fix", "c")
    plain = estimates(as_json(capsys, *options, "--sigma", "error"))
    text = (here / "data.csv").read_text().replace("y [", "µ [").replace("error", "µe")
    (here / "data.csv").write_text(text, encoding="utf-8")
    options = ("µ = µa*exp(-b*x) + µc", "--start", "µa=1,b=1,µc=0.4", "--bounds", "µa=:9")
    assert estimates(as_json(capsys, *options, "--fix", "µc", "--sigma", "µe")) == plain


def test_intervals_are_students(here, capsys):
    row = as_json(capsys, FORMULA, *START)["parameters"][1]
    half = 2.026192463 * row["stderr"]  # Student's t, 37 degrees of freedom, 95 %
    np.testing.assert_allclose(row["interval"], [row["value"] - half, row["value"] + half])


def test_known_sigma_takes_the_normal_quantile(here, capsys):
    record = as_json(capsys, FORMULA, *START, "--sigma", "error", "--absolute-sigma")
    row = record["parameters"][1]
    half = 1.959963985 * row["stderr"]
    np.testing.assert_allclose(row["interval"], [row["value"] - half, row["value"] + half])
    free = as_json(capsys, FORMULA, *START, "--sigma", "error")
    assert record["residual_std"] == free["residual_std"] != 1


def test_record_and_summary_tell_of_one_fit(here, capsys):
    formula, z = "y = a*exp(-b*x) + c + d*z", np.cos(9 * X)
    start = ("--start", "a=1,b=9,c=0.4,d=0", "--fix", "c", "--sigma", "error", "--loss", "huber")
    record = as_json(capsys, formula, *start)

    def jacobian(p):
        slopes = np.exp(-p[1] * X), -p[0] * X * np.exp(-p[1] * X), z
        return np.stack(slopes, axis=1) / ERROR[:, None]

    due = st.least_squares(
        lambda p: (p[0] * np.exp(-p[1] * X) + 0.4 + p[2] * z - Y) / ERROR,
        [1.0, 9.0, 0.0],
        jacobian,
        loss="huber",
    )
    assert due.nfev > due.njev and due.nit not in (due.nfev, due.njev)
    assert {"formula": formula, "data": "data.csv", "loss": "huber"}.items() <= record.items()
    assert record["free"] == ["a", "b", "d"] and record["dof"] == 37
    for name in ("status", "message", "nfev", "njev", "nit"):
        assert record[name] == due[name]
    deviation = np.sqrt(2 * due.cost / 37)
    assert record["cost"] == pytest.approx(due.cost)
    residuals = (due.x[0] * np.exp(-due.x[1] * X) + 0.4 + due.x[2] * z - Y) / ERROR
    assert record["sum_of_squares"] == pytest.approx(residuals @ residuals)
    assert record["residual_std"] == pytest.approx(deviation)
    matrix = due.covariance() / np.outer(due.stderr(), due.stderr())
    np.testing.assert_allclose(record["correlation"], matrix, rtol=1e-6)

    assert fit(formula, *start) == 0
    out = capsys.readouterr().out
    assert f"sum of squares: {record['sum_of_squares']:.10g}\n" in out
    assert f"residual std:   {record['residual_std']:.6g} sigma\n" in out
    assert f"robust cost:    {record['cost']:.10g}, which gives the residual std\n" in out
    assert f"evaluations:    residuals {due.nfev}, Jacobian {due.njev}\n" in out
    rows = [line.replace("│", " ").split() for line in out.split("Correlation")[1].splitlines()]
    for i, name in enumerate("abd"):
        assert [name, *(f"{value:+.3f}" for value in matrix[i, : i + 1])] in rows


@pytest.mark.parametrize("name", nist.NAMES)
def test_nist_from_the_command_line(here, capsys, name):
    problem = nist.load(name)
    rows = "\n".join(
        f"{x!r},{y!r}" for x, y in zip(problem.x.tolist(), problem.y.tolist(), strict=True)
    )
    (here / "data.csv").write_text(f"x,y\n{rows}\n")
    start = ",".join(f"b{j}={b!r}" for j, b in enumerate(problem.starts[1].tolist(), 1))
    record = as_json(capsys, problem.formula, "--start", start)
    values, errors = estimates(record)
    assert problem.digits(np.array(values)) > 4
    np.testing.assert_allclose(errors, problem.stderr, rtol=2e-4)
    assert record["sum_of_squares"] == pytest.approx(problem.rss, rel=1e-6)


def test_the_summary_says_what_a_reader_asks(here, capsys):
    assert fit(FORMULA, *START, "--fix", "c", "--bounds", "a=0:2") == 0
    out = capsys.readouterr().out
    for text in (
        FORMULA,
        "standard error",
        "95% interval",
        "at its bound",
        "fixed",
        "Correlation",
        "observations:   40, with 38 degrees of freedom",
        "mV",
        "stopped:",
        "termination condition is satisfied",
        "plot:           data_fit.png",
    ):
        assert text in out, text
    assert [line for line in out.splitlines() if "at its bound" in line][0].startswith("│ a ")
    assert out.count("at its bound") == 1
    assert [line.split("│")[5].strip() for line in out.splitlines() if "│ c " in line] == ["fixed"]


def test_a_fixed_parameter_is_held_and_a_bound_kept(here, capsys):
    options = (FORMULA, "--start", "a=1,b=1,c=0.4", "--fix", "c", "--bounds", "a=0:2,b=:9")
    rows = {row["name"]: row for row in as_json(capsys, *options)["parameters"]}
    assert (rows["c"]["value"], rows["c"]["fixed"], rows["c"]["stderr"]) == (0.4, True, 0)
    assert (rows["a"]["value"], rows["a"]["at_bound"]) == (2.0, True)
    assert not rows["b"]["at_bound"] and not rows["b"]["fixed"]
    at_start = as_json(capsys, FORMULA, *START, "--bounds", "a=1:9,b=0:1")  # is allowed
    assert at_start["parameters"][0]["value"] > 1
    # the bounds of a fixed one mean nothing
    options = ("--start", "a=2.5,b=1,c=0", "--fix", "a", "--bounds", "a=3:9,b=:1")
    first, second, _ = as_json(capsys, FORMULA, *options)["parameters"]
    assert (first["value"], second["value"], second["at_bound"]) == (2.5, 1.0, True)


def test_a_robust_loss_resists_outliers(here, capsys):
    lines = (here / "data.csv").read_text().splitlines()
    for i in (3, 6, 9):  # early: the plain fit has a finite minimum, too
        x, _, *rest = lines[i].split(",")
        lines[i] = ",".join([x, "40", *rest])
    (here / "data.csv").write_text("\n".join(lines))
    robust = estimates(as_json(capsys, FORMULA, *START, "--loss", "cauchy", "--sigma", "error"))[0]
    np.testing.assert_allclose(robust, [2.5, 1.3, 0.5], atol=0.25)
    plain = estimates(as_json(capsys, FORMULA, *START, "--sigma", "error"))[0]
    assert np.abs(np.subtract(plain, [2.5, 1.3, 0.5])).max() > 1


@pytest.mark.parametrize(
    ("formula", "start", "more"),
    [
        (FORMULA, "a=1,b=1,c=0", ["--sigma", "error"]),
        ("y = a*exp(-b*x) + c + d*z", "a=1,b=1,c=0,d=0", []),
        ("y = a", "a=1", []),
        ("y = a*x + 0*b", "a=1,b=1", []),  # no bands: the covariance is indeterminate
    ],
)
def test_a_picture_is_written(here, capsys, formula, start, more):
    from matplotlib.image import imread

    record = as_json(capsys, formula, "--start", start, "--output", "picture", *more)
    assert record["plot"] == "picture.png"
    pixels = imread(here / "picture.png")[..., :3]
    assert pixels.shape[0] > 900 and pixels.shape[1] > 1000
    black, white = (np.abs(pixels - level).max(axis=2) < 0.02 for level in (0, 1))
    assert black.mean() > 0.001 and 0.3 < white.mean() < 0.99


@pytest.mark.parametrize(
    ("formula", "true"),
    [
        ("y = a*x**n", {"a": 2.0, "n": 0.7}),
        ("y = v*x**n/(k**n + x**n)", {"v": 3.0, "n": 2.0, "k": 1.5}),
        ("y = a*exp(-(x/t)**n)", {"a": 2.0, "t": 1.5, "n": 1.3}),
    ],
)
def test_powers_are_fitted_through_a_row_at_zero(here, capsys, formula, true):
    curve = compile_model(parse(formula), ["x"], list(true)).value(X[None], [*true.values()])
    y = curve + 0.01 * np.cos(9 * X)
    lines = [f"{a!r},{b!r}" for a, b in zip(X.tolist(), y.tolist(), strict=True)]
    (here / "data.csv").write_text("x,y\n" + "\n".join(lines))
    assert X[0] == 0
    record = as_json(capsys, formula, "--output", "picture")
    found = {row["name"]: (row["value"], row["stderr"]) for row in record["parameters"]}
    for name, value in true.items():
        assert abs(found[name][0] - value) < 0.1 and 0 < found[name][1] < 0.1


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_errors_are_known_in_any_unit(here, capsys, unit):
    x = np.linspace(1e4, 2e5, 30)
    y = 1 + 2e-4 * x + 3e-9 * x**2 + 1e-14 * x**3 + 0.1 * np.cos(x)
    lines = [f"{a!r},{b!r}" for a, b in zip((x * unit).tolist(), y.tolist(), strict=True)]
    (here / "data.csv").write_text("x,y\n" + "\n".join(lines))
    got = estimates(as_json(capsys, "y = a + b*x + c*x**2 + d*x**3"))[1]
    g = np.vander(x / 1e5, 4, increasing=True)
    rest = y - g @ np.linalg.lstsq(g, y, rcond=None)[0]
    want = np.sqrt(np.diag(np.linalg.inv(g.T @ g)) * (rest @ rest) / 26)
    np.testing.assert_allclose(got, want / (1e5 * unit) ** np.arange(4), rtol=1e-4)


def test_a_curve_through_every_point_has_no_correlation(here, capsys):
    (here / "data.csv").write_text("x,y,z\n1,2,1\n2,5,2\n3,1,3\n")
    assert fit("z = a*y + b*x") == 0
    captured = capsys.readouterr()
    assert "nan" not in captured.out + captured.err and "Correlation" not in captured.out
    record = as_json(capsys, "z = a*y + b*x")
    assert record["correlation"] is None and record["parameters"][0]["stderr"] == 0


def test_one_parameter_has_no_correlation_to_show(here, capsys):
    assert fit("y = a*x", "--start", "a=1") == 0
    assert "Correlation" not in capsys.readouterr().out


def test_an_indeterminate_covariance_is_said(here, capsys):
    assert fit("y = a*x + b - d", "--start", "a=1,b=1,d=1") == 0
    out = capsys.readouterr().out
    assert "the data leave parameters free: --fix some" in out
    assert out.count("indeterminate") == 5 and "inf" not in out  # of b and d, and why
    (here / "two.csv").write_text("x,y\n1,2\n2,3\n")
    assert main(["fit", "two.csv", "y = a*x + b*x**3"]) == 0
    assert "as many parameters as rows" in capsys.readouterr().out
    assert main(["fit", "two.csv", "y = a*x + b*x**3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["residual_std"] is None
    (here / "two.csv").write_text("x,y,s\n1,2,0.1\n2,3,0.1\n")
    known = ["--sigma", "s", "--absolute-sigma", "--json"]  # errors need no residuals then
    assert main(["fit", "two.csv", "y = a*x + b*x**3", *known]) == 0
    errors = estimates(json.loads(capsys.readouterr().out))[1]
    np.testing.assert_allclose(errors, 0.1 * np.linalg.norm([[8, 1], [2, 1]], axis=1) / 6)
    record = as_json(capsys, "y = a*x + b - d", "--start", "a=1,b=1,d=1")
    errors = [row["stderr"] for row in record["parameters"]]
    assert errors[1:] == [None, None] and record["correlation"] is None
    known = as_json(capsys, "y = a*x + b")["parameters"][0]["stderr"]
    assert errors[0] == pytest.approx(known * np.sqrt(38 / 37), rel=1e-6)
    assert record["covariance"] == [
        [pytest.approx(errors[0] ** 2), None, None],
        [None] * 3,
        [None] * 3,
    ]


def test_no_minimum_is_exit_status_one(here, capsys, monkeypatch):
    monkeypatch.setattr(st, "least_squares", partial(st.least_squares, max_nfev=2))
    assert fit(FORMULA, *START) == 1
    captured = capsys.readouterr()
    reason = "The maximum number of function evaluations is exceeded."
    assert captured.err == f"steepest fit: no minimum found: {reason}\n"
    assert reason in captured.out
    assert fit(FORMULA, *START, "--json") == 1
    assert json.loads(capsys.readouterr().out)["success"] is False


def test_a_parameter_fixed_twice_is_one(here, capsys):
    rows = as_json(capsys, FORMULA, *START, "--fix", "c,c,a")["parameters"]
    assert [row["fixed"] for row in rows] == [True, False, True]


def test_what_starts_and_bounds_mean():
    assert dict(fit_app.parse_start(" a = 1, b=-2e3 ")) == {"a": 1, "b": -2000}
    bounds = dict(fit_app.parse_bounds("a=:5, b = -1 : ,c=0:10"))
    assert bounds == {"a": (-np.inf, 5), "b": (-1, np.inf), "c": (0, 10)}


def test_one_row_is_a_row(here, capsys):
    (here / "data.csv").write_text("x,y\n1,2\n")
    assert fit(FORMULA, *START, "--fix", "c") == 2
    assert "1 row for 2 free parameters" in capsys.readouterr().err


def test_a_column_is_named_as_a_formula_can_say_it(here, capsys):
    (here / "data.csv").write_text("time (ms),y,U in V\n1,2,3\n2,3.5,4\n3,6,5\n")
    assert fit("y = a*t") == 2
    assert "(columns: 'time', 'y', 'U_in_V'); if that is intended, give" in capsys.readouterr().err
    assert fit("U_in_V = a*time ms") == 2
    assert "write time_ms for a column of that name" in capsys.readouterr().err
    assert as_json(capsys, "U_in_V = a*time + b")["parameters"][0]["value"] == pytest.approx(1)


@pytest.mark.parametrize("name", ["lambda", "lambda_"])
def test_the_response_may_have_the_name_of_a_keyword(here, capsys, name):
    """Left of "=" it stands as in the file, too, where Python's parser does not read it."""
    (here / "data.csv").write_text("x,lambda [nm]\n1,2\n2,3.5\n3,6\n")
    assert fit(f"{name} = a*x") == 0
    assert re.search(r"residual std: +0\.\d+ nm\n", capsys.readouterr().out)
    assert fit(f"{name} = a*lambda_") == 2
    assert "'lambda_' is left of" in capsys.readouterr().err


def test_starts_may_be_given_for_some_parameters(here, capsys):
    whole = as_json(capsys, FORMULA, "--start", "a=1,b=1,c=0.4", "--fix", "c")
    assert as_json(capsys, FORMULA, "--start", "c=0.4", "--fix", "c") == whole
    assert as_json(capsys, FORMULA, "--start", "b=1", "--start", "c=0.4", "--fix", "c") == whole


def test_rows_with_missing_fields_are_left_out_if_so_asked(here, capsys):
    (here / "data.csv").write_text("x,y,z\n1,2,\n2,,1\n3,6.5,1\n4,NaN,\n5,10,\n")
    assert fit("y = a*x") == 2
    hint = "line 3: column 'y': an empty field is not a number; --omit-missing leaves such rows out"
    assert hint in capsys.readouterr().err
    record = as_json(capsys, "y = a*x", "--omit-missing")
    assert (record["observations"], record["omitted"]) == (3, 2)
    assert record["parameters"][0]["value"] == pytest.approx((2 + 19.5 + 50) / 35)
    weighted = as_json(capsys, "y = a*x", "--omit-missing", "--sigma", "z")
    assert (weighted["observations"], weighted["omitted"]) == (1, 4)
    assert fit("y = a*x", "--omit-missing") == 0
    assert "left out:       2 rows with missing fields\n" in capsys.readouterr().out


def test_f_scale_is_the_size_from_which_residuals_are_outliers(here, capsys):
    """In units a thousand times smaller the fit is the same."""
    y = 0.5 * X + 0.01 * np.cos(9 * X) + 20 * (np.arange(X.size) % 13 == 5)
    slopes = []
    for unit in (1.0, 1e-3):
        rows = (f"{x!r},{v!r}" for x, v in zip(X.tolist(), (unit * y).tolist(), strict=True))
        (here / "data.csv").write_text("\n".join(["x,y", *rows]))
        options = ("--loss", "cauchy", "--f-scale", str(0.02 * unit))
        slopes.append(as_json(capsys, "y = a*x", *options)["parameters"][0]["value"] / unit)
    np.testing.assert_allclose(slopes, 0.5, atol=0.01)
    assert fit("y = a*x", "--loss", "cauchy", "--f-scale", "0") == 2
    assert (
        "f_scale: 0.0 is not allowed; expected a finite number, above 0" in capsys.readouterr().err
    )


def test_a_fixed_parameter_needs_no_derivative(here, capsys):
    """That by b is not finite at x < 0."""
    (here / "data.csv").write_text("x,y\n-2,8\n-1,2\n1,2\n2,8\n")
    record = as_json(capsys, "y = a*x**b", "--start", "b=2", "--fix", "b")
    assert record["parameters"][0]["value"] == pytest.approx(2)
    assert fit("y = a*x**b", "--start", "b=2") == 2
    assert "line 2: its derivative by b is nan at x = -2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "name"), [("out", "out.png"), ("out.png", "out.png"), ("out.PNG", "out.PNG")]
)
def test_the_ending_of_the_picture_may_be_given(here, capsys, output, name):
    assert fit(FORMULA, *START, "--output", output) == 0
    assert [path.name for path in here.glob("out*")] == [name]
    assert f" {name}\n" in capsys.readouterr().out


@pytest.mark.parametrize("output", [[], ["--output", "pictures"], ["--output", "pictures/"]])
def test_a_folder_may_be_given(here, capsys, output):
    (here / "pictures").mkdir()
    (here / "sub").mkdir()
    (here / "data.csv").rename(here / "sub" / "data.v2.csv")
    assert main(["fit", "sub/data.v2.csv", FORMULA, *START, *output]) == 0
    (picture,) = here.rglob("*.png")
    assert picture == here.joinpath(*output[1:], "data.v2_fit.png")
    assert f" {picture.relative_to(here)}\n" in capsys.readouterr().out


def test_data_may_come_from_a_pipe(here, capsys, monkeypatch):
    text = (here / "data.csv").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert main(["fit", "-", FORMULA, *START]) == 0
    assert " stdin_fit.png\n" in capsys.readouterr().out and (here / "stdin_fit.png").exists()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x,y\n1,two\n")))
    assert main(["fit", "-", FORMULA, *START]) == 2
    assert "stdin, line 2: column 'y': 'two' is not a number" in capsys.readouterr().err


def test_a_slow_machine_is_not_warned_of_its_legend(here, capsys, monkeypatch):
    legend = pytest.importorskip("matplotlib.legend")
    clock = SimpleNamespace(perf_counter=count(0, 10).__next__)
    monkeypatch.setattr(legend, "time", clock)
    assert fit(FORMULA, *START) == 0  # where a warning is an error


def test_help_lists_the_functions(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--help"])
    listed = capsys.readouterr().out.split("functions: ")[1].replace("\n", " ")
    assert listed.startswith(", ".join(FUNCTIONS) + " log is the natural logarithm")


def test_a_narrow_terminal_cuts_no_number(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert fit(FORMULA, *START) == 0
    out = capsys.readouterr().out
    assert out.count("…") == 3  # one in each interval, none where something was cut off
    assert all(f"│ {name}  " in out for name in "abc")
