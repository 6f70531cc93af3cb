"""The page of `steepest race`: what is in it, and what its script does in a browser."""

import base64
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sympy")
from PIL import Image  # noqa: E402

from steepest.apps.races import race_html  # noqa: E402
from steepest.apps.races.race_draw import styles  # noqa: E402
from steepest.apps.races.race_html import save_html  # noqa: E402
from steepest.apps.races.race_paths import Path, parse_entry, run  # noqa: E402
from steepest.apps.races.reference import FLOOR  # noqa: E402
from steepest.apps.races.surfaces import Named, compile_surface, find_surface  # noqa: E402

# No value left of -3: gaps, no NaN in the JSON. The lowest value is not 0.
FORMULA = "x**2 + y**2/4 - 1 + 1e-9*log(x + 3)"

BROWSER = """
const made = {}, boxes = [];
function element() {
  const drawn = [];
  const pen = new Proxy({}, {get: (own, key) => key in own ? own[key] :
    (...given) => {
      if (key === "clearRect") drawn.length = 0;
      drawn.push([key, own.strokeStyle, own.fillStyle, given]);
    }});
  return {drawn, style: {}, rows: [], cells: [], append() {}, getContext: () => pen,
    insertRow() { this.rows.push(element()); return this.rows.at(-1); },
    insertCell() { this.cells.push(element()); return this.cells.at(-1); }};
}
const document = {
  getElementById: id => made[id] ??= element(),
  createElement: kind => { const e = element(); if (kind === "input") boxes.push(e); return e; },
  addEventListener: (kind, listener) => { document[kind] = listener; },
};
const window = {devicePixelRatio: 1};
let frame;
const requestAnimationFrame = callback => { frame = callback; };
class Image { decode() { return Promise.resolve(); } }
SCRIPT
for (const path of race.paths) path.dashes = [6, 3];
const seen = [];
function look() {
  const panels = ["main", "side"].map(id => {
    const drawn = made[id].drawn, of = key => drawn.filter(call => call[0] === key);
    return {
      lines: of("stroke").map(call => call[1]).filter(colour => colour !== "#fff"),
      dots: of("fillRect").map(call => [call[2], ...call[3].slice(0, 2).map(v => v + 2)]),
      heads: of("fill").map(call => call[2]),
      first: of("arc").map(call => call[3].slice(0, 2)),
      dashes: of("setLineDash").at(-1)[3][0],  // of the heads
      pictures: of("drawImage").map(call => call[3][0].src),
    };
  });
  const rows = made.legend.rows.map(row => row.cells.slice(1).map(cell => cell.textContent));
  seen.push({panels, rows, clock: made.clock.textContent, slider: Number(made.time.value),
             button: made.play.textContent});
}
const press = (code, focus = "") => document.keydown(
  {code, preventDefault() {}, target: {matches: controls => controls.split(", ").includes(focus)}});
const acts = {
  opened() {},
  back: () => press("ArrowLeft"),
  slid_to_the_first() { made.time.value = "0"; made.time.oninput(); },
  not_before_the_first: () => press("ArrowLeft"),
  on: () => press("ArrowRight", "button"),
  not_by_the_sliders_own_key: () => press("ArrowRight", "[type=range]"),
  hidden() { boxes[0].checked = false; boxes[0].onchange(); },
  shown() { boxes[0].checked = true; boxes[0].onchange(); },
  other_view() { made.view.value = "surface"; made.view.onchange(); },
  played() { made.play.onclick(); frame(1000); frame(1000 + 5000 / made.speed.value); },
  paused() { press("Space", "[type=range]"); frame(20000); },
  not_by_the_buttons_own_key: () => press("Space", "button"),
  to_the_end() { press("Space"); frame(1000); frame(12000); },
  from_the_first_again() { made.play.onclick(); frame(1000); },
};
document.getElementById("speed").value = "2";
made.play.textContent = "Play";  // as in the markup
setTimeout(() => {
  for (const act of Object.values(acts)) { act(); look(); }
  console.log(JSON.stringify({names: Object.keys(acts), seen, slider: made.time.max}));
});
"""


def written(page):
    """The data in a page."""
    return json.loads(re.search(r"const race = (.*);\n", page).group(1))


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    """A page, its data, its surface and paths."""
    surface = find_surface(FORMULA, start=(1.0, 2.0))
    paths = [run(parse_entry(entry), surface, 60) for entry in ("bfgs", "adam")]
    out = tmp_path_factory.mktemp("race") / "race.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(race_html, "MOST_MOMENTS", 20)  # not each evaluation
        save_html(surface, paths, "contour", out)
    page = out.read_text(encoding="utf-8")
    return page, written(page), surface, paths


def test_page_is_self_contained(race):
    page = race[0]
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:)", page)
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]+", "", page)
    assert re.findall("<th>(.*?)</th>", page) == ["optimizer", "x, y", "f", "ended"]
    for panel in race[1]["panels"].values():
        assert panel["picture"].startswith("data:image/png;base64,")


def test_page_has_the_paths_as_they_are(race):
    _, found, _, paths = race
    assert found["view"] == "contour" and found["moments"][0] == 0
    assert found["moments"][-1] == max(path.spent[-1] for path in paths) == 60
    for one, path, style in zip(
        found["paths"], paths, styles([path.name for path in paths]), strict=True
    ):
        assert (one["label"], one["ended"]) == (path.label, path.ended)
        assert (one["colour"], one["marker"], one["dashes"]) == (style.colour, style.marker, [])
        np.testing.assert_allclose(one["points"], path.points, rtol=1e-8)
        np.testing.assert_allclose(one["values"], path.values, rtol=1e-8)
        assert one["spent"] == path.spent.tolist()
    assert [one["dots"] for one in found["paths"]] == [True, False]


def place(panel, x, y):
    """Where a point lies on the page, of shares of the panel's axes."""
    left, top, width, height = panel["clip"]
    return np.stack([left + width * np.asarray(x), top + height * (1 - np.asarray(y))], axis=-1)


def test_tracks_lie_where_the_axes_have_them(race):
    _, found, surface, paths = race
    low = -1 + 1e-9 * np.log(3)
    for i, path in enumerate(paths):
        tracks = {name: panel["tracks"][i] for name, panel in found["panels"].items()}
        due = place(found["panels"]["contour"], *(path.points.T + 5) / 10)
        np.testing.assert_allclose(tracks["contour"], due, atol=0.2)
        over = np.array(tracks["progress"])
        share = (over[:, 1] - over[0, 1]) / (over[-1, 1] - over[0, 1])
        logs = np.log(np.maximum(path.values - low, FLOOR))
        np.testing.assert_allclose(share, (logs - logs[0]) / (logs[-1] - logs[0]), atol=0.01)
        wide = found["panels"]["progress"]["clip"][2] / 1.06
        np.testing.assert_allclose(over[:, 0] - over[0, 0], path.spent / 60 * wide, atol=0.2)
        assert len(tracks["surface"]) == len(path.points)
        assert tracks["surface"][0] == found["panels"]["surface"]["tracks"][1][0] != due[0].tolist()


def test_pictures_have_axes_and_the_start_where_the_data_says(race):
    panels = race[1]["panels"]
    for name, panel in panels.items():
        with Image.open(io.BytesIO(base64.b64decode(panel["picture"].split(",")[1]))) as png:
            pixels = np.asarray(png.convert("L"))

        def darkest(x, y, around, pixels=pixels, panel=panel):
            x, y = (round(v * pixels.shape[1] / panel["width"]) for v in (x, y))
            return pixels[y - around : y + around + 1, x - around : x + around + 1].min()

        left, top, width, height = panel["clip"]
        if name != "surface":
            assert darkest(left, top + 0.4 * height, 2) < 60
            assert darkest(left + 0.4 * width, top + height, 2) < 60
        if name != "progress":
            assert len(np.unique(pixels)) > 20
            assert darkest(*panel["tracks"][0][0], 13) < 60  # the ring


def test_what_is_out_of_sight_by_far_is_left_out(tmp_path):
    surface = find_surface("bowl", start=(0.5, 0.5))
    path = Path("far", np.array([[0.5, 0.5], [1e30, 0]]), np.ones(2), np.arange(2.0), "")
    save_html(surface, [path], "contour", tmp_path / "race.html")
    found = written((tmp_path / "race.html").read_text(encoding="utf-8"))
    assert found["panels"]["contour"]["tracks"][0][1] is None


def test_what_is_markup_elsewhere_is_text_on_the_page(tmp_path):
    surface = compile_surface(Named("<b>&", "x**2 + y**2", (-1, 1), (-1, 1), (0.5, 0.5), "", None))
    path = Path("</script>", np.full((1, 2), 0.5), np.array([0.5]), np.array([0.0]), "")
    save_html(surface, [path] * 8, "surface", tmp_path / "race.html")
    page = (tmp_path / "race.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 1 and page.count("&lt;b&gt;&amp;:") == 2 and "<b>" not in page
    found = written(page)
    assert found["view"] == "surface" and found["paths"][7]["label"] == "</script>"
    assert found["paths"][7]["dashes"] == [12, 4.5]


def test_script_shows_what_is_asked_for(race, tmp_path):
    node = shutil.which("node") or pytest.skip("no Node.js")
    page, found, _, paths = race
    script = re.search(r"<script>(.*)</script>", page, re.S).group(1)
    (tmp_path / "page.js").write_text(BROWSER.replace("SCRIPT", script), encoding="utf-8")
    done = subprocess.run([node, tmp_path / "page.js"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    looks = dict(zip(told["names"], told["seen"], strict=True))
    last = len(found["moments"]) - 1
    assert told["slider"] == last < 20
    both, one = [0, 1], [1]
    due = {  # by act: the moment, the button, the view, the paths
        "opened": (last, "Play", "contour", both),
        "back": (last - 1, "Play", "contour", both),
        "slid_to_the_first": (0, "Play", "contour", both),
        "not_before_the_first": (0, "Play", "contour", both),
        "on": (1, "Play", "contour", both),
        "not_by_the_sliders_own_key": (1, "Play", "contour", both),
        "hidden": (1, "Play", "contour", one),
        "shown": (1, "Play", "contour", both),
        "other_view": (1, "Play", "surface", both),
        "played": (1 + last // 2, "Pause", "surface", both),  # half of ten seconds' way
        "paused": (1 + last // 2, "Play", "surface", both),
        "not_by_the_buttons_own_key": (1 + last // 2, "Play", "surface", both),
        "to_the_end": (last, "Play", "surface", both),
        "from_the_first_again": (0, "Pause", "surface", both),
    }
    assert list(looks) == list(due)
    for act, (moment, button, view, shown) in due.items():
        look, spent = looks[act], found["moments"][moment]
        assert (look["slider"], look["button"]) == (moment, button), act
        assert look["clock"] == f"{spent} gradient evaluations"
        now = [int(np.searchsorted(path.spent, spent, side="right")) - 1 for path in paths]
        for path, i, row in zip(paths, now, look["rows"], strict=True):
            told_at = [float(x) for x in row[0].split(", ")]
            np.testing.assert_allclose(told_at, path.points[i], rtol=1e-3)
            np.testing.assert_allclose(float(row[1]), path.values[i], rtol=1e-3)
            assert row[2] == (path.ended if i == len(path.spent) - 1 else "")
        colours = [found["paths"][i]["colour"] for i in shown]
        for name, drawn in zip((view, "progress"), look["panels"], strict=True):
            panel = found["panels"][name]
            assert drawn["pictures"] == [panel["picture"]]
            assert drawn["dashes"] == []
            assert drawn["lines"] == drawn["heads"] == colours
            dots = panel["tracks"][0][: now[0] + 1] if 0 in shown else []  # the other has too many
            got = [[colour, *np.round(at, 1)] for colour, *at in drawn["dots"]]
            assert got == [[found["paths"][0]["colour"], *at] for at in dots]
            if 0 in shown:  # whose marker is round
                assert drawn["first"] == [panel["tracks"][0][now[0]]]
