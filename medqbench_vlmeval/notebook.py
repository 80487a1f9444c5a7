"""How runs and samples show themselves in notebooks: headlines as an HTML table, rows as a frame or a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import AXES, DIMENSIONS, OPTION_LETTERS, Comparable
from medqbench_vlmeval.errors import MissingDependency
from medqbench_vlmeval.types import Result, SampleRow, SampleSet

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame

_HEADS = ("task", "measure", "value", "low", "high", "n")
_CHOICE = ("extracted", "rule", "correct", "confidence")
_TEXTS = ("index", "task", "question", *OPTION_LETTERS, "answer", "description", *AXES, "pair")


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
    record |= {name: getattr(sample, name) for name in (*AXES, "question")} | {"prediction": row.prediction.text}
    if sample.task.is_choice:
        record |= {"answer": sample.answer, **{name: getattr(row, name) for name in _CHOICE}}
    else:
        verdicts = {name: row.score_on(name) for name in DIMENSIONS}
        record |= {"description": sample.description, **verdicts, "score": row.score}
    return {**record, "unscored": row.unscored}


def to_dataset(samples: SampleSet) -> Dataset:
    """One row a sample (see :meth:`.SampleSet.to_dataset`); what no sample has is no column."""
    try:
        import datasets
    except ImportError:
        raise MissingDependency("That takes 'datasets': pip install 'medqbench-vlmeval[datasets]'.") from None

    rows = [
        {**vars(of), **of.options, "task": of.task.value, "images": [{"path": str(path)} for path in of.images]}
        for of in samples
    ]
    kinds: dict[str, Any] = {
        name: datasets.ClassLabel(names=[*OPTION_LETTERS]) if name == "answer" else datasets.Value("string")
        for name in _TEXTS
        if any(row.get(name) is not None for row in rows)
    }
    features = datasets.Features({**kinds, "images": datasets.Sequence(datasets.Image())})
    return datasets.Dataset.from_dict({name: [row.get(name) for row in rows] for name in features}, features)
