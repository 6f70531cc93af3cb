"""The pictures of `steepest race`: contours or a surface, the paths on it, and f over the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from steepest.apps.races import DEFAULT
from steepest.apps.races.race_paths import Path
from steepest.apps.races.reference import Reference, reference_of
from steepest.apps.races.surfaces import Floats, Surface, grid

# Okabe and Ito's palette without yellow, which fades on white; told apart with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^DvPX"
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))
LEVELS = 18
DOTS = 60  # iterates of a path at most that are told apart by dots
EQUAL = 0.6, 2.5  # width over height between which a unit is as long along x as along y
FRAMES = 120  # of a GIF at most
AZIMUTH, ELEVATION = -62, 38


@dataclass(frozen=True)
class Style:
    """How one path looks: colour, marker and dashes, so that none relies on colour alone."""

    colour: str
    marker: str
    dashes: Any

    def line(self) -> dict[str, Any]:
        """Keywords of a matplotlib line."""
        return {"color": self.colour, "linestyle": self.dashes, "linewidth": 1.8}

    def head(self) -> dict[str, Any]:
        """Keywords of the marker where a path is now."""
        white = {"markeredgecolor": "white", "markeredgewidth": 1.0, "markersize": 9}
        return {"color": self.colour, "marker": self.marker, "linestyle": "none", **white}


def styles(names: Sequence[str]) -> list[Style]:
    """A style for each path; 21 differ. The default methods keep theirs from race to race."""
    places = {name: DEFAULT.index(name) for name in names if name in DEFAULT}
    free = (i for i in count() if i not in places.values())
    n, own, found = len(COLOURS), dict(places), []
    for name in names:
        i = own.pop(name) if name in own else next(free)
        found.append(Style(COLOURS[i % n], MARKERS[i % n], DASHES[i // n % len(DASHES)]))
    return found


def height(surface: Surface) -> tuple[Any, str]:
    """What is drawn upwards: f, or its logarithm where most of the picture would be flat."""
    f = grid(surface)[2]
    low, middle, high = np.nanquantile(f, (0, 0.5, 1))
    if high - low > 12 * (middle - low):
        return lambda v: np.log10(1 + np.maximum(v - low, 0)), "log₁₀(1 + f − min f)"
    return lambda v: v, "f"


def draw_background(axes: Any, surface: Surface) -> None:
    """Contours on plain axes, the surface on three-dimensional ones."""
    x, y, f = grid(surface)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    if axes.name == "3d":
        up, label = height(surface)
        axes.computed_zorder = False  # paths stay on top
        z = up(f)
        low, high = np.nanmin(z), np.nanmax(z)
        shade = {"cmap": "Greys", "vmin": low - 0.2 * (high - low), "vmax": high + high - low}
        axes.plot_surface(x, y, z, **shade, rcount=80, ccount=80, alpha=0.9, zorder=0)
        axes.set_zlabel(label)
        axes.view_init(ELEVATION, AZIMUTH)
        axes.set_box_aspect((1, 1, 0.72), zoom=0.95)
        return
    # equal areas between levels, finer towards the minimum: lines everywhere, on any function
    levels = np.unique(np.nanquantile(f, np.linspace(0, 1, LEVELS) ** 1.5))
    if len(levels) > 2:
        shades = np.linspace(0.30, 0.02, len(levels) - 1)
        axes.contourf(x, y, f, levels, colors=[str(1 - s) for s in shades])
        axes.contour(x, y, f, levels[1:-1], colors="0.55", linewidths=0.5, linestyles="solid")
    axes.set_xlim(surface.x_limits)
    axes.set_ylim(surface.y_limits)
    if EQUAL[0] <= np.ptp(surface.x_limits) / np.ptp(surface.y_limits) <= EQUAL[1]:
        axes.set_aspect("equal")  # gradients are seen to be perpendicular to contours


def draw_progress_axes(axes: Any, paths: list[Path], reference: Reference) -> None:
    """Axes of f over gradient evaluations, with room for heads; what diverges leaves them."""
    bottom, top = reference.limits(paths)
    if reference.log:
        axes.set_yscale("log")
    axes.set_ylim(bottom, top)
    last = max(float(path.spent[-1]) for path in paths) or 1
    axes.set_xlim(-0.03 * last, 1.03 * last)
    axes.set_xlabel("gradient evaluations")
    axes.set_ylabel(reference.label(paths))
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def coordinates(surface: Surface, path: Path, three: bool) -> tuple[Floats, ...]:
    """A path in the main axes; in three dimensions with gaps where it leaves the picture."""
    x, y = path.points[:, 0].copy(), path.points[:, 1]
    if not three:
        return x, y
    (left, right), (bottom, top) = surface.x_limits, surface.y_limits
    x[(x < left) | (x > right) | (y < bottom) | (y > top)] = np.nan
    return x, y, height(surface)[0](path.values)


@dataclass
class Drawing:
    """A figure and, for each path, its artists: line and head in the main and progress axes."""

    figure: Any
    artists: list[list[tuple[Any, tuple[Floats, ...], bool]]]
    paths: list[Path]

    def at(self, spent: float) -> Iterator[Any]:
        """Set every artist to what is known after so many evaluations."""
        for path, group in zip(self.paths, self.artists, strict=True):
            count = int(np.searchsorted(path.spent, spent, side="right"))
            for artist, data, head in group:
                part = tuple(d[max(count - 1, 0) : count] if head else d[:count] for d in data)
                if len(part) == 3:
                    artist.set_data_3d(*part)
                else:
                    artist.set_data(*part)
                yield artist


def figure_of(surface: Surface, paths: list[Path], view: str, dpi: int) -> Drawing:
    """The whole picture, its paths still empty."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(11, 6.2), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    layout = figure.add_gridspec(1, 2, width_ratios=(1.55, 1))
    main = figure.add_subplot(layout[0], projection="3d" if view == "surface" else None)
    side = figure.add_subplot(layout[1])
    reference = reference_of(surface, paths)
    draw_background(main, surface)
    draw_progress_axes(side, paths, reference)
    figure.suptitle(title(surface))
    artists, handles = [], []
    for path, style in zip(paths, styles([path.name for path in paths]), strict=True):
        where = coordinates(surface, path, view == "surface")
        over = (path.spent, reference.above(path.values))
        dots: dict[str, Any] = (
            {"marker": "o", "markersize": 3.5} if len(path.points) <= DOTS else {}
        )
        group = []
        for axes, data in ((main, where), (side, over)):
            empty: list[list[float]] = [[] for _ in data]
            (line,) = axes.plot(*empty, **style.line(), **dots, zorder=5)
            (head,) = axes.plot(*empty, **style.head(), zorder=6)
            for artist, is_head in ((line, False), (head, True)):
                artist.set_in_layout(False)  # still empty, it would confuse the layout
                group.append((artist, data, is_head))
        artists.append(group)
        handles.append(Line2D([], [], **{**style.head(), **style.line()}, label=path.label))
    mark_start(main, surface)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return Drawing(figure, artists, paths)


def title(surface: Surface) -> str:
    """The name and, unless it is the name, the formula."""
    formula = f"f(x, y) = {surface.formula.rpartition('=')[2].strip()}"
    return formula if surface.title == surface.formula else f"{surface.title}:  {formula}"


def mark_start(axes: Any, surface: Surface) -> None:
    """A ring at the common start, where the picture includes it."""
    x, y = surface.start
    (left, right), (bottom, top) = surface.x_limits, surface.y_limits
    if not (left <= x <= right and bottom <= y <= top):
        return
    up = height(surface)[0](surface.values(np.array(x), np.array(y)))
    at = (x, y, float(up)) if axes.name == "3d" else (x, y)
    ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": "black"}
    axes.plot(*([v] for v in at), **ring, zorder=7)
    axes.text(*at, "start\n", ha="center", va="bottom", zorder=7)  # a line above


def save_png(surface: Surface, paths: list[Path], view: str, out: FilePath) -> None:
    """The whole race in one picture."""
    drawing = figure_of(surface, paths, view, dpi=130)
    for _ in drawing.at(np.inf):
        pass
    drawing.figure.savefig(out)


def moments(paths: list[Path], frames: int) -> Floats:
    """When to look: often at first, then further and further apart."""
    last = max(float(path.spent[-1]) for path in paths)
    return np.unique(np.rint(last * np.linspace(0, 1, frames) ** 1.6))


def palette_of(colours: list[str]) -> Any:
    """Greys, and each colour on its way to white, for a GIF: median cut would merge colours."""
    from matplotlib.colors import to_rgb
    from PIL import Image

    towards_white = np.linspace(0, 1, 16, endpoint=False)[:, None]
    shades = [c + (1 - np.array(c)) * towards_white for c in map(to_rgb, dict.fromkeys(colours))]
    greys = [*range(0, 252, 4), 255]  # Pillow looks colours up in steps of 4
    every = np.concatenate([np.repeat(greys, 3), np.rint(255 * np.ravel(shades))])
    palette = Image.new("P", (1, 1))
    palette.putpalette(every.astype(np.uint8).tobytes())
    return palette


def save_gif(surface: Surface, paths: list[Path], view: str, out: FilePath, fps: float) -> None:
    """The race as an animation; the background is drawn once."""
    from PIL import Image

    drawing = figure_of(surface, paths, view, dpi=80)
    canvas = drawing.figure.canvas
    canvas.draw()
    background = canvas.copy_from_bbox(drawing.figure.bbox)
    frames = []
    for moment in moments(paths, FRAMES):
        canvas.restore_region(background)
        for artist in drawing.at(moment):
            artist.axes.draw_artist(artist)
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    palette = palette_of([style.colour for style in styles([path.name for path in paths])])
    first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 / fps)] * len(rest) + [2500]
    first.save(out, save_all=True, append_images=rest, duration=durations, loop=0)
