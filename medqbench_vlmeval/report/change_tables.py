"""Another program's numbers beside ours, why they differ, and the samples that it read otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medqbench_vlmeval.benchmark import MEASURES, OVERALL
from medqbench_vlmeval.report.table import EXTRA, Column, Entry, Kind, Table, columns, table, task_kind
from medqbench_vlmeval.scoring.changes import Difference


def changes_table(of: Difference) -> Table:
    """One row a change."""
    rows = [(each.index, each.theirs, each.ours, each.reason, each.reply) for each in of.changes]
    return table("", columns("index", "theirs", "ours", "why", "reply"), rows)


def change_tables(differences: Sequence[Difference]) -> Iterator[Table]:
    """What a terminal shows: the numbers, and how many samples were read otherwise for which reason."""
    kinds: Mapping[Kind, str] = {"percent": "Accuracy, %", "score": "Means (0-2, Overall 0-8)"}
    for kind, title in kinds.items():
        rows: list[Sequence[Entry]] = []
        for of in differences:
            result = of.run.result
            names = MEASURES[result.task] if kind == "score" else (OVERALL,)
            for name in names if task_kind(result.task) == kind else ():
                of_both = of.theirs.get(name), result[result.task].measures[name].value
                rows.append((result.model, result.dataset, of.foreign.tool, name, *of_both))
        heads = columns("Model", "Dataset", "Measure", ("Theirs", kind), ("Ours", kind))
        heads.insert(2, Column("Scored by", optional=EXTRA))
        if rows:
            yield table(title, heads, rows)
    results = [(of.run.result.model, of.run.result.dataset, of.reasons) for of in differences]
    reasons = [(model, dataset, why, n) for model, dataset, of in results for why, n in of.items()]
    if reasons:
        yield table("Read otherwise", columns("Model", "Dataset", "Why", ("Samples", "count")), reasons)


def left_tables(title: str, left: Mapping[Path, str]) -> Iterator[Table]:
    """Files that were left, and why; what is said of a file need not begin with its path again."""
    if left:
        rows = [(str(path), why.removeprefix(str(path.absolute())).lstrip(",: ")) for path, why in left.items()]
        yield table(title, columns("File", "Why"), rows)
