"""What `steepest race` measures f from: a minimum, and not the last value of the best path."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sympy")
from steepest.apps.races.race_paths import parse_entry, run  # noqa: E402
from steepest.apps.races.reference import FLOOR, Reference, reference_of  # noqa: E402
from steepest.apps.races.surfaces import NAMED, find_surface  # noqa: E402


def race(surface, *entries, steps=60):
    return [run(parse_entry(entry), surface, steps) for entry in entries]


@pytest.mark.parametrize("name", NAMED)
def test_a_named_surface_has_its_minimum(name):
    surface = find_surface(name)
    assert reference_of(surface, []) == Reference(surface.lowest, FLOOR)
    same = find_surface(NAMED[name].formula, NAMED[name].x_limits, NAMED[name].y_limits)
    assert same.lowest is None
    assert surface.lowest == pytest.approx(reference_of(same, []).lowest, abs=1e-14)


@pytest.mark.parametrize("formula", ["x**2 + 2*y**2 + 1", "bowl"])
def test_linear_convergence_looks_linear(formula):
    """The window misses the minimum, and the lowest value seen is the last of the path."""
    surface = find_surface(formula, (-4.1, 5.0), (-3.3, 4.2), (-4.0, 3.0))
    (path,) = race(surface, "gd:lr=0.1")
    logs = np.log10(reference_of(surface, [path]).above(path.values))
    assert np.ptp(np.diff(logs)[30:]) < 1e-4


@pytest.mark.parametrize(
    ("formula", "start", "entries", "lowest"),
    [
        ("x**4 + y**2/4 - 3", (2.0, 2.0), ["sgd"], -3),  # outside what is shown
        ("1/x + x + y**2", (3.0, 2.0), ["newton", "adam"], 2),  # Newton falls into the pole
        ("x**3 - 3*x + y**2", (2.0, 1.0), ["sgd", "gd"], -2),  # lower values are shown
        ("cos(x) + cos(y)", (1.0, 1.0), ["sgd"], -2),
        ("1 + 0*x", (1.0, 1.0), ["sgd"], 1),
        ("sqrt(x) + y**2", (1.0, 1.0), ["sgd"], 0),  # where there is no gradient
    ],
)
def test_the_minimum_of_a_formula(formula, start, entries, lowest):
    surface = find_surface(formula, (0.2, 5.0) if "1/x" in formula else None, start=start)
    found = reference_of(surface, race(surface, *entries))
    assert found.log and found.lowest == pytest.approx(lowest, abs=1e-14)


def test_what_rounding_hides_is_not_drawn():
    assert reference_of(find_surface("x**2 + y**2 + 1"), []).floor == FLOOR
    assert reference_of(find_surface("x**2 + y**2 + 1e7"), []).floor == pytest.approx(1e-7)
    surface = find_surface("x**2 - 2000*x + 1000000 + y**2", start=(950.0, 4.0))
    paths = race(surface, "gd", "sgd")
    found = reference_of(surface, paths)
    assert 1e-11 < found.floor < 1e-8
    assert found.label(paths).removeprefix("f − lowest ") == "f (cut off at 10⁻⁹)"
    for path in paths:
        assert np.min(found.above(path.values)) == found.floor


@pytest.mark.parametrize("formula", ["x*y", "x + y", "-x**2 - y**2"])
def test_what_has_no_least_value_is_drawn_as_it_is(formula):
    surface = find_surface(formula)
    paths = race(surface, "sgd", "newton")
    found = reference_of(surface, paths)
    assert not found.log and found.label(paths) == "f"
    low, high = found.limits(paths)
    assert low < np.min(surface.values(*np.mgrid[-5:6, -5:6])) < paths[0].values[0] < high
    drawn = found.above(paths[0].values)
    kept = np.isfinite(drawn)
    assert kept[0] and (drawn[kept] == paths[0].values[kept]).all()
    assert np.isnan(found.above(paths[1].values)[-1])


def test_who_ran_off_leaves_the_panel():
    surface = find_surface("1/x + x + y**2", (0.1, 5.0), start=(3.0, 2.0))
    paths = race(surface, "newton", "adam")
    found = reference_of(surface, paths)
    above, bottom = found.above(paths[0].values), found.limits(paths)[0]
    assert np.isfinite(above[0]) and np.isnan(above[-1])
    assert bottom >= np.nanmin(found.above(paths[1].values)) / 10
