"""Strict and lenient accuracy side by side, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medqbench_vlmeval.report.progress import dollars
from medqbench_vlmeval.report.render import Grid, count_text, interval_text, value_text
from medqbench_vlmeval.report.runs import MEASURES, OVERALL, RunPart, ends_of, is_few, mapping, number, text, whole
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

_NONE = "-"
_MARK = "*"


def extractor_grid(part: RunPart) -> Grid | None:
    """The table of a run whose open replies went to an extractor; None for a run without one."""
    found = mapping(part.score.get("extractor"))
    if not found:
        return None
    sides = [mapping(found.get(name)) for name in ("strict", "lenient")]
    rows = []
    any_few = False
    for measure in (OVERALL, *MEASURES[Task.PERCEPTION][:-1]):
        few = bool(_n(sides[0], measure)) and is_few(
            part.task, sides[0] if measure == OVERALL else _counts(sides[0], measure)
        )
        any_few |= few
        mark = _MARK if few else ""
        cells = [cell for side in sides for cell in (mark + _value(side, measure), _interval(side, measure))]
        rows.append((measure, *cells, count_text(_n(sides[0], measure))))
    heads = ("", "Strict %", "95% interval", "Lenient %", "95% interval", "n")
    notes = (f"{_MARK} fewer than {FEW} samples",) if any_few else ()
    styles = ("bold", *[None] * (len(rows) - 1))
    return Grid("Strict (rules alone) and lenient (extractor too)", heads, tuple(rows), styles=styles, notes=notes)


def extractor_lines(part: RunPart) -> list[str]:
    """What the extractor did and took, and what of it is official; empty for a run without one."""
    found = mapping(part.score.get("extractor"))
    if not found:
        return []
    counts = {name: whole(found.get(name)) or 0 for name in ("n_open", "n_asked", "n_read", "n_none", "n_failed")}
    used = mapping(found.get("usage"))
    now = mapping(used.get("this_run"))
    not_asked = counts["n_open"] - counts["n_asked"]
    return [
        f"Extractor {text(found.get('name')) or _NONE}: of {counts['n_open']:,} replies that the rules left open "
        f"{counts['n_read']:,} read, {counts['n_none']:,} without an answer, {counts['n_failed']:,} failed"
        f"{f', {not_asked:,} not asked' if not_asked else ''}; {whole(used.get('calls')) or 0:,} calls, "
        f"{dollars(number(used.get('cost_usd')))}; this run {whole(now.get('calls')) or 0:,} calls, "
        f"{dollars(number(now.get('cost_usd')))}",
        "The official numbers are the strict ones.",
    ]


def _n(side: Mapping[str, Any], measure: str) -> int | None:
    return whole(side.get("n") if measure == OVERALL else _counts(side, measure).get("n"))


def _counts(side: Mapping[str, Any], measure: str) -> Mapping[str, Any]:
    return mapping(mapping(side.get("counts")).get(measure))


def _value(side: Mapping[str, Any], measure: str) -> str:
    return value_text(number(side.get(measure)), Task.PERCEPTION)


def _interval(side: Mapping[str, Any], measure: str) -> str:
    return interval_text(ends_of(mapping(side.get("intervals")).get(measure)), Task.PERCEPTION)
