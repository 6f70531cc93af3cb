"""The pictures of `steepest race`: everything in them is where, and what, it should be."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sympy")
from steepest.apps.races import DEFAULT, race_draw  # noqa: E402
from steepest.apps.races.race_draw import DOTS, figure_of, height, moments, styles  # noqa: E402
from steepest.apps.races.race_paths import Path, parse_entry, run  # noqa: E402
from steepest.apps.races.reference import FLOOR  # noqa: E402
from steepest.apps.races.surfaces import NAMED, find_surface  # noqa: E402

FORMULA = "x**4 + y**2/4 - 3"
SURFACE = find_surface(FORMULA, (-5.0, 5.0), (-4.0, 4.0), (-4.0, 3.0))
START = 4**4 + 3**2 / 4  # its height over the lowest
RANGES = [[-5, -4], [5, 4]]


def path(label, spent, *points):
    at = np.array([SURFACE.start, *points], float)
    return Path(label, at, SURFACE.values(*at.T), np.array(spent, float), "")


PATHS = [
    path("first", [0, 2, 5, 6], (1, 1), (0, 0), (2, 1)),
    path("away", [0, 1], (20, 0)),
]


def test_styles_differ_for_21_paths():
    some = styles([""] * 21)
    assert len({(s.colour, str(s.dashes)) for s in some}) == 21
    assert len({s.marker for s in some}) == len({s.colour for s in some[:7]}) == 7
    assert {s.dashes for s in some[:7]} == {"-"}


def test_a_method_keeps_its_style_from_race_to_race():
    home = dict(zip(DEFAULT, styles(DEFAULT), strict=True))
    assert len(set(home.values())) == 7
    few = ["lion", "newton", "sgd", "newton", "bfgs"]
    found = styles(few)
    assert len(set(found)) == 5
    assert found[1] == home["newton"] and found[2] == home["sgd"]
    assert styles(["newton"]) == [home["newton"]]
    assert run(parse_entry("newton:gtol=1"), SURFACE, 3).name == "newton"


@pytest.mark.parametrize("view", ["contour", "surface"])
def test_iterates_are_dots_where_they_are_few(view):
    paths = [path(str(n), range(n), *[(0, 0)] * (n - 1)) for n in (DOTS, DOTS + 1)]
    lines = [group[0][0] for group in figure_of(SURFACE, paths, view, 50).artists]
    assert [line.get_marker() for line in lines] == ["o", "None"]


@pytest.mark.parametrize(("wide", "equal"), [(8.0, True), (12.0, False), (2.0, False), (2.8, True)])
def test_a_unit_is_as_long_along_x_and_y_unless_the_sides_differ_by_much(wide, equal):
    surface = find_surface("x**2 + y**2", (0.0, wide), (0.0, 4.0), (1.0, 1.0))
    main = figure_of(surface, PATHS, "contour", 50).figure.axes[0]
    assert main.get_aspect() == (1 if equal else "auto")


@pytest.mark.parametrize("view", ["contour", "surface"])
@pytest.mark.parametrize("spent", [0, 1, 2, 5.5, np.inf])
def test_paths_are_shown_up_to_the_evaluations_spent(view, spent):
    drawing = figure_of(SURFACE, PATHS, view, 50)
    assert len(list(drawing.at(spent))) == 2 * 4
    for one, style, group in zip(PATHS, styles(["", ""]), drawing.artists, strict=True):
        n = np.sum(one.spent <= spent)
        main = one.points.T
        if view == "surface":
            outside = np.where(one.points[:, 0] > 5, np.nan, 0)
            main = np.array([main[0] + outside, main[1], height(SURFACE)[0](one.values)])
        side = np.array([one.spent, np.maximum(one.values + 3, FLOOR)])
        line, head, over, head_over = (artist for artist, *_ in group)
        for artist, data in ((line, main[:, :n]), (head, main[:, n - 1 : n])):
            shown = artist.get_data_3d() if view == "surface" else artist.get_data()
            np.testing.assert_array_equal(shown, data)
        np.testing.assert_array_equal(over.get_data(), side[:, :n])
        np.testing.assert_array_equal(head_over.get_data(), side[:, n - 1 : n])
        assert {artist.get_color() for artist, *_ in group} == {style.colour}
        assert head.get_marker() == head_over.get_marker() == style.marker


def test_a_floor_is_named_where_a_path_is_below_it():
    surface, labels = find_surface("x**2 + y**2", (-5.0, 5.0), (-4.0, 4.0), (1.0, 0.0)), []
    for least in (1e-3, 1e-20):
        at, f = np.zeros((2, 2)), np.array([1.0, least])
        paths = [Path("one", at, f, np.array([0.0, 1.0]), "")]
        labels.append(figure_of(surface, paths, "contour", 50).figure.axes[1].get_ylabel())
    assert labels == ["f", "f (cut off at 10⁻¹²)"]


@pytest.mark.parametrize("view", ["contour", "surface"])
def test_words_axes_and_legend(view):
    drawn = figure_of(SURFACE, PATHS, view, 50).figure
    main, side = drawn.axes
    assert drawn.get_suptitle() == f"f(x, y) = {FORMULA}"
    assert race_draw.title(find_surface("f = x + y")) == "f(x, y) = x + y"
    assert (main.get_xlabel(), main.get_ylabel()) == ("x", "y")
    if view == "surface":
        assert main.get_zlabel() == "log₁₀(1 + f − min f)"
        assert 2 < main.get_zlim()[1] < 4 and not main.computed_zorder  # paths stay on top
    wider = 0.2 if view == "surface" else 0
    np.testing.assert_allclose([main.get_xlim(), main.get_ylim()], np.transpose(RANGES), wider)
    label = "f − lowest f (cut off at 10⁻¹²)"
    assert (side.get_xlabel(), side.get_ylabel()) == ("gradient evaluations", label)
    assert side.get_yscale() == "log"
    left, right = side.get_xlim()
    assert left < 0 and 6 < right < 6.5
    bottom, top = side.get_ylim()
    assert 0.1 * FLOOR < bottom < FLOOR and top == pytest.approx(10 * START)
    (legend,) = drawn.legends
    handles = zip(PATHS, styles(["", ""]), legend.get_texts(), legend.legend_handles, strict=True)
    for one, style, text, handle in handles:
        assert text.get_text() == one.label
        assert (handle.get_color(), handle.get_marker()) == (style.colour, style.marker)
    named = find_surface("bowl")
    bowl = figure_of(named, [run(parse_entry("newton"), named, 9)], view, 50).figure
    assert bowl.get_suptitle() == f"Quadratic bowl:  f(x, y) = {NAMED['bowl'].formula}"
    assert bowl.axes[1].get_ylabel() == "f (cut off at 10⁻¹²)"  # the lowest is 0


@pytest.mark.parametrize("view", ["contour", "surface"])
@pytest.mark.parametrize("x_limits", [(-5.0, 5.0), (-1.0, 5.0)])
def test_the_start_is_marked_where_the_picture_includes_it(view, x_limits):
    surface = find_surface(FORMULA, x_limits, (-4.0, 4.0), (-4.0, 3.0))
    main = figure_of(surface, PATHS, view, 50).figure.axes[0]
    rings = [line for line in main.lines if line.get_color() == "black"]
    words = [text for text in main.texts if text.get_text() == "start\n"]
    if x_limits[0] > -4:
        assert not rings and not words
        return
    (ring,), (word,) = rings, words
    if view == "surface":
        at = [-4, 3, np.log10(1 + START)]
        np.testing.assert_allclose(np.ravel(ring.get_data_3d()), at)
        np.testing.assert_allclose(word.get_position_3d(), at)
    else:
        assert np.ravel(ring.get_data()).tolist() == [-4, 3] == list(word.get_position())


def test_contours_are_darkest_where_f_is_lowest():
    filled, *_ = figure_of(SURFACE, PATHS, "contour", 50).figure.axes[0].collections
    np.testing.assert_allclose(filled.get_datalim(filled.axes.transData).get_points(), RANGES)
    greys = filled.get_facecolor()[:, 0]
    assert (np.diff(greys) > 0).all() and greys[0] < 0.75 and greys[-1] > 0.95
    assert filled.levels[0] == -3 and (np.diff(filled.levels) > 0).all()


@pytest.mark.parametrize("formula", ["sqrt(x) + y**2", "1 + 0*x"])
def test_the_whole_part_is_shown_also_where_there_are_no_contours(formula):
    surface = find_surface(formula, start=(1.0, 1.0))
    main = figure_of(surface, PATHS, "contour", 50).figure.axes[0]
    assert main.get_xlim() == main.get_ylim() == (-5, 5)


@pytest.mark.parametrize(("formula", "flat"), [("x**4 - 3", True), ("abs(x)**3 - 3", False)])
def test_a_surface_that_would_be_flat_is_drawn_by_its_logarithm(formula, flat):
    up, label = height(find_surface(formula))
    assert label == ("log₁₀(1 + f − min f)" if flat else "f")
    np.testing.assert_allclose(up(np.array([-3, 6, 96])), [0, 1, 2] if flat else [-3, 6, 96])


def test_moments_are_close_at_first_and_end_with_the_last():
    assert moments(PATHS, 400).tolist() == list(range(7))
    late = moments([path("late", [0, 1000], (0, 0))], 120)
    assert late[:4].tolist() == [0, 1, 3, 4] and late[-1] == 1000 and 100 < len(late) <= 120
    assert (np.diff(late) >= 1).all() and np.diff(late)[-1] > 10


@pytest.mark.parametrize("view", ["contour", "surface"])
def test_png_and_gif(view, tmp_path):
    from PIL import Image

    def whole(dpi):
        drawing = figure_of(SURFACE, PATHS, view, dpi)
        list(drawing.at(np.inf))
        drawing.figure.canvas.draw()
        return np.asarray(drawing.figure.canvas.buffer_rgba())[..., :3].astype(int)

    race_draw.save_png(SURFACE, PATHS, view, tmp_path / "race.png")
    race_draw.save_gif(SURFACE, PATHS, view, tmp_path / "race.gif", fps=10)
    with Image.open(tmp_path / "race.gif") as gif:
        assert gif.info["loop"] == 0
        durations = []
        for k in range(gif.n_frames):
            gif.seek(k)
            durations.append(gif.info["duration"])
        assert durations == [100, 100, 300, 100, 2500]  # nothing moves from 2 to 5
        differing = np.abs(np.asarray(gif.convert("RGB")) - whole(80)).max(axis=2) > 60
    assert differing.mean() < 1e-3
    with Image.open(tmp_path / "race.png") as png:
        assert png.size == (1430, 806)
        np.testing.assert_array_equal(np.asarray(png.convert("RGB")), whole(130))


def test_a_gif_keeps_each_colour(tmp_path):
    """Median cut made one teal of the blue and the green in a picture of mostly greys."""
    from PIL import Image

    surface = find_surface("rosenbrock")
    paths = [run(parse_entry(name), surface, 20) for name in DEFAULT]
    race_draw.save_gif(surface, paths, "contour", tmp_path / "race.gif", fps=10)
    with Image.open(tmp_path / "race.gif") as gif:
        for k in (0, gif.n_frames - 1):
            gif.seek(k)
            frame = np.asarray(gif.convert("RGB")).astype(int)
            assert (frame[0] == 255).all()
            for style in styles(DEFAULT):
                due = [int(style.colour[i : i + 2], 16) for i in (1, 3, 5)]
                assert np.sum(np.abs(frame - due).max(axis=2) <= 4) > 30
