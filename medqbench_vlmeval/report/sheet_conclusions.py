"""The samples on which the judge's quality accuracy and the stated conclusions disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.report.cells import BOLD, COUNT, SCORE, TEXT, WRAPPED, Book, Item, Style
from medqbench_vlmeval.report.checks import has_rules
from medqbench_vlmeval.report.judge_words import judge_words
from medqbench_vlmeval.report.runs import TASK_TITLES, RunPart, mapping, number, text, whole
from medqbench_vlmeval.report.sheet_samples import MAX_ROWS, Column, score_item, write_table
from medqbench_vlmeval.scoring.agreement import is_same
from medqbench_vlmeval.tasks import Task

CONCLUSIONS = "Conclusions"

_QUALITY = "quality_accuracy"
_IMAGES = {1: "first image", 2: "second image", "same": "no difference"}
_WHAT = (
    "Quality accuracy computed from the conclusions that answer and reference state, without a model. Listed are the "
    "samples where the judge's own score differs by 0.5 or more; either may be wrong."
)
_WITH_RULES = "One of the panel is 'rules', whose quality accuracy is computed in this very way."


def add_conclusions(book: Book, parts: Sequence[RunPart], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the sheet where the result has computed conclusions; a result without them gets no sheet."""
    known = [part for part in parts if mapping(part.score.get("conclusions"))]
    if not known:
        return
    sheet = book.add_fixed(CONCLUSIONS)
    sheet.append([Item(_WHAT)])
    if any(has_rules(part) for part in known):
        sheet.append([Item(_WITH_RULES)])
    sheet.header(["Task", "Computed", "of", "Judge", "of", "Same, %", "Kappa", "Differ"])
    for part in known:
        found = mapping(part.score["conclusions"])
        agreed = mapping(found.get("agreement"))
        sheet.append(
            [
                Item(TASK_TITLES[part.task], BOLD),
                Item(number(found.get("Quality Accuracy")), Style(SCORE)),
                Item(whole(found.get("n")), Style(COUNT)),
                Item(number(found.get("judge")), Style(SCORE)),
                Item(whole(agreed.get("n")), Style(COUNT)),
                Item(number(agreed.get("accuracy")), Style("0.00")),
                Item(number(agreed.get("kappa")), Style(SCORE)),
                Item(whole(found.get("n_disagreements")), Style(COUNT)),
            ]
        )
    sheet.append()
    tasks = {part.task.value for part in known}
    differing = [row for row in rows if row.get("task") in tasks and disagrees(row)]
    head = write_table(sheet, _columns(len(parts) > 1), differing, MAX_ROWS)
    sheet.finish(repeat_row=head)


def disagrees(row: Mapping[str, Any]) -> bool:
    """Whether a sample's computed quality accuracy and the judge's differ by 0.5 or more."""
    computed, judged = _computed(row), _judged(row)
    return computed is not None and judged is not None and not is_same(computed, judged)


def _columns(several_tasks: bool) -> list[Column]:
    return [
        Column("index", 26, lambda row: Item(text(row.get("index")), TEXT)),
        *([Column("task", 14, lambda row: Item(text(row.get("task")), TEXT))] if several_tasks else []),
        Column("modality", 15, lambda row: Item(text(row.get("modality")), TEXT), optional=True),
        Column("stated", 22, lambda row: Item(_conclusion(row, "stated") or "none that can be read", TEXT)),
        Column("reference", 15, lambda row: Item(_conclusion(row, "reference"), TEXT)),
        Column("computed", 12, lambda row: score_item(_computed(row))),
        Column("judge", 12, lambda row: score_item(_judged(row))),
        Column("judge said", 60, lambda row: Item(_words(row), WRAPPED), wraps=True),
        Column("prediction", 70, lambda row: Item(text(row.get("prediction")), WRAPPED), wraps=True),
        Column("description", 60, lambda row: Item(text(row.get("description")), WRAPPED), wraps=True),
    ]


def _conclusion(row: Mapping[str, Any], side: str) -> str | None:
    found = mapping(row.get("conclusion")).get(side)
    if row.get("task") == Task.COMPARATIVE.value:
        return next((name for image, name in _IMAGES.items() if image == found), text(found))
    return text(found)


def _computed(row: Mapping[str, Any]) -> float | None:
    return number(mapping(row.get("conclusion")).get(_QUALITY))


def _judged(row: Mapping[str, Any]) -> float | None:
    return number(mapping(row.get("scores")).get(_QUALITY))


def _words(row: Mapping[str, Any]) -> str | None:
    return judge_words(mapping(row.get("verdicts")).get(_QUALITY))
