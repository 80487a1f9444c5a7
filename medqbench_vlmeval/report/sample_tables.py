"""A row a sample: all of them on one sheet, those of a modality on its own, and the links to their images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import quote

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Comparable, Task
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.table import Column, Entry, Item, table
from medqbench_vlmeval.types import SampleRow, TaskRun, Verdict

SAMPLES = "Samples"
# Nobody reads a hundred thousand rows in a spreadsheet, and they would be most of an evaluation's time; the
# benchmark's own tasks are far below. The JSONL beside the workbook has them all.
_MAX_ROWS = 10_000
_MAX_ROWS_BY_MODALITY = 2_000
_LINKED_IMAGES = 4  # a sample; the benchmark's have one or two
_MANY_IMAGES = 20
_WORDS = 400  # characters of what a judge said
_LONGEST_LINK = 2_000  # characters; spreadsheets take 2,079 at most
_EMBEDDED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(?:png|jpg)")

R = TypeVar("R")
Read: TypeAlias = tuple[Column, Callable[[R], Entry]]
ImageLinks: TypeAlias = Callable[[Task, str], "str | None"]
_AXES = ("modality", "question_type", "severity", "scope", "source", "difficulty", "degradation")


def add_rows(sheet: Sheet, reads: Sequence[Read[R]], rows: Sequence[R], limit: int = _MAX_ROWS) -> int:
    """Write a row a record under filters, the first ``limit`` of them, and return the row of the heads.

    An optional column is left out where no record has a value.
    """
    values = [(column, [of(row) for row in rows[:limit]]) for column, of in reads]
    values = [pair for pair in values if not pair[0].optional or any(entry is not None for entry in pair[1])]
    columns, entries = zip(*values, strict=True)
    head = sheet.add_table(table("", columns, zip(*entries, strict=True)), filters=True)
    if len(rows) > limit:
        sheet.append()
        where = sheet.book.whole_text_in
        sheet.append([f"The first {limit:,} of {len(rows):,} samples; all of them are in {where}."])
    return head


def options_text(options: Mapping[str, str]) -> str | None:
    """Options by letter, one a line."""
    return "\n".join(f"{letter}. {option}" for letter, option in options.items()) or None


def mark_entry(is_right: bool | None) -> Entry:
    """'yes' or 'no', coloured."""
    return None if is_right is None else Item(is_right, fill="good" if is_right else "human")


def judge_words(verdict: Verdict | None) -> str | None:
    """The judge's sentence on a dimension, else its reply, cut to 400 characters; None where there is none.

    Of several rounds or judges each one's words follow its name.
    """
    words = _words_of(verdict, with_reply=True)
    return f"{words[: _WORDS - 2]} …" if len(words) > _WORDS else words or None


def _words_of(verdict: Verdict | None, with_reply: bool) -> str:
    if verdict is None:
        return ""
    if verdict.parts:
        parts = {name: _words_of(part, with_reply) for name, part in verdict.parts.items()}
        labels = {name: f"round {name}" if name.isdigit() else name for name in parts}
        return "\n".join(f"{labels[name]}: {words}" for name, words in parts.items() if words)
    return " ".join((verdict.explanation or (verdict.reply if with_reply else "")).split())


def add_samples(book: Book, runs: Sequence[TaskRun], rows: Sequence[SampleRow], links: ImageLinks) -> None:
    """Write one row a sample in the file's order, with filters, a frozen head and links to the images."""
    sheet = book.add_fixed(SAMPLES)
    is_perception = runs[0].task is Task.PERCEPTION
    options: Read[SampleRow] = (
        Column("options", optional=1, width=30, wrap=True),
        lambda row: options_text(row.sample.options),
    )
    # Scores that are copied from here into another sheet should carry their mark along.
    worst = Comparable.worst(run.result.comparable for run in runs)
    mark = None if worst is Comparable.YES else worst.value
    reads = [
        *_labels(runs, 15, _AXES),
        *_images(links),
        (Column("all images", optional=1, width=26), _all_images),
        _QUESTION,
        options if is_perception else _field("sample.description", 60, wrap=True),
        *_results(is_perception),
        (Column("comparable", optional=1, width=12), lambda _: mark),
        (Column("judge's reasons", optional=1, width=60, wrap=True), _reasons),
        (
            Column("note", optional=1, width=30, wrap=True),
            lambda row: next((verdict.note for verdict in row.verdicts.values() if verdict.note), None),
        ),
        _UNSCORED,
        _field("prediction.text", 80, "prediction", optional=0, wrap=True),
        _CUT,
    ]
    add_rows(sheet, reads, rows)
    sheet.finish(freeze="B2", repeat_row=1)


def add_brief_samples(sheet: Sheet, runs: Sequence[TaskRun], rows: Sequence[SampleRow], links: ImageLinks) -> int:
    """Write the samples of one modality below its tables, without what its sheet says already; returns their head."""
    is_perception = runs[0].task is Task.PERCEPTION
    # The sheet's own tables, wider for judged runs, stand above these columns: the narrow ones come first.
    labels = _labels(runs, 13, _AXES[1:3] if is_perception else _AXES[2:])
    prediction = _field("prediction.text", 60, "prediction", optional=0, wrap=True)
    reads = [*labels, *_images(links), *_results(is_perception), _UNSCORED, _QUESTION, prediction, _CUT]
    return add_rows(sheet, reads, rows, _MAX_ROWS_BY_MODALITY)


def _field(path: str, width: float = 14, head: str = "", *, optional: int = 1, wrap: bool = False) -> Read[SampleRow]:
    """A column of what a row has at a path, under the path's last name."""
    return Column(head or path.rpartition(".")[2], optional=optional, width=width, wrap=wrap), attrgetter(path)


_QUESTION, _UNSCORED = _field("sample.question", 44, wrap=True), _field("unscored", 30, wrap=True)
_CUT: Read[SampleRow] = (Column("prediction_cut", optional=1, width=15), lambda row: row.prediction.cut or None)


def _labels(runs: Sequence[TaskRun], width: float, axes: Sequence[str]) -> list[Read[SampleRow]]:
    task = [_field("sample.task.value", head="task")] if len(runs) > 1 else []
    return [_field("sample.index", 22, optional=0), *task, *(_field(f"sample.{axis}", width) for axis in axes)]


def _results(is_perception: bool) -> list[Read[SampleRow]]:
    if is_perception:
        return [
            _field("sample.answer", 10, optional=0),
            _field("extracted", 10, optional=0),
            (Column("correct", width=10), lambda row: mark_entry(row.correct)),
            _field("rule", 22),
            (Column("extractor", optional=1, wrap=True), _extractor),
        ]
    titles = DIMENSION_TITLES.items()
    marks = [(Column(title, "mark"), partial(SampleRow.score_on, dimension=name)) for name, title in titles]
    return [*marks, (Column("Sum", "mark", width=10), attrgetter("score"))]


def _reasons(row: SampleRow) -> str | None:
    reasons = {title: _words_of(row.verdicts.get(name), with_reply=False) for name, title in DIMENSION_TITLES.items()}
    return "\n".join(f"{title}: {words}" for title, words in reasons.items() if words) or None


def _extractor(row: SampleRow) -> str | None:
    """What the extractor read where the rules left a reply open."""
    if row.choice is None:
        return None
    return f"failed: {row.choice.reason}" if row.choice.reason else letter_of(row.choice.score) or "no answer"


def _images(links: ImageLinks) -> list[Read[SampleRow]]:
    def image(position: int, row: SampleRow) -> Entry:
        names = row.sample.image_refs[position : position + 1]
        return Item(names[0], link=links(row.sample.task, names[0])) if names else None

    return [(Column(f"image {at + 1}", optional=1), partial(image, at)) for at in range(_LINKED_IMAGES)]


def _all_images(row: SampleRow) -> str | None:
    """The names of a sample's images where it has more of them than columns."""
    images = row.sample.image_refs
    if len(images) <= _LINKED_IMAGES:
        return None
    names = ", ".join(images[:_MANY_IMAGES])
    return names if len(images) <= _MANY_IMAGES else f"{names} and {len(images) - _MANY_IMAGES:,} more"


def image_links(runs: Sequence[TaskRun], folder: Path) -> ImageLinks:
    """What finds the images of a run's samples on this machine, each file once.

    A sample row names its images without their folders. The name is somebody else's text: it is looked up where this
    package keeps images, under a pattern that leaves no way out of that folder, and linked where such a file exists.

    Args:
        runs: the run's tasks; the images of the embedded set are looked for where a task was scored on it.
        folder: where the workbook will lie; links are relative to it where that is possible.

    Returns:
        A function that gives the address of one image of a sample, percent-escaped, or None where there is no such
        file here.
    """
    store, folder = ImageStore.default(), folder.absolute()
    embedded_tasks = {run.task for run in runs if run.data.origin == "embedded"}

    @cache
    def address(name: str, embedded: bool) -> str | None:
        if is_content_name(name):
            path = store.place(name)
        elif embedded and _EMBEDDED.fullmatch(name):
            path = embedded_folder() / "images" / name
        else:
            return None
        try:
            link = quote(os.path.relpath(path, folder).replace(os.sep, "/")) if path.is_file() else ""
        except ValueError:  # they share no drive
            link = path.as_uri()
        except OSError:  # a folder that may not be looked into
            return None
        return link if 0 < len(link) <= _LONGEST_LINK else None

    return lambda task, name: address(name, task in embedded_tasks)
