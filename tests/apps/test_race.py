"""`steepest race`: surfaces, entries, paths, files, and what is refused."""

import gc
import sys

import numpy as np
import pytest

import steepest as st

pytest.importorskip("matplotlib")
pytest.importorskip("sympy")
from steepest.apps.races.race_paths import (  # noqa: E402
    FIRST_ORDER,
    SECOND_ORDER,
    default_rate,
    parse_entry,
    run,
    trouble,
)
from steepest.apps.races.surfaces import NAMED, find_surface  # noqa: E402
from steepest.cli import main  # noqa: E402

MINIMA = {
    "bowl": [(0, 0)],
    "valley": [(0, 0)],
    "rosenbrock": [(1, 1)],
    "beale": [(3, 0.5)],
    "himmelblau": [(3, 2), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)],
    "saddle": [(0, 1), (0, -1)],
    "rastrigin": [(0, 0)],
}


def assert_right_derivatives(surface, at, h=1e-6):
    """The gradient and the Hessian are those of central differences."""
    for i, e in enumerate(np.eye(2) * h):
        slope = (surface.value(at + e) - surface.value(at - e)) / (2 * h)
        assert surface.gradient(at)[i] == pytest.approx(slope, rel=1e-6)
        curve = (surface.gradient(at + e) - surface.gradient(at - e)) / (2 * h)
        np.testing.assert_allclose(surface.hessian(at)[i], curve, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMED)
def test_surfaces_have_their_minima_and_right_derivatives(name):
    surface = find_surface(name)
    for minimum in MINIMA[name]:
        at = np.array(minimum, float)
        np.testing.assert_allclose(surface.gradient(at), 0, atol=2e-4)
        assert np.linalg.eigvalsh(surface.hessian(at))[0] > 0
    assert_right_derivatives(surface, np.array([0.7, -0.4]))


def test_a_surface_may_be_named_as_its_title_is():
    assert find_surface("Rosenbrock").title == find_surface("rosenbrock").title == "Rosenbrock"


@pytest.mark.parametrize("name", [*FIRST_ORDER, *SECOND_ORDER])
def test_every_optimizer_descends_the_bowl(name):
    surface = find_surface("bowl")
    path = run(parse_entry(name), surface, 150)
    assert path.values[-1] < 0.03 * path.values[0]
    assert path.spent[0] == 0 and np.all(np.diff(path.spent) > 0) and path.spent[-1] <= 150
    np.testing.assert_array_equal(path.points[0], surface.start)
    np.testing.assert_array_equal(path.values, surface.values(*path.points.T))


def test_paths_are_those_of_the_optimizers():
    surface = find_surface("rosenbrock")
    path = run(parse_entry("momentum:lr=1e-3,momentum=0.8"), surface, 20)
    x, v = np.array(surface.start), np.zeros(2)
    for point in path.points[1:]:
        v = 0.8 * v - 1e-3 * surface.gradient(x)
        x = x + v
        np.testing.assert_allclose(point, x, rtol=1e-12)
    newton = run(parse_entry("newton"), find_surface("bowl"), 20)
    assert len(newton.points) == 2 and newton.ended.startswith("converged: largest |g|")
    assert run(parse_entry("newton"), surface, 3).ended == ""
    path = run(parse_entry("adam:betas=0.5/0.9"), surface, 3)
    x = np.array(surface.start)
    adam = st.Adam(x, lr=0.08, betas=(0.5, 0.9))
    for point in path.points[1:]:
        adam.step(surface.gradient(x))
        np.testing.assert_array_equal(point, x)


@pytest.mark.parametrize("rate", [0.1, 0.9])  # 0.9: f rises along y
def test_gradient_descent_is_counted_as_sgd_is(rate):
    surface = find_surface("bowl" if rate < 0.5 else "x**2/2 + y**2*1.2")
    rule, method = (run(parse_entry(f"{name}:lr={rate}"), surface, 10) for name in ("sgd", "gd"))
    np.testing.assert_array_equal(method.spent, rule.spent)
    np.testing.assert_allclose(method.points, rule.points, rtol=1e-13)
    assert method.ended == rule.ended == ""


@pytest.mark.parametrize(
    ("formula", "name", "rate"),
    [
        ("x**2/8 - y**2/4", "sgd", 1.0),  # half of 1 by the largest curvature, 1/2
        ("x**2/8 - y**2/4", "momentum", 0.4),
        ("x + y", "nesterov", 0.1),  # no curvature
        ("x**1.5 + y**2", "sgd", 0.1),  # none that is finite
        ("x**2/8 - y**2/4", "adam", 0.2),  # 0.02 of the width
    ],
)
def test_rates_that_nobody_gave(formula, name, rate):
    assert default_rate(name, find_surface(formula, start=(0.0, 3.0))) == rate


@pytest.mark.parametrize(
    ("entry", "label"),
    [
        ("gd", "Gradient descent, line search"),
        ("gd:lr=0.1", "Gradient descent (lr=0.1)"),
        ("gd:line_search=exact", "Gradient descent (line_search=exact)"),
        ("lbfgs:history=3", "L-BFGS (history=3)"),
    ],
)
def test_a_legend_names_a_line_search_only_where_there_is_one(entry, label):
    assert parse_entry(entry).label == label


@pytest.mark.parametrize(
    "formula", ["abs(x) + y**2", "sqrt(x**2) + y**2", "abs(abs(x))*abs(exp(y) + x**2)"]
)
def test_derivatives_of_abs_are_those_almost_everywhere(formula):
    assert_right_derivatives(find_surface(formula), np.array([-0.7, -0.4]))


def test_abs_is_flat_where_it_is_least():
    surface = find_surface("abs(x) + y**2")
    np.testing.assert_array_equal(surface.gradient(np.zeros(2)), [0, 0])
    np.testing.assert_array_equal(surface.hessian(np.zeros(2)), [[0, 0], [0, 2]])


def test_abs_is_raced_by_the_default_entries(tmp_path, capsys):
    assert main(["race", "abs(x)+y**2", "--steps", "20", "--output", str(tmp_path / "a.png")]) == 0
    assert "Newton" in capsys.readouterr().out


def test_whole_numbers_and_every_option_of_a_minimizer_can_be_given():
    surface = find_surface("rosenbrock")
    for name in SECOND_ORDER:
        loose, strict = (
            run(parse_entry(f"{name}:gtol={gtol}"), surface, 400) for gtol in ("1", "1e-10")
        )
        assert loose.spent[-1] < strict.spent[-1]
    assert parse_entry("l-bfgs:history=5").options == {"history": 5}
    short, default = (run(parse_entry(f"l-bfgs:history={n}"), surface, 200) for n in (1, 10))
    assert not np.array_equal(short.points[:9], default.points[:9])
    full = run(parse_entry("newton:line_search=none"), surface, 400)
    assert full.spent.tolist() == list(range(8)) and full.values[2] > full.values[0]


@pytest.mark.parametrize("view", ["contour", "surface"])
def test_a_formula_of_whole_numbers_is_drawn_at_its_start(view, tmp_path, capsys):
    """3**-4 of integers is an error in NumPy."""
    args = ["race", "y**x", "-o", "adam", "--steps", "5", "--view", view]
    assert main([*args, "--out", str(tmp_path / "a.png")]) == 0


def test_negative_numbers_with_an_exponent_are_no_options(tmp_path, capsys):
    out = ["--out", str(tmp_path / "a.png")]
    args = ["--x", "-1e-3", "2", "--y", "-.5e1", "+3", "--start", "-1E-03", "2"]
    assert main(["race", "bowl", "-o", "sgd:lr=0", "--steps", "1", *args, *out]) == 0
    assert "-0.001, 2" in capsys.readouterr().out


@pytest.mark.parametrize("first", [True, False])
def test_a_formula_may_begin_with_a_minus_sign(first, tmp_path, capsys):
    args, formula = ["-o", "sgd", "--steps", "3", "--out", str(tmp_path / "a.png")], ["-x**2-y**2"]
    assert main(["race", *(formula + args if first else args + formula)]) == 0
    assert capsys.readouterr().out.startswith("-x**2-y**2")


def test_divergence_ends_a_path_and_is_told():
    path = run(parse_entry("sgd:lr=1"), find_surface("valley"), 500)
    assert path.label == "SGD (lr=1) diverged" and path.ended == "diverged"
    assert np.isfinite(path.points).all() and path.spent[-1] < 500


@pytest.mark.parametrize(
    ("formula", "entry", "ended"),
    [
        ("1/x + x + y**2", "newton", "unbounded"),
        ("1/x + x + y**2", "gd", "unbounded"),  # into the pole, where the steps are short
        ("x*y", "sgd", "unbounded"),
        ("x*y", "l-bfgs", "unbounded"),
        ("x**2 + y**2", "gd:lr=1.5", "diverged"),
        ("x**2 + y**2", "newton:line_search=none", ""),
        ("x + y", "sgd", ""),  # as yet
        ("x**2 + y**2", "gd:lr=1", ""),  # f neither falls nor rises
        ("exp(-x) + y**2", "newton", ""),
    ],
)
def test_a_path_that_ran_off_is_lost(formula, entry, ended):
    path = run(parse_entry(entry), find_surface(formula, start=(3.0, 2.0)), 200)
    assert path.lost == bool(ended)
    if ended:
        assert path.ended == ended and path.label.endswith(f" {ended}")


@pytest.mark.parametrize(
    ("formula", "x", "why"),
    [
        ("x**2 + y**2", (3.0, 2.0), ""),
        (
            "x**2 + y**2",
            (0.0, 1.0005e5),
            "",
        ),  # 1,000 times the longer side, from the picture's middle
        ("x**2 + y**2", (0.0, 1.01e5), "diverged"),
        ("x**2 + y**2", (np.nan, 0.0), "diverged"),
        ("log(x) + y**2", (-1.0, 0.0), "f is not finite"),
        ("-log(1 + x**2)", (1.2e5, 0.0), "unbounded"),  # low, if not by far
        ("x*y", (9e4, -9e4), "unbounded"),
    ],
)
def test_why_a_path_cannot_go_on(formula, x, why):
    surface = find_surface(formula, (1.0, 2.0), (100.0, 200.0), (1.5, 150.0))
    assert trouble(surface, np.array(x)) == why


def test_a_path_ends_where_f_has_no_value():
    path = run(parse_entry("sgd:lr=1"), find_surface("log(x) + y**2", start=(0.5, 0.1)), 20)
    assert path.ended == "f is not finite" and np.isfinite(path.values).all()
    assert not path.lost and path.label == "SGD (lr=1)"


def test_who_ran_off_is_last(tmp_path, capsys):
    args = ["race", "1/x + x + y**2", "--x", "0.1", "5", "--start", "3", "2", "-o"]
    assert main([*args, "newton", "gd", "adam", "sgd", "--out", str(tmp_path / "a.png")]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    at = {name: next(i for i, row in enumerate(rows) if name in row) for name in ("Newton", "SGD")}
    assert at["SGD"] == 0 and at["Newton"] == 2
    assert "unbounded" in rows[2] and not any("unbounded" in row for row in rows[:2])


def test_the_table_says_why_a_minimizer_ended(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    args = ["race", "x**2 + y**2", "-o", "newton", "gd:lr=1", "bfgs:gtol=0", "gd:lr=1.5"]
    assert main([*args, "--out", str(tmp_path / "a.png")]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    told = {row.split("│")[1].split(" (")[0].strip(): row.split("│")[-2].strip() for row in rows}
    assert told["Newton"] == "converged"
    assert told["Gradient descent"] == "diverged"  # of both the last
    assert rows[2].count("f = 25 ") == 1  # in the message of the second


@pytest.mark.parametrize("kind", ["png", "gif", "html"])
def test_the_ending_says_what_is_written(kind, tmp_path, capsys):
    out = tmp_path / f"race.{kind.upper()}"
    args = ["race", "himmelblau", "--steps", "10", "--out", str(out)]
    assert main([*args, "--optimizers", "adam", "sgd:lr=1", "newton"]) == 0
    begins = {"png": b"\x89PNG", "gif": b"GIF89a", "html": b"<!doctype html>"}
    assert out.read_bytes().startswith(begins[kind])
    said = capsys.readouterr().out
    assert "Adam (lr=0.24)" in said and "diverged" in said and "wrote" in said


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["x^2"], '"^" is not a power'),
        (["x + z"], "'z': a formula here is of x and y"),
        (["__import__('os')"], "no function '__import__'"),
        (["log(x)"], "start (-4.0, 3.0): the function or its gradient has no finite value"),
        (
            ["log(x)", "--start", "1", "1", "--x", "-5", "-1", "-o", "sgd"],
            "log(x): no finite value in the picture; see --x and --y",
        ),
        (["1e300*x**2+y**2"], "start (-4.0, 3.0): the function or its gradient has no finite "),
        (["bowl", "--x", "3", "1"], "x from 3.0 to 1.0: the first must be the smaller"),
        (["bowl", "--y", "-1e308", "1e308"], "y from -1e+308 to 1e+308: the first must be "),
        (["bowl", "-o", "adma"], "no optimizer 'adma'; expected one of sgd"),
        (
            ["bowl", "-o", "sgd,newton"],
            "'sgd,newton'; separate optimizers by spaces; expected one of sgd",
        ),
        (["bowl", "-o", "sgd:lr=1,adam"], "'adam' names no option; separate optimizers by spaces"),
        (["bowl", "-o", "sgd:beta=1"], "'beta=1' is no option of sgd; expected one of lr"),
        (["bowl", "-o", "sgd:lr=-1"], "lr: -1.0 is not allowed"),
        (["y/(1 + " * 60 + "x" + ")" * 60], "formula, character 4: nested too deeply"),
        (["bowl", "-o", "sgd:lr=1,lr=2"], "'sgd:lr=1,lr=2': lr is given twice"),
        (["bowl", "-o", "adam:betas=0.9,0.99"], "'0.99' names no option; expected OPTION=VALUE"),
        (["bowl", "-o", "sgd:lr=?"], "'?' is neither a number nor a word"),
        (["bowl", "-o", "gd:line_search=up"], "line_search: 'up' is not allowed"),
        (["bowl", "--out", "race.pdf"], "expected files that end in .png, .gif, .html"),
        (["bowl", "--out", "nowhere/race.png"], "nowhere/race.png: No such file or directory"),
        (["bowl", "-o", "l-bfgs:history=-5"], "history: -5 is not allowed; expected a whole"),
        (["bowl", "-o", "l-bfgs:history=2.5"], "history: 2.5 is a float; expected a whole"),
        (["bowl", "--steps", "0"], "--steps 0: expected 1 to 100000"),
        (["bowl", "--fps", "1e-3"], "--fps 0.001: expected 0.01 to 50"),
    ],
)
def test_what_is_refused(args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gc.collect()  # no finalizer of an earlier test is to run where the stack is nearly spent
    assert main(["race", *args]) == 2
    said = capsys.readouterr().err
    assert said.startswith("steepest race: ") and message in said
    assert said.count("\n") == (3 if ", character " in said else 1)  # a formula is shown below
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["png", "gif", "html"])
def test_a_file_that_cannot_be_written_is_told_before_the_race(kind, tmp_path, capsys, monkeypatch):
    from steepest.apps.races import race_paths

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(race_paths, "run", lambda *_: pytest.fail("raced"))
    (tmp_path / f"folder.{kind}").mkdir()
    assert main(["race", "bowl", "--out", f"folder.{kind}"]) == 2
    assert capsys.readouterr().err == f"steepest race: folder.{kind}: Is a directory\n"


def test_a_race_that_fails_leaves_files_as_they_were(tmp_path, capsys):
    old, new, link = (tmp_path / f"{name}.png" for name in ("old", "new", "link"))
    old.write_bytes(b"before")
    link.symlink_to(tmp_path / "target.png")
    for out in (old, new, link):
        assert main(["race", "bowl", "-o", "sgd:lr=-1", "--out", str(out)]) == 2
    assert old.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.png", "old.png"]


@pytest.mark.parametrize("package", ["matplotlib", "sympy"])
def test_a_missing_package_is_named_before_the_race(package, capsys, monkeypatch):
    from steepest.apps.races import race_paths

    monkeypatch.setattr(race_paths, "run", lambda *_: pytest.fail("raced"))
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["race", "bowl"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"steepest race: import of {package} halted")
    assert said.endswith("; pip install 'steepest[demo]'\n") and said.count("\n") == 1


def test_list(capsys):
    assert main(["race", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*NAMED, *FIRST_ORDER, *SECOND_ORDER))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "character 5: 'nosuch': a formula here is of x and y; named surfaces: bowl, "),
        (["x + z"], "character 9: 'z': a formula here is of x and y"),
        (["-o", "adam", "bowl"], "-o: 'bowl' is a surface; it stands before -o"),
        (["-o", "adam:lr=abc"], "-o adam:lr=abc: lr: 'abc' is a str"),
        (
            ["-o", "newton", "bfgs:line_search=best"],
            "-o bfgs:line_search=best: line_search: 'best'",
        ),
    ],
)
def test_what_went_wrong_is_named(arguments, message, tmp_path, capsys):
    out = tmp_path / "race.png"
    assert main(["race", *arguments, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_the_table_says_why_a_path_ended_only_where_one_did(tmp_path, capsys):
    out = str(tmp_path / "race.png")
    main(["race", "bowl", "-o", "adam", "--steps", "5", "--out", out])
    assert "ended" not in capsys.readouterr().out
    main(["race", "bowl", "-o", "sgd:lr=100", "--steps", "20", "--out", out])
    told = capsys.readouterr().out
    assert "ended early" in told and "diverged" in told


def test_the_picture_includes_a_start_elsewhere():
    surface = find_surface("bowl", start=(30.0, 0.5))
    usual = find_surface("bowl")
    assert surface.x_limits[0] == usual.x_limits[0] and 30 < surface.x_limits[1] < 33
    assert surface.y_limits == usual.y_limits
    assert find_surface("bowl", (-1.0, 1.0), start=(30.0, 0.5)).x_limits == (-1.0, 1.0)


def test_a_start_without_a_value_says_how_to_choose_another(capsys):
    assert main(["race", "log(x)"]) == 2
    assert "no finite value there" in (said := capsys.readouterr().err) and "--start X Y" in said
