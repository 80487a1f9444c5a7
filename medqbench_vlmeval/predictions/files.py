"""One prediction file, whatever its format, as a table of texts. Nothing is guessed from a cell: 'None', 'nan' and 'NA'
are texts that a model may have written, an empty cell is an empty text, and numbers are what the file spells."""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import IO, Any

from medqbench_vlmeval.benchmark import ROBUSTNESS, name_in_file
from medqbench_vlmeval.data.columns import ACCEPTED, Named, find_columns
from medqbench_vlmeval.data.formats import cell_text, json_lines
from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.data.second_pass import PERMUTATION_COLUMN, read_permutation
from medqbench_vlmeval.data.table import TableReader, check_header, check_size
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import MAX_TEXT_BYTES, check_json, opened, sha256_of_rest
from medqbench_vlmeval.predictions.foreign import unfolded
from medqbench_vlmeval.predictions.xlsx import CELL_LIMIT, read_xlsx
from medqbench_vlmeval.types import Prediction, PredictionStatus

# What the kit writes in place of a reply: 'Fail(ed) to obtain answer', then '.', ':' or the interface's name, then its
# reason. A reply that goes on otherwise ('Failed to obtain answer from this image') is the model's own.
_GAVE_UP = re.compile(r"\s*Fail(?:ed)? to obtain answer(?:(?: via)?(?: [\w-]+)? API)?\s*(?:[.:](.*)|$)", re.DOTALL)
_EXCEPTIONS = "|".join(name for name, value in vars(builtins).items() if re.search("(?:Error|Exception)$", name))
# What some interfaces and models of the kit write instead, and errors that were put in the place of a reply.
_ERROR = re.compile(
    r"\s*(?:Error: Bad Response Statuse Code|Error: Failed to parse the response|Error! code \d+ content: b"
    r"|Error: \(?['\"]?(?:Connection|HTTPS?Connection|Read timed out)|(?:Image Decode Error|Chat Mode: Failed with all "
    r"possible conversation turns\.)\s*$|Traceback \(most recent call last\):|CUDA out of memory|<class '[\w.]+'>"
    rf"|(?:\w+\.)*(?:{_EXCEPTIONS}|\w+(?:HTTP|API|Timeout|Memory|Connection|Decode)Error): )"
)
_REASON_LENGTH = 240

UNKNOWN_REASON = "no reason on record"  # where the kit wrote no more than that inference failed


@dataclass(frozen=True)
class PredictionTable:
    """A prediction file. ``rows`` are its data rows by column name; ``predictions`` are in the same order, with the
    index as the file spells it (whole numbers without '.0'). ``named`` are columns that the user named."""

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    predictions: tuple[Prediction, ...]
    named: Named = field(default_factory=dict)

    @cached_property
    def by_number(self) -> dict[str, Mapping[str, str]]:
        """The rows by their indexes in one spelling (see ``data.info.canonical_index``)."""
        return {canonical_index(of.index): row for of, row in zip(self.predictions, self.rows, strict=True)}


def read_predictions(path: Path, columns_named: Named | None = None) -> PredictionTable:
    """Read an .xlsx, .csv, .tsv, .json or .jsonl file with the columns ``index`` and ``prediction``. Raises BadInput
    where the file cannot be read, lacks a column, or an index is empty or stands twice."""
    suffix = path.suffix.lower()
    if suffix in {".pkl", ".pickle"}:
        raise BadInput(
            f"{path}: pickle files are not opened, because opening one runs what is in it; run the kit with "
            "PRED_FORMAT=xlsx, tsv or json."
        )
    (header, *body), sha256 = read_texts(path, "a prediction file", READERS)
    columns = tuple(name.strip() for name in header)
    while columns and not columns[-1]:
        columns = columns[:-1]
    check_header(columns, path)
    named = find_columns(columns, ("index", "prediction"), columns_named, path).names
    if missing := [meaning for meaning in ("index", "prediction") if meaning not in named]:
        accepted = ", ".join(ACCEPTED[missing[0]])
        there = ", ".join(name[:40] for name in columns[:40]) or "none"
        raise BadInput(f"{path}: no column '{missing[0]}' (accepted names: {accepted}); columns there: {there}.")
    check_size(path, len(body), len(columns))
    rows = [_row(columns, cells, number, path) for number, cells in enumerate(body, start=1) if any(cells)]
    if not rows:
        raise BadInput(f"{path} has a header but no rows.")
    predictions = []
    first: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        index, text = row[named["index"]].strip(), row[named["prediction"]]
        if not index:
            raise BadInput(f"{path}, row {number}: the index is empty.")
        if (other := first.setdefault(index, number)) != number:
            raise BadInput(
                f"{path}: rows {other} and {number} have the same index '{index[:60]}'; a prediction file holds every "
                "sample once."
            )
        reason = failure_reason(text)
        status = PredictionStatus.OK if reason is None else PredictionStatus.INFERENCE_FAILED
        predictions.append(Prediction(index, text, status, suffix == ".xlsx" and len(text) >= CELL_LIMIT, reason))
    return PredictionTable(path, sha256, columns, tuple(rows), tuple(predictions), columns_named or {})


def failure_reason(text: str) -> str | None:
    """Why there is no reply in a prediction cell, in one short line; None where there is one. A cell without text, a
    message of the kit's that it gave up, and an error in the place of a reply are none."""
    if not text.strip():
        return "an empty reply"
    if (message := _GAVE_UP.match(text)) is None:
        return _short(text) if _ERROR.match(text) else None
    return _short((message[1] or "").lstrip(":")) or UNKNOWN_REASON


def _short(text: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _REASON_LENGTH else f"{words[:_REASON_LENGTH]}..."


def read_texts(path: Path, what: str, readers: Mapping[str, TextReader]) -> tuple[list[list[str]], str]:
    """All rows of a table of texts, the header first (without a name where there is none), and the file's sha256.
    ``readers`` are by suffix; ``what`` names the file's kind in errors. BadInput where it cannot be read."""
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInput(f"{path}: {what} ends in {', '.join(readers)}, not '{path.suffix}'.")
    with opened(path, most=MAX_TEXT_BYTES) as source:
        sha256 = sha256_of_rest(source)
        if not source.tell():
            raise BadInput(f"{path} is empty.")
        source.seek(0)
        return reader(path, source) or [[]], sha256


def _read_delimited(path: Path, source: IO[bytes]) -> list[list[str]]:
    return TableReader(path, source).all_texts()


def _read_json(path: Path, source: IO[bytes]) -> list[list[str]]:
    """A list of records, a dict of columns, or ``{'columns', 'data'}``."""
    try:
        text = source.read().decode("utf-8-sig")
        check_json(text, path)
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not whole JSON in UTF-8 ({error}); write it again.") from None
    if not isinstance(value, list | dict):
        raise BadInput(f"{path} holds {type(value).__name__}, not a list of records or a dict of columns.")
    return _from_records(enumerate(value, start=1), path) if isinstance(value, list) else _from_columns(value, path)


def _from_records(records: Iterable[tuple[int, Any]], path: Path) -> list[list[str]]:
    columns: dict[str, None] = {}
    rows: list[dict[str, str]] = []
    for number, record in records:
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise BadInput(f"{path}, row {number}: {kind} where an object with named cells was expected.")
        columns.update(dict.fromkeys(record))
        check_size(path, len(rows) + 1, len(columns))
        rows.append({name: cell_text(cell) for name, cell in record.items()})
    return [list(columns), *([row.get(name, "") for name in columns] for row in rows)]


def _from_columns(value: Mapping[str, Any], path: Path) -> list[list[str]]:
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        names = value["columns"]
        check_size(path, len(value["data"]), len(names))
        for number, row in enumerate(value["data"], start=1):
            if not isinstance(row, list) or len(row) != len(names):
                raise BadInput(f"{path}, row {number}: {len(names)} cells were expected, as many as there are columns.")
        return _texts(names, value["data"])
    if value and all(isinstance(column, list) for column in value.values()):
        if len(lengths := {*map(len, value.values())}) > 1:
            raise BadInput(f"{path}: its columns have different lengths, {min(lengths)} to {max(lengths)}.")
        return _texts(value, zip(*value.values(), strict=True))
    if value and all(isinstance(column, dict) for column in value.values()):
        labels = dict.fromkeys(label for column in value.values() for label in column)
        check_size(path, len(labels), len(value))
        return _texts(value, ([column.get(label) for column in value.values()] for label in labels))
    raise BadInput(f"{path} is a JSON object, but not one of columns: a list of records was expected.")


def _texts(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> list[list[str]]:
    return [[cell_text(cell) for cell in row] for row in (header, *rows)]


TextReader = Callable[[Path, IO[bytes]], list[list[str]]]
READERS: Mapping[str, TextReader] = {
    ".xlsx": read_xlsx,
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".json": _read_json,
    ".jsonl": lambda path, source: _from_records(unfolded(json_lines(path, source), path), path),
}
SUFFIXES = tuple(READERS)


def _row(columns: tuple[str, ...], cells: list[str], number: int, path: Path) -> dict[str, str]:
    if any(cells[len(columns) :]):
        raise BadInput(f"{path}, row {number}: a cell stands outside of the {len(columns)} named columns.")
    return dict(zip(columns, chain(cells, repeat("")), strict=False))


def is_second_pass(table: PredictionTable) -> bool:
    """Whether a file has anything of a second pass: its name, or a permutation in one row."""
    if (name_in_file(table.path.stem) or "").endswith(ROBUSTNESS):
        return True
    columns = [name for name in table.columns if name.lower() == PERMUTATION_COLUMN]
    return any(read_permutation(row[name]) is not None for row in table.rows for name in columns)
