"""Predictions put beside the samples that they answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from medqbench_vlmeval.benchmark import REASONING_PREFIX, Task, own_index
from medqbench_vlmeval.data.columns import IMAGE_MEANINGS, Columns, find_columns, resolve_columns
from medqbench_vlmeval.data.image_cells import row_names
from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.data.samples import SampleBuilder, tell_task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions.files import PredictionTable
from medqbench_vlmeval.types import ColumnUse, Prediction, PredictionStatus, Sample

_NAMED = 5


def join(samples: Sequence[Sample], table: PredictionTable) -> list[Prediction]:
    """One prediction a sample, in the samples' order and under their indexes.

    Indexes meet by their text, else by their number ('7', '07' and '7.0') where that number is one sample's only.
    A sample without a prediction gets one with the status ``MISSING``.

    Raises:
        BadInput: the file has an index that no sample has, or two rows meet the same sample.
    """
    known = {sample.index for sample in samples}
    numbers: Counter[str] = Counter()
    by_number: dict[str, str] = {}
    if not all(prediction.index in known for prediction in table.predictions):
        numbers.update(canonical_index(index) for index in known)
        by_number = {canonical_index(index): index for index in known}
    found: dict[str, Prediction] = {}
    strangers: list[str] = []
    for prediction in table.predictions:
        index = prediction.index
        if index not in known:
            number = canonical_index(index)
            index = by_number[number] if numbers[number] == 1 else ""
        if not index:
            strangers.append(prediction.index)
            continue
        if index in found:
            raise BadInput(
                f"{table.path}: the indexes '{found[index].index}' and '{prediction.index}' both mean sample "
                f"'{index}'; remove one of the rows."
            )
        found[index] = prediction
    if strangers:
        named = ", ".join(f"'{index[:60]}'" for index in strangers[:_NAMED])
        more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
        raise BadInput(
            f"{table.path}: the index {named}{more} is not in the data ({len(samples)} samples); are these predictions "
            "of another dataset?"
        )
    return [_of(sample.index, found.get(sample.index)) for sample in samples]


def _of(index: str, prediction: Prediction | None) -> Prediction:
    if prediction is None:
        return Prediction(index, "", PredictionStatus.MISSING)
    if prediction.index == index:
        return prediction
    return Prediction(index, prediction.text, prediction.status, prediction.cut)


# Samples from a prediction file's own columns, for scoring it without the data file.


_OWN_COLUMNS = {"task", "prediction", "data_sha256", "data_revision", "prompt_style"}
_PAIR = re.compile(
    r"\b(?:both|two) images\b|\b(?:first|second|left|right|former|latter|other) (?:image|one|picture|scan|slice)\b"
    r"|\bimages? ?(?:[12AB]\b|one\b|two\b)",
    re.IGNORECASE,
)
_LEVEL = re.compile(r"\bquality\b[^.]*\b(?:good|usable|reject(?:ed)?)\b|\b(?:good|usable|reject)\b\W*\Z", re.IGNORECASE)


def samples_from_table(table: PredictionTable) -> tuple[Task, list[Sample], dict[Task, ColumnUse]]:
    """Rebuild the samples that a prediction file repeats, without their images, and say how its columns were used.

    What the file calls the images (``image_refs``) is kept, so that samples which share one are known.

    The task comes from the column ``task`` that this package's dataset classes write, else from the prefixes of a
    combined set's indexes, else from the columns, else from what most reference texts speak of.

    Raises:
        BadInput: the columns do not tell the task, or a row cannot be a sample; the message says how to name the
            data file.
    """
    tasks = _tasks(table)
    prefixed = any(_prefix_task(prediction.index) for prediction in table.predictions)
    builders: dict[Task, tuple[Columns, SampleBuilder]] = {}
    for single in dict.fromkeys(tasks):
        try:
            columns = resolve_columns(table.columns, single, table.path, images=False)
        except BadInput as error:
            raise BadInput(f"{error} Or name the data file with --data.") from None
        builders[single] = (columns, SampleBuilder(single, columns))
    refs = {single: row_names() for single in builders}
    samples = []
    for number, (single, row, prediction) in enumerate(zip(tasks, table.rows, table.predictions, strict=True), 1):
        columns, builder = builders[single]
        cells = {meaning: row[name] for meaning, name in columns.names.items()}
        sample = builder.build(cells, f"{table.path}, row {number}")
        samples.append(sample if sample.index == prediction.index else replace(sample, index=prediction.index))
        pictures = {meaning: cells[meaning] for meaning in IMAGE_MEANINGS if meaning in cells}
        if pictures:
            refs[single].add(
                _bare(samples[-1]), {meaning: text.encode(errors="replace") for meaning, text in pictures.items()}
            )
    found = {single: of_task.by_index() for single, of_task in refs.items()}
    samples = [
        replace(sample, image_refs=named) if (named := found[sample.task].get(_bare(sample))) else sample
        for sample in samples
    ]
    used = {single: _without_own(builder.column_use()) for single, (_, builder) in builders.items()}
    return (Task.REASONING if prefixed or len(builders) > 1 else tasks[0]), samples, used


def _bare(sample: Sample) -> str:
    """The index in the data file, which rows that borrow an image name."""
    return own_index(sample.index, sample.task)


def _without_own(use: ColumnUse) -> ColumnUse:
    """Leave out of the ignored columns those that our dataset classes write and other rooms read."""
    return replace(use, ignored=tuple(name for name in use.ignored if name not in _OWN_COLUMNS))


def _tasks(table: PredictionTable) -> list[Task]:
    """The single task of every row."""
    written = find_columns(table.columns, ("task",)).names.get("task")
    values = {task.value: task for task in Task if task is not Task.REASONING}
    if written is not None and all(row[written] in values for row in table.rows):
        tasks: list[Task] = [values[row[written]] for row in table.rows]
        if Task.PERCEPTION in tasks and len(set(tasks)) > 1:
            raise BadInput(f"{table.path} mixes perception with reasoning rows; score them from separate files.")
        return tasks
    by_prefix = [_prefix_task(prediction.index) for prediction in table.predictions]
    known = [task for task in by_prefix if task is not None]
    if known:
        if len(known) < len(by_prefix):
            raise BadInput(
                f"{table.path}: some indexes carry a part's prefix ('{next(iter(REASONING_PREFIX.values()))}:') "
                "and some do not; name the data file with --data."
            )
        return known
    try:
        single = tell_task(table.columns, _pictures(table), table.path)
    except BadInput:
        # Files that were written elsewhere often keep the texts and drop the images.
        told = _told_by_references(table)
        if told is None:
            raise
        single = told
    return [single] * len(table.rows)


def _told_by_references(table: PredictionTable) -> Task | None:
    """Which reasoning task most of the reference texts belong to: they speak of two images, or of one's level."""
    column = find_columns(table.columns, ("description",)).names.get("description")
    if column is None:
        return None
    references = [row[column] for row in table.rows if row[column].strip()]
    pairs = sum(bool(_PAIR.search(text)) for text in references)
    levels = sum(bool(_LEVEL.search(text)) for text in references) - pairs
    if 2 * pairs > len(references):
        return Task.COMPARATIVE
    return Task.NO_REFERENCE if 2 * levels > len(references) else None


def _prefix_task(index: str) -> Task | None:
    return next((task for task, prefix in REASONING_PREFIX.items() if index.startswith(f"{prefix}:")), None)


def _pictures(table: PredictionTable) -> Mapping[str, bytes]:
    names = find_columns(table.columns, ("image", "image_path")).names
    first = table.rows[0]
    return {meaning: first[name].encode("utf-8", errors="replace") for meaning, name in names.items()}
