"""The race as one HTML page that needs nothing else: play, pause, a slider, views, a legend.

Matplotlib draws the backgrounds and says where on them each point of a path lies; the script on
the page only draws lines over pictures.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from steepest.apps.races.race_draw import (
    DOTS,
    coordinates,
    draw_background,
    draw_progress_axes,
    mark_start,
    moments,
    styles,
    title,
)
from steepest.apps.races.race_paths import Path
from steepest.apps.races.reference import reference_of
from steepest.apps.races.surfaces import Floats, Surface

DPI = 150  # of the backgrounds; they are shown at 100, so that they stay sharp
MAIN_INCHES, SIDE_INCHES = (6.6, 5.6), (4.6, 5.6)
MOST_MOMENTS = 400


def save_html(surface: Surface, paths: list[Path], view: str, out: FilePath) -> None:
    """Write the page; `view` is the one it opens with."""
    panels = {name: main_panel(surface, paths, name) for name in ("contour", "surface")}
    panels["progress"] = progress_panel(surface, paths)
    race = {
        "view": view,
        "panels": panels,
        "moments": [int(m) for m in moments(paths, MOST_MOMENTS)],
        "paths": [
            {
                "label": path.label,
                "ended": path.ended,
                "colour": style.colour,
                "marker": style.marker,
                "dashes": [] if style.dashes == "-" else [3 * d for d in style.dashes[1]],
                "dots": len(path.points) <= DOTS,
                "spent": path.spent.tolist(),
                "values": [finite(v) for v in path.values],
                "points": [[finite(v) for v in p] for p in path.points],
            }
            for path, style in zip(paths, styles([path.name for path in paths]), strict=True)
        ],
    }
    data = json.dumps(race, separators=(",", ":")).replace("</", "<\\/")
    page = TEMPLATE.replace("@TITLE@", html.escape(title(surface))).replace("@RACE@", data)
    out.write_text(page, encoding="utf-8")


def finite(v: float) -> float | None:
    """JSON has no NaN and no inf."""
    return float(f"{v:.9g}") if np.isfinite(v) else None


def main_panel(surface: Surface, paths: list[Path], view: str) -> dict[str, Any]:
    """The contour or surface view."""
    figure, axes = new_axes(MAIN_INCHES, "3d" if view == "surface" else None)
    draw_background(axes, surface)
    mark_start(axes, surface)
    return panel(figure, axes, [coordinates(surface, path, view == "surface") for path in paths])


def progress_panel(surface: Surface, paths: list[Path]) -> dict[str, Any]:
    """f over gradient evaluations."""
    figure, axes = new_axes(SIDE_INCHES, None)
    reference = reference_of(surface, paths)
    draw_progress_axes(axes, paths, reference)
    return panel(figure, axes, [(path.spent, reference.above(path.values)) for path in paths])


def new_axes(inches: tuple[float, float], projection: str | None) -> tuple[Any, Any]:
    """A figure with one pair of axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot(projection=projection)


def panel(figure: Any, axes: Any, tracks: Sequence[tuple[Floats, ...]]) -> dict[str, Any]:
    """A background as a picture, and the tracks in its pixels (at 100 to the inch, y downwards)."""
    from mpl_toolkits.mplot3d import proj3d
    from PIL import Image

    figure.canvas.draw()
    width, height = figure.get_size_inches() * 100
    scale = 100 / DPI
    pixels = []
    for track in tracks:
        flat = track
        if len(track) == 3:
            flat = proj3d.proj_transform(*track, axes.get_proj())[:2]
        at = axes.transData.transform(np.column_stack([np.asarray(t, float) for t in flat])) * scale
        at[:, 1] = height - at[:, 1]
        at[np.abs(at).max(axis=1) > 1e8] = np.nan
        pixels.append([None if np.isnan(p).any() else [round(float(v), 1) for v in p] for p in at])
    box = axes.get_window_extent()
    clip = [box.x0 * scale, height - box.y1 * scale, box.width * scale, box.height * scale]
    file = io.BytesIO()
    greys = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB").quantize(64)
    greys.save(file, format="png", optimize=True)
    picture = base64.b64encode(file.getvalue()).decode()
    return {
        "width": width,
        "height": height,
        "clip": [round(float(v), 1) for v in clip],
        "picture": f"data:image/png;base64,{picture}",
        "tracks": pixels,
    }


TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
  body { font: 15px/1.4 system-ui, sans-serif; margin: 1.2rem auto; max-width: 1140px;
         padding: 0 1rem; color: #222; background: #fff; }
  h1 { font-size: 1.15rem; font-weight: 600; margin: 0 0 .6rem; }
  .panels { display: flex; flex-wrap: wrap; gap: .4rem; }
  canvas { max-width: 100%; height: auto; }
  .controls { display: flex; flex-wrap: wrap; align-items: center; gap: .8rem; margin: .6rem 0; }
  .controls input[type=range] { flex: 1 1 14rem; }
  button, select { font: inherit; padding: .25rem .8rem; }
  #clock { min-width: 12.5rem; font-variant-numeric: tabular-nums; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; padding: .22rem .6rem; border-top: 1px solid #ddd; }
  th { border-top: 0; font-weight: 600; }
  td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
  label { cursor: pointer; white-space: nowrap; }
  svg { vertical-align: middle; }
</style>
</head>
<body>
<h1>@TITLE@</h1>
<div class="panels">
  <canvas id="main" role="img" aria-label="paths on the surface"></canvas>
  <canvas id="side" role="img" aria-label="f over gradient evaluations"></canvas>
</div>
<div class="controls">
  <button id="play" type="button">Play</button>
  <input id="time" type="range" min="0" value="0" aria-label="gradient evaluations">
  <span id="clock"></span>
  <label>Speed <select id="speed"><option value="0.5">½×</option><option value="1" selected>1×
    </option><option value="2">2×</option><option value="4">4×</option></select></label>
  <label>View <select id="view"><option>contour</option><option>surface</option></select></label>
</div>
<table>
  <thead><tr><th>optimizer</th><th>x, y</th><th>f</th><th>ended</th></tr></thead>
  <tbody id="legend"></tbody>
</table>
<p>Space plays and pauses, the arrow keys step, the boxes hide a path.</p>
<script>
"use strict";
const race = @RACE@;
const find = id => document.getElementById(id);
const slider = find("time"), play = find("play"), view = find("view");
const last = race.moments.length - 1;
let moment = 0, playing = false, before = 0, hidden = new Set();
slider.max = last;
view.value = race.view;

// Where a path is after so many evaluations: the place of its last iterate by then.
function place(path, spent) {
  let low = 0, high = path.spent.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (path.spent[middle] <= spent) low = middle; else high = middle - 1;
  }
  return low;
}
const corners = {
  s: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  "^": [[0, -1.2], [1.1, 1], [-1.1, 1]],
  v: [[0, 1.2], [1.1, -1], [-1.1, -1]],
  D: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  P: [[-.4, -1.2], [.4, -1.2], [.4, -.4], [1.2, -.4], [1.2, .4], [.4, .4], [.4, 1.2], [-.4, 1.2],
      [-.4, .4], [-1.2, .4], [-1.2, -.4], [-.4, -.4]],
  X: [[-1.2, -.6], [-.6, -1.2], [0, -.6], [.6, -1.2], [1.2, -.6], [.6, 0], [1.2, .6], [.6, 1.2],
      [0, .6], [-.6, 1.2], [-1.2, .6], [-.6, 0]],
};
function mark(pen, marker, x, y, size) {
  pen.beginPath();
  if (marker === "o") pen.arc(x, y, size * 1.05, 0, 2 * Math.PI);
  else {
    for (const [u, v] of corners[marker]) pen.lineTo(x + size * u, y + size * v);
    pen.closePath();
  }
  pen.fill();
  pen.stroke();
}
function paint(canvas, panel) {
  const dense = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
  if (canvas.width !== Math.round(panel.width * dense)) {
    canvas.width = Math.round(panel.width * dense);
    canvas.height = Math.round(panel.height * dense);
    canvas.style.width = panel.width + "px";
  }
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, panel.width, panel.height);
  pen.drawImage(panel.image, 0, 0, panel.width, panel.height);
  pen.save();
  pen.beginPath();
  pen.rect(...panel.clip);
  pen.clip();
  race.paths.forEach((path, i) => {
    if (hidden.has(i)) return;
    const end = place(path, race.moments[moment]), track = panel.tracks[i];
    pen.beginPath();
    let down = false;
    for (let k = 0; k <= end; k++) {
      if (track[k] && down) pen.lineTo(...track[k]);
      else if (track[k]) pen.moveTo(...track[k]);
      down = track[k] !== null;
    }
    pen.strokeStyle = path.colour;
    pen.lineWidth = 2;
    pen.setLineDash(path.dashes);
    pen.stroke();
    pen.fillStyle = path.colour;
    for (let k = 0; path.dots && k <= end; k++)
      if (track[k]) pen.fillRect(track[k][0] - 2, track[k][1] - 2, 4, 4);
  });
  pen.setLineDash([]);
  race.paths.forEach((path, i) => {  // after all lines, so that none hides a head
    const head = panel.tracks[i][place(path, race.moments[moment])];
    if (hidden.has(i) || !head) return;
    pen.fillStyle = path.colour;
    pen.strokeStyle = "#fff";
    pen.lineWidth = 1.2;
    mark(pen, path.marker, ...head, 5.5);
  });
  pen.restore();
}
const digits = v => v === null ? "not finite" : Number(v.toPrecision(4)).toString();
function show() {
  slider.value = moment;
  const spent = race.moments[moment];
  find("clock").textContent = spent + " gradient evaluations";
  paint(find("main"), race.panels[view.value]);
  paint(find("side"), race.panels.progress);
  race.paths.forEach((path, i) => {
    const at = place(path, spent), cells = find("legend").rows[i].cells;
    cells[1].textContent = path.points[at].map(digits).join(", ");
    cells[2].textContent = digits(path.values[at]);
    cells[3].textContent = at === path.spent.length - 1 ? path.ended : "";
  });
}
function setPlaying(on) {
  playing = on;
  play.textContent = on ? "Pause" : "Play";
  if (on && moment >= last) moment = 0;
  if (on) { before = 0; requestAnimationFrame(advance); }
}
let part = 0;
function advance(now) {  // the whole race in ten seconds at 1x
  if (!playing) return;
  if (before) part += (now - before) / 10000 * last * Number(find("speed").value);
  before = now;
  const whole = Math.floor(part);
  part -= whole;
  moment = Math.min(last, moment + whole);
  show();
  if (moment >= last) setPlaying(false);
  else requestAnimationFrame(advance);
}
function step(by) {
  setPlaying(false);
  moment = Math.max(0, Math.min(last, moment + by));
  show();
}
race.paths.forEach((path, i) => {
  const row = find("legend").insertRow(), label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), {type: "checkbox", checked: true});
  const key = Object.assign(document.createElement("canvas"), {width: 92, height: 32});
  key.style.width = "46px";
  box.onchange = () => { box.checked ? hidden.delete(i) : hidden.add(i); show(); };
  const pen = key.getContext("2d");
  pen.scale(2, 2);
  pen.strokeStyle = pen.fillStyle = path.colour;
  pen.lineWidth = 2;
  pen.setLineDash(path.dashes);
  pen.beginPath(); pen.moveTo(4, 8); pen.lineTo(42, 8); pen.stroke();
  pen.setLineDash([]);
  pen.strokeStyle = "#fff";
  pen.lineWidth = 1;
  mark(pen, path.marker, 23, 8, 4.5);
  key.style.verticalAlign = "middle";
  label.append(box, " ", key, " " + path.label);
  row.insertCell().append(label);
  for (let k = 0; k < 3; k++) row.insertCell().className = k < 2 ? "number" : "";
});
play.onclick = () => setPlaying(!playing);
slider.oninput = () => { setPlaying(false); moment = Number(slider.value); show(); };
view.onchange = show;
document.addEventListener("keydown", event => {
  const taken = controls => event.target.matches(controls);  // by what has the focus
  if (event.code === "Space" && !taken("button, select, [type=checkbox]")) {
    event.preventDefault();
    setPlaying(!playing);
  }
  if (taken("select, [type=range]")) return;
  if (event.code === "ArrowRight") step(1);
  if (event.code === "ArrowLeft") step(-1);
});
Promise.all(Object.values(race.panels).map(panel => {
  panel.image = new Image();
  panel.image.src = panel.picture;
  return panel.image.decode();
})).then(() => { moment = last; show(); });
</script>
</body>
</html>
"""
