"""The picture of `steepest fit`: everything in it is what its label says."""

from __future__ import annotations

import numpy as np
import pytest

from steepest import confidence_band, prediction_band

pytest.importorskip("sympy")
figures = pytest.importorskip("matplotlib.figure")
from steepest.apps.fits.fit_plot import save_plot  # noqa: E402
from steepest.apps.fits.fitting import Request, default_start, fit_table  # noqa: E402
from steepest.apps.fits.formula import parse  # noqa: E402
from steepest.apps.fits.model import compile_model  # noqa: E402
from steepest.apps.fits.table import read_table  # noqa: E402

RNG = np.random.default_rng(2)
X = RNG.permutation(np.linspace(0, 4, 40))
ERROR = 0.05 + 0.02 * X
Y = 2.5 * np.exp(-1.3 * X) + 0.5 + ERROR * RNG.standard_normal(40)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A fit of columns by a formula, and its figure."""

    def draw(formula, columns, start=None, **options):
        rows = np.column_stack(list(columns.values())).tolist()
        lines = [",".join(columns), *(",".join(map(repr, row)) for row in rows)]
        (tmp_path / "data.csv").write_text("\n".join(lines))
        table, checked = read_table(str(tmp_path / "data.csv")), parse(formula)
        at = start or default_start(checked, table, (), options.get("bounds", {}))
        fitted = fit_table(table, Request(checked, at, **options))
        saved = []
        monkeypatch.setattr(
            figures.Figure, "savefig", lambda figure, *_, **__: saved.append(figure)
        )
        save_plot(fitted, "data_fit.png")
        return fitted, saved[0]

    return draw


def legend(axes):
    """What it shows, by the words beside it."""
    return {
        text.get_text(): artist
        for artist, text in zip(
            axes.get_legend_handles_labels()[0], axes.get_legend().get_texts(), strict=True
        )
    }


def test_a_curve_with_its_bands_and_residuals(drawn):
    columns = {"x [s]": X, "y [m$V$]": Y, "e$rr$": ERROR}
    start = {"a": 1.0, "b": 1.0, "c": 0.4}
    fitted, figure = drawn("y = a*exp(-b*x) + c", columns, start, sigma="e$rr$", fixed=("c",))
    (a, b, c), (error_a, error_b, _) = fitted.parameters, fitted.stderr
    title = f"a = {a:.5g} ± {error_a:.2g},  b = {b:.5g} ± {error_b:.2g},  c = 0.4 (fixed)"
    told = figure.get_suptitle()
    assert told.replace("\N{NO-BREAK SPACE}", " ") == f"y = a*exp(-b*x) + c\n{title}"
    assert told.count("\N{NO-BREAK SPACE}") == 4 + 4 + 3  # none in the formula, between parameters
    top, bottom = figure.axes
    labels = top.get_ylabel(), bottom.get_xlabel(), bottom.get_ylabel()
    assert labels == (r"y [m\$V\$]", "x [s]", r"residual / e\$rr\$")
    (wide, narrow, curve, data) = legend(top).values()
    assert list(legend(top)) == ["95% prediction band", "95% confidence band", "fit", "data"]

    x, y = curve.get_data()
    assert (x[0], x[-1]) == (0, 4)
    np.testing.assert_allclose(y, a * np.exp(-b * x) + c, rtol=1e-12)
    gradient = np.stack([np.exp(-b * x), -a * x * np.exp(-b * x)], axis=1)
    noise = fitted.scale * (0.05 + 0.02 * x)
    bands = {
        narrow: confidence_band(gradient, fitted.covariance, dof=38),
        wide: prediction_band(gradient, fitted.covariance, noise, dof=38),
    }
    for band, half in bands.items():
        outline = band.get_paths()[0].vertices
        ends = [outline[outline[:, 0] == at, 1] for at in x]
        np.testing.assert_allclose([at.min() for at in ends], y - half)
        np.testing.assert_allclose([at.max() for at in ends], y + half)
    assert narrow.get_facecolor().sum() < wide.get_facecolor().sum()  # the darker

    rest = Y - a * np.exp(-b * X) - c
    points, _, (bars,) = data
    np.testing.assert_allclose(points.get_xydata(), np.stack([X, Y], axis=1), atol=1e-14)
    spans = np.array(bars.get_segments())[:, :, 1]
    np.testing.assert_allclose(spans, np.stack([Y - ERROR, Y + ERROR], axis=1))
    points = np.stack([X, rest / ERROR], axis=1)  # as the fit weighs them
    np.testing.assert_allclose(bottom.lines[1].get_xydata(), points, atol=1e-12)
    assert top.get_shared_x_axes().joined(top, bottom)
    assert top.get_position().height > 2 * bottom.get_position().height
    low, high = bottom.get_ylim()
    assert low == -high and list(bottom.lines[0].get_ydata()) == [0, 0]


def test_several_variables_are_drawn_over_the_fitted_value(drawn):
    z = np.cos(9 * X)
    fitted, figure = drawn("y = a*x + b*z", {"x": X, "z": z, "y [mV]": Y})
    top, bottom = figure.axes
    labels = top.get_ylabel(), bottom.get_xlabel(), bottom.get_ylabel()
    assert labels == ("observed y [mV]", "fitted y [mV]", "residual [mV]")
    (wide, narrow, line, data) = legend(top).values()
    names = ["95% prediction interval", "95% confidence interval", "observed = fitted", "data"]
    assert list(legend(top)) == names

    gradient = np.stack([X, z], axis=1)
    at = gradient @ fitted.parameters
    noise = np.sqrt(((Y - at) ** 2).sum() / 38)
    intervals = {
        narrow: confidence_band(gradient, fitted.covariance, dof=38),
        wide: prediction_band(gradient, fitted.covariance, noise, dof=38),
    }
    for bars, half in intervals.items():
        due = np.stack([at - half, at + half], axis=1)
        np.testing.assert_allclose(bars.get_segments(), np.stack([at[:, None] + 0 * due, due], 2))
    assert narrow.get_linewidth() < wide.get_linewidth()
    np.testing.assert_allclose(line.get_xydata(), np.stack(2 * [[at.min(), at.max()]], 1))
    np.testing.assert_allclose(data.get_xydata(), np.stack([at, Y], axis=1))
    np.testing.assert_allclose(bottom.lines[1].get_xydata(), np.stack([at, Y - at], 1), atol=1e-14)


@pytest.mark.parametrize(
    ("n", "size", "colour"), [(200, 4, "#000000"), (201, 2, "#000000"), (5001, 2, "#999999")]
)
@pytest.mark.parametrize("formula", ["y = a*x + b", "y = a*x + b*z"])
def test_lines_are_seen_among_many_points(drawn, formula, n, size, colour):
    x = np.linspace(0, 1, n)
    _, figure = drawn(formula, {"x": x, "z": x**2, "y": x + 0.1 * np.cos(9e4 * x)})
    for axes in figure.axes:
        (points,) = (line for line in axes.lines if line.get_marker() == "o")
        (line,) = (line for line in axes.lines if line is not points)
        assert (points.get_markersize(), points.get_color()) == (size, colour)
        assert line.get_zorder() > points.get_zorder()


def test_an_indeterminate_error_is_no_infinity_in_the_picture(drawn):
    _, figure = drawn("y = a*x + b*x", {"x": X, "y": Y})
    assert figure.get_suptitle().count("(error\N{NO-BREAK SPACE}indeterminate)") == 2
    assert list(legend(figure.axes[0])) == ["fit", "data"]
    _, figure = drawn("y = a*x + b*x + z", {"x": X, "z": X**2, "y": Y})
    assert list(legend(figure.axes[0])) == ["observed = fitted", "data"]


@pytest.mark.parametrize(
    ("x", "formula", "scales"),
    [
        (np.linspace(0.001, 5, 30), "y = a*exp(-b*x)", ("linear", "linear")),
        (np.geomspace(1, 1e3, 30), "y = x/(a + b*x)", ("log", "linear")),
        (np.geomspace(1, 300, 30), "y = x/(a + b*x)", ("linear", "linear")),
        (np.geomspace(1e-3, 1e3, 30), "y = a*x**b", ("log", "log")),
        (np.geomspace(1e-3, 1e3, 30) - 0.01, "y = a*x + b*x", ("linear", "linear")),
    ],
)
def test_axes_are_logarithmic_where_the_data_span_decades(drawn, x, formula, scales):
    y = compile_model(parse(formula), ["x"], ["a", "b"]).value(x[None], np.array([2.0, 0.9]))
    y = y * (1 + 0.01 * np.cos(9 * x))
    axes = drawn(formula, {"x": x, "y": y})[1].axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == scales
    low, high = axes.get_ylim()
    seen = [*y, *legend(axes)["fit"].get_ydata()]
    if scales[1] == "log":  # where bands may be far wider
        assert (low, high) == pytest.approx((min(seen) / 1.5, max(seen) * 1.5))
    assert low < min(seen) and max(seen) < high
    steps = np.diff(axes.transScale.transform(legend(axes)["fit"].get_xydata())[:, 0])
    np.testing.assert_allclose(steps, steps[0])  # the curve is as fine everywhere


def test_a_curve_that_is_negative_is_seen_whole(drawn):
    axes = drawn("y = a*x + b", {"x": X, "y": np.exp(3 * X)})[1].axes[0]
    curve = legend(axes)["fit"].get_ydata()
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] < curve.min() < 0


def test_a_long_title_is_broken_between_parameters(drawn):
    formula = "y = " + " + ".join(f"p{i}*cos({i}*x)" for i in range(9))
    lines = drawn(formula, {"x": X, "y": Y})[1].get_suptitle().splitlines()
    assert " ".join(lines[:2]) == formula and len(lines) > 3
    assert all(len(line) <= 90 for line in lines)
    assert all(line.startswith("p") and line.count("p") == line.count("±") for line in lines[2:])
