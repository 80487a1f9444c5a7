"""A row a sample: all of them on one sheet, those of a modality on its own, with links to their images and pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import quote

from medqbench_vlmeval.benchmark import AXES, DIMENSION_TITLES, Comparable, Task
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.table import Column, Entry, Item, table
from medqbench_vlmeval.report.thumbnails import Thumbnail, find_image, make_thumbnails
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
_PICTURES = 200  # failed samples that are shown with their images, so that these take less than 5 MB
_IMAGES_A_PICTURE, _SIDE = 2, 96  # side in pixels

R = TypeVar("R")
Read: TypeAlias = tuple[Column, Callable[[R], Entry]]


def add_rows(sheet: Sheet, reads: Sequence[Read[R]], rows: Sequence[R], limit: int = _MAX_ROWS) -> int:
    """Write a row a record under filters, the first ``limit`` of them, and return the row of the heads. An optional
    column is left out where no record has a value."""
    values = [(column, [of(row) for row in rows[:limit]]) for column, of in reads]
    values = [pair for pair in values if not pair[0].optional or any(entry is not None for entry in pair[1])]
    columns, entries = zip(*values, strict=True)
    head = sheet.add_table(table("", columns, zip(*entries, strict=True)), filters=True)
    if len(rows) > limit:
        sheet.append()
        sheet.append([f"The first {limit:,} of {len(rows):,} samples; all of them are in {sheet.book.whole_text_in}."])
    return head


def options_text(options: Mapping[str, str]) -> str | None:
    """Options by letter, one a line."""
    return "\n".join(f"{letter}. {option}" for letter, option in options.items()) or None


def mark_entry(is_right: bool | None) -> Entry:
    """'yes', or 'no' in colour."""
    return None if is_right is None else Item(is_right, fill=None if is_right else "bad")


def judge_words(verdict: Verdict | None) -> str | None:
    """The judge's sentence on a dimension, else its reply, cut to 400 characters; None where there is none. Of several
    rounds or judges each one's words follow its name."""
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


def add_samples(book: Book, runs: Sequence[TaskRun], rows: Sequence[SampleRow], images: ImageFiles) -> None:
    """Write one row a sample in the file's order, with filters, a frozen head and links to the images. The first 200
    samples that failed show their images."""
    sheet = book.add_fixed(SAMPLES)
    is_perception = runs[0].task.is_choice
    # Scores that are copied from here into another sheet should carry their mark along.
    worst = Comparable.worst(run.result.comparable for run in runs)
    mark = None if worst is Comparable.YES else worst.value
    pictures = _pictures(rows, images)
    labels = _labels(runs)
    options: Read[SampleRow] = (
        Column("options", optional=1, width=30, wrap=True),
        lambda row: options_text(row.sample.options),
    )
    texts = [_QUESTION, options] if is_perception else [_field("sample.description", 60, wrap=True), _PREDICTION]
    reads = [
        *labels,
        (Column("picture", optional=not pictures), lambda _: None),
        *texts,
        *_results(is_perception, with_texts=True),
        _PREDICTION if is_perception else _QUESTION,
        (Column("judge's reasons", optional=1, width=60, wrap=True), _reasons),
        (
            Column("note", optional=1, width=30, wrap=True),
            lambda row: next((verdict.note for verdict in row.verdicts.values() if verdict.note), None),
        ),
        _UNSCORED,
        _CUT,
        _field("confidence"),
        *(_field(f"sample.{axis}") for axis in AXES),
        *_images(images),
        (Column("all images", optional=1, width=26, wrap=True), _all_images),
        (Column("comparable", optional=1), lambda _: mark),
    ]
    head = add_rows(sheet, reads, rows)
    for row, shown in pictures.items():
        for place, small in enumerate(shown):
            width, height = small.size
            scale = _SIDE / max(width, height)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            sheet.picture(head + 1 + row, 1 + len(labels), small.data, size, place * (_SIDE + 4))
    sheet.finish(freeze="B2", repeat_row=1)


def _pictures(rows: Sequence[SampleRow], images: ImageFiles) -> dict[int, list[Thumbnail]]:
    """The first images of failed samples that can be shown, by the sample's place."""
    # Each of two tasks has its share.
    most = _PICTURES // len({row.sample.task for row in rows} or {None})
    failed = [
        at
        for at, row in enumerate(rows[:_MAX_ROWS])
        if (not row.correct if row.sample.task.is_choice else row.error_kinds)
    ]
    failed = [at for task in Task for at in [of for of in failed if rows[of].sample.task is task][:most]]
    names = [(at, name) for at in failed for name in rows[at].sample.image_refs[:_IMAGES_A_PICTURE]]
    paths = [images.path(rows[at].sample.task, name) for at, name in names]
    pictures: dict[int, list[Thumbnail]] = {}
    if any(paths):
        for (at, _), small in zip(names, make_thumbnails(paths, for_cells=True), strict=True):
            if small is not None:
                pictures.setdefault(at, []).append(small)
    return pictures


def add_brief_samples(sheet: Sheet, runs: Sequence[TaskRun], rows: Sequence[SampleRow], images: ImageFiles) -> int:
    """Write the samples of one modality below its tables, without what its sheet says already; returns their head."""
    is_perception = runs[0].task.is_choice
    # The sheet's own tables, wider for judged runs, stand above these columns: the narrow ones come first.
    axes = [_field(f"sample.{axis}") for axis in (AXES[1:3] if is_perception else AXES[2:])]
    shown = [*axes, *_images(images), *_results(is_perception), _UNSCORED, _QUESTION, _PREDICTION, _CUT]
    return add_rows(sheet, [*_labels(runs), *shown], rows, _MAX_ROWS_BY_MODALITY)


def _field(path: str, width: float = 14, head: str = "", *, optional: int = 1, wrap: bool = False) -> Read[SampleRow]:
    """A column of what a row has at a path, under the path's last name."""
    return Column(head or path.rpartition(".")[2], optional=optional, width=width, wrap=wrap), attrgetter(path)


_QUESTION, _UNSCORED = _field("sample.question", 44, wrap=True), _field("unscored", 30, wrap=True)
_PREDICTION = _field("prediction.text", 60, "prediction", optional=0, wrap=True)
_CUT: Read[SampleRow] = (Column("prediction_cut", optional=1), lambda row: row.prediction.cut or None)


def _labels(runs: Sequence[TaskRun]) -> list[Read[SampleRow]]:
    return [_field("sample.index", optional=0), _field("sample.task.value", head="task")][: 1 + (len(runs) > 1)]


def _results(is_perception: bool, with_texts: bool = False) -> list[Read[SampleRow]]:
    if is_perception:

        def letter(name: str) -> Read[SampleRow]:
            """A letter, with the text of its option."""
            of = attrgetter(name)

            def read(row: SampleRow) -> str | None:
                chosen: str | None = of(row)
                text = row.sample.options.get(chosen) if chosen and with_texts else None
                return f"{chosen}. {text}" if text else chosen

            return Column(name.rpartition(".")[2], width=28, wrap=with_texts), read

        return [
            letter("sample.answer"),
            letter("extracted"),
            (Column("correct"), lambda row: mark_entry(row.correct)),
            _field("rule"),
            (Column("extractor", optional=1, width=28, wrap=True), _extractor),
        ]
    titles = DIMENSION_TITLES.items()
    marks = [(Column(title, "mark"), partial(SampleRow.score_on, dimension=name)) for name, title in titles]
    return [*marks, (Column("Sum", "mark"), attrgetter("score"))]


def _reasons(row: SampleRow) -> str | None:
    reasons = {title: _words_of(row.verdicts.get(name), with_reply=False) for name, title in DIMENSION_TITLES.items()}
    return "\n".join(f"{title}: {words}" for title, words in reasons.items() if words) or None


def _extractor(row: SampleRow) -> str | None:
    """What the extractor read where the rules left a reply open."""
    if row.choice is None:
        return None
    return f"failed: {row.choice.reason}" if row.choice.reason else letter_of(row.choice.score) or "no answer"


def _images(images: ImageFiles) -> list[Read[SampleRow]]:
    def image(position: int, row: SampleRow) -> Entry:
        names = row.sample.image_refs[position : position + 1]
        return Item(_short(names[0]), link=images.link(row.sample.task, names[0])) if names else None

    return [(Column(f"image {at + 1}", optional=1), partial(image, at)) for at in range(_LINKED_IMAGES)]


def _short(name: str) -> str:
    """A name made from content by its first characters, which tell it from others."""
    return f"{name[:12]}…{name[64:]}" if is_content_name(name) else name


def _all_images(row: SampleRow) -> str | None:
    """The names of a sample's images where it has more of them than columns."""
    images = row.sample.image_refs
    if len(images) <= _LINKED_IMAGES:
        return None
    names = ", ".join(images[:_MANY_IMAGES])
    return names if len(images) <= _MANY_IMAGES else f"{names} and {len(images) - _MANY_IMAGES:,} more"


class ImageFiles:
    """Where the images of a run's samples lie, each looked for once, as a plain name: in ``images`` beside the
    workbook, in the image store and, of a task that was scored on the embedded set, in that."""

    def __init__(self, runs: Sequence[TaskRun], folder: Path) -> None:
        """``folder`` is where the workbook will lie; links are relative to it."""
        self._folder, self._store = folder.resolve(), ImageStore.default()
        self._has_store, beside = self._store.root.is_dir(), self._folder / "images"
        self._beside = beside if beside.is_dir() else None
        self._embedded = {run.task for run in runs if run.data.origin == "embedded"}
        self.path, self.link = cache(self._path), cache(self._link)

    def _path(self, task: Task, name: str) -> Path | None:
        """The file of an image, None where there is none."""
        if (path := find_image(self._beside, name)) is not None:
            return path
        if is_content_name(name):
            path = self._store.place(name)
            return path if self._has_store and path.is_file() else None
        return find_image(embedded_folder() / "images" if task in self._embedded else None, name)

    def _link(self, task: Task, name: str) -> str | None:
        """Its address from the workbook, percent-escaped; None where there is none or it is on another drive."""
        if (path := self.path(task, name)) is None:
            return None
        try:
            link = quote(os.path.relpath(path, self._folder).replace(os.sep, "/"))
        except ValueError:
            return None
        return link if len(link) <= _LONGEST_LINK else None
