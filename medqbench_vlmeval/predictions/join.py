"""Predictions put beside the samples that they answer, and samples from a prediction file's own columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from medqbench_vlmeval.benchmark import OPTION_LETTERS, REASONING_PREFIX, Task, kits_dataset, own_index
from medqbench_vlmeval.data.columns import IMAGE_MEANINGS, find_columns, resolve_columns
from medqbench_vlmeval.data.image_cells import image_names, row_names
from medqbench_vlmeval.data.image_store import CONTENT_NAME, is_content_name
from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.data.samples import SampleBuilder, tell_task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions.files import PredictionTable
from medqbench_vlmeval.predictions.foreign import ROW_NUMBER
from medqbench_vlmeval.predictions.xlsx import CELL_LIMIT, unescaped
from medqbench_vlmeval.provenance import ColumnUse
from medqbench_vlmeval.types import Prediction, PredictionStatus, Sample

_NAMED = 5
# What Python writes for a reply that never came.
_NO_VALUE = frozenset({"None", "nan"})
# Cells that stand for nothing: pandas takes these for no value, and writes them back as '' or 'nan'.
_NO_CELL = frozenset({"", "none", "nan", "na", "n/a", "#n/a", "null", "<na>"})
# Columns of these names may hold something else than the data's own text.
_LOOSE = frozenset({"prompt", "groundtruth", "gt", "label", "caption"})
_TO_ASCII = str.maketrans(
    {**dict.fromkeys("‘’‚‛′`´", "'"), **dict.fromkeys("“”„‟″", '"'), **dict.fromkeys("‐‑‒–—―−", "-")}
)


def join(samples: Sequence[Sample], table: PredictionTable) -> list[Prediction]:
    """One prediction a sample, in the samples' order and under their indexes. Indexes meet by their text, else by their
    number ('7', '07' and '7.0') where that number is one sample's only. A sample without a prediction gets one with the
    status ``MISSING``. Python's words for no value ('None', 'nan') are a failed inference where they are no option of
    the sample. Raises BadInput where the file has an index that no sample has, or two rows meet the same sample."""
    rows = rows_of(samples, table)
    return [
        _reply(sample, table.predictions[rows[sample.index]], "prompt_style" in table.columns)
        if sample.index in rows
        else Prediction(sample.index, "", PredictionStatus.MISSING)
        for sample in samples
    ]


def _reply(sample: Sample, prediction: Prediction, of_own_run: bool) -> Prediction:
    prediction = replace(prediction, index=sample.index)
    options = [text.strip().lower() for text in sample.options.values()]
    # Of a run of this package's a letterless 'None' is what the model said: its guards name a reply that never came.
    said = prediction.text.lower() in options or (bool(options) and of_own_run)
    if prediction.text not in _NO_VALUE or said:
        return prediction
    return replace(prediction, status=PredictionStatus.INFERENCE_FAILED, failure=f"no text ({prediction.text})")


def rows_of(samples: Sequence[Sample], table: PredictionTable) -> dict[str, int]:
    """The place of each sample's row in a file, by the sample's index; rules and errors are those of :func:`join`."""
    known = {sample.index for sample in samples}
    by_number: dict[str, str | None] = {}
    if not all(prediction.index in known for prediction in table.predictions):
        for index in known:
            number = canonical_index(index)
            by_number[number] = None if number in by_number else index
    rows: dict[str, int] = {}
    strangers: list[str] = []
    for row, prediction in enumerate(table.predictions):
        at = prediction.index if prediction.index in known else by_number.get(canonical_index(prediction.index))
        if not at:
            strangers.append(f"'{prediction.index[:60]}'")
        elif at in rows:
            raise BadInput(
                f"{table.path}: the indexes '{table.predictions[rows[at]].index}' and '{prediction.index}' both mean "
                f"sample '{at}'; remove one of the rows."
            )
        else:
            rows[at] = row
    if strangers:
        more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
        raise BadInput(
            f"{table.path}: the index {', '.join(strangers[:_NAMED])}{more} is not in the data ({len(samples)} "
            "samples); are these predictions of another dataset?"
        )
    return rows


def placed(samples: Sequence[Sample], table: PredictionTable) -> PredictionTable:
    """A table whose rows are known by their place in the data alone (lmms-eval's logs) under the samples' indexes;
    another table as it is. Raises BadInput where the row is not the data's, or nothing but the place says so."""
    predictions = []
    for row, prediction in zip(table.rows, table.predictions, strict=True):
        if number := row.get(ROW_NUMBER):
            at = int(number) if number.isdecimal() and len(number) < 10 else len(samples)
            target, why = row.get("target", "").strip(), "the data has no row"
            if at < len(samples):
                prediction, answer = replace(prediction, index=samples[at].index), samples[at].answer
                differs = target in samples[at].options and target != answer
                why = f"the right answer is {target} and the data's {answer}" if differs else ""
                why = why or ("" if row.get("question", "").strip() else "the log has no prompt")
            if why:
                raise BadInput(
                    f"{table.path}: at doc_id {number[:20]} {why}. The log was made on other data, or rows in another "
                    "order; name that file with --data."
                )
        predictions.append(prediction)
    return replace(table, predictions=tuple(predictions))


def check_content(samples: Sequence[Sample], table: PredictionTable) -> None:
    """See that what a file repeats of its samples (task, question, options, description, images) is what they hold but
    for what spreadsheets do to a cell. Raises BadInput, which shows both texts, where it is not."""
    columns = find_columns(table.columns, ("task", "question", *OPTION_LETTERS, "description", *IMAGE_MEANINGS)).names
    columns = {meaning: name for meaning, name in columns.items() if "".join(name.lower().split()) not in _LOOSE}
    rows = rows_of(samples, table)
    for sample in samples:
        if sample.index not in rows:
            continue
        row = table.rows[rows[sample.index]]
        for meaning, name in columns.items():
            text = _held(sample, meaning)
            if text is not None and row[name] != text and (differ := _contradiction(meaning, row[name], text)):
                raise BadInput(
                    f"{table.path}, row {rows[sample.index] + 1} (index '{sample.index[:60]}'): its {name[:40]} is "
                    f"{differ[0]} and the data's is {differ[1]}. These predictions were made on other data; score them "
                    "with the data file or version that they belong to."
                )


def _held(sample: Sample, meaning: str) -> str | None:
    """What a sample has under a meaning, None where it cannot be compared."""
    if meaning in OPTION_LETTERS:
        return sample.options.get(meaning, "") if sample.options else None
    if meaning in IMAGE_MEANINGS:
        return " ".join(name for name in image_names(sample) if is_content_name(name)) or None
    return sample.task.value if meaning == "task" else sample.question if meaning == "question" else sample.description


def _contradiction(meaning: str, cell: str, text: str) -> tuple[str, str] | None:
    """Both texts in brief where they contradict each other."""
    if meaning in IMAGE_MEANINGS:
        names = CONTENT_NAME.findall(cell)
        return ("another image", "another") if names and not set(names) & set(text.split()) else None
    first, second = _bare(cell), _bare(text)
    if first == second or cell.strip().lower() in _NO_CELL or canonical_index(cell) == canonical_index(text):
        return None
    if meaning == "task" and first not in {task.value for task in Task}:
        return None
    # A question may be repeated with its options or its instructions, and a spreadsheet cuts long cells.
    if (meaning == "question" and second in first) or (len(cell) >= CELL_LIMIT and second.startswith(first)):
        return None
    at = next((at for at, pair in enumerate(zip(cell, text, strict=False)) if pair[0] != pair[1]), 0)
    return _brief(cell, at), _brief(text, at)


def _brief(text: str, at: int) -> str:
    """A text in one line, from shortly before the place ``at``."""
    start = max(0, at - 20)
    return f"'{'...' if start else ''}{' '.join(text[start : at + 40].split())}'"


def _bare(text: str) -> str:
    """A text without what writers and readers of tables change: case, spaces, control characters, forms of letters."""
    plain = unicodedata.normalize("NFKC", unescaped(text)).upper().casefold().translate(_TO_ASCII)
    plain = unicodedata.normalize("NFKC", plain)
    return "".join(c for c in plain if unicodedata.category(c)[0] not in "ZC" and c not in "\ufffd?").strip(".,;:!'\"")


# Columns that our dataset classes write and other rooms read.
_OWN_COLUMNS = {"task", "prediction", "data_sha256", "data_revision", "prompt_style"}
# Reference texts that speak of two images, and of one image's level.
_PAIR = re.compile(
    r"(?i)\b(?:both|two) images\b|\b(?:first|second|left|right|former|latter|other) (?:image|one|picture|scan|slice)\b"
    r"|\bimages? ?(?:[12AB]\b|one\b|two\b)"
)
_LEVEL = re.compile(r"(?i)\bquality\b[^.]*\b(?:good|usable|reject(?:ed)?)\b|\b(?:good|usable|reject)\b\W*\Z")


class TableSamples(NamedTuple):
    """Samples that a prediction file repeats, without their images; ``columns`` says how each task's were used."""

    task: Task
    samples: list[Sample]
    columns: dict[Task, ColumnUse]


def samples_from_table(table: PredictionTable) -> TableSamples:
    """Rebuild the samples that a prediction file repeats, with what it calls the images (``image_refs``). The task
    comes from the column ``task``, else from the prefixes of a combined set's indexes, else from the columns, else from
    what most reference texts speak of. Raises BadInput where the task cannot be told, or a row cannot be a sample."""
    tasks = _tasks(table)
    builders = {}
    for task in dict.fromkeys(tasks):
        try:
            columns = resolve_columns(table.columns, task, table.path, False, table.named)
        except BadInput as error:
            raise BadInput(f"{error} Or name the data file with --data.") from None
        builders[task] = columns, SampleBuilder(task, columns)
    names = {task: row_names() for task in builders}
    samples: list[Sample] = []
    for number, (task, row, prediction) in enumerate(zip(tasks, table.rows, table.predictions, strict=True), 1):
        columns, builder = builders[task]
        cells = {meaning: row[name] for meaning, name in columns.names.items()}
        try:
            sample = replace(builder.build(cells, f"{table.path}, row {number}"), index=prediction.index)
        except BadInput as error:
            if kits_dataset(table.path.stem) is None:
                raise
            raise BadInput(
                f"{error} The kit writes texts such as None as empty cells; name the data with --data."
            ) from None
        samples.append(sample)
        pictures = {meaning: cells[meaning].encode(errors="replace") for meaning in IMAGE_MEANINGS if meaning in cells}
        if pictures:
            # Rows that borrow an image name its row's index in the data file.
            names[task].add(own_index(sample.index, task), pictures)
    refs = {task: of_task.by_index() for task, of_task in names.items()}
    samples = [replace(s, image_refs=refs[s.task].get(own_index(s.index, s.task), ())) for s in samples]
    prefixed = any(_prefix_task(prediction.index) for prediction in table.predictions)
    used = {}
    for task, (_, builder) in builders.items():
        use = builder.column_use()
        used[task] = replace(use, ignored=tuple(name for name in use.ignored if name not in _OWN_COLUMNS))
    return TableSamples(Task.REASONING if prefixed or len(builders) > 1 else tasks[0], samples, used)


def _tasks(table: PredictionTable) -> list[Task]:
    """The single task of every row."""
    written = find_columns(table.columns, ("task",), table.named, table.path).names.get("task")
    values = {task.value: task for task in Task if task is not Task.REASONING}
    if written is not None and all(row[written] in values for row in table.rows):
        tasks: list[Task] = [values[row[written]] for row in table.rows]
        if len(set(tasks)) > 1 and any(task.is_choice for task in tasks):
            raise BadInput(f"{table.path} mixes multiple-choice rows with those of other tasks; score them apart.")
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
    names = dict(find_columns(table.columns, ("image", "image_path", "severity"), table.named, table.path).names)
    severities = [row[name] for row in table.rows] if (name := names.pop("severity", None)) else ()
    pictures = {meaning: table.rows[0][name].encode("utf-8", errors="replace") for meaning, name in names.items()}
    try:
        return [tell_task(table.columns, pictures, severities, table.path, table.named)] * len(table.rows)
    except BadInput:
        # Files that were written elsewhere often keep the texts and drop the images.
        named = kits_dataset(table.path.stem)
        if (task := named.task if named else _task_of_references(table)) is None:
            raise
        return [task] * len(table.rows)


def _task_of_references(table: PredictionTable) -> Task | None:
    """Which reasoning task most of the reference texts belong to: they speak of two images, or of one's level."""
    column = find_columns(table.columns, ("description",), table.named, table.path).names.get("description")
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
