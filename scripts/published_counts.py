"""The counts behind the published tables: ``python scripts/published_counts.py``.

Reads nothing but the published CSV files. A published figure is a whole number over a sample size, rounded; the script
searches the sizes for which this holds in as many rows as possible, prints the counts of every row with what they give,
and says which rows do not come out and by how much. ``docs/published.md`` is its commentary.

Figures are kept as integers in units of their last digit (82.26% is 8226, a mean of 1.195 is 1195), so that no
comparison depends on floating point. ``k`` of ``n`` gives a figure ``v`` if ``|scale k / n - v| <= 1/2`` with a scale
of 10,000 for percentages and 1,000 for means; an exact half may be rounded either way.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDER = Path(__file__).resolve().parent.parent / "medqbench_vlmeval" / "data" / "published"
QUESTIONS = ("yes_or_no", "what", "how")
DIMENSIONS = ("completeness", "preciseness", "consistency", "quality_accuracy")
PERCENT = 10_000
MEAN = 1_000

PERCEPTION_SIZES = (558, 258, 489)
REASONING_SIZES = {"no_reference": 221, "comparative": 133}
# The benchmark's own totals: questions and reasoning samples of both splits.
ALL_QUESTIONS = 2_600
ALL_REASONING = 708


@dataclass(frozen=True)
class Table:
    """The complete rows of a published table: ``parts`` and ``overall`` in units of the last digit."""

    models: tuple[str, ...]
    parts: Ints
    overall: Ints
    scale: int


@dataclass(frozen=True)
class Candidate:
    """Sizes of the three question types, and how many rows they explain to the last digit."""

    rows: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One row from its counts: figures and their differences to the published ones, in units of the last digit."""

    model: str
    counts: tuple[int, ...]
    figures: tuple[int, ...]
    differences: tuple[int, ...]

    @property
    def comes_out(self) -> bool:
        return not any(self.differences)


def read_table(name: str) -> Table:
    """The rows of ``{name}_test.csv`` in which no figure is missing (the human experts have an Overall only)."""
    columns, scale = (QUESTIONS, PERCENT) if name == "perception" else (DIMENSIONS, MEAN)
    with (FOLDER / f"{name}_test.csv").open(encoding="utf-8", newline="") as source:
        rows = [row for row in csv.DictReader(source) if all(row[column] for column in columns)]
    figures = [[_last_digits(row[column]) for column in (*columns, "overall")] for row in rows]
    table = np.array(figures, dtype=np.int64)
    return Table(tuple(row["model"] for row in rows), table[:, :-1], table[:, -1], scale)


def _last_digits(text: str) -> int:
    """'82.26' -> 8226."""
    return int(text.replace(".", ""))


def nearest(figures: Ints, sizes: Ints | np.int64, scale: int) -> Ints:
    """The whole number whose share of ``sizes`` lies nearest to each figure (arrays broadcast)."""
    return (2 * figures * sizes + scale) // (2 * scale)


def gives(counts: Ints, sizes: Ints, figures: Ints, scale: int) -> Bools:
    """Whether ``counts`` of ``sizes`` round to ``figures``."""
    found: Bools = np.abs(2 * scale * counts - 2 * figures * sizes) <= sizes
    return found


def fits(figures: Ints, bound: int, scale: int) -> Bools:
    """(rows x sizes 1..bound): whether some whole number of the size gives the figure of the row."""
    sizes = np.arange(1, bound + 1)
    column = figures[:, None]
    return gives(nearest(column, sizes, scale), sizes, column, scale)


def candidates(table: Table, bound: int, least: int) -> list[Candidate]:
    """All sizes of three types, ``bound`` at most together, that explain ``least`` rows or more; best first.

    A row is explained if its three figures are whole numbers over the sizes, and Overall is all of them over all
    questions. Figures of two decimals have one whole number at most for a size below 10,000, so none is overlooked.
    """
    sizes = np.arange(1, bound + 1)
    counts = [nearest(table.parts[:, [part]], sizes, table.scale) for part in range(3)]
    fit = [fits(table.parts[:, part], bound, table.scale) for part in range(3)]
    likely = [np.flatnonzero(one.sum(axis=0) >= least) for one in fit]
    found = []
    for first in likely[0]:
        # A pair that explains too few rows cannot do better with a third size.
        second, third = (
            likely[part][(fit[0][:, [first]] & fit[part][:, likely[part]]).sum(axis=0) >= least] for part in (1, 2)
        )
        second, third = (one.ravel() for one in np.meshgrid(second, third, indexing="ij"))
        within = sizes[first] + sizes[second] + sizes[third] <= bound
        second, third = second[within], third[within]
        right = counts[0][:, [first]] + counts[1][:, second] + counts[2][:, third]
        total = sizes[first] + sizes[second] + sizes[third]
        explained = fit[0][:, [first]] & fit[1][:, second] & fit[2][:, third]
        explained &= gives(right, total, table.overall[:, None], table.scale)
        rows = explained.sum(axis=0)
        for at in np.flatnonzero(rows >= least):
            triple = (int(sizes[first]), int(sizes[second[at]]), int(sizes[third[at]]))
            found.append(Candidate(int(rows[at]), triple))
    return sorted(found, key=lambda one: (-one.rows, sum(one.sizes)))


def best_sizes(figures: Ints, bound: int, scale: int, top: int = 4) -> list[tuple[int, int]]:
    """(size, cells explained) for the sizes up to ``bound`` that explain most of ``figures``, small ones first."""
    explained = fits(figures, bound, scale).sum(axis=0)
    order = np.argsort(-explained, kind="stable")[:top]
    return [(int(size) + 1, int(explained[size])) for size in order]


def smaller_sizes(table: Table, row: int, sizes: tuple[int, ...]) -> int:
    """How many triples of sizes, none above ``sizes``, give all four figures of one row."""
    figures = [table.parts[row : row + 1, part] for part in range(3)]
    likely = [np.flatnonzero(fits(figures[i], size, table.scale)[0]) + 1 for i, size in enumerate(sizes)]
    grid = [one.ravel() for one in np.meshgrid(*likely, indexing="ij")]
    right = sum(nearest(figures[i], grid[i], table.scale) for i in range(3))
    return int(gives(np.asarray(right), np.asarray(sum(grid)), table.overall[row], table.scale).sum())


def perception_rows(table: Table, sizes: tuple[int, ...]) -> list[Row]:
    """Every row from the whole numbers nearest to its three percentages; Overall is their micro-average."""
    parts = np.array(sizes)
    counts = nearest(table.parts, parts, table.scale)
    figures = np.column_stack(
        [nearest_figure(counts, parts, table.scale), nearest_figure(counts.sum(axis=1), parts.sum(), table.scale)]
    )
    return _rows(table, counts, figures)


def reasoning_rows(table: Table, size: int) -> list[Row]:
    """Every row from the whole numbers nearest to its four means; Overall is their sum over the samples."""
    counts = nearest(table.parts, np.int64(size), table.scale)
    figures = np.column_stack(
        [nearest_figure(counts, size, table.scale), nearest_figure(counts.sum(axis=1), size, table.scale)]
    )
    return _rows(table, counts, figures)


def nearest_figure(counts: Ints, sizes: Any, scale: int) -> Ints:
    """Counts over sizes, rounded half up, in units of the last digit."""
    return np.asarray((2 * scale * counts + sizes) // (2 * sizes))


def _rows(table: Table, counts: Ints, figures: Ints) -> list[Row]:
    published = np.column_stack([table.parts, table.overall])
    return [
        Row(model, tuple(map(int, counts[i])), tuple(map(int, figures[i])), tuple(map(int, figures[i] - published[i])))
        for i, model in enumerate(table.models)
    ]


def weighted_apart(table: Table, sizes: tuple[int, ...]) -> list[float]:
    """For each row the micro-average of its published percentages less its published Overall, in points."""
    parts = np.array(sizes)
    apart = (table.parts * parts).sum(axis=1) / parts.sum() - table.overall
    return [round(float(one) / 100, 4) + 0.0 for one in apart]


def macro_apart(table: Table) -> list[float]:
    """The same for the plain mean of the three percentages."""
    return [float(one) / 100 for one in table.parts.mean(axis=1) - table.overall]


def row_lines(rows: list[Row], decimals: int) -> list[str]:
    """A Markdown table: counts, what they give, and the difference to the published figures."""
    lines = ["| model | counts | from the counts | less the published |", "| --- | --- | --- | --- |"]
    for row in rows:
        apart = " / ".join(_decimal(one, decimals, sign=True) for one in row.differences)
        given = " / ".join(_decimal(one, decimals) for one in row.figures)
        counts = " / ".join(map(str, row.counts))
        lines.append(f"| {row.model} | {counts} | {given} | {'none' if row.comes_out else apart} |")
    return lines


def _decimal(value: int, decimals: int, sign: bool = False) -> str:
    shown = f"{value / 10**decimals:{'+' if sign and value else ''}.{decimals}f}"
    return "0" if sign and not value else shown


def print_perception() -> None:
    table = read_table("perception")
    print(f"# Perception: {len(table.models)} complete rows\n")
    print(f"Sizes that explain most figures of a column (size: rows), up to {ALL_QUESTIONS:,}:")
    for name, figures in zip((*QUESTIONS, "overall"), (*table.parts.T, table.overall), strict=True):
        print(f"  {name:10}", ", ".join(f"{n}: {k}" for n, k in best_sizes(figures, ALL_QUESTIONS, table.scale, 8)))
    for bound, least in ((ALL_QUESTIONS, 2), (2 * ALL_QUESTIONS + 100, 5)):
        print(f"\nSizes of {bound:,} at most together whose micro-average explains {least} rows or more:")
        for one in candidates(table, bound, least):
            print(f"  {' / '.join(map(str, one.sizes))} = {sum(one.sizes):,}: {one.rows} rows")
    print("\nCounts of " + " / ".join(map(str, PERCEPTION_SIZES)) + ":\n")
    rows = perception_rows(table, PERCEPTION_SIZES)
    print("\n".join(row_lines(rows, 2)))
    print("\nOverall from the published percentages, less the published Overall: micro-average, plain mean")
    for model, micro, macro in zip(
        table.models, weighted_apart(table, PERCEPTION_SIZES), macro_apart(table), strict=True
    ):
        print(f"  {model:18} {micro:+.3f} {macro:+.2f}")
    print("\nSmaller sizes that give all four figures of a row that does not come out:")
    for at, row in enumerate(rows):
        if not row.comes_out:
            print(f"  {row.model}: {smaller_sizes(table, at, PERCEPTION_SIZES)}")


def print_reasoning(name: str) -> None:
    table, size = read_table(name), REASONING_SIZES[name]
    print(f"\n# Reasoning, {name.replace('_', '-')}: {len(table.models)} rows of four means\n")
    cells = table.parts.ravel()
    sizes = best_sizes(cells, ALL_REASONING, table.scale, 8)
    print(f"Sample sizes up to {ALL_REASONING} that explain most of {cells.size} means (size: means):")
    print(" ", ", ".join(f"{n}: {k}" for n, k in sizes))
    print(f"\nPoints of {size} samples:\n")
    rows = reasoning_rows(table, size)
    print("\n".join(row_lines(rows, 3)))
    print("\nSum of the published means, less the published Overall:")
    for model, apart in zip(table.models, table.parts.sum(axis=1) - table.overall, strict=True):
        print(f"  {model:18} {_decimal(int(apart), 3, sign=True)}")
    even = [row.model for row in rows if row.counts[-1] % 2 == 0]
    print(f"Quality accuracy sums that are even: {len(even)} of {len(rows)}")


def main() -> None:
    print_perception()
    for name in REASONING_SIZES:
        print_reasoning(name)


if __name__ == "__main__":
    main()
