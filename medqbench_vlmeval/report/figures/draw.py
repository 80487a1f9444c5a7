"""Bars with intervals: a panel a measure, a bar a run, names once on the left, numbers beside the bars."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import write_bytes, write_text
from medqbench_vlmeval.report.figures import style as svg
from medqbench_vlmeval.report.figures.plots import (
    BARS,
    CURVE,
    HEATMAP,
    RADAR,
    Confusion,
    Figure,
    Matrix,
    Plot,
    Run,
    caption_of,
    count_words,
    figures_of,
    group_name,
    share_words,
    title_of,
)
from medqbench_vlmeval.report.figures.style import (
    FAINT,
    INK,
    LINE_HEIGHT,
    MARGIN,
    MUTED,
    ONE_COLUMN,
    REFERENCE_DASHES,
    SMALL_SIZE,
    TEXT_SIZE,
    TWO_COLUMNS,
    Canvas,
    drawing,
    fitted,
    label_room,
    light_grid,
    look_of,
    text_width,
    wrapped,
)
from medqbench_vlmeval.report.terminal import value_text
from medqbench_vlmeval.report.text import markdown_text
from medqbench_vlmeval.runs.result import OVERALL, Point, top_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


_ROW = 0.2
_HEAD, _FOOT = 0.3, 0.22
_NUMBER = 0.34  # inches for the number beside a bar
_GAP = 0.11


def draw_bars(plot: Plot) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    names = [run.shown for run in plot.runs]
    rows = _ROW * len(names)
    canvas = Canvas(plot, TWO_COLUMNS, _HEAD + rows + _FOOT, plot.references)
    left = MARGIN + label_room(names) + 0.1
    pitch = (TWO_COLUMNS - left - MARGIN) / len(plot.groups)
    for row, name in enumerate(names):
        canvas.text(left - 0.08, canvas.top + _HEAD + (row + 0.5) * _ROW, name, ha="right", va="center_baseline")
    for column, group in enumerate(plot.groups):
        x = left + column * pitch
        canvas.text(x, canvas.top + 0.1, group, weight="bold", va="center_baseline")
        n = f"n = {count_words(plot.counts(group))}"
        canvas.text(x, canvas.top + 0.22, n, size=SMALL_SIZE, alpha=MUTED, va="center_baseline")
        width = pitch - _NUMBER - _GAP
        axes = canvas.axes(x, canvas.top + _HEAD, width, rows)
        _panel(axes, plot, group)
        for row, run in enumerate(plot.runs):
            words = number_words(plot.task, run.points.get(group))
            y = canvas.top + _HEAD + (row + 0.5) * _ROW
            canvas.text(x + width + _NUMBER, y, words, size=SMALL_SIZE, ha="right", va="center_baseline")
    return canvas.drawing


def number_words(task: Task, point: Point | None) -> str:
    """A number as the tables show it, with '*' where it rests on few samples."""
    if point is None or point.value is None:
        return "–"
    return f"{'*' if point.few else ''}{value_text(point.value, task)}"


def _panel(axes: Axes, plot: Plot, group: str) -> None:
    top = top_of(plot.task, group)
    for row, run in enumerate(plot.runs):
        point = run.points.get(group)
        if point is None or point.value is None:
            continue
        look = look_of(run.place)
        # The fill of few samples is paler; the outline stays.
        axes.barh(row, point.value, 0.68, color=look.colour, alpha=0.35 if point.few else 1, linewidth=0)
        axes.barh(row, point.value, 0.68, facecolor="none", edgecolor=INK, hatch=look.hatch, linewidth=0.4)
        if point.ends:
            _whisker(axes, point.ends, row)
    for place, reference in enumerate(plot.references):
        if group in reference.values:
            dashes = REFERENCE_DASHES[place % len(REFERENCE_DASHES)]
            axes.axvline(reference.values[group], color=INK, linewidth=0.9, linestyle=dashes)
    axes.set_xlim(0, top)
    axes.set_ylim(len(plot.runs) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([0, top / 2, top], labels=[f"{tick:g}" for tick in (0, top / 2, top)])
    axes.tick_params(labelsize=SMALL_SIZE)
    light_grid(axes, "x")


def _whisker(axes: Axes, ends: tuple[float, float], row: int) -> None:
    axes.plot(
        ends, (row, row), color=INK, linewidth=0.9, marker="|", markersize=3.4, markeredgewidth=0.9, clip_on=False
    )


# One panel with all runs where they are few, a panel a run with the others in grey where they are many.


_PANELS_MOST = 24  # panels

_BREAKS = frozenset("-_/.…:")

# Draws runs into axes; the second sequence stands behind them.
Painter = Callable[["Axes", Plot, Sequence[Run], Sequence[Run]], None]


def draw_panels(plot: Plot, paint: Painter, tall: float, small: float) -> Drawing:
    """The figure, inside ``style.drawing()``.

    Args:
        paint: draws the runs of a panel in front of the others.
        tall: height of the one panel, inches.
        small: height of each of many panels, inches.
    """
    if plot.together:
        return _together(plot, paint, tall)
    return _apart(plot, paint, small)


def _together(plot: Plot, paint: Painter, height: float) -> Drawing:
    key = 0.36
    keys = [wrapped(run.shown, ONE_COLUMN - 2 * MARGIN - key - 0.06, TEXT_SIZE) for run in plot.runs]
    legend = sum(map(len, keys)) * LINE_HEIGHT if len(plot.runs) > 1 else LINE_HEIGHT
    canvas = Canvas(plot, ONE_COLUMN, height + legend + 0.05, plot.references)
    paint(canvas.axes(MARGIN, canvas.top, ONE_COLUMN - 2 * MARGIN, height), plot, plot.runs, ())
    y = canvas.top + height + 0.05 + LINE_HEIGHT / 2
    for run, lines in zip(plot.runs, keys, strict=True):
        _key(canvas, y, key, run)
        for line in lines:
            canvas.text(MARGIN + key + 0.06, y, line, va="center_baseline")
            y += LINE_HEIGHT
    return canvas.drawing


def _key(canvas: Canvas, y: float, width: float, run: Run) -> None:
    from matplotlib.lines import Line2D

    look = look_of(run.place)
    xs = [MARGIN / canvas.width, (MARGIN + width / 2) / canvas.width, (MARGIN + width) / canvas.width]
    line = Line2D(
        xs,
        [1 - y / canvas.height] * 3,
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markevery=[1],
        markersize=4,
        markeredgecolor=INK,
        markeredgewidth=0.4,
    )
    canvas.drawing.add_artist(line)


def _apart(plot: Plot, paint: Painter, small: float) -> Drawing:
    shown = plot.runs[:_PANELS_MOST]
    pitch = (TWO_COLUMNS - 2 * MARGIN) / _COLUMNS
    titles = [broken(run.shown, pitch - 0.1) for run in shown]
    rows = [range(start, min(start + _COLUMNS, len(shown))) for start in range(0, len(shown), _COLUMNS)]
    heads = [max(len(titles[at]) for at in row) * LINE_HEIGHT + 0.04 for row in rows]
    left_out = len(plot.runs) - len(shown)
    content = sum(heads) + len(rows) * small + (LINE_HEIGHT if left_out else 0)
    canvas = Canvas(plot, TWO_COLUMNS, content, plot.references)
    y = canvas.top
    for row, head in zip(rows, heads, strict=True):
        for column, at in enumerate(row):
            x = MARGIN + column * pitch
            above = head - 0.04 - len(titles[at]) * LINE_HEIGHT
            for line, words in enumerate(titles[at]):
                middle = y + above + (line + 0.5) * LINE_HEIGHT
                canvas.text(x + pitch / 2, middle, words, ha="center", va="center_baseline")
            others = [run for run in shown if run is not shown[at]]
            paint(canvas.axes(x, y + head, pitch - 0.06, small), plot, [shown[at]], others)
        y += head + small
    if left_out:
        words = f"and {left_out} more, which are in the heat map and the tables"
        canvas.text(MARGIN, y + LINE_HEIGHT / 2, words, size=SMALL_SIZE, va="center_baseline")
    return canvas.drawing


def broken(label: str, width: float) -> list[str]:
    """A label in lines of at most ``width`` inches, broken at blanks, else behind a mark such as '-', else anywhere."""
    lines: list[str] = []
    for line in wrapped(label, width, TEXT_SIZE):
        rest = line
        while rest:
            end = len(rest)
            while end > 1 and text_width(rest[:end], TEXT_SIZE) > width:
                end -= 1
            if end < len(rest):
                end = max((at for at in range(end // 2, end + 1) if rest[at - 1 : at] in _BREAKS), default=end)
            lines.append(rest[:end])
            rest = rest[end:]
    return lines


# A polygon a run over the modalities, with intervals on the spokes.


_RINGS = 4
_FEW = 5
_APART = 0.028  # radii between the interval bars of two runs on one spoke


def draw_radar(plot: Plot) -> Drawing:
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
            _radar_whisker(axes, point.ends, end, turn, aside, look.colour)
        axes.plot(
            *zip(_at(point.value / end, turn), strict=True),
            marker=look.marker,
            markersize=3.6,
            markerfacecolor="none" if point.few else look.colour,
            markeredgecolor=look.colour if point.few else INK,
            markeredgewidth=0.9 if point.few else 0.4,
        )


def _radar_whisker(axes: Axes, values: tuple[float, float], end: float, turn: float, aside: float, colour: str) -> None:
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


# A line a run over the grades of severity, with intervals.


_CURVE_APART = 0.07  # of the step between two grades, between two runs


def draw_curve(plot: Plot) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    return draw_panels(plot, _curve_paint, tall=1.95, small=1.25)


def limits(plot: Plot) -> tuple[float, float]:
    """Round ends of the scale that hold all values, intervals and references."""
    step = 10.0 if plot.task is Task.PERCEPTION else 0.5
    points = [point for run in plot.runs for point in run.points.values()]
    ends = [end for point in points for end in (point.value, point.low, point.high) if end is not None]
    ends += [value for reference in plot.references for value in reference.values.values()]
    low, high = step * math.floor(min(ends) / step), step * math.ceil(max(ends) / step)
    top = top_of(plot.task, plot.groups[0])
    return max(0.0, low if high > low else low - step), min(top, high) if high > low else min(top, high + step)


def _curve_paint(axes: Axes, plot: Plot, runs: Sequence[Run], others: Sequence[Run]) -> None:
    together = plot.together
    box = axes.get_position()
    # Room for the numbers on the left and the grades below.
    left, below = (0.09, 0.17) if together else (0.17, 0.2)
    axes.set_position(
        (box.x0 + left * box.width, box.y0 + below * box.height, (1 - left) * box.width, (0.97 - below) * box.height)
    )
    low, high = limits(plot)
    for place, reference in enumerate(plot.references):
        value = next(iter(reference.values.values()))
        axes.axhline(value, color=INK, linewidth=0.8, linestyle=REFERENCE_DASHES[place])
    for run in others:
        xs, ys = _path(plot, run)
        axes.plot(xs, ys, color=INK, alpha=FAINT, linewidth=0.6)
    for at, run in enumerate(runs):
        _line(axes, plot, run, (at - (len(runs) - 1) / 2) * _CURVE_APART)
    axes.set_xlim(-0.35, len(plot.groups) - 0.65)
    axes.set_ylim(low, high)
    counts = [f"\nn = {count_words(plot.counts(group))}" if together else "" for group in plot.groups]
    names = [f"{group}{count}" for group, count in zip(plot.groups, counts, strict=True)]
    axes.set_xticks(range(len(plot.groups)), labels=names)
    axes.tick_params(labelsize=SMALL_SIZE if together else SMALL_SIZE - 0.6, pad=1.5)
    light_grid(axes, "y")


def _path(plot: Plot, run: Run) -> tuple[list[float], list[float]]:
    values = [run.points[group].value if group in run.points else None for group in plot.groups]
    # A missing grade breaks the line.
    return [float(x) for x in range(len(values))], [math.nan if value is None else value for value in values]


def _line(axes: Axes, plot: Plot, run: Run, aside: float) -> None:
    look = look_of(run.place)
    xs, ys = _path(plot, run)
    axes.plot([x + aside for x in xs], ys, color=look.colour, linestyle=look.dashes, linewidth=1.1)
    for x, group in zip(xs, plot.groups, strict=True):
        point = run.points.get(group)
        if point is None or point.value is None:
            continue
        if point.ends:
            axes.plot([x + aside] * 2, point.ends, color=look.colour, linewidth=0.9)
        axes.plot(
            [x + aside],
            [point.value],
            marker=look.marker,
            markersize=3.8,
            markerfacecolor="none" if point.few else look.colour,
            markeredgecolor=look.colour if point.few else INK,
            markeredgewidth=0.9 if point.few else 0.4,
            clip_on=False,
        )


# Models by modalities: a colour, the number and its interval a cell.


_HEATMAP_ROW = 0.27
_HEATMAP_HEAD = 0.3
_HEATMAP_GAP = 0.06  # cells between the modalities and Overall
_BOLD = 1.15  # of the width of plain letters
_LIGHT, _DARK = "#ffffff", "#000000"
_EQUAL = 0.179  # the luminance on which black and white have the same contrast, 4.6 to 1


def draw_heatmap(plot: Plot) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    names = [run.shown for run in plot.runs]
    rows = _HEATMAP_ROW * len(names)
    canvas = Canvas(plot, TWO_COLUMNS, _HEATMAP_HEAD + rows + 0.02)
    left = MARGIN + label_room(names) + 0.1
    width = TWO_COLUMNS - left - MARGIN
    for row, name in enumerate(names):
        canvas.text(
            left - 0.08, canvas.top + _HEATMAP_HEAD + (row + 0.5) * _HEATMAP_ROW, name, ha="right", va="center_baseline"
        )
    axes = canvas.axes(left, canvas.top + _HEATMAP_HEAD, width, rows)
    axes.set_axis_off()
    cells = len(plot.groups) + _HEATMAP_GAP
    axes.set_xlim(0, cells)
    axes.set_ylim(len(names), 0)
    low, high = colour_range(plot)
    for column, group in enumerate(plot.groups):
        x = column + (_HEATMAP_GAP if group == OVERALL and column else 0)
        centre = left + (x + 0.5) * width / cells
        name, room = group_name(group), width / cells - 0.03
        size = TEXT_SIZE if text_width(name, TEXT_SIZE * _BOLD) <= room else SMALL_SIZE - 0.8
        head = fitted(name, room, size * _BOLD)
        canvas.text(centre, canvas.top + 0.1, head, ha="center", va="center_baseline", weight="bold", size=size)
        count = f"n = {count_words(plot.counts(group))}"
        canvas.text(centre, canvas.top + 0.22, count, ha="center", va="center_baseline", size=SMALL_SIZE, alpha=MUTED)
        for row, run in enumerate(plot.runs):
            _cell(axes, plot.task, x, row, run.points.get(group), low, high)
    return canvas.drawing


def colour_range(plot: Plot) -> tuple[float, float]:
    """The values that the ends of the colours stand for: the lowest and the highest, but not closer than a fifth of
    the scale, so that numbers that are nearly the same look so."""
    values = [point.value for run in plot.runs for point in run.points.values() if point.value is not None]
    low, high = min(values), max(values)
    more = max(0.0, top_of(plot.task, OVERALL) / 5 - (high - low)) / 2
    return low - more, high + more


def _cell(axes: Axes, task: Task, x: float, y: int, point: Point | None, low: float, high: float) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    if point is None or point.value is None:
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor="none", edgecolor=INK, alpha=FAINT, linewidth=0.4))
        axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center", size=TEXT_SIZE)
        return
    # The ends of the map are too dark and too bright to be told from their neighbours in print.
    share = (point.value - low) / (high - low)
    red, green, blue, _ = colormaps["viridis"](0.06 + 0.88 * share)
    ink = ink_on(red, green, blue)
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=(red, green, blue), edgecolor=_LIGHT, linewidth=0.6))
    digits = 1 if task is Task.PERCEPTION else 2
    middle = y + (0.34 if point.ends else 0.5)
    axes.text(x + 0.5, middle, number_words(task, point), ha="center", va="center", size=TEXT_SIZE, color=ink)
    if point.ends:
        ends = f"{point.ends[0]:.{digits}f} to {point.ends[1]:.{digits}f}"
        axes.text(x + 0.5, y + 0.74, ends, ha="center", va="center", size=SMALL_SIZE - 0.8, color=ink)


def ink_on(red: float, green: float, blue: float) -> str:
    """Black or white, whichever is read more easily on a colour (parts 0-1)."""
    return _DARK if luminance(red, green, blue) > _EQUAL else _LIGHT


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.1), 0-1."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# Levels taken for others: a small matrix a run and scale, right levels in rows and chosen ones in columns.


_COLUMNS = 4
_MOST = 48
_SIDE = 1.0  # height of a matrix, inches
_CONFUSION_FOOT = 0.2  # for the chosen levels below it
_CONFUSION_GAP = 0.12
_NAME = 0.5  # inches for the name of a level


def draw_confusion(figure: Confusion) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    shown = figure.matrices[:_MOST]
    left_out = len(figure.matrices) - len(shown)
    columns = min(_COLUMNS, len(shown))
    pitch = (TWO_COLUMNS - 2 * MARGIN) / _COLUMNS
    heads = [_head(figure, matrix, pitch - _CONFUSION_GAP) for matrix in shown]
    rows = [range(start, min(start + columns, len(shown))) for start in range(0, len(shown), columns)]
    heights = [max(len(heads[at]) for at in row) * LINE_HEIGHT + 0.03 for row in rows]
    content = sum(heights) + len(rows) * (_SIDE + _CONFUSION_FOOT) + (LINE_HEIGHT if left_out else 0)
    # A figure of one or two matrices fits a column, its title and notes included.
    canvas = Canvas(figure, columns * pitch + 2 * MARGIN, content)
    y = canvas.top
    for row, height in zip(rows, heights, strict=True):
        for column, at in enumerate(row):
            x = MARGIN + column * pitch
            for line, words in enumerate(heads[at]):
                how = {"size": TEXT_SIZE} if line < len(heads[at]) - 2 else {"size": SMALL_SIZE, "alpha": MUTED}
                canvas.text(x, y + (line + 0.5) * LINE_HEIGHT, words, va="center_baseline", **how)
            names = label_room(_names(shown[at]), SMALL_SIZE) + 0.06
            _cells(canvas.axes(x + names, y + height, pitch - _CONFUSION_GAP - names, _SIDE), shown[at])
        y += height + _SIDE + _CONFUSION_FOOT
    if left_out:
        words = f"and {left_out} more, which are in the workbooks"
        canvas.text(MARGIN, y + LINE_HEIGHT / 2, words, size=SMALL_SIZE, va="center_baseline")
    return canvas.drawing


def _head(figure: Confusion, matrix: Matrix, width: float) -> list[str]:
    label = broken(matrix.run.shown, width)
    share, *ends = share_words(matrix.run)
    mark = "*" if any(point.few for point in matrix.run.points.values()) else ""
    scales = [other.scale for other in figure.matrices if other.run is matrix.run]
    of = " of all" if len(scales) > 1 else ""
    # The share is of the run, and stands above the first of its scales.
    said = f"{mark}{share}{of}{f' ({ends[0]})' if ends else ''}" if scales[0] == matrix.scale else ""
    scale = fitted(matrix.scale, width / 2, SMALL_SIZE)
    return [*label, f"{scale}, n = {matrix.n:,}", said]


def _names(matrix: Matrix) -> list[str]:
    return [fitted(level, _NAME, SMALL_SIZE) for level in matrix.levels]


def _cells(axes: Axes, matrix: Matrix) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    size = len(matrix.levels)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    for y, row in enumerate(matrix.counts):
        total = sum(row)
        for x, count in enumerate(row):
            red, green, blue, _ = colormaps["Blues"](0.02 + 0.9 * (count / total if total else 0.0))
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=(red, green, blue), edgecolor="#ffffff", linewidth=0.6))
            ink = ink_on(red, green, blue)
            axes.text(x + 0.5, y + 0.5, f"{count:,}", ha="center", va="center", size=TEXT_SIZE, color=ink)
    axes.spines[:].set_visible(False)
    middles = [place + 0.5 for place in range(size)]
    axes.set_xticks(middles, labels=_names(matrix))
    axes.set_yticks(middles, labels=_names(matrix))
    axes.tick_params(length=0, labelsize=SMALL_SIZE, pad=1.5)


# Drawing all figures that results support, into files or into texts.


CAPTIONS = "captions.md"
_DPI = 300


def write_figures(scores: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw the figures that these results support, each as PNG (300 dots an inch) and SVG, and write their captions.

    Several runs stand in one figure; tasks apart. The files are named after what they show and the task
    (``radar_modality_perception.svg``, ...); the same results in any order give the same bytes but for which colour
    stands for which run. Captions are in ``captions.md``.

    Returns:
        The written files; empty where nothing can be drawn, and then nothing is written.

    Raises:
        BadInput: a score is not a result of this package.
        RunFailed: the folder cannot be written to.
    """
    written: list[Path] = []
    captions = []
    try:
        for figure, drawn in _drawn(scores):
            caption = caption_of(figure)
            for path, data in (
                (folder / f"{figure.name}.png", _png(drawn, title_of(figure), caption)),
                (folder / f"{figure.name}.svg", svg.standalone(drawn, figure.name, title_of(figure), caption).encode()),
            ):
                write_bytes(path, data)
                written.append(path)
            captions.append(f"## {figure.name}\n\n{markdown_text(caption)}\n")
        if written:
            write_text(folder / CAPTIONS, "# Captions\n\n" + "\n".join(captions))
            written.append(folder / CAPTIONS)
    except OSError as error:
        raise RunFailed(f"The figures cannot be written to {folder}: {error.strerror or error}.") from error
    return written


def themed_svgs(scores: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The same figures by name as inline SVG: ink is ``currentColor``, the ground is transparent.

    Each has a ``<title>`` and a ``<desc>`` with the caption, and ids that begin with its name.

    Raises:
        BadInput: a score is not a result of this package.
    """
    return {
        figure.name: svg.inline(drawn, figure.name, title_of(figure), caption_of(figure))
        for figure, drawn in _drawn(scores)
    }


def _drawn(scores: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Figure, Drawing]]:
    found = figures_of(scores)
    if found:
        with drawing():
            for figure in found:
                yield figure, _draw(figure)


def _draw(figure: Figure) -> Drawing:
    if isinstance(figure, Confusion):
        return draw_confusion(figure)
    draw = {BARS: draw_bars, CURVE: draw_curve, HEATMAP: draw_heatmap, RADAR: draw_radar}[figure.kind]
    return draw(figure)


def _png(drawn: Drawing, title: str, description: str) -> bytes:
    out = io.BytesIO()
    metadata = {"Software": None, "Title": title, "Description": description}
    drawn.savefig(out, format="png", dpi=_DPI, facecolor="white", metadata=metadata)
    return out.getvalue()
