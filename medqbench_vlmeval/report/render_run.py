"""The summary of a run for the terminal: headline, modalities, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.checks import checks_of
from medqbench_vlmeval.report.render import (
    Grid,
    count_text,
    interval_text,
    own_console,
    print_grid,
    print_line,
    value_text,
)
from medqbench_vlmeval.report.render_extractor import extractor_grid, extractor_lines
from medqbench_vlmeval.report.render_findings import findings_lines
from medqbench_vlmeval.report.runs import (
    MEASURES,
    MODALITY,
    OVERALL,
    TASK_TITLES,
    TYPE_BY_MODALITY,
    RunPart,
    ends_of,
    is_few,
    mapping,
    number,
    parts_of,
    whole,
)
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

if TYPE_CHECKING:
    from rich.console import Console

_MARK = "*"
_FEW_NOTE = f"{_MARK} fewer than {FEW} samples"


def run_summary(score: Mapping[str, Any], console: Console | None = None, *, findings: bool = False) -> None:
    """Print a run's headline numbers with intervals and counts, its modalities, and what to beware of.

    ``findings`` adds a sentence for each finding.

    Raises:
        BadInput: ``score`` is not a result of this package.
    """
    console = console or own_console()
    for part in parts_of(score):
        print_grid(_headline(part), console)
        if (second := extractor_grid(part)) is not None:
            print_grid(second, console)
            for line in extractor_lines(part):
                print_line(line, console)
            print_line("", console)
        by_modality = _by_modality(part)
        if by_modality.rows:
            print_grid(by_modality, console)
        for check in checks_of(part):
            print_line(check, console)
        for finding in findings_lines(part) if findings else ():
            print_line(f"- {finding}", console)
        for warning in warnings_of(part):
            print_line(f"! {warning}", console, "yellow")
        print_line("", console)


def warnings_of(part: RunPart) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    warnings = []
    if part.baseline:
        warnings.append("baseline: a model without weights, no competitor")
    if not part.comparable:
        warnings.append(f"not comparable with the published rows: {'; '.join(part.reasons) or 'no reason given'}")
    for name, sentence in (
        ("n_unanswered", "without an answer that could be read; counted as wrong"),
        ("n_unscored", "unscored and left out of the means"),
        ("n_inference_failed", "where the model's inference failed"),
        ("n_missing", "without a prediction"),
        ("n_cut", "whose prediction a spreadsheet had cut"),
    ):
        count = part.counts.get(name, 0)
        if count:
            warnings.append(f"{count} of {part.n} samples {sentence}")
    warnings += [
        f"unscored: {reason} ({count})" for reason, count in mapping(part.score.get("unscored_reasons")).items()
    ]
    return warnings


def _headline(part: RunPart) -> Grid:
    title = f"{part.model} on {part.dataset} ({TASK_TITLES[part.task]}{', baseline' if part.baseline else ''})"
    unit = "Accuracy %" if part.task is Task.PERCEPTION else "Mean (0-2, sum 0-8)"
    lines = []
    any_few = False
    for name in (OVERALL, *MEASURES[part.task][:-1]):
        n = part.measure_n(name)
        few = n is not None and n < FEW
        any_few |= few
        interval = interval_text(part.intervals.get(name), part.task)
        lines.append((name, _marked(part.values[name], few, part.task), interval, count_text(n)))
    clustered = mapping(mapping(part.score.get("intervals")).get("clustered"))
    n_clusters = whole(clustered.get("n_clusters"))
    if n_clusters is not None and n_clusters < part.n:
        ends = interval_text(ends_of(clustered.get(OVERALL)), part.task)
        lines.insert(1, ("  clustered by image", "", ends, count_text(n_clusters)))
    styles = ("bold", *[None] * (len(lines) - 1))
    notes = (_FEW_NOTE,) if any_few else ()
    return Grid(title, ("", unit, "95% interval", "n"), tuple(lines), styles=styles, notes=notes)


def _by_modality(part: RunPart) -> Grid:
    measures = (OVERALL, *MEASURES[part.task][:-1])
    perception = part.task is Task.PERCEPTION
    lines = []
    any_few = False
    for name, found in mapping(part.groups.get(MODALITY)).items():
        cell = mapping(found)
        by_type = mapping(mapping(part.groups.get(TYPE_BY_MODALITY)).get(name))
        numbers = []
        for measure in measures:
            of_type = perception and measure != OVERALL
            source = mapping(by_type.get(measure)) if of_type else cell
            few = is_few(part.task, source)
            any_few |= few
            numbers.append(_marked(number(source.get("accuracy" if perception else measure)), few, part.task))
        ends = [cell.get("low"), cell.get("high")] if perception else mapping(cell.get("intervals")).get(OVERALL)
        n = whole(cell.get("n_scored", cell.get("n")))
        lines.append((str(name), *numbers, count_text(n), interval_text(ends_of(ends), part.task)))
    heads = ("Modality", *measures, "n", f"{OVERALL}, 95% interval")
    # Overall is the first of the measures, and stays.
    spare = tuple(range(2, 1 + len(measures)))
    return Grid("By modality", heads, tuple(lines), extras=1, notes=(_FEW_NOTE,) if any_few else (), spare=spare)


def _marked(value: float | None, few: bool, task: Task) -> str:
    shown = value_text(value, task)
    return f"{_MARK}{shown}" if few and value is not None else shown
