"""A polygon a run over the modalities, with intervals on the spokes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.figures.canvas import REFERENCE_DASHES
from medqbench_vlmeval.report.figures.captions import count_words
from medqbench_vlmeval.report.figures.panels import draw as draw_panels
from medqbench_vlmeval.report.figures.plots import Plot, Run, group_name
from medqbench_vlmeval.report.figures.style import FAINT, INK, MUTED, SMALL_SIZE, TEXT_SIZE, fitted, look_of
from medqbench_vlmeval.report.points import top_of
from medqbench_vlmeval.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_RINGS = 4
_FEW = 5
_APART = 0.028  # radii between the interval bars of two runs on one spoke


def draw(plot: Plot) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    return draw_panels(plot, _paint, tall=2.55, small=1.5)


def scale_end(plot: Plot) -> float:
    """The outermost ring: the first round number that all values, intervals and references lie within."""
    step = 20.0 if plot.task is Task.PERCEPTION else 1.0
    points = [point for run in plot.runs for point in run.points.values()]
    ends = [end for point in points for end in (point.value, point.high) if end is not None]
    ends += [value for reference in plot.references for value in reference.values.values()]
    return min(top_of(plot.task, plot.groups[0]), step * max(1, math.ceil(max(ends) / step)))


def _paint(axes: Axes, plot: Plot, runs: Sequence[Run], others: Sequence[Run]) -> None:
    end = scale_end(plot)
    together = plot.together
    axes.set_axis_off()
    axes.set_aspect("equal")
    _limit(axes, plot)
    _web(axes, plot, end, together)
    for place, reference in enumerate(plot.references):
        value = next(iter(reference.values.values())) / end
        circle = [_at(value, step / 120) for step in range(121)]
        axes.plot(*zip(*circle, strict=True), color=INK, linewidth=0.7, linestyle=REFERENCE_DASHES[place])
    for run in others:
        for piece in _pieces(plot, run, end):
            axes.plot(*zip(*piece, strict=True), color=INK, alpha=FAINT, linewidth=0.6)
    for at, run in enumerate(runs):
        _polygon(axes, plot, run, end, (at - (len(runs) - 1) / 2) * _APART)


def _web(axes: Axes, plot: Plot, end: float, named: bool) -> None:
    spokes = [place / len(plot.groups) for place in range(len(plot.groups))]
    for ring in range(1, _RINGS + 1):
        corners = [_at(ring / _RINGS, turn) for turn in (*spokes, 0.0)]
        axes.plot(*zip(*corners, strict=True), color=INK, alpha=FAINT, linewidth=0.4)
        if ring in (_RINGS // 2, _RINGS):
            x, y = _at(ring / _RINGS, 0)
            words = f"{end * ring / _RINGS:g}"
            axes.text(x + 0.03, y - 0.01, words, size=SMALL_SIZE - 0.6, alpha=MUTED, va="top")
    for turn, group in zip(spokes, plot.groups, strict=True):
        axes.plot(*zip((0, 0), _at(1, turn), strict=True), color=INK, alpha=FAINT, linewidth=0.4)
        x, y = _at(1.1 if named else 1.13, turn)
        side = "center" if abs(x) < 0.1 else "left" if x > 0 else "right"
        level = "bottom" if y > 0.9 else "top" if y < -0.7 else "center"
        size = TEXT_SIZE if named else SMALL_SIZE - 0.8
        words = fitted(group_name(group), _room(axes, x, len(plot.groups)) + _beyond(plot), size)
        if plot.counted:
            words += f"\nn = {count_words(plot.counts(group))}"
        axes.text(x, y, words, ha=side, va=level, size=size, linespacing=1.05)


def _limit(axes: Axes, plot: Plot) -> None:
    named = plot.together
    reach = 1.28 if named else 1.3
    # Of an even number of spokes one points down, and its name stands below the drawing.
    below = 0.0 if len(plot.groups) % 2 else 0.24 if plot.counted else 0.12
    axes.set_xlim(-reach, reach)
    axes.set_ylim((-1.1 if named else -1.15) - below, 1.33 if named else 1.28)


def _beyond(plot: Plot) -> float:
    """Inches by which a name may stand out of its panel: into the margin, or between two panels."""
    if plot.together:
        return 0.06
    # Few names do not meet their neighbours'.
    return 0.1 if len(plot.groups) <= _FEW else 0.03


def _room(axes: Axes, x: float, spokes: int) -> float:
    """Inches for a name at ``x``: to the side of the drawing, above and below it to the neighbours' names."""
    drawing: Any = axes.figure
    box, (low, high) = axes.get_position(original=True), axes.get_ylim()
    inch = drawing.get_figheight() * box.height / (high - low)
    side = drawing.get_figwidth() * box.width / 2
    if abs(x) >= 0.1:
        return float(side - abs(x) * inch)
    return float(min(2 * side, 2 * math.sin(2 * math.pi / spokes) * inch))


def _polygon(axes: Axes, plot: Plot, run: Run, end: float, aside: float) -> None:
    look = look_of(run.place)
    for piece in _pieces(plot, run, end):
        axes.plot(*zip(*piece, strict=True), color=look.colour, linestyle=look.dashes, linewidth=1.1)
    for place, group in enumerate(plot.groups):
        point = run.points.get(group)
        if point is None or point.value is None:
            continue
        turn = place / len(plot.groups)
        if point.ends:
            _whisker(axes, point.ends, end, turn, aside, look.colour)
        axes.plot(
            *zip(_at(point.value / end, turn), strict=True),
            marker=look.marker,
            markersize=3.6,
            markerfacecolor="none" if point.few else look.colour,
            markeredgecolor=look.colour if point.few else INK,
            markeredgewidth=0.9 if point.few else 0.4,
        )


def _whisker(axes: Axes, values: tuple[float, float], end: float, turn: float, aside: float, colour: str) -> None:
    # Beside the spoke, so that those of several runs do not lie on one another.
    across = (math.cos(2 * math.pi * turn) * aside, -math.sin(2 * math.pi * turn) * aside)
    ends = [_at(value / end, turn) for value in values]
    axes.plot(*zip(*((x + across[0], y + across[1]) for x, y in ends), strict=True), color=colour, linewidth=0.9)


def _pieces(plot: Plot, run: Run, end: float) -> list[list[tuple[float, float]]]:
    """The closed polygon, or what is left of it between groups without a number."""
    values = [run.points[group].value if group in run.points else None for group in plot.groups]
    corners = [None if value is None else _at(value / end, place / len(values)) for place, value in enumerate(values)]
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
    if all(corners):
        return [[corner for corner in [*corners, corners[0]] if corner is not None]]
    return [[one, other] for one, other in pairs if one is not None and other is not None]


def _at(radius: float, turn: float) -> tuple[float, float]:
    """The place at a radius (0-1) and a turn (0-1, clockwise from the top)."""
    return radius * math.sin(2 * math.pi * turn), radius * math.cos(2 * math.pi * turn)
