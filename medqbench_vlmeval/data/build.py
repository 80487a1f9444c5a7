"""Rows to samples, with a count of how every value was come by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from medqbench_vlmeval.data.columns import AXES, IMAGE_MEANINGS, Columns
from medqbench_vlmeval.data.values import (
    infer_question_type,
    read_difficulty,
    read_modality,
    read_question_type,
    read_scope,
    read_severity,
)
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.records import ColumnUse, Sample
from medqbench_vlmeval.tasks import OPTION_LETTERS, Task

_AXIS_READERS: Mapping[str, Callable[[str], str | None]] = {
    "modality": read_modality,
    "severity": read_severity,
    "scope": read_scope,
    "difficulty": read_difficulty,
}
_LETTER_WRAPPING = " \t\r\n.()[]{}:;,'\"*"
# 'B. No', where No is the text of B.
_LETTER_AND_TEXT = re.compile(r"\(?([A-Da-d])[).:]\s*(.+)", re.DOTALL)


class SampleBuilder:
    """Builds the samples of one file, row by row, and then tells which columns they came from.

    Args:
        task: the single task of the file's rows.
        columns: its resolved columns.
    """

    def __init__(self, task: Task, columns: Columns) -> None:
        self._task = task
        self._columns = columns
        self._rows = 0
        self._filled: Counter[str] = Counter()
        self._folded: Counter[str] = Counter()
        self._inferred_types = 0
        self._answers_from_text = 0
        self._not_understood: dict[str, Counter[str]] = {"question_type": Counter(), "severity": Counter()}

    def build(self, cells: Mapping[str, str], where: str) -> Sample:
        """One sample without its images.

        Args:
            cells: the row's texts by meaning; image meanings may be left out.
            where: names file and row in errors.

        Raises:
            BadInput: the row cannot be a sample of the task.
        """
        self._rows += 1
        plain = {meaning: stripped for meaning, text in cells.items() if (stripped := text.strip())}
        for meaning in plain:
            self._filled[meaning] += 1
        index = plain.get("index")
        if index is None:
            raise BadInput(f"{where}: the index is empty; every row needs one of its own.")
        question = plain.get("question")
        options: dict[str, str] = {}
        answer = description = None
        if self._task is Task.PERCEPTION:
            if question is None:
                raise BadInput(f"{_place(where, index)}: the question is empty.")
            options = {letter: plain[letter] for letter in OPTION_LETTERS if letter in plain}
            if len(options) < 2:
                raise BadInput(
                    f"{_place(where, index)}: {len(options)} of the options A-D has a text, and a question needs at "
                    "least two."
                )
            answer = self._answer(cells["answer"], options)
            if answer is None:
                raise BadInput(
                    f"{_place(where, index)}: the answer {shown(cells['answer'])} is not one of the options "
                    f"{', '.join(options)}, by letter, by number (0 is A) or by text."
                )
        else:
            description = plain.get("description")
            if description is None:
                raise BadInput(f"{_place(where, index)}: the reference description is empty.")
        axes = self._axes(plain, options)
        return Sample(
            index=index,
            task=self._task,
            question=question,
            options=options,
            answer=answer,
            description=description,
            modality=axes["modality"],
            question_type=axes["question_type"],
            severity=axes["severity"],
            scope=axes["scope"],
            source=axes["source"],
            difficulty=axes["difficulty"],
            degradation=axes["degradation"],
        )

    def column_use(self) -> ColumnUse:
        """What was read, inferred, absent and ignored over all rows built so far."""
        read: dict[str, str] = {}
        unused: list[str] = []
        for meaning, name in self._columns.names.items():
            if self._filled[meaning] or meaning in IMAGE_MEANINGS:
                read[meaning] = name
            else:
                unused.append(name)
        for meaning in ("severity", "scope"):
            if self._folded[meaning]:
                read[meaning] = self._columns.names["question_type"]
        inferred = self._inferred()
        if self._rows and self._inferred_types == self._rows:
            read.pop("question_type", None)
        absent = [meaning for meaning in AXES if meaning not in read and meaning not in inferred]
        if self._task is not Task.PERCEPTION:
            absent = [meaning for meaning in absent if meaning != "question_type"]
            absent += ["question"] if "question" not in read else []
        return ColumnUse(read, inferred, tuple(absent), (*self._columns.ignored, *unused))

    def _inferred(self) -> dict[str, str]:
        inferred = {}
        if self._inferred_types:
            odd = self._not_understood["question_type"]
            why = f"; the column '{self._columns.names['question_type']}' holds {_few(odd)}" if odd else ""
            inferred["question_type"] = (
                f"from the options and the words of the question, for {self._inferred_types} of {self._rows} rows{why}"
            )
        if self._answers_from_text:
            inferred["answer"] = (
                f"from the option whose text it repeats, for {self._answers_from_text} of {self._rows} rows"
            )
        odd = self._not_understood["severity"]
        if odd:
            inferred["severity"] = (
                f"nothing for {odd.total()} of {self._rows} rows, whose values name no severity in words: {_few(odd)}"
            )
        return inferred

    def _answer(self, text: str, options: Mapping[str, str]) -> str | None:
        if text in options:
            return text
        letter = _letter_or_number(text, options)
        if letter is None:
            letter = _same_text(text, options)
            self._answers_from_text += 1
        return letter

    def _axes(self, cells: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str | None]:
        axes: dict[str, str | None] = {meaning: cells.get(meaning) for meaning in AXES}
        for meaning, read in _AXIS_READERS.items():
            if (text := cells.get(meaning)) is not None:
                axes[meaning] = read(text)
        written = cells.get("severity")
        if written is not None and axes["severity"] is None:
            self._not_understood["severity"][written] += 1
        typed = cells.get("question_type", "")
        value = read_question_type(typed)
        for meaning, folded in (("severity", value.severity), ("scope", value.scope)):
            if folded and meaning not in self._columns.names:
                axes[meaning] = folded
                self._folded[meaning] += 1
        question_type = value.question_type
        if question_type is None and self._task is Task.PERCEPTION:
            question_type = infer_question_type(cells.get("question", ""), options)
            self._inferred_types += 1
            if typed:
                self._not_understood["question_type"][typed] += 1
        axes["question_type"] = question_type
        return axes


def read_answer(text: str, options: Mapping[str, str]) -> str | None:
    """The letter of ``options`` that an answer cell names.

    A letter in any case and dress ('b', 'B.', '(B)'), a whole number from 0 on ('1', '1.0'; 0 is A, as in the
    published files), or the exact text of exactly one option.
    """
    return _letter_or_number(text, options) or _same_text(text, options)


def _letter_or_number(text: str, options: Mapping[str, str]) -> str | None:
    bare = text.strip(_LETTER_WRAPPING).upper()
    dressed = _LETTER_AND_TEXT.fullmatch(text.strip())
    if dressed and options.get(dressed[1].upper(), "").strip() == dressed[2].strip():
        return dressed[1].upper()
    if bare in OPTION_LETTERS:
        return bare if bare in options else None
    number = _number(text)
    if number is None or number >= len(OPTION_LETTERS):
        return None
    letter = OPTION_LETTERS[number]
    return letter if letter in options else None


def _same_text(text: str, options: Mapping[str, str]) -> str | None:
    plain = text.strip()
    same = [letter for letter, option in options.items() if option == plain]
    return same[0] if len(same) == 1 else None


def _number(text: str) -> int | None:
    plain = text.strip()
    whole, _, rest = plain.partition(".")
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 4 and not rest.strip("0") else None


def _place(where: str, index: str) -> str:
    return f"{where} (index {shown(index)})"


def shown(text: str) -> str:
    """A text as an error message quotes it: one line, at most 60 characters."""
    cut = text if len(text) <= 60 else f"{text[:57]}..."
    return repr(cut)


def _few(odd: Counter[str]) -> str:
    names = [shown(text) for text, _ in odd.most_common(3)]
    return ", ".join(names) + (f" and {len(odd) - 3} more spellings" if len(odd) > 3 else "")
