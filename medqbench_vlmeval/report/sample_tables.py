"""A row a sample: all of them on one sheet, those of a modality on its own, and the links to their images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import quote

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Task
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.table import Column, Entry, Item, Row, Table, as_item
from medqbench_vlmeval.types import SampleRow, TaskRun, Verdict

SAMPLES = "Samples"
# Nobody reads a hundred thousand rows in a spreadsheet, and they would be most of an evaluation's time; the
# benchmark's own tasks are far below. The JSONL beside the workbook has them all.
MAX_ROWS = 10_000
MAX_ROWS_BY_MODALITY = 2_000
_LINKED_IMAGES = 4  # a sample; the benchmark's have one or two
_MANY_IMAGES = 20
_WORDS = 400  # characters of what a judge said
_LONGEST_LINK = 2_000  # characters; spreadsheets take 2,079 at most
_EMBEDDED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(?:png|jpg)")

R = TypeVar("R")
Read: TypeAlias = tuple[Column, Callable[[R], Entry]]


def rows_table(reads: Sequence[Read[R]], rows: Sequence[R]) -> Table:
    """A table with a row a record; an optional column is left out where no record has a value."""
    read = [[as_item(of(row), column.kind) for column, of in reads] for row in rows]
    shown = [
        at
        for at, (column, _) in enumerate(reads)
        if not column.optional or any(items[at].value is not None for items in read)
    ]
    return Table("", [reads[at][0] for at in shown], [Row([items[at] for at in shown]) for items in read])


def add_rows(sheet: Sheet, reads: Sequence[Read[R]], rows: Sequence[R], limit: int = MAX_ROWS) -> int:
    """Write a row a record under filters, the first ``limit`` of them, and return the row of the heads."""
    head = sheet.add_table(rows_table(reads, rows[:limit]), filters=True)
    if len(rows) > limit:
        sheet.append()
        where = sheet.book.whole_text_in
        sheet.append([f"The first {limit:,} of {len(rows):,} samples; all of them are in {where}."])
    return head


def options_text(options: dict[str, str]) -> str | None:
    """Options by letter, one a line."""
    return "\n".join(f"{letter}. {option}" for letter, option in options.items()) or None


def mark_entry(is_right: bool | None) -> Entry:
    """'yes' or 'no', coloured."""
    return None if is_right is None else Item(is_right, fill="good" if is_right else "human")


def judge_words(verdict: Verdict | None) -> str | None:
    """The judge's sentence on a dimension, else its reply, cut to 400 characters; None where there is none.

    Of several rounds or judges each one's words follow its name.
    """
    words = _said(verdict, with_reply=True)
    return f"{words[: _WORDS - 2]} …" if len(words) > _WORDS else words or None


def _said(verdict: Verdict | None, with_reply: bool) -> str:
    if verdict is None:
        return ""
    if verdict.parts:
        parts = {name: _said(part, with_reply) for name, part in verdict.parts.items()}
        labels = {name: f"round {name}" if name.isdigit() else name for name in parts}
        return "\n".join(f"{labels[name]}: {words}" for name, words in parts.items() if words)
    return " ".join((verdict.explanation or (verdict.reply if with_reply else "")).split())


def add_samples(book: Book, runs: Sequence[TaskRun], rows: Sequence[SampleRow], links: ImageLinks) -> None:
    """Write one row a sample in the file's order, with filters, a frozen head and links to the images."""
    sheet = book.add_fixed(SAMPLES)
    add_rows(sheet, _columns(runs, links), rows)
    sheet.finish(freeze="B2", repeat_row=1)


def add_brief_samples(sheet: Sheet, runs: Sequence[TaskRun], rows: Sequence[SampleRow], links: ImageLinks) -> int:
    """Write the samples of one modality below its tables, without what its sheet says already; returns their head."""
    return add_rows(sheet, _brief_columns(runs, links), rows, MAX_ROWS_BY_MODALITY)


def _columns(runs: Sequence[TaskRun], links: ImageLinks) -> list[Read[SampleRow]]:
    perception = runs[0].task is Task.PERCEPTION
    # Scores that are copied from here into another sheet should carry their mark along.
    comparable: list[Read[SampleRow]] = [(Column("comparable", width=12), lambda _: "no")]
    said: list[Read[SampleRow]] = [
        (Column("judge's reasons", optional=1, width=60, wrap=True), _reasons),
        (Column("note", optional=1, width=30, wrap=True), _note),
    ]
    return [
        *_labels(runs),
        *(_axis(name, 15) for name in _AXES),
        *_images(links),
        (Column("all images", optional=1, width=26), _all_images),
        _QUESTION,
        _OPTIONS if perception else _DESCRIPTION,
        *_results(perception),
        *([] if all(run.result.comparable for run in runs) else comparable),
        *([] if perception else said),
        _UNSCORED,
        (Column("prediction", width=80, wrap=True), lambda row: row.prediction.text),
        _CUT,
    ]


def _brief_columns(runs: Sequence[TaskRun], links: ImageLinks) -> list[Read[SampleRow]]:
    perception = runs[0].task is Task.PERCEPTION
    # The sheet's own tables, wider for judged runs, stand above these columns: the narrow ones come first.
    return [
        *_labels(runs),
        *(_axis(name, 13) for name in (_AXES[1:3] if perception else _AXES[2:])),
        *_images(links),
        *_results(perception),
        _UNSCORED,
        _QUESTION,
        (Column("prediction", width=60, wrap=True), lambda row: row.prediction.text),
        _CUT,
    ]


def _labels(runs: Sequence[TaskRun]) -> list[Read[SampleRow]]:
    task: Read[SampleRow] = (Column("task", optional=1), lambda row: row.sample.task.value)
    return [(Column("index", width=22), lambda row: row.sample.index), *([task] if len(runs) > 1 else [])]


def _results(perception: bool) -> list[Read[SampleRow]]:
    if perception:
        return [
            (Column("answer", width=10), lambda row: row.sample.answer),
            (Column("extracted", width=10), lambda row: row.extracted),
            (Column("correct", width=10), lambda row: mark_entry(row.correct)),
            (Column("rule", optional=1, width=22), lambda row: row.rule),
            (Column("extractor", optional=1, wrap=True), _extractor),
        ]
    dimensions = [_score(dimension, title) for dimension, title in DIMENSION_TITLES.items()]
    return [*dimensions, (Column("Sum", "mark", width=10), lambda row: row.score)]


_AXES = ("modality", "question_type", "severity", "scope", "source", "difficulty", "degradation")


def _axis(name: str, width: float) -> Read[SampleRow]:
    return Column(name, optional=1, width=width), lambda row: getattr(row.sample, name)


def _score(dimension: str, title: str) -> Read[SampleRow]:
    return Column(title, "mark"), lambda row: verdict.score if (verdict := row.verdicts.get(dimension)) else None


_QUESTION: Read[SampleRow] = (Column("question", optional=1, width=44, wrap=True), lambda row: row.sample.question)
_OPTIONS: Read[SampleRow] = (
    Column("options", optional=1, width=30, wrap=True),
    lambda row: options_text(dict(row.sample.options)),
)
_DESCRIPTION: Read[SampleRow] = (
    Column("description", optional=1, width=60, wrap=True),
    lambda row: row.sample.description,
)
_UNSCORED: Read[SampleRow] = (Column("unscored", optional=1, width=30, wrap=True), lambda row: row.unscored)
_CUT: Read[SampleRow] = (Column("prediction_cut", optional=1, width=15), lambda row: row.prediction.cut or None)


def _reasons(row: SampleRow) -> str | None:
    said = {title: _said(row.verdicts.get(name), with_reply=False) for name, title in DIMENSION_TITLES.items()}
    return "\n".join(f"{title}: {words}" for title, words in said.items() if words) or None


def _note(row: SampleRow) -> str | None:
    return next((verdict.note for verdict in row.verdicts.values() if verdict.note), None)


def _extractor(row: SampleRow) -> str | None:
    """What the extractor read where the rules left a reply open."""
    if row.choice is None:
        return None
    return f"failed: {row.choice.reason}" if row.choice.reason else letter_of(row.choice.score) or "no answer"


def _images(links: ImageLinks) -> list[Read[SampleRow]]:
    def image(position: int) -> Read[SampleRow]:
        def read(row: SampleRow) -> Entry:
            if len(row.sample.image_refs) <= position:
                return None
            name = row.sample.image_refs[position]
            return Item(name, link=links.of(row.sample.task, name))

        return Column(f"image {position + 1}", optional=1), read

    return [image(position) for position in range(_LINKED_IMAGES)]


def _all_images(row: SampleRow) -> str | None:
    """The names of a sample's images where it has more of them than columns."""
    images = row.sample.image_refs
    if len(images) <= _LINKED_IMAGES:
        return None
    shown = ", ".join(images[:_MANY_IMAGES])
    return shown if len(images) <= _MANY_IMAGES else f"{shown} and {len(images) - _MANY_IMAGES:,} more"


class ImageLinks:
    """Finds the images of a run's samples on this machine, each file once.

    A sample row names its images without their folders. The name is somebody else's text: it is looked up where this
    package keeps images, under a pattern that leaves no way out of that folder, and linked where such a file exists.

    Args:
        runs: the run's tasks; the images of the embedded set are looked for where a task was scored on it.
        folder: where the workbook will lie; links are relative to it where that is possible.
    """

    def __init__(self, runs: Sequence[TaskRun], folder: Path) -> None:
        self._store = ImageStore.default()
        self._embedded = embedded_folder() / "images"
        self._embedded_tasks = {run.task for run in runs if run.data.origin == "embedded"}
        self._folder = folder.absolute()
        self._known: dict[tuple[str, bool], str | None] = {}

    def of(self, task: Task, name: str) -> str | None:
        """The address of one image of a sample, percent-escaped, or None where there is no such file here."""
        key = (name, task in self._embedded_tasks)
        if key not in self._known:
            self._known[key] = self._address(*key)
        return self._known[key]

    def _address(self, name: str, embedded: bool) -> str | None:
        if is_content_name(name):
            path = self._store.place(name)
        elif embedded and _EMBEDDED.fullmatch(name):
            path = self._embedded / name
        else:
            return None
        try:
            if not path.is_file():
                return None
        except OSError:  # a folder that may not be looked into
            return None
        address = _link_to(path, self._folder)
        return address if len(address) <= _LONGEST_LINK else None


def _link_to(path: Path, folder: Path) -> str:
    """The address of an absolute path for a file in ``folder``: relative, or absolute where they share no drive."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:
        return path.as_uri()
    return quote(relative.replace(os.sep, "/"))
