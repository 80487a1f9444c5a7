"""One prediction file, whatever its format, as a table of texts.

Nothing is guessed from a cell: 'None', 'nan' and 'NA' are texts that a model may have written, an empty cell is
an empty text, and numbers are what the file spells.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from medqbench_vlmeval import files
from medqbench_vlmeval.benchmark import SECOND_PASS_NAMES
from medqbench_vlmeval.data.columns import ACCEPTED, find_columns
from medqbench_vlmeval.data.second_pass import PERMUTATION_COLUMN, read_permutation
from medqbench_vlmeval.data.table import check_header, open_table
from medqbench_vlmeval.errors import BadInput
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


UNKNOWN_REASON = "no reason on record"
"""Why inference failed, where the kit wrote no more than that it did."""


@dataclass(frozen=True)
class PredictionTable:
    """A prediction file.

    ``rows`` are its data rows by column name; ``predictions`` are in the same order, with the index as the file
    spells it (whole numbers without '.0').
    """

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    predictions: tuple[Prediction, ...]


def read_predictions(path: Path) -> PredictionTable:
    """Read an .xlsx, .csv, .tsv, .json or .jsonl file with the columns ``index`` and ``prediction``.

    Raises:
        BadInput: the file is absent, empty, cut short or of another kind, a column is missing, or an index is empty
            or stands twice.
    """
    suffix = path.suffix.lower()
    if suffix in {".pkl", ".pickle"}:
        raise BadInput(
            f"{path}: pickle files are not opened, because opening one runs what is in it; run the kit with "
            "PRED_FORMAT=xlsx, tsv or json."
        )
    if suffix not in _READERS:
        raise BadInput(f"{path}: a prediction file ends in {', '.join(_READERS)}, not '{path.suffix}'.")
    if not path.is_file():
        raise BadInput(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; name a prediction file.")
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty.")
    header, *body = _READERS[suffix](path) or [[]]
    columns = tuple(name.strip() for name in header)
    while columns and not columns[-1]:
        columns = columns[:-1]
    check_header(columns, path)
    named = find_columns(columns, ("index", "prediction")).names
    if missing := [meaning for meaning in ("index", "prediction") if meaning not in named]:
        accepted = ", ".join(ACCEPTED[missing[0]])
        there = ", ".join(name[:40] for name in columns[:40]) or "none"
        raise BadInput(f"{path}: no column '{missing[0]}' (accepted names: {accepted}); columns there: {there}.")
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
        cut = suffix == ".xlsx" and len(text) >= CELL_LIMIT
        predictions.append(Prediction(index, text, status, cut, reason))
    return PredictionTable(path, files.sha256_of(path), columns, tuple(rows), tuple(predictions))


def failure_reason(text: str) -> str | None:
    """Why there is no reply in a prediction cell, in one short line; None where there is one.

    A cell without text, a message of the kit's that it gave up, and an error in the place of a reply are none.
    """
    if not text.strip():
        return "an empty reply"
    if (message := _GAVE_UP.match(text)) is None:
        return _short(text) if _ERROR.match(text) else None
    return _short((message[1] or "").lstrip(":")) or UNKNOWN_REASON


def _short(text: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _REASON_LENGTH else f"{words[:_REASON_LENGTH]}..."


def _read_delimited(path: Path) -> list[list[str]]:
    with open_table(path, b"," if path.suffix.lower() == ".csv" else b"\t") as table:
        return [list(table.header), *(table.texts(row) for row in table.rows())]


def read_json(path: Path) -> list[list[str]]:
    """Read a list of records, a dict of columns, or ``{'columns', 'data'}``: all rows, the header first.

    Raises:
        BadInput: the file is not whole JSON, or holds no table.
    """
    try:
        value = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        where = f"{error.msg}, line {error.lineno}"
        raise BadInput(f"{path} is not whole JSON ({where}); it was cut short or damaged, write it again.") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read as JSON ({error}).") from None
    if not isinstance(value, list | dict):
        raise BadInput(f"{path} holds {type(value).__name__}, not a list of records or a dict of columns.")
    return _from_records(value, path) if isinstance(value, list) else _from_columns(value, path)


def read_jsonl(path: Path) -> list[list[str]]:
    """Read one JSON object a line, blank lines skipped: all rows, the header first.

    Raises:
        BadInput: a line is not a JSON object.
    """
    records = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError):
            problem = "not a whole JSON object; the file was cut short or damaged"
            raise BadInput(f"{path}, line {number}: {problem}.") from None
    return _from_records(records, path)


def _read_text(path: Path) -> str:
    try:
        with files.reading(path):
            return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start}); write it as UTF-8.") from None


def _from_records(records: list[Any], path: Path) -> list[list[str]]:
    columns: dict[str, None] = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise BadInput(f"{path}, row {number}: {kind} where an object with named cells was expected.")
        columns.update(dict.fromkeys(record))
    return _texts(columns, ([record.get(name) for name in columns] for record in records))


def _from_columns(value: Mapping[str, Any], path: Path) -> list[list[str]]:
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        names = value["columns"]
        for number, row in enumerate(value["data"], start=1):
            if not isinstance(row, list) or len(row) != len(names):
                raise BadInput(f"{path}, row {number}: {len(names)} cells were expected, as many as there are columns.")
        return _texts(names, value["data"])
    if value and all(isinstance(column, list) for column in value.values()):
        lengths = {name: len(column) for name, column in value.items()}
        if len(set(lengths.values())) > 1:
            raise BadInput(f"{path}: its columns have different lengths: {lengths}.")
        return _texts(value, zip(*value.values(), strict=True))
    if value and all(isinstance(column, dict) for column in value.values()):
        labels = dict.fromkeys(label for column in value.values() for label in column)
        return _texts(value, ([column.get(label) for column in value.values()] for label in labels))
    raise BadInput(f"{path} is a JSON object, but not one of columns: a list of records was expected.")


def _texts(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> list[list[str]]:
    return [[_text(cell) for cell in row] for row in (header, *rows)]


def _text(value: Any) -> str:
    """A JSON value as the text of a cell: None and NaN are '', whole numbers have no '.0', lists are JSON."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


_READERS: dict[str, Callable[[Path], list[list[str]]]] = {
    ".xlsx": read_xlsx,
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".json": read_json,
    ".jsonl": read_jsonl,
}
SUFFIXES = tuple(_READERS)


def _row(columns: tuple[str, ...], cells: list[str], number: int, path: Path) -> dict[str, str]:
    if any(cells[len(columns) :]):
        raise BadInput(f"{path}, row {number}: a cell stands outside of the {len(columns)} named columns.")
    return dict(zip(columns, chain(cells, repeat("")), strict=False))


def is_second_pass(table: PredictionTable) -> bool:
    """Whether a file has anything of a second pass.

    A permutation in one row is enough, since that row's reply is none to the official question; so is the file's name,
    where somebody took the column away.
    """
    if any(table.path.stem.endswith(f"_{name}") for name in SECOND_PASS_NAMES):
        return True
    columns = [name for name in table.columns if name.lower() == PERMUTATION_COLUMN]
    return any(read_permutation(row[name]) is not None for row in table.rows for name in columns)
