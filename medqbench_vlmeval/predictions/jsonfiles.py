"""Prediction files in JSON and JSON lines, as texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput


def value_text(value: Any) -> str:
    """A JSON value as the text of a cell: None and NaN are '', whole numbers have no '.0', lists are JSON."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def read_json(path: Path) -> list[list[str]]:
    """All rows, the header first, of a list of records, a dict of columns, or ``{'columns', 'data'}``.

    Raises:
        BadInput: the file is not whole JSON, or holds no table.
    """
    try:
        value = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{path} is not whole JSON ({error.msg}, line {error.lineno}); it was cut short or damaged, write it again."
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read as JSON ({error}).") from None
    if isinstance(value, list):
        return _from_records(value, path)
    if isinstance(value, dict):
        return _from_dict(value, path)
    raise BadInput(f"{path} holds {type(value).__name__}, not a list of records or a dict of columns.")


def read_jsonl(path: Path) -> list[list[str]]:
    """All rows, the header first, of a file with one JSON object a line; blank lines are skipped.

    Raises:
        BadInput: a line is not a JSON object.
    """
    records = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError):
            raise BadInput(
                f"{path}, line {number}: not a whole JSON object; the file was cut short or damaged."
            ) from None
    return _from_records(records, path)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start}); write it as UTF-8.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def _from_records(records: list[Any], path: Path) -> list[list[str]]:
    columns: dict[str, None] = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise BadInput(
                f"{path}, row {number}: {type(record).__name__} where an object with named cells was expected."
            )
        columns.update(dict.fromkeys(record))
    return _table(list(columns), ([record.get(name) for name in columns] for record in records))


def _from_dict(value: Mapping[str, Any], path: Path) -> list[list[str]]:
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        names = [value_text(name) for name in value["columns"]]
        for number, row in enumerate(value["data"], start=1):
            if not isinstance(row, list) or len(row) != len(names):
                raise BadInput(f"{path}, row {number}: {len(names)} cells were expected, as many as there are columns.")
        return _table(names, value["data"])
    if value and all(isinstance(column, list) for column in value.values()):
        lengths = {name: len(column) for name, column in value.items()}
        if len(set(lengths.values())) > 1:
            raise BadInput(f"{path}: its columns have different lengths: {lengths}.")
        return _table(list(value), zip(*value.values(), strict=True))
    if value and all(isinstance(column, dict) for column in value.values()):
        labels: dict[str, None] = {}
        for column in value.values():
            labels.update(dict.fromkeys(column))
        return _table(list(value), ([column.get(label) for column in value.values()] for label in labels))
    raise BadInput(f"{path} is a JSON object, but not one of columns: a list of records was expected.")


def _table(columns: list[str], rows: Iterable[Iterable[Any]]) -> list[list[str]]:
    return [columns, *([value_text(cell) for cell in row] for row in rows)]
