"""How runs show themselves in notebooks: the headline as an HTML table, the samples as a pandas frame."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import DIMENSIONS, Comparable
from medqbench_vlmeval.types import Result, SampleRow

if TYPE_CHECKING:
    from pandas import DataFrame

_HEADS = ("task", "measure", "value", "low", "high", "n")
_AXES = ("modality", "question_type", "severity", "scope", "source", "difficulty", "category", "degradation")
_CHOICE = ("extracted", "rule", "correct", "confidence")


def html_table(result: Result) -> str:
    """The headline numbers of a result with their 95% intervals; names are escaped."""
    rows = [
        (task.value, name, *("-" if x is None else f"{x:.2f}" for x in (cell.value, cell.low, cell.high)), cell.n or 0)
        for task, part in result.parts.items()
        for name, cell in part.measures.items()
    ]
    known = result.comparable is Comparable.YES
    mark = "" if known else f"<br>{result.comparable.words} with the published scores: "
    reasons = escape("; ".join(result.not_comparable_because))
    caption = f"<caption>{escape(result.model)} on {escape(result.dataset)}{mark}{reasons}</caption>"
    return f"<table>{caption}{_line(_HEADS, 'th')}{''.join(_line(row, 'td') for row in rows)}</table>"


def _line(cells: Sequence[object], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def frame(rows: Sequence[SampleRow]) -> DataFrame:
    """One line a sample: its axes and texts, the reply, and how it was read or judged."""
    import pandas as pd

    return pd.DataFrame([_record(row) for row in rows])


def _record(row: SampleRow) -> dict[str, Any]:
    sample = row.sample
    record: dict[str, Any] = {"index": sample.index, "task": sample.task.value}
    record |= {name: getattr(sample, name) for name in (*_AXES, "question")} | {"prediction": row.prediction.text}
    if sample.task.is_choice:
        record |= {"answer": sample.answer, **{name: getattr(row, name) for name in _CHOICE}}
    else:
        verdicts = {name: row.score_on(name) for name in DIMENSIONS}
        record |= {"description": sample.description, **verdicts, "score": row.score}
    return {**record, "unscored": row.unscored}
