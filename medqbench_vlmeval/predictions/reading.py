"""One prediction file, whatever its format, as a table of texts.

Nothing is guessed from a cell: 'None', 'nan' and 'NA' are texts that a model may have written, an empty cell is
an empty text, and numbers are what the file spells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval import files
from medqbench_vlmeval.data.columns import ACCEPTED
from medqbench_vlmeval.data.table import check_header, open_table
from medqbench_vlmeval.data.values import words
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions.jsonfiles import read_json, read_jsonl
from medqbench_vlmeval.predictions.spreadsheet import CELL_LIMIT, read_xlsx
from medqbench_vlmeval.records import Prediction, PredictionStatus

PREDICTION_NAMES = (
    "prediction",
    "predictions",
    "pred",
    "response",
    "modelresponse",
    "modelanswer",
    "modeloutput",
    "output",
    "reply",
)

# What the kit writes in place of a reply: 'Failed to obtain answer', then '.', ':' or the interface's name. A reply
# that goes on otherwise ('Failed to obtain answer from this image') is the model's own.
_FAILURE = re.compile(r"\s*Failed to obtain answer(?:(?: via)?(?: [\w-]+)? API)?\s*(?:[.:]|$)")


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
    columns = _trimmed(tuple(name.strip() for name in header))
    check_header(columns, path)
    index_column = _column(columns, "index", ACCEPTED["index"], path)
    prediction_column = _column(columns, "prediction", PREDICTION_NAMES, path)
    rows = [_row(columns, cells, number, path) for number, cells in enumerate(body, start=1) if any(cells)]
    if not rows:
        raise BadInput(f"{path} has a header but no rows.")
    limit = CELL_LIMIT if suffix == ".xlsx" else None
    predictions = [_prediction(row[index_column].strip(), row[prediction_column], limit) for row in rows]
    _check_indexes(predictions, path)
    return PredictionTable(path, files.sha256_of(path), columns, tuple(rows), tuple(predictions))


def _read_delimited(path: Path, delimiter: bytes) -> list[list[str]]:
    with open_table(path, delimiter) as table:
        return [list(table.header), *(table.texts(row) for row in table.rows())]


_READERS: dict[str, Callable[[Path], list[list[str]]]] = {
    ".xlsx": read_xlsx,
    ".csv": lambda path: _read_delimited(path, b","),
    ".tsv": lambda path: _read_delimited(path, b"\t"),
    ".json": read_json,
    ".jsonl": read_jsonl,
}
SUFFIXES = tuple(_READERS)


def _trimmed(columns: tuple[str, ...]) -> tuple[str, ...]:
    while columns and not columns[-1]:
        columns = columns[:-1]
    return columns


def _column(columns: tuple[str, ...], meaning: str, accepted: tuple[str, ...], path: Path) -> str:
    by_key: dict[str, str] = {}
    for name in columns:
        by_key.setdefault("".join(words(name)), name)
    for key in accepted:
        if key in by_key:
            return by_key[key]
    there = ", ".join(name[:40] for name in columns[:40]) or "none"
    raise BadInput(f"{path}: no column '{meaning}' (accepted names: {', '.join(accepted)}); columns there: {there}.")


def _row(columns: tuple[str, ...], cells: list[str], number: int, path: Path) -> dict[str, str]:
    if len(cells) == len(columns):
        return dict(zip(columns, cells, strict=True))
    if any(cells[len(columns) :]):
        raise BadInput(f"{path}, row {number}: a cell stands outside of the {len(columns)} named columns.")
    padded = [*cells[: len(columns)], *[""] * (len(columns) - len(cells))]
    return dict(zip(columns, padded, strict=True))


def _prediction(index: str, text: str, limit: int | None) -> Prediction:
    status = PredictionStatus.INFERENCE_FAILED if _FAILURE.match(text) else PredictionStatus.OK
    return Prediction(index, text, status, cut=limit is not None and len(text) >= limit)


def _check_indexes(predictions: list[Prediction], path: Path) -> None:
    indexes = {prediction.index for prediction in predictions}
    if len(indexes) == len(predictions) and "" not in indexes:
        return
    first: dict[str, int] = {}
    for number, prediction in enumerate(predictions, start=1):
        if not prediction.index:
            raise BadInput(f"{path}, row {number}: the index is empty.")
        if prediction.index in first:
            raise BadInput(
                f"{path}: rows {first[prediction.index]} and {number} have the same index '{prediction.index[:60]}'; "
                "a prediction file holds every sample once."
            )
        first[prediction.index] = number
