"""All samples on one sheet, and the columns that the modality sheets share with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Task
from medqbench_vlmeval.report.sheet import COUNT, LINK, TEXT, WRAPPED, Book, ImageLinks, Item, Sheet, Style, lines_of
from medqbench_vlmeval.runs.result import RunPart, mapping, number, text

# What a judge said on a verdict, short enough for a table.


LIMIT = 400


def judge_words(verdict: object, limit: int = LIMIT) -> str | None:
    """The judge's sentence on a dimension, else its reply, cut to ``limit`` characters; None where there is none.

    Of several rounds or judges each one's words follow its name.

    Args:
        verdict: a verdict out of a sample row, as the file has it.
        limit: characters.
    """
    said = _said(mapping(verdict), ("explanation", "reply"))
    return f"{said[: limit - 2]} …" if said and len(said) > limit else said or None


def explanation(verdict: object) -> str | None:
    """The judge's sentences on a dimension alone, whole; None where it was not asked for any."""
    return _said(mapping(verdict), ("explanation",)) or None


def _said(verdict: Any, names: tuple[str, ...]) -> str:
    parts = mapping(verdict.get("parts"))
    if parts:
        found = {name: _said(mapping(part), names) for name, part in parts.items()}
        labels = {name: f"round {name}" if name.isdigit() else name for name in found}
        return "\n".join(f"{labels[name]}: {words}" for name, words in found.items() if words)
    said = next((words for name in names if (words := text(verdict.get(name)))), "")
    return " ".join(said.split())


SAMPLES = "Samples"

# Nobody reads a hundred thousand rows in a spreadsheet, and they would be most of an evaluation's time; the
# benchmark's own tasks are far below. The JSONL beside the workbook has them all.
MAX_ROWS = 10_000
MAX_ROWS_BY_MODALITY = 2_000

_CORRECT = Style(fill="good")
_WRONG = Style(fill="human")
_WHOLE, _BETWEEN = Style(COUNT), Style("0.00")
_LINKED_IMAGES = 4  # a sample; the benchmark's have one or two
_MANY_IMAGES = 20


@dataclass(frozen=True)
class Column:
    """``read`` gives a sample's item; ``optional`` columns are left out where no sample has a value."""

    head: str
    width: float
    read: Callable[[Mapping[str, Any]], Item]
    optional: bool = False
    wraps: bool = False


def add_samples(book: Book, parts: Sequence[RunPart], rows: Sequence[Mapping[str, Any]], links: ImageLinks) -> None:
    """Write one row a sample in the file's order, with filters, a frozen head and links to the images."""
    sheet = book.add_fixed(SAMPLES)
    columns = columns_for(parts, links, brief=False)
    write_table(sheet, columns, rows, MAX_ROWS)
    sheet.finish(freeze="B2", repeat_row=1)


def write_table(sheet: Sheet, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], limit: int) -> int:
    """Write the columns' heads and a row a sample from the next row on, under an autofilter.

    Of more than ``limit`` samples the first are written, and a line below says how many there are and where.

    Returns:
        The row of the heads.
    """
    table = [[column.read(row) for column in columns] for row in rows[:limit]]
    kept = [
        position
        for position, column in enumerate(columns)
        if not column.optional or any(items[position].value is not None for items in table)
    ]
    sheet.widths([columns[position].width for position in kept])
    # Filter buttons take two characters of a head.
    head = max((lines_of(columns[position].head, columns[position].width - 2) for position in kept), default=1)
    first = sheet.header([columns[position].head for position in kept], lines=head)
    for items in table:
        lines = 1
        for position in kept:
            value = items[position].value
            if columns[position].wraps and isinstance(value, str):
                lines = max(lines, lines_of(value, columns[position].width))
        sheet.append([items[position] for position in kept], lines=lines)
    sheet.table(first, len(kept))
    if len(rows) > limit:
        sheet.append()
        where = sheet.book.whole_text_in
        sheet.append([Item(f"The first {limit:,} of {len(rows):,} samples; all of them are in {where}.")])
    return first


def columns_for(parts: Sequence[RunPart], links: ImageLinks, brief: bool) -> list[Column]:
    """The sample columns of a run's tasks; ``brief`` ones leave out what the modality's sheet says already."""
    images = [_image(position, links) for position in range(_LINKED_IMAGES)]
    long = {
        "question": _text("question", 44, wraps=True),
        "options": Column("options", 30, _options, optional=True, wraps=True),
        "description": _text("description", 60, wraps=True),
        "unscored": _text("unscored", 30, wraps=True),
        "prediction": _text("prediction", 60 if brief else 80, optional=False, wraps=True),
    }
    labels = [_text("index", 22, optional=False), *([_text("task", 14)] if len(parts) > 1 else [])]
    cut = Column("prediction_cut", 15, _cut, optional=True)
    if parts[0].task is Task.PERCEPTION:
        found = [
            _text("answer", 10, optional=False),
            _text("extracted", 10, optional=False),
            Column("correct", 10, _correct),
            _text("rule", 22),
            _EXTRACTOR,
        ]
        asked = [long["question"], long["options"]]
    else:
        found = [
            *(_score(dimension, title) for dimension, title in DIMENSION_TITLES.items()),
            Column("Sum", 10, lambda row: score_item(row.get("score"))),
        ]
        asked = [long["question"], long["description"]]
    if brief:
        # The sheet's own tables, wider for judged runs, stand above these columns: the narrow ones come first, so that
        # both fit.
        names = _AXES[1:3] if parts[0].task is Task.PERCEPTION else _AXES[2:]
        brief_axes = [_text(name, 13) for name in names]
        return [*labels, *brief_axes, *images, *found, long["unscored"], long["question"], long["prediction"], cut]
    axes = [*(_text(name, 15) for name in _AXES), *images, Column("all images", 26, _all_images, optional=True)]
    # Scores that are copied from here into another sheet should carry their mark along.
    mark = [] if all(part.comparable for part in parts) else [Column("comparable", 12, lambda _: Item("no", TEXT))]
    said = [] if parts[0].task is Task.PERCEPTION else [_REASONS, _NOTE]
    return [*labels, *axes, *asked, *found, *mark, *said, long["unscored"], long["prediction"], cut]


_AXES = ("modality", "question_type", "severity", "scope", "source", "difficulty", "degradation")


def _cut(row: Mapping[str, Any]) -> Item:
    return Item(True if row.get("prediction_cut") else None)


def _text(name: str, width: float, optional: bool = True, wraps: bool = False) -> Column:
    style = WRAPPED if wraps else TEXT

    def read(row: Mapping[str, Any]) -> Item:
        value = row.get(name)
        return Item(None if value is None else str(value), style)

    return Column(name, width, read, optional=optional, wraps=wraps)


def _score(dimension: str, title: str) -> Column:
    return Column(title, 14, lambda row: score_item(sample_score(row, dimension)))


def score_item(value: object) -> Item:
    """A sample's score: the mean of rounds and the median of judges may lie between the marks, and must look so."""
    found = number(value)
    return Item(found, _WHOLE if found is None or found == int(found) else _BETWEEN)


def sample_score(row: Mapping[str, Any], dimension: str) -> float | None:
    """A sample's verdict on one dimension, None where there is none."""
    return number(mapping(row.get("scores")).get(dimension))


def _correct(row: Mapping[str, Any]) -> Item:
    value = row.get("correct")
    return Item(value, _CORRECT if value else _WRONG) if isinstance(value, bool) else Item(None)


def _reasons(row: Mapping[str, Any]) -> Item:
    verdicts = mapping(row.get("verdicts"))
    said = {
        title: words for dimension, title in DIMENSION_TITLES.items() if (words := explanation(verdicts.get(dimension)))
    }
    return Item("\n".join(f"{title}: {words}" for title, words in said.items()) or None, WRAPPED)


def _note(row: Mapping[str, Any]) -> Item:
    notes = (mapping(verdict).get("note") for verdict in mapping(row.get("verdicts")).values())
    return Item(next((str(note) for note in notes if note), None), WRAPPED)


_REASONS = Column("judge's reasons", 60, _reasons, optional=True, wraps=True)
_NOTE = Column("note", 30, _note, optional=True, wraps=True)


def _extractor(row: Mapping[str, Any]) -> Item:
    """What the extractor read where the rules left a reply open."""
    found = mapping(row.get("extractor"))
    if not found:
        return Item(None)
    if found.get("reason"):
        return Item(f"failed: {found['reason']}", WRAPPED)
    return Item(str(found.get("letter") or "no answer"), WRAPPED)


_EXTRACTOR = Column("extractor", 14, _extractor, optional=True, wraps=True)


def _image(position: int, links: ImageLinks) -> Column:
    def read(row: Mapping[str, Any]) -> Item:
        images = row.get("images")
        if not isinstance(images, (list, tuple)) or len(images) <= position:
            return Item(None)
        name = str(images[position])
        address = links.of(row, name)
        return Item(name, TEXT if address is None else LINK, address)

    return Column(f"image {position + 1}", 14, read, optional=True)


def _all_images(row: Mapping[str, Any]) -> Item:
    """The names of a sample's images where it has more of them than columns."""
    images = row.get("images")
    if not isinstance(images, (list, tuple)) or len(images) <= _LINKED_IMAGES:
        return Item(None)
    shown = ", ".join(str(image) for image in images[:_MANY_IMAGES])
    return Item(shown if len(images) <= _MANY_IMAGES else f"{shown} and {len(images) - _MANY_IMAGES:,} more")


def _options(row: Mapping[str, Any]) -> Item:
    options = mapping(row.get("options"))
    return Item("\n".join(f"{letter}. {option}" for letter, option in options.items()) or None, WRAPPED)
