"""How far verdicts repeat: between the rounds of a judge and between the judges of a panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.report.cells import BOLD, COUNT, SCORE, Book, Item, Sheet, Style
from medqbench_vlmeval.report.checks import has_several_verdicts
from medqbench_vlmeval.report.runs import MEASURES, TASK_TITLES, RunPart, mapping, number, whole
from medqbench_vlmeval.tasks import DIMENSION_TITLES

RELIABILITY = "Reliability"

_PERCENT = "0.0"


def add_reliability(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the sheet where a result has several rounds or judges; others get no sheet."""
    if not any(has_several_verdicts(part) for part in parts):
        return
    sheet = book.add_fixed(RELIABILITY)
    sheet.widths([34, *[14] * 14])
    for part in parts:
        _rounds(sheet, part)
        _judges(sheet, part)
    sheet.finish()


def _rounds(sheet: Sheet, part: RunPart) -> None:
    rounds = mapping(part.score.get("between_rounds"))
    if not rounds:
        return
    sheet.append([Item(f"{TASK_TITLES[part.task]}: the same judge on the same sample in two rounds", BOLD)])
    sheet.header(["Dimension", "Pairs", "Same, %", "Kappa", "Mean difference"], lines=2)
    for title, found in rounds.items():
        cell = mapping(found)
        sheet.append(
            [
                Item(str(title)),
                Item(whole(cell.get("n_pairs")), Style(COUNT)),
                Item(number(cell.get("same")), Style(_PERCENT)),
                Item(number(cell.get("kappa")), Style(SCORE)),
                Item(number(cell.get("mean_absolute_difference")), Style(SCORE)),
            ]
        )
    sheet.append()


def _judges(sheet: Sheet, part: RunPart) -> None:
    judges = mapping(part.score.get("between_judges"))
    if not judges:
        return
    measures = MEASURES[part.task]
    sheet.append([Item(f"{TASK_TITLES[part.task]}: means by judge", BOLD)])
    sheet.header(["Judge", *measures], lines=2)
    for name, found in mapping(judges.get("means")).items():
        means = [number(mapping(found).get(measure)) for measure in measures]
        sheet.append([Item(str(name)), *(Item(mean, Style(SCORE)) for mean in means)])
    sheet.append()
    sheet.append([Item(f"{TASK_TITLES[part.task]}: judges pair by pair", BOLD)])
    pairs = {
        f"{first} / {second}": mapping(cells)
        for first, others in mapping(judges.get("pairs")).items()
        for second, cells in mapping(others).items()
    }
    add_shares(sheet, "Judges", pairs)
    sheet.append()


def add_shares(sheet: Sheet, head: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """A line a label, with ``n``, share and kappa a dimension: two scorers, or a group of answers."""
    heads = [head for title in DIMENSION_TITLES.values() for head in (f"{title} n", "same, %", "kappa")]
    sheet.header([head, *heads], lines=2)
    for label, cells in found.items():
        items = [Item(label)]
        for title in DIMENSION_TITLES.values():
            cell = mapping(cells.get(title))
            items.append(Item(whole(cell.get("n")), Style(COUNT)))
            items.append(Item(number(cell.get("same")), Style(_PERCENT)))
            items.append(Item(number(cell.get("kappa")), Style(SCORE)))
        sheet.append(items)
