"""A data file's rows to samples, with a count of how every value was come by."""

from __future__ import annotations

import gc
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import OPTION_LETTERS, Task
from medqbench_vlmeval.data.columns import (
    COLUMNS_VARIABLE,
    IMAGE_MEANINGS,
    Columns,
    Named,
    axes_of,
    find_columns,
    infer_question_type,
    read_category,
    read_named,
    read_question_type,
    readers_of,
    resolve_columns,
    words,
)
from medqbench_vlmeval.data.formats import open_data
from medqbench_vlmeval.data.image_cells import KeptImages, RowImages, row_files, row_names, split_list
from medqbench_vlmeval.data.image_paths import ImageFolder
from medqbench_vlmeval.data.image_store import ImageStore, StoredImage, strict_decoding
from medqbench_vlmeval.data.table import Row, TableReader, shown
from medqbench_vlmeval.data.table_store import TableStore
from medqbench_vlmeval.errors import LISTENER, BadInput, tell
from medqbench_vlmeval.provenance import ColumnUse, SourceFile
from medqbench_vlmeval.steps import counted
from medqbench_vlmeval.types import Sample

_NAMES_OF_DEG = {"robust", "medqdeg", "medqdegbench"}
_UNSEEN = (
    "what its columns and values mean is taken from its paper and the kit's class, as nobody here has seen its data"
)
_LETTER_WRAPPING = " \t\r\n.()[]{}:;,'\"*"
# 'B. No', where No is the text of B.
_LETTER_AND_TEXT = re.compile(r"\(?([A-Ea-e])[).:]\s*(.+)", re.DOTALL)
_WHOLE_NUMBER = re.compile(r"([0-9]{1,3})(?:\.0*)?")


@dataclass(frozen=True)
class Origin:
    """Where a data file came from. ``kind`` is 'file', 'folder', 'embedded' or 'hub'; ``fetch`` brings an image of the
    file's ``repository`` to this machine, None where image paths are local."""

    kind: str = "file"
    revision: str | None = None
    fetch: Callable[[str], Path] | None = None
    repository: str | None = None


LOCAL_FILE = Origin()


def load_table(
    path: Path,
    task: Task | None,
    images: ImageStore | KeptImages | None,
    origin: Origin = LOCAL_FILE,
    named: Named | None = None,
) -> tuple[list[Sample], SourceFile]:
    """Read one data file; where no task is given, the columns tell it. ``images`` is where images go; None opens none,
    and the samples have ``image_refs`` alone, as with ``KeptImages``, which takes those that can be used. Of a local
    file image paths are relative to its folder (see :class:`Origin`). ``named`` are columns that the user names, None
    those of the environment, which says nothing of the embedded set. BadInput where the file, a row or an image cannot
    be used; the message names file, row and index."""
    if named is None and origin.kind != "embedded":
        named = read_named(os.environ.get(COLUMNS_VARIABLE, ""), COLUMNS_VARIABLE)
    with ExitStack() as stack:
        if gc.isenabled():
            # Rows make no cycles, and looking for some takes longer with each ten times the rows.
            gc.disable()
            stack.callback(gc.enable)
        table = stack.enter_context(open_data(path))
        single = task or _task_of_file(path, named)
        columns = resolve_columns(table.header, single, path, isinstance(images, ImageStore), named)
        builder = SampleBuilder(single, columns)
        tables = None if origin.kind == "embedded" or LISTENER.get() else TableStore(path, single, columns, images)
        known = stack.enter_context(tables.found()) if tables is not None else None
        rows = table.rows()
        pictures: RowImages[Any] = row_names()
        if known is not None:
            rows, pictures = known.rows(), known.row_images()
        elif images is not None:
            stack.enter_context(strict_decoding())
            folder = ImageFolder(path, origin.kind == "embedded", origin.fetch)
            kept = images.row_names if isinstance(images, KeptImages) else partial(row_files, single, images)
            pictures = stack.enter_context(closing(kept(folder)))
            rows = tables.remembering(rows) if tables is not None else rows
        and_images = " and its images" if images is not None and known is None else ""
        rows = counted(f"reading {path.name}{and_images}, row", rows)
        samples = _read_rows(table, rows, columns, builder, pictures)
        by_index: Mapping[str, Any] = pictures.by_index()
        samples = [sample for sample in samples if sample.index in by_index]
        if not samples:
            raise BadInput(f"{path} has a header but no rows that can be used.")
        if tables is not None and known is None and isinstance(images, ImageStore):
            tables.keep(table.header, table.sha256, [by_index[sample.index] for sample in samples])
    samples = [_with_images(sample, by_index[sample.index], images) for sample in samples]
    sha256 = known.sha256 if known is not None else table.sha256
    use = builder.column_use()
    if single is Task.DEGRADATION and origin.kind != "embedded":
        use = _of_unseen(use, path)
    return samples, SourceFile(path, sha256, origin.revision, origin.kind, use, len(samples))


def _of_unseen(use: ColumnUse, path: Path) -> ColumnUse:
    """What was read of a file of MedQ-Deg's, with the words that nobody has seen one."""
    notes = {"MedQ-Deg": _UNSEEN}
    if "severity" in use.absent and "good" in words(path.stem):
        notes["severity"] = "nothing: rows of a 'good' file are presumably originals (L0), and only its name says so"
    absent = tuple(meaning for meaning in use.absent if meaning not in notes)
    return replace(use, inferred={**use.inferred, **notes}, absent=absent)


def _with_images(sample: Sample, found: tuple[Any, ...], images: ImageStore | KeptImages | None) -> Sample:
    if isinstance(images, ImageStore):
        forms, refs = tuple(each.form for each in found), tuple(each.ref for each in found)
        return replace(sample, images=tuple(each.path for each in found), image_forms=forms, image_refs=refs)
    name: Callable[[StoredImage], str] = images.add if images is not None else attrgetter("ref")
    names = tuple(each if isinstance(each, str) else name(each) for each in found)
    return replace(sample, image_refs=names, image_forms=images.forms_of(names) if images is not None else ())


def _read_rows(
    table: TableReader, rows: Iterable[Row], columns: Columns, builder: SampleBuilder, images: RowImages[Any]
) -> list[Sample]:
    texts = {meaning: at for meaning, at in columns.positions.items() if meaning not in IMAGE_MEANINGS}
    pictures = {meaning: at for meaning, at in columns.positions.items() if meaning in IMAGE_MEANINGS}
    first_row: dict[str, int] = {}
    samples = []
    for row in rows:
        where = f"{table.path}, row {row.number}"
        try:
            sample = builder.build({meaning: table.text(row, at) for meaning, at in texts.items()}, where)
        except BadInput as problem:
            tell(problem)
        else:
            if (first := first_row.setdefault(sample.index, row.number)) == row.number:
                samples.append(sample)
            else:
                same = f"rows {first} and {row.number} have the same index {shown(sample.index)}"
                tell(BadInput(f"{table.path}: {same}; every row needs one of its own."))
        index = row.cells[texts["index"]].decode("utf-8", errors="replace").strip()
        images.add(index, {meaning: row.cells[at] for meaning, at in pictures.items()}, _place(where, index))
    return samples


class SampleBuilder:
    """Builds the samples of one file of a single task, row by row, and tells which columns they came from."""

    def __init__(self, task: Task, columns: Columns) -> None:
        self._task = task
        self._columns = columns
        self._rows = 0
        self._filled: set[str] = set()
        self._folded: set[str] = set()
        self._inferred_types = self._answers_from_text = self._categories_from_type = 0
        self._other_degrees: Counter[str] = Counter()
        self._not_understood: dict[str, Counter[str]] = {"question_type": Counter(), "severity": Counter()}

    def build(self, cells: Mapping[str, str], where: str) -> Sample:
        """One sample without its images, from a row's texts by meaning; BadInput where it cannot be one of the task."""
        self._rows += 1
        plain = {meaning: stripped for meaning, text in cells.items() if (stripped := text.strip())}
        self._filled.update(plain)
        index = plain.get("index")
        if index is None:
            raise BadInput(f"{where}: the index is empty; every row needs one of its own.")
        place = _place(where, index)
        question, description = plain.get("question"), plain.get("description")
        options: dict[str, str] = {}
        answer = None
        faults = ["the question is empty"] if question is None and self._task.is_choice else []
        if self._task.is_choice:
            options = {letter: plain[letter] for letter in OPTION_LETTERS if letter in plain}
            answer = self._answer(cells["answer"], options)
            if len(options) < 2:
                faults.append(f"{len(options)} of the options A-E has a text, and a question needs at least two")
            elif answer is None:
                known = f"options {', '.join(options)}, by letter, by number (0 is A) or by text"
                faults.append(f"the answer {shown(cells['answer'])} is not one of the {known}")
        elif description is None:
            faults.append("the reference description is empty")
        if faults:
            raise BadInput(f"{place}: {'; '.join(faults)}.")
        axes = self._axes(plain, options)
        return Sample(index, self._task, question, options=options, answer=answer, description=description, **axes)

    def column_use(self) -> ColumnUse:
        """What was read, inferred, absent and ignored over all rows built so far."""
        names = self._columns.names
        read = {meaning: names[meaning] for meaning in names if meaning in self._filled or meaning in IMAGE_MEANINGS}
        unused = [name for meaning, name in names.items() if meaning not in read]
        read |= dict.fromkeys(sorted(self._folded, reverse=True), names.get("question_type", ""))
        inferred = self._inferred()
        if self._rows and self._inferred_types == self._rows:
            read.pop("question_type", None)
        absent = [meaning for meaning in axes_of(self._task) if meaning not in read and meaning not in inferred]
        if not self._task.is_choice:
            absent = [meaning for meaning in (*absent, "question") if meaning not in ("question_type", *read)]
        return ColumnUse(read, inferred, tuple(absent), (*self._columns.ignored, *unused), self._columns.named)

    def _inferred(self) -> dict[str, str]:
        inferred, of_all = {}, f"of {self._rows:,} rows"
        if self._inferred_types:
            odd = self._not_understood["question_type"]
            why = f"; the column '{self._columns.names['question_type']}' holds {_few(odd)}" if odd else ""
            of = "from the options and the words of the question"
            inferred["question_type"] = f"{of}, for {self._inferred_types:,} {of_all}{why}"
        if self._answers_from_text:
            inferred["answer"] = f"from the option whose text it repeats, for {self._answers_from_text:,} {of_all}"
        if other := self._other_degrees:
            inferred["severity"] = f"degrees L0, L1 and L2 from {_few(other)}, for {other.total():,} {of_all}"
        if odd := self._not_understood["severity"]:
            what = "severity in words" if self._task is not Task.DEGRADATION else "degree (L0, 0 or a word for it)"
            nothing = f"nothing for {odd.total():,} {of_all}, whose values name no {what}: {_few(odd)}"
            inferred["severity"] = "; ".join(filter(None, (inferred.get("severity"), nothing)))
        if self._categories_from_type:
            inferred["category"] = f"from the type of degradation, for {self._categories_from_type:,} {of_all}"
        return inferred

    def _answer(self, text: str, options: Mapping[str, str]) -> str | None:
        if letter := _letter_or_number(text, options):
            return letter
        self._answers_from_text += 1
        same = [letter for letter, option in options.items() if option == text.strip()]
        return same[0] if len(same) == 1 else None

    def _axes(self, cells: Mapping[str, str], options: Mapping[str, str]) -> dict[str, Any]:
        axes: dict[str, Any] = {meaning: cells.get(meaning) for meaning in axes_of(self._task)}
        axes |= {meaning: read(cells[meaning]) for meaning, read in readers_of(self._task).items() if meaning in cells}
        if "severity" in cells and axes["severity"] is None:
            self._not_understood["severity"][cells["severity"]] += 1
        elif self._task is Task.DEGRADATION and axes["severity"] != (written := cells.get("severity")):
            self._other_degrees[str(written)] += 1
        if self._task is Task.DEGRADATION:
            if axes["category"] is None and (category := read_category(cells.get("degradation", ""))):
                self._categories_from_type += 1
                axes["category"] = category
            return {**axes, "pair": cells.get("pair")}
        typed = cells.get("question_type", "")
        question_type, *others = read_question_type(typed)
        for meaning, folded in zip(("severity", "scope"), others, strict=True):
            if folded and meaning not in self._columns.names:
                axes[meaning] = folded
                self._folded.add(meaning)
        if question_type is None and self._task.is_choice:
            question_type = infer_question_type(cells.get("question", ""), options)
            self._inferred_types += 1
            if typed:
                self._not_understood["question_type"][typed] += 1
        axes["question_type"] = question_type
        return axes


def _letter_or_number(text: str, options: Mapping[str, str]) -> str | None:
    """The option that a cell names by a letter in any case and dress ('b', 'B.', '(B)') or by a whole number from 0 on
    ('1', '1.0'; 0 is A, as in the published files)."""
    plain = text.strip()
    dressed = _LETTER_AND_TEXT.fullmatch(plain)
    if dressed and options.get(dressed[1].upper(), "").strip() == dressed[2].strip():
        return dressed[1].upper()
    letter = text.strip(_LETTER_WRAPPING).upper()
    if letter not in OPTION_LETTERS and (number := _WHOLE_NUMBER.fullmatch(plain)):
        letter = "".join(OPTION_LETTERS)[int(number[1]) : int(number[1]) + 1]
    return letter if letter in options else None


def _place(where: str, index: str) -> str:
    return f"{where} (index {shown(index)})"


def _few(odd: Counter[str]) -> str:
    names = [shown(text) for text, _ in odd.most_common(3)]
    return ", ".join(names) + (f" and {len(odd) - 3} more spellings" if len(odd) > 3 else "")


_HEAD = 20  # rows by whose severities a file of questions is told


def _task_of_file(path: Path, named: Named | None) -> Task:
    with open_data(path) as table:
        rows = list(islice(table.rows(), _HEAD))
        if not rows:
            raise BadInput(f"{path} has a header but no rows.")
        at = find_columns(table.header, ("image", "image_path", "severity"), named, path).positions
        pictures = {meaning: rows[0].cells[place] for meaning, place in at.items() if meaning != "severity"}
        severities = [table.text(row, at["severity"]) for row in rows] if "severity" in at else ()
        return tell_task(table.header, pictures, severities, path, named)


def tell_task(
    header: Sequence[str], pictures: Mapping[str, bytes], severities: Iterable[str], path: Path, named: Named | None
) -> Task:
    """A file's single task, by its columns, some row's ``image`` and ``image_path`` cells and some rows' severities;
    BadInput where these fit no task, or two. Questions are MedQ-Deg's where a severity is 'L0', 'L1' or 'L2', or where
    there is no question type and the file's name, a fifth option beside a severity or degradation, or degradations with
    severities of 0 to 2 alone say so."""
    meanings = ("question", "A", "B", "answer", "E", "question_type", "severity", "degradation")
    known = find_columns(header, meanings, named, path).names.keys()
    if known >= {"question", "A", "B", "answer"}:
        degrees = {text.strip().casefold() for text in severities} - {""}
        axes, is_named = known & {"severity", "degradation"}, _NAMES_OF_DEG.intersection(words(path.stem))
        by_number = len(axes) == 2 and bool(degrees) and degrees <= {"0", "1", "2"}
        of_degrees = is_named or ("E" in known and axes) or by_number
        is_deg = degrees & {"l0", "l1", "l2"} or ("question_type" not in known and of_degrees)
        return Task.DEGRADATION if is_deg else Task.PERCEPTION
    columns = find_columns(header, ("description", *IMAGE_MEANINGS), named, path)
    if "description" not in columns.names:
        advice = "Name them (--columns 'question=Frage'), or where these are predictions, the data file (--data)."
        advice = "Separate columns by commas (.csv) or tabs (.tsv)." if len(header) == 1 else advice
        raise BadInput(
            f"{path}: the columns fit no task: perception needs question, A, B and answer, the reasoning tasks need "
            f"description; columns there: {', '.join(one[:40] for one in header[:40])}. {advice}"
        )
    if any(meaning.endswith(("_a", "_b")) for meaning in columns.names):
        return Task.COMPARATIVE
    counts = {len(split_list(cell, f"{path}, row 1")) for cell in pictures.values() if cell.strip()}
    if not counts:
        raise BadInput(
            f"{path}: the columns do not tell whether this is the no-reference or the comparative task; name the data "
            "file with --data."
        )
    return Task.COMPARATIVE if max(counts) == 2 else Task.NO_REFERENCE
