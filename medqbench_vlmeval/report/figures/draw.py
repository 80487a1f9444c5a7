"""Draws each kind of figure, and writes all that results support into files or as SVG for a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medqbench_vlmeval.benchmark import OVERALL
from medqbench_vlmeval.files import write_bytes, write_text, writing
from medqbench_vlmeval.report.colours import look_of
from medqbench_vlmeval.report.figures import plots, style
from medqbench_vlmeval.report.figures.plots import DrawnRun, Figure, Matrix, group_name
from medqbench_vlmeval.report.figures.style import INK, TEXT_SIZE, TWO_COLUMNS, Sheet, fitted, text_width, wrapped
from medqbench_vlmeval.report.table import task_kind, value_words
from medqbench_vlmeval.report.text import markdown_text
from medqbench_vlmeval.runs.result import top_of
from medqbench_vlmeval.types import Cell, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure as Drawing

_HEAD, _FOOT = 0.38, 0.2  # inches above and below the rows of bars and cells
_COLUMNS = 4  # panels beside each other, at most
_TINY = 5.0
_Cell: TypeAlias = tuple[float | None, str, str]  # a value, and one or two lines of words


def draw(figure: Figure) -> Sheet:
    """The drawn figure, inside ``style.drawing_settings()``."""
    special = {plots.DOTS: _draw_dots, plots.HEATMAP: _draw_heatmap, plots.CONFUSION: _draw_confusion}
    return special.get(figure.kind, _draw_lines)(figure)


def _number(figure: Figure, run: DrawnRun, group: str) -> str:
    """A number as the tables show it, with '*' where it rests on few samples."""
    cell = run.cell(group)
    return "–" if cell.value is None else f"{'*' if cell.few else ''}{value_words(cell.value, task_kind(figure.task))}"


def _head(figure: Figure, group: str, width: float, size: float = TEXT_SIZE) -> str:
    name = fitted(group_name(group), width, size)
    return f"{name}\nn = {figure.n(group)}" if figure.counted else name


def _draw_dots(figure: Figure) -> Sheet:
    """A panel a measure, a row a run below the published rows, names once on the left, numbers beside the dots."""
    names = [*(fitted(label, 1.9, TEXT_SIZE) for label in figure.references), *(run.shown for run in figure.runs)]
    first, rows = len(figure.references), range(len(names))
    drawing = style.new_drawing(TWO_COLUMNS, _HEAD + 0.165 * len(names) + _FOOT)
    panels: Sequence[Axes] = drawing.subplots(1, len(figure.groups), squeeze=False)[0]
    for column, (axes, group) in enumerate(zip(panels, figure.groups, strict=True)):
        axes.set_title(_head(figure, group, 1.2), loc="left")
        write = partial(axes.text, 1.07, transform=axes.get_yaxis_transform(), va="center_baseline")
        for row, values in enumerate(figure.references.values()):
            if (value := values.get(group)) is not None:
                grey: dict[str, Any] = {"alpha": style.MUTED, "mec": INK, "mfc": "none", "mew": 0.7}
                axes.plot(value, row, marker="o", ms=3.4, clip_on=False, gid=f"reference-{row}-{column}", **grey)
                write(row, value_words(value, task_kind(figure.task)), size=style.SMALL_SIZE, alpha=style.MUTED)
        for place, run in enumerate(figure.runs):
            cell, row = run.cell(group), first + place
            write(row, _number(figure, run, group), size=style.SMALL_SIZE)
            if cell.interval:
                axes.plot(cell.interval, (row, row), color=look_of(run.place).colour, linewidth=1.3)
            if cell.value is not None:
                axes.plot(cell.value, row, gid=f"value-{place}-{column}", **_marker(run, cell))
        low, high = _scale(figure, group)
        axes.set(xlim=(low, high), ylim=(len(names) - 0.5, -0.5))
        ticks = (low, (low + high) / 2, high)
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.set_yticks(rows, labels=names if axes is panels[0] else [""] * len(names))
        axes.tick_params("y", length=0, labelsize=TEXT_SIZE)
        axes.spines["left"].set_visible(False)
        axes.grid()
        if first:
            axes.axhline(first - 0.5, color=INK, linewidth=0.5, alpha=style.MUTED)
        for label in axes.get_yticklabels()[:first]:
            label.set_alpha(style.MUTED)
    return Sheet(figure, drawing)


def _marker(run: DrawnRun, cell: Cell) -> dict[str, Any]:
    """The marker of a run's number, hollow where it rests on few samples."""
    look = look_of(run.place)
    fill, edge, width = ("none", look.colour, 0.9) if cell.few else (look.colour, INK, 0.4)
    form = {"marker": look.marker, "linestyle": "none", "ms": 3.9, "clip_on": False}
    return {**form, "mfc": fill, "mec": edge, "mew": width}


def _draw_lines(figure: Figure) -> Sheet:
    """A radar or curve: one panel for few runs, else one a run, the others in grey; of categories a panel each."""
    if figure.kind == plots.PANELS:
        names = [[*of] for _, of in groupby(figure.groups, lambda group: group.rpartition(" ")[0])]
        width = _panel_width(len(names)) - 0.1
        drawing, panels = _grid([wrapped(group_name(own[0].rpartition(" ")[0]), width, TEXT_SIZE) for own in names])
        for axes, own in zip(panels, names, strict=True):
            _paint_curve(axes, replace(figure, groups=tuple(own), first=figure.groups.index(own[0])), figure.runs)
            axes.set(ylim=_scale(figure, own[0]), xticklabels=[group.rpartition(" ")[2] for group in own])
        return Sheet(figure, drawing)
    if figure.together:
        radar = figure.kind == plots.RADAR
        drawing = style.new_drawing(style.ONE_COLUMN, 2.25 if radar else 1.95)
        paint, projection = (_paint_radar, {"projection": "polar"}) if radar else (_paint_curve, {})
        paint(drawing.add_subplot(**projection), figure, figure.runs)
        return Sheet(figure, drawing)
    runs = figure.runs[: plots.PANELS_MOST]
    width = _panel_width(len(runs))
    drawing, panels = _grid([wrapped(run.shown, width - 0.1, TEXT_SIZE) for run in runs])
    for axes, run in zip(panels, runs, strict=True):
        _paint_curve(axes, figure, [run])
    return Sheet(figure, drawing)


def _rows_of(panels: int) -> list[int]:
    """How many panels stand in each row: at most four, and none alone below a full row."""
    rows = math.ceil(panels / _COLUMNS)
    return [panels // rows + (row < panels % rows) for row in range(rows)]


def _panel_width(panels: int) -> float:
    rows = _rows_of(panels)
    return TWO_COLUMNS / (max(rows) if len(rows) > 1 else max(rows[0], 3))


def _grid(heads: Sequence[str]) -> tuple[Drawing, list[Axes]]:
    """Panels with heads; shorter rows are centred."""
    rows = _rows_of(len(heads))
    lines = 1 + max(head.count("\n") for head in heads)
    drawing = style.new_drawing(_panel_width(len(heads)) * rows[0], len(rows) * (1.25 + lines * style.LINE_HEIGHT))
    grid = drawing.add_gridspec(len(rows), 2 * rows[0])
    starts = [(row, rows[0] - size + 2 * place) for row, size in enumerate(rows) for place in range(size)]
    return drawing, [
        drawing.add_subplot(grid[row, start : start + 2], title=head)
        for (row, start), head in zip(starts, heads, strict=True)
    ]


def _scale(figure: Figure, group: str) -> tuple[float, float]:
    """Round ends of the scale that hold all values, intervals and references on it; a radar begins at 0."""
    radar, percent, top = figure.kind == plots.RADAR, figure.task.is_choice, top_of(figure.task, group)
    step = (20.0 if percent else 1.0) if radar else (10.0 if percent else 0.5)
    alike = [name for name in figure.groups if top_of(figure.task, name) == top]
    cells = [run.cell(name) for run in figure.runs for name in alike]
    ends = [end for cell in cells for end in (cell.value, cell.low, cell.high) if end is not None]
    for values in figure.references.values():
        ends += [value for name, value in values.items() if name in alike or OVERALL not in figure.groups]
    low, high = 0.0 if radar else step * math.floor(min(ends) / step), step * math.ceil(max(ends) / step)
    return (max(0.0, low), min(top, high)) if high > low else (max(0.0, low - step), min(top, high + step))


def _paint_radar(axes: Any, figure: Figure, runs: Sequence[DrawnRun]) -> None:
    turns = [2 * math.pi * place / len(figure.groups) for place in range(len(figure.groups))]
    _, end = _scale(figure, figure.groups[0])
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(0, end)
    axes.spines[:].set_visible(False)
    rings = [end * share for share in (0.25, 0.5, 0.75, 1)]
    axes.set_rgrids(rings, ["", f"{rings[1]:g}", "", f"{rings[3]:g}"], angle=180 / len(turns), size=_TINY, alpha=0.75)
    rooms = [style.ONE_COLUMN / 2 - style.MARGIN - 0.03 - 0.85 * abs(math.sin(turn)) for turn in turns]
    labels = [_head(figure, group, room) for group, room in zip(figure.groups, rooms, strict=True)]
    _, names = axes.set_thetagrids([math.degrees(turn) for turn in turns], labels, size=TEXT_SIZE)
    axes.tick_params("x", pad=-4)
    for name, turn in zip(names, turns, strict=True):
        across, up = math.sin(turn), math.cos(turn)
        name.set_ha("center" if abs(across) < 0.1 else "left" if across > 0 else "right")
        name.set_va("bottom" if up > 0.9 else "top" if up < -0.9 else "center")
    _paint_lines(axes, figure, runs, turns, [math.radians(3 * step) for step in range(121)], apart=0.04)
    # Earlier versions of Matplotlib name a round clip path by its place in memory; nothing is drawn outside of it.
    for artist in axes.findobj():
        artist.set_clip_on(False)


def _paint_curve(axes: Any, figure: Figure, runs: Sequence[DrawnRun]) -> None:
    places, ends = range(len(figure.groups)), (-0.35, len(figure.groups) - 0.65)
    axes.set(xlim=ends, ylim=_scale(figure, figure.groups[0]))
    axes.set_xticks(places, labels=[_head(figure, group, 1) for group in figure.groups])
    axes.grid(axis="y")
    _paint_lines(axes, figure, runs, places, ends, apart=0.07)


def _paint_lines(
    axes: Axes, figure: Figure, runs: Sequence[DrawnRun], places: Sequence[float], span: Sequence[float], apart: float
) -> None:
    """Reference lines, the values of ``runs`` over ``places`` and standing ``apart``, and all other runs in grey."""
    for values, dashes in zip(figure.references.values(), style.REFERENCE_DASHES, strict=False):
        xs, ys = (span, [values[OVERALL]] * len(span)) if OVERALL in values else (places, [*values.values()])
        axes.plot(xs, ys, color=INK, alpha=0.6, linewidth=0.75, linestyle=dashes)
    for run in figure.runs[: plots.PANELS_MOST]:
        if run not in runs:
            axes.plot(*_path(figure, run, places), color=INK, alpha=style.FAINT, linewidth=0.6)
    for at, run in enumerate(runs):
        look, aside = look_of(run.place), (at - (len(runs) - 1) / 2) * apart
        beside = [place + aside for place in places]
        axes.plot(*_path(figure, run, beside), color=look.colour, linestyle=look.dashes)
        for at_group, (place, group) in enumerate(zip(beside, figure.groups, strict=True), figure.first):
            cell = run.cell(group)
            if cell.interval:
                axes.plot((place, place), cell.interval, color=look.colour, linewidth=0.9)
            if cell.value is not None:
                gid = f"value-{figure.runs.index(run)}-{at_group}"
                axes.plot([place], [cell.value], gid=gid, **_marker(run, cell))


def _path(figure: Figure, run: DrawnRun, places: Sequence[float]) -> tuple[list[float], list[float]]:
    values = [run.cell(group).value for group in figure.groups]
    # A group without a number breaks the line.
    ys = [math.nan if value is None else value for value in values]
    return ([*places, places[0]], [*ys, ys[0]]) if figure.kind == plots.RADAR else (list(places), ys)


def _draw_heatmap(figure: Figure) -> Sheet:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    drawing = style.new_drawing(TWO_COLUMNS, _HEAD + 0.27 * len(figure.runs) + 0.36)
    axes = drawing.add_subplot()
    # Overall stands a little apart.
    lefts = [place + 0.06 * (place > 0 and group == OVERALL) for place, group in enumerate(figure.groups)]
    low, high = colour_range(figure)
    # The ends of the map are too dark and too bright to be told from their neighbours in print.
    pad = 0.07 * (high - low)
    ends_of = Normalize(low - pad, high + pad)
    digits = 1 if figure.task.is_choice else 2
    rows = []
    for run in figure.runs:
        cells = [run.cell(group) for group in figure.groups]
        ends = [" to ".join(f"{end:.{digits}f}" for end in cell.interval or ()) for cell in cells]
        numbers = [_number(figure, run, group) for group in figure.groups]
        rows.append(list(zip([cell.value for cell in cells], numbers, ends, strict=True)))
    _paint_cells(axes, lefts, rows, ScalarMappable(ends_of, "viridis"), "value")
    # Few steps: each is a path of its own.
    scale = ScalarMappable(ends_of, colormaps["viridis"].resampled(32))
    bar = drawing.colorbar(
        scale, ax=axes, location="bottom", shrink=0.3, aspect=26, fraction=0.08, pad=0.01, anchor=(1, 1)
    )
    bar.solids.set_edgecolor("face")  # type: ignore[union-attr]  # it has solids
    bar.outline.set_visible(False)
    ticks = (low, (low + high) / 2, high)
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    bar.ax.tick_params(labelsize=style.SMALL_SIZE, length=1.5, pad=1)
    bar.set_label("accuracy, %" if figure.task.is_choice else "sum, 0-8", size=style.SMALL_SIZE, labelpad=1)
    names = max(text_width(run.shown, TEXT_SIZE) for run in figure.runs)
    width = (TWO_COLUMNS - names - 3 * style.MARGIN) / len(lefts) - 0.05
    fit = all(text_width(group_name(group), TEXT_SIZE) <= width for group in figure.groups)
    size = TEXT_SIZE if fit else _TINY
    axes.set_xticks([x + 0.5 for x in lefts], labels=[_head(figure, group, width, size) for group in figure.groups])
    axes.set_yticks([y + 0.5 for y in range(len(rows))], labels=[run.shown for run in figure.runs])
    axes.tick_params(top=False, labeltop=True, labelbottom=False, length=0, labelsize=TEXT_SIZE)
    axes.tick_params("x", labelsize=size)
    return Sheet(figure, drawing)


def colour_range(figure: Figure) -> tuple[float, float]:
    """The lowest and the highest value, but not closer than a fifth of the scale: what is nearly the same looks so."""
    values = [cell.value for run in figure.runs for cell in run.cells.values() if cell.value is not None]
    low, high = min(values), max(values)
    more = max(0.0, top_of(figure.task, OVERALL) / 5 - (high - low)) / 2
    return low - more, high + more


def _paint_cells(
    axes: Axes, lefts: Sequence[float], rows: Sequence[Sequence[_Cell]], scale: ScalarMappable, mark: str
) -> None:
    """Colour the cells by ``scale``; ``mark`` begins their ids, see :func:`plots.words_of`."""
    from matplotlib.patches import Rectangle

    for y, row in enumerate(rows):
        for column, (x, (value, words, small)) in enumerate(zip(lefts, row, strict=True)):
            look: dict[str, Any] = {"facecolor": "none", "edgecolor": INK, "alpha": style.FAINT, "linewidth": 0.4}
            ink = INK
            if value is not None:
                rgb = scale.to_rgba(np.array([value]))[0, :3]
                look = {"facecolor": rgb, "linewidth": 0}
                linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
                luminance = linear @ (0.2126, 0.7152, 0.0722)
                # WCAG 2.1's relative luminance at which black and white have the same contrast, 4.6 to 1.
                ink = "#000000" if luminance > 0.179 else "#ffffff"
            axes.add_patch(Rectangle((x + 0.01, y + 0.02), 0.98, 0.96, gid=f"{mark}-{y}-{column}", **look))
            place: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
            axes.text(x + 0.5, y + (0.34 if small else 0.5), words, size=TEXT_SIZE, **place)
            if small:
                axes.text(x + 0.5, y + 0.74, small, size=_TINY, **place)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(0, lefts[-1] + 1), ylim=(len(rows), 0))


def _draw_confusion(figure: Figure) -> Sheet:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    blues = ScalarMappable(Normalize(-0.02, 1.08), "Blues")
    matrices = figure.matrices[: plots.MATRICES_MOST]
    names = [[fitted(level, 0.5, style.SMALL_SIZE) for level in matrix.levels] for matrix in matrices]
    besides = [max(text_width(name, style.SMALL_SIZE) for name in levels) + 0.15 for levels in names]
    drawing, panels = _grid([_confusion_head(figure, *each) for each in zip(matrices, besides, strict=True)])
    starts = set(accumulate(_rows_of(len(matrices)), initial=0))
    for place, (axes, matrix, levels) in enumerate(zip(panels, matrices, names, strict=True)):
        rows = [[(count / (sum(row) or 1), f"{count:,}", "") for count in row] for row in matrix.counts]
        _paint_cells(axes, range(len(levels)), rows, blues, f"count-{place}")
        middles = [at + 0.5 for at in range(len(levels))]
        axes.set_xlabel("chosen level", size=style.SMALL_SIZE, labelpad=1.5)
        if place in starts:
            axes.set_ylabel("right level", size=style.SMALL_SIZE, labelpad=1.5)
        axes.set_xticks(middles, labels=levels)
        axes.set_yticks(middles, labels=levels)
        axes.tick_params(length=0, pad=1.5)
    return Sheet(figure, drawing)


def _confusion_head(figure: Figure, matrix: Matrix, beside: float) -> str:
    width = _panel_width(min(len(figure.matrices), plots.MATRICES_MOST)) - 2 * style.MARGIN - 0.05 - beside
    share, *ends = plots.share_words(matrix.run)
    scales = [other.scale for other in figure.matrices if other.run is matrix.run]
    n = sum(map(sum, matrix.counts))
    lines = [matrix.run.shown, f"{fitted(matrix.scale, width / 2, TEXT_SIZE)}, n = {n:,}"]
    if scales[0] == matrix.scale:
        # The share is of the run, and stands above the first of its scales.
        mark, of = "*" if matrix.run.cell(OVERALL).few else "", " of all" if len(scales) > 1 else ""
        lines += [f"{mark}{share}{of}", *(f"({words})" for words in ends)]
    return "\n".join(wrapped(line, width, TEXT_SIZE) for line in lines)


def write_figures(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write the figures that these results support, as PNG (300 dots an inch) and SVG, and ``captions.md``; the same
    results in any order give the same bytes but for colours. Raises RunFailed where the folder cannot be written to."""
    written: list[Path] = []
    captions = ["# Captions\n"]
    with writing(folder):
        for sheet in _sheets(results):
            name = sheet.figure.name
            for path, data in ((folder / f"{name}.png", sheet.png()), (folder / f"{name}.svg", sheet.svg().encode())):
                write_bytes(path, data)
                written.append(path)
            captions.append(f"## {name}\n\n{markdown_text(plots.caption_of(sheet.figure))}\n")
        if written:
            written.append(folder / "captions.md")
            write_text(written[-1], "\n".join(captions))
    return written


def themed_svgs(results: Sequence[Result]) -> dict[str, str]:
    """The same figures by name as inline SVG, whose ink is ``currentColor``: see :meth:`.Sheet.svg`."""
    return {sheet.figure.name: sheet.svg(themed=True) for sheet in _sheets(results)}


def _sheets(results: Sequence[Result]) -> Iterator[Sheet]:
    figures = plots.figures_of(results)
    if figures:
        with style.drawing_settings():
            yield from map(draw, figures)
