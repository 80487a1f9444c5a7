"""The summary of a run for the terminal: headline, modalities, and what to beware of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import (
    DIMENSION_TITLES,
    HUMAN,
    MAX_VERDICT,
    OTHER_QUESTION_TYPE,
    QUESTION_TYPES,
    REASONING_PREFIX,
    Task,
)
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.report.sample_tables import MAX_ROWS_BY_MODALITY, columns_for, sample_score, write_table
from medqbench_vlmeval.report.sheet import (
    BOLD,
    COUNT,
    PERCENT,
    SCORE,
    TEXT,
    TITLE,
    WRAPPED,
    Book,
    ImageLinks,
    Item,
    Sheet,
    Style,
    lines_of,
)
from medqbench_vlmeval.report.standings import Row, by_overall, data_hash, own_row, reference_rows
from medqbench_vlmeval.report.terminal import (
    Grid,
    count_text,
    dollars,
    findings_lines,
    interval_text,
    own_console,
    print_grid,
    print_line,
    value_text,
)
from medqbench_vlmeval.runs.result import (
    MEASURES,
    MODALITY,
    NOTHING,
    OVERALL,
    TASK_TITLES,
    TYPE_BY_MODALITY,
    Point,
    RunPart,
    cell_point,
    ends_of,
    is_few,
    mapping,
    measure_point,
    number,
    parts_of,
    text,
    top_of,
    whole,
)
from medqbench_vlmeval.runs.schema import group_to_json
from medqbench_vlmeval.scoring.intervals import FEW, clipped, clusters_of, sum_of_means_interval
from medqbench_vlmeval.scoring.summary import UNKNOWN, accuracy_group

if TYPE_CHECKING:
    from rich.console import Console


# What a run says of its own judge, in a line each: for the terminal.


_NONE = "-"


def checks_of(part: RunPart) -> list[str]:
    """What judging took, and how far the verdicts hold: against stated conclusions, between rounds, between judges."""
    lines = _taken(mapping(part.score.get("usage")))
    found = mapping(part.score.get("conclusions"))
    if found:
        agreed = mapping(found.get("agreement"))
        computed, judged = (_value(number(found.get(name))) for name in ("Quality Accuracy", "judge"))
        n = whole(agreed.get("n"))
        lines.append(
            f"Quality accuracy from stated conclusions: {computed} on {whole(found.get('n'))} (judge {judged} on {n}), "
            f"the same on {_same(agreed, 'accuracy')} of {n}; disagreements "
            f"(sheet 'Conclusions'): {whole(found.get('n_disagreements'))}"
            + ("; one of the panel, 'rules', computes it so itself" if has_rules(part) else "")
        )
    if has_several_verdicts(part):
        lines.append(f"Single verdicts of 0 / 1 / 2: {_frequencies(mapping(part.score.get('frequencies')))}")
    rounds = mapping(part.score.get("between_rounds"))
    if rounds:
        lines.append(f"Same score in two rounds: {_by_dimension(rounds)}")
    judges = mapping(part.score.get("between_judges"))
    if judges:
        overall = ((name, number(mapping(means).get(OVERALL))) for name, means in mapping(judges.get("means")).items())
        lines.append(f"Overall by judge: {', '.join(f'{name} {_value(mean)}' for name, mean in overall)}")
        for first, others in mapping(judges.get("pairs")).items():
            for second, cells in mapping(others).items():
                lines.append(f"Same score of {first} and {second}: {_by_dimension(mapping(cells))}")
    return lines


def has_several_verdicts(part: RunPart) -> bool:
    """Whether a sample has more than one verdict a dimension: of several rounds or several judges."""
    return any(part.score.get(block) for block in ("between_rounds", "between_judges"))


def has_rules(part: RunPart) -> bool:
    """Whether the embedded judge is one of the panel; its quality accuracy is the computed one."""
    members = (part.setting("judge", "name") or "").split(", ")
    return len(members) > 1 and RULES in members


def _frequencies(found: Mapping[str, Any]) -> str:
    """Shares in percent, a dimension after the other."""
    shown = []
    for title, counts in found.items():
        marks = [whole(count) or 0 for count in mapping(counts).values()]
        shares = [f"{100 * count / sum(marks):.1f}" for count in marks if any(marks)]
        shown.append(f"{title} {' / '.join(shares) + '%' if shares else _NONE}")
    return ", ".join(shown)


def _taken(usage: Mapping[str, Any]) -> list[str]:
    """Calls, tokens and cost of all verdicts and of this run, a line a judge; nothing for a judge without calls."""
    lines = []
    for name, used in (mapping(usage.get("by_judge")) or {"": usage}).items():
        calls = whole(used.get("calls"))
        if not calls:
            continue
        now = mapping(used.get("this_run"))
        tokens = " + ".join(f"{whole(used.get(kind)) or 0:,}" for kind in ("prompt_tokens", "completion_tokens"))
        lines.append(
            f"Judge{f' {name}' if name else ''}: {calls:,} calls, {tokens} tokens, {dollars(used.get('cost_usd'))}; "
            f"this run {whole(now.get('calls')) or 0:,} calls, {dollars(now.get('cost_usd'))}"
        )
    return lines


def _by_dimension(cells: Mapping[str, Any]) -> str:
    return ", ".join(f"{title} {_same(mapping(cell), 'same')}" for title, cell in cells.items())


def _same(cell: Mapping[str, Any], name: str) -> str:
    same, kappa = number(cell.get(name)), number(cell.get("kappa"))
    return _NONE if same is None else f"{same:.1f}%" + (f" (kappa {kappa:.3f})" if kappa is not None else "")


def _value(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


# Strict and lenient accuracy side by side, for the terminal.


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
            part.task, sides[0] if measure == OVERALL else _render_extractor_counts(sides[0], measure)
        )
        any_few |= few
        mark = _MARK if few else ""
        cells = [
            cell for side in sides for cell in (mark + _render_extractor_value(side, measure), _interval(side, measure))
        ]
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
    return whole(side.get("n") if measure == OVERALL else _render_extractor_counts(side, measure).get("n"))


def _render_extractor_counts(side: Mapping[str, Any], measure: str) -> Mapping[str, Any]:
    return mapping(mapping(side.get("counts")).get(measure))


def _render_extractor_value(side: Mapping[str, Any], measure: str) -> str:
    return value_text(number(side.get(measure)), Task.PERCEPTION)


def _interval(side: Mapping[str, Any], measure: str) -> str:
    return interval_text(ends_of(mapping(side.get("intervals")).get(measure)), Task.PERCEPTION)


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


# The block of the first sheet with strict and lenient accuracy side by side.


_COUNTS = {
    "n_open": "Replies that the rules left open",
    "n_asked": "Put to the extractor",
    "n_read": "Letter found",
    "n_none": "No answer, says the extractor",
    "n_failed": "No valid reply of the extractor",
}


def add_extractor_block(sheet: Sheet, part: RunPart) -> None:
    """Write the block; nothing for a run without an extractor."""
    found = mapping(part.score.get("extractor"))
    if not found:
        return
    sides = [mapping(found.get(name)) for name in ("strict", "lenient")]
    level = number(mapping(sides[0].get("intervals")).get("level")) or 0.95
    ends = [f"{level:.0%} low", f"{level:.0%} high"]
    sheet.append()
    sheet.header(["Second stage", "Strict, %", *ends, "Lenient, %", *ends, "n"])
    for measure in (OVERALL, *MEASURES[Task.PERCEPTION][:-1]):
        bold = measure == OVERALL
        cell = sides[0] if bold else mapping(mapping(sides[0].get("counts")).get(measure))
        few = is_few(part.task, cell)
        style = Style(PERCENT, bold=bold, faint=few)
        items = [Item(measure, BOLD if bold else TEXT)]
        for side in sides:
            interval = ends_of(mapping(side.get("intervals")).get(measure)) or (None, None)
            items += [Item(value, style) for value in (number(side.get(measure)), *interval)]
        sheet.append([*items, Item(whole(cell.get("n")), Style(COUNT, bold=bold, faint=few))])
    sheet.append([Item("Strict: the rules alone, and the official numbers. Lenient: an extractor's letters too.")])
    sheet.append([Item("Extractor", BOLD), Item(text(found.get("name")))])
    for name, title in _COUNTS.items():
        sheet.append([Item(title), Item(whole(found.get(name)), Style(COUNT))])


# The first sheet: what the run is, its headline numbers, and the published rows beside them.


OVERVIEW = "Overview"

_WIDTHS = (33, 17, 20, 14, 14, 17, 14, 14, 14, 26)
COUNT_TITLES = {
    "n": "Samples",
    "n_correct": "Correct",
    "n_scored": "Scored",
    "n_unanswered": "Unanswered (counted as wrong)",
    "n_unscored": "Unscored (left out of the means)",
    "n_inference_failed": "Inference failed",
    "n_missing": "Prediction missing",
    "n_cut": "Prediction cut by its spreadsheet",
}
NOT_COMPARABLE = "NOT COMPARABLE with the published rows"
BASELINE_NOTE = "BASELINE: a model without weights, for orientation; it is no competitor."


def unit(task: Task) -> str:
    """The number format of a task's measures."""
    return PERCENT if task is Task.PERCEPTION else SCORE


def not_comparable(part: RunPart) -> str:
    """The line that says why a part does not stand beside the published rows."""
    return f"{NOT_COMPARABLE}: {'; '.join(part.reasons) or 'the result does not say why'}"


def add_overview(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the sheet; a combined run has one block a task, one below the other."""
    sheet = book.add_fixed(OVERVIEW)
    sheet.widths(_WIDTHS)
    sheet.append([Item(f"MedQ-Bench: {parts[0].model}", TITLE)], lines=2)
    _banners(sheet, parts)
    _what_it_is(sheet, parts)
    for part in parts:
        sheet.append()
        sheet.append([Item(TASK_TITLES[part.task], TITLE)], lines=2)
        _sheet_overview_headline(sheet, part)
        add_extractor_block(sheet, part)
        sheet.append()
        _counts(sheet, part)
        sheet.append()
        _published(sheet, part)
    sheet.finish(freeze="A2", repeat_row=1)


def _banners(sheet: Sheet, parts: Sequence[RunPart]) -> None:
    if any(part.baseline for part in parts):
        sheet.banner(BASELINE_NOTE, "warn", len(_WIDTHS))
    refused: dict[tuple[str, ...], list[RunPart]] = {}
    for part in parts:
        if not part.comparable:
            refused.setdefault(part.reasons, []).append(part)
    for reasons, found in refused.items():
        # A reason that holds for one of two tasks must not be read as one for both.
        tasks = "" if len(found) == len(parts) else f"{', '.join(TASK_TITLES[part.task] for part in found)}: "
        if len(reasons) < 2:
            sheet.banner(tasks + not_comparable(found[0]), "bad", len(_WIDTHS))
            continue
        sheet.banner(f"{tasks}{NOT_COMPARABLE}:", "bad", len(_WIDTHS))
        for reason in reasons:
            sheet.banner(f"   • {reason}", "bad", len(_WIDTHS))
    if not refused:
        sheet.banner("Comparable with the published rows.", "good", len(_WIDTHS))


def _what_it_is(sheet: Sheet, parts: Sequence[RunPart]) -> None:
    first = parts[0]
    facts: list[tuple[str, str | None]] = [
        ("Model", first.model),
        ("Dataset", ", ".join(dict.fromkeys(part.dataset for part in parts))),
        ("Judge", first.setting("judge", "name")),
        ("Judge served as", first.setting("judge", "served_as")),
        ("Protocol", first.setting("protocol", "name")),
        ("Prompt style", first.setting("prompt", "style")),
        ("Date", str(first.settings["created"]) if first.settings.get("created") else None),
        ("Prediction file", first.setting("prediction_file", "name")),
        ("Versions", ", ".join(f"{name} {found}" for name, found in mapping(first.settings.get("versions")).items())),
    ]
    for part in parts:
        facts.append((f"Data sha256 ({part.task.value})", data_hash(part)))
        facts.append(
            (f"Data revision ({part.task.value})", str(found) if (found := part.data.get("revision")) else None)
        )
    for name, value in facts:
        if value:
            sheet.append([Item(name, BOLD), Item(value)])


def _sheet_overview_headline(sheet: Sheet, part: RunPart) -> None:
    level = number(mapping(part.score.get("intervals")).get("level")) or 0.95
    frequencies = {name: mapping(found) for name, found in mapping(part.score.get("frequencies")).items()}
    value = "Accuracy, %" if part.task is Task.PERCEPTION else "Mean"
    heads = ["Measure", value, f"{level:.0%} low", f"{level:.0%} high", "n"]
    if frequencies:
        heads += [f"Scored {score}" for score in (0, 1, 2)]
    sheet.header(heads)
    for measure in (OVERALL, *MEASURES[part.task][:-1]):
        bold = measure == OVERALL
        n = part.measure_n(measure)
        few = n is not None and n < FEW
        style = Style(unit(part.task), bold=bold, faint=few)
        low, high = part.intervals.get(measure, (None, None))
        scale = " (0-8)" if bold and part.task is not Task.PERCEPTION else ""
        items = [Item(measure + scale, BOLD if bold else TEXT), Item(part.values[measure], style)]
        items += [Item(low, style), Item(high, style), Item(n, Style(COUNT, bold=bold, faint=few))]
        if measure in frequencies:
            items += [Item(whole(frequencies[measure].get(score)), Style(COUNT)) for score in "012"]
        sheet.append(items)
    if has_several_verdicts(part):
        sheet.append([Item("Scored 0, 1, 2: the single verdicts of all rounds and judges.")])
    intervals = mapping(part.score.get("intervals"))
    clustered = mapping(intervals.get("clustered"))
    ends = ends_of(clustered.get(OVERALL))
    if ends is not None:
        plain = Style(unit(part.task))
        n_clusters = Item(whole(clustered.get("n_clusters")), Style(COUNT))
        label = Item("Overall, clustered (n: clusters)")
        sheet.append([label, Item(part.values[OVERALL], plain), *(Item(end, plain) for end in ends), n_clusters])
    if intervals.get("method"):
        sheet.append([Item(f"Intervals: {intervals['method']}, {level:.0%}.")])
    sheet.append([Item(f"Grey italics, here and on the other sheets: fewer than {FEW} samples.", Style(faint=True))])


def _counts(sheet: Sheet, part: RunPart) -> None:
    sheet.header(["Counts", "n"])
    for name, title in COUNT_TITLES.items():
        if name in part.counts:
            sheet.append([Item(title), Item(part.counts[name], Style(COUNT))])
    for reason, count in mapping(part.score.get("unscored_reasons")).items():
        sheet.append([Item(f"Unscored: {reason}", WRAPPED), Item(whole(count), Style(COUNT))])
    rules = mapping(part.score.get("rules"))
    if rules:
        sheet.append()
        sheet.header(["How the answer was read", "n"])
        for rule, count in rules.items():
            sheet.append([Item(str(rule)), Item(whole(count), Style(COUNT))])


def _published(sheet: Sheet, part: RunPart) -> None:
    measures = MEASURES[part.task]
    sheet.append([Item("This run and the published rows (test split); what is not comparable stands last", BOLD)])
    sheet.header(["Model", "Kind", "Category", *measures, "Comparable", "Source"], lines=2)
    for row in by_overall([own_row(part), *reference_rows(part.task)]):
        own = row.source is None
        fill = "own" if own else "human" if row.category == HUMAN else None
        sheet.append(_table_row(row, measures, unit(part.task), fill))


def _table_row(row: Row, measures: Sequence[str], number_format: str, fill: str | None) -> list[Item]:
    kind = {"own": "this run", "baseline": "this run, baseline"}.get(row.kind, row.kind)
    plain = Style(fill=fill, bold=fill == "own")
    items = [Item(text, plain) for text in (row.model, kind, row.category)]
    items += [Item(row.values[measure], Style(number_format, fill=fill, bold=fill == "own")) for measure in measures]
    comparable = "reference" if row.source else "yes" if row.comparable else "no"
    return [*items, Item(comparable, plain), Item(row.source, plain)]


# The breakdowns: a row a modality, and a row a group along every other axis.


BY_MODALITY = "By modality"
BY_GROUP = "By group"
ALL = "All"

FEW_HEAD = "Few"
FEW_MARK = f"n < {FEW}"
_OVERALL_ENDS = (f"{OVERALL} low", f"{OVERALL} high")
_PERCEPTION_HEADS = ("Accuracy", "Low", "High", "n", "Correct", "Unanswered", FEW_HEAD)
_REASONING_HEADS = (*DIMENSION_TITLES.values(), OVERALL, *_OVERALL_ENDS, "n", "Scored", "Unscored", FEW_HEAD)


def cell_heads(task: Task) -> tuple[str, ...]:
    """The columns of one group's cell."""
    return _PERCEPTION_HEADS if task is Task.PERCEPTION else _REASONING_HEADS


def cell_items(task: Task, cell: Mapping[str, Any], bold: bool = False) -> list[Item]:
    """One group's cell under :func:`cell_heads`; what was not measured stays empty, few samples make it grey."""
    few = is_few(task, cell)
    counts: tuple[str, ...]
    if task is Task.PERCEPTION:
        numbers, counts = [cell.get(name) for name in ("accuracy", "low", "high")], ("n", "n_correct", "n_unanswered")
    else:
        numbers = [cell.get(name) for name in (*DIMENSION_TITLES.values(), OVERALL)]
        numbers += ends_of(mapping(cell.get("intervals")).get(OVERALL)) or (None, None)
        counts = ("n", "n_scored", "n_unscored")
    style = Style(PERCENT if task is Task.PERCEPTION else SCORE, bold=bold, faint=few)
    return [
        *(Item(number(value), style) for value in numbers),
        *(Item(whole(cell.get(name)), Style(COUNT, bold=bold, faint=few)) for name in counts),
        Item(FEW_MARK if few else None, Style(faint=True)),
    ]


def add_by_modality(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the modality table: one flat table with heads in its first row."""
    sheet = book.add_fixed(BY_MODALITY)
    perception = parts[0].task is Task.PERCEPTION
    heads = [*_perception_heads(parts[0]), FEW_HEAD] if perception else ["Task", "Modality", *_REASONING_HEADS]
    heads = [*heads, "Run", "Comparable with published"]
    sheet.header(heads, lines=2)
    for part in parts:
        for name, cell in mapping(part.groups.get(MODALITY)).items():
            sheet.append(_modality_items(part, str(name), mapping(cell)))
        sheet.append(_modality_items(part, ALL, _whole_cell(part), bold=True))
    labels = 1 if perception else 2
    first, others, few = ([26], 11.5, 24) if perception else ([24, 18], 14, 9)
    sheet.widths([*first, *[others] * (len(heads) - labels - 3), few, 11, 15])
    _colour(sheet, heads, perception)
    sheet.table(1, len(heads))
    sheet.finish(freeze="B2" if perception else "C2", repeat_row=1)


def add_by_group(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the table of all axes but modality; no sheet where the data has none."""
    found = [(part, axis, name, cell) for part in parts for axis, name, cell in _groups(part)]
    if not found:
        return
    sheet = book.add_fixed(BY_GROUP)
    heads = ["Task", "Axis", "Group", *cell_heads(parts[0].task), "Run", "Comparable with published"]
    sheet.widths([24, 24, 26, *[13] * (len(heads) - 6), 9, 11, 15])
    sheet.header(heads, lines=2)
    for part, axis, name, cell in found:
        labels = [Item(TASK_TITLES[part.task]), Item(axis.replace("_", " ")), Item(name)]
        sheet.append([*labels, *cell_items(part.task, cell), *_marks(part)])
    _colour(sheet, heads, parts[0].task is Task.PERCEPTION)
    sheet.table(1, len(heads))
    sheet.finish(freeze="D2", repeat_row=1)


def _groups(part: RunPart) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for axis, groups in part.groups.items():
        if axis in (MODALITY, TYPE_BY_MODALITY):
            continue
        for name, cell in groups.items():
            if whole(mapping(cell).get("n")) is not None:
                yield axis, str(name), cell
            else:
                for inner, inner_cell in mapping(cell).items():
                    yield axis, f"{name} / {inner}", mapping(inner_cell)


def _question_types(part: RunPart) -> list[str]:
    found = [str(name) for name in mapping(part.groups.get("question_type"))]
    others = [name for name in found if name not in (*QUESTION_TYPES, OTHER_QUESTION_TYPE)]
    return [*QUESTION_TYPES, *others, *([OTHER_QUESTION_TYPE] if OTHER_QUESTION_TYPE in found else [])]


def _perception_heads(part: RunPart) -> list[str]:
    names = [OVERALL, *_question_types(part)]
    return ["Modality", *(head for name in names for head in (name, f"{name} low", f"{name} high", f"{name} n"))]


def _modality_items(part: RunPart, name: str, cell: Mapping[str, Any], bold: bool = False) -> list[Item]:
    label = Style(bold=bold)
    if part.task is not Task.PERCEPTION:
        return [
            Item(TASK_TITLES[part.task], label),
            Item(name, label),
            *cell_items(part.task, cell, bold),
            *_marks(part),
        ]
    by_type = mapping(
        part.groups.get("question_type") if bold else mapping(part.groups.get(TYPE_BY_MODALITY)).get(name)
    )
    cells = [cell, *(mapping(by_type.get(kind)) for kind in _question_types(part))]
    few = [kind for kind, one in zip((OVERALL, *_question_types(part)), cells, strict=True) if is_few(part.task, one)]
    return [
        Item(name, label),
        *(item for one in cells for item in cell_items(part.task, one, bold)[:4]),
        Item(f"{FEW_MARK}: {', '.join(few)}" if few else None, Style(faint=True)),
        *_marks(part),
    ]


def _whole_cell(part: RunPart) -> Mapping[str, Any]:
    low, high = part.intervals.get(OVERALL, (None, None))
    ends = {"low": low, "high": high, "intervals": {OVERALL: [low, high]}}
    return {**part.values, "accuracy": part.values[OVERALL], **ends, **part.counts}


def _marks(part: RunPart) -> list[Item]:
    return [
        Item("baseline" if part.baseline else "own", Style(fill="warn") if part.baseline else TEXT),
        Item("yes" if part.comparable else "no", TEXT if part.comparable else Style(fill="bad", bold=True)),
    ]


def _colour(sheet: Sheet, heads: Sequence[str], perception: bool) -> None:
    for column, head in enumerate(heads, 1):
        if perception and (head in (OVERALL, "Accuracy") or f"{head} low" in heads):
            sheet.colour_scale(column, 2, sheet.row, 100)
        elif not perception and head in MEASURES[Task.NO_REFERENCE]:
            sheet.colour_scale(column, 2, sheet.row, 8 if head == OVERALL else 2)


# One sheet a modality: its numbers by question type, severity and difficulty, then its samples.


# A column that was taken for the modality by mistake may have a value a row; a workbook of 1,300 sheets helps nobody.
MAX_SHEETS = 40
OTHERS = "Other modalities"
_AXES = ("severity", "difficulty")

Rows = Sequence[Mapping[str, Any]]


def add_modalities(book: Book, parts: Sequence[RunPart], rows: Rows, links: ImageLinks) -> None:
    """Write the sheets in the order of the results; modalities past the fortieth share the last sheet."""
    by_modality: dict[str, list[Mapping[str, Any]]] = {
        str(name): [] for part in parts for name in mapping(part.groups.get(MODALITY))
    }
    for row in rows:
        by_modality.setdefault(str(row.get("modality") or UNKNOWN), []).append(row)
    names = list(by_modality)
    own, rest = (names, []) if len(names) <= MAX_SHEETS else (names[: MAX_SHEETS - 1], names[MAX_SHEETS - 1 :])
    for name in own:
        _add_modality(book, parts, name, by_modality[name], links)
    if rest:
        _add_modality(book, parts, OTHERS, [row for name in rest for row in by_modality[name]], links)


def _add_modality(book: Book, parts: Sequence[RunPart], name: str, rows: Rows, links: ImageLinks) -> None:
    sheet = book.add(name)
    sheet.append([Item(f"{name}: {parts[0].model}", TITLE)], lines=2)
    width = len(cell_heads(parts[0].task)) + 2
    if any(part.baseline for part in parts):
        sheet.banner(BASELINE_NOTE, "warn", width)
    for line in dict.fromkeys(not_comparable(part) for part in parts if not part.comparable):
        sheet.banner(line, "bad", width)
    for part in parts:
        mine = [row for row in rows if len(parts) == 1 or row.get("task") == part.task.value]
        cells = _cells(part, name, mine)
        if not cells:
            continue
        sheet.append()
        sheet.append([Item(TASK_TITLES[part.task], BOLD)])
        sheet.header(["Axis", "Group", *cell_heads(part.task)], lines=1 if part.task is Task.PERCEPTION else 2)
        for axis, group, cell in cells:
            bold = group == ALL
            labels = [Item(label, BOLD if bold else TEXT) for label in (axis, group)]
            sheet.append([*labels, *cell_items(part.task, cell, bold)])
    sheet.append()
    if rows:
        head = write_table(sheet, columns_for(parts, links, brief=True), rows, MAX_ROWS_BY_MODALITY)
    else:
        sheet.widths([16] * width)
        head = 1
    sheet.finish(freeze="A2", repeat_row=head)


def _cells(part: RunPart, modality: str, rows: Rows) -> list[tuple[str, str, Mapping[str, Any]]]:
    given = mapping(mapping(part.groups.get(MODALITY)).get(modality))
    if not given and not rows:
        return []
    cells: list[tuple[str, str, Mapping[str, Any]]] = [("All samples", ALL, given or _count(part.task, rows))]
    for axis in (*(["question_type"] if part.task is Task.PERCEPTION else []), *_AXES):
        title = axis.replace("_", " ").capitalize()
        crossed = mapping(mapping(part.groups.get(f"{MODALITY}_x_{axis}")).get(modality))
        found = {str(name): mapping(cell) for name, cell in crossed.items()} or _by_axis(part.task, axis, rows)
        cells += [(title, name, cell) for name, cell in found.items()]
    return cells


def _by_axis(task: Task, axis: str, rows: Rows) -> dict[str, Mapping[str, Any]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row.get(axis) or UNKNOWN), []).append(row)
    if set(groups) <= {UNKNOWN}:
        return {}
    return {name: _count(task, found) for name, found in sorted(groups.items())}


def _count(task: Task, rows: Rows) -> dict[str, Any]:
    """A cell of the result file's shape, counted from sample rows: of modalities that share a sheet there is none."""
    n = len(rows)
    if task is Task.PERCEPTION:
        n_correct = sum(row.get("correct") is True for row in rows)
        group = accuracy_group(n, n_correct, sum(row.get("extracted") is None for row in rows))
        return group_to_json(group, perception=True)
    means: dict[str, float | None] = {}
    columns = [[sample_score(row, dimension) for row in rows] for dimension in DIMENSION_TITLES]
    for title, column in zip(DIMENSION_TITLES.values(), columns, strict=True):
        scores = [score for score in column if score is not None]
        means[title] = fmean(scores) if scores else None
    images = [row.get("images") for row in rows]
    clusters = clusters_of([[str(name) for name in found] if isinstance(found, list) else [] for found in images])
    interval = clipped(sum_of_means_interval(columns, clusters), 0, MAX_VERDICT * len(columns))
    known = [mean for mean in means.values() if mean is not None]
    unscored = sum(row.get("score") is None for row in rows)
    return {
        **means,
        OVERALL: math.fsum(known) if len(known) == len(means) else None,
        "n": n,
        "n_scored": n - unscored,
        "n_unscored": unscored,
        "intervals": {OVERALL: interval},
    }


# The last sheet: everything that a reader needs to say how the numbers came about.


SETTINGS = "Settings"

_OWN_SHEETS = ("findings", "conclusions", "between_rounds", "between_judges")
_LEFT_OUT = ("groups", "intervals", "frequencies", *_OWN_SHEETS, *REASONING_PREFIX.values())
_VALUE_WIDTH = 100


def add_settings(book: Book, score: Mapping[str, Any]) -> None:
    """Write the result file's settings and scalars as dotted names with their values."""
    sheet = book.add_fixed(SETTINGS)
    sheet.widths([60, _VALUE_WIDTH])
    sheet.header(["Setting", "Value"])
    shown = dict(score)
    for key in REASONING_PREFIX.values():
        part = score.get(key)
        # A part repeats what the whole run has in common; only what is its own is worth a line.
        if isinstance(part, Mapping):
            shown.update({f"{key}.{name}": value for name, value in part.items() if value != score.get(name)})
    wanted = sorted((key for key in shown if _wanted(key)), key=lambda key: key != "settings")
    for name, value in flat("", {key: shown[key] for key in wanted}):
        lines = lines_of(value, _VALUE_WIDTH) if isinstance(value, str) else 1
        sheet.append([Item(name), Item(value, WRAPPED)], lines=lines)
    sheet.finish(freeze="A2", repeat_row=1)


def _wanted(key: str) -> bool:
    return key not in _LEFT_OUT and key.rpartition(".")[2] not in _LEFT_OUT


def flat(prefix: str, value: Any) -> Iterator[tuple[str, str | float | bool | None]]:
    """Dotted names with their values; a list of plain values is one text."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from flat(f"{prefix}.{name}" if prefix else str(name), inner)
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, Mapping) for inner in value):
        for position, inner in enumerate(value, 1):
            yield from flat(f"{prefix}.{position}", inner)
    elif isinstance(value, (list, tuple)):
        yield prefix, ", ".join(str(inner) for inner in value)
    elif value is None or isinstance(value, (str, int, float)):
        yield prefix, value
    else:
        yield prefix, str(value)


# Tables with a row a group (or a run) and a column a group, coloured as one, with the counts beside them.


MATRICES = "Matrices"
MAX_ROWS, MAX_COLUMNS = 100, 40

_LABEL, _NUMBER = 30, 15
_NOTE = (
    f"Counts stand to the right of each table; grey italics: fewer than {FEW} samples. Intervals are on the sheets "
    "'By modality' and 'By group'."
)


@dataclass(frozen=True)
class Matrix:
    """``rows`` has a label and the figures by column; a figure that is absent leaves its cell empty.

    ``tops`` are the ends of the columns' colour scales, which begin at 0; ``marks`` are written behind the labels of
    the rows, under ``mark_head``.
    """

    title: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Mapping[str, Point]]]
    tops: Sequence[float]
    bold_row: str | None = None
    marks: Sequence[Item] = ()
    mark_head: str = ""


def points_by(part: RunPart, axis: str) -> dict[str, Point]:
    """Overall by the groups of one axis."""
    return {str(name): cell_point(part.task, mapping(cell)) for name, cell in mapping(part.groups.get(axis)).items()}


def unit_words(task: Task) -> str:
    """The unit of a task's Overall, for titles."""
    return "accuracy, %" if task is Task.PERCEPTION else "Overall, 0-8"


def add_matrices(book: Book, parts: Sequence[RunPart]) -> None:
    """Write every crossing of two axes that a result has, and the dimensions by modality; else no sheet."""
    found = [matrix for part in parts for matrix in _matrices(part)]
    if not found:
        return
    sheet = book.add_fixed(MATRICES)
    sheet.widths([_LABEL, *[_NUMBER] * (2 * max(len(matrix.columns) for matrix in found) + 1)])
    sheet.append([Item(_NOTE)])
    for matrix in found:
        sheet.append()
        write_matrix(sheet, matrix)
    sheet.finish(freeze="B2", repeat_row=1)


def write_matrix(sheet: Sheet, matrix: Matrix) -> None:
    """Write one table with its title, values on the left and counts on the right."""
    columns = list(matrix.columns)[:MAX_COLUMNS]
    rows = matrix.rows[:MAX_ROWS]
    cut = len(columns) < len(matrix.columns) or len(rows) < len(matrix.rows)
    sheet.append([Item(f"{matrix.title} (the first groups of more)" if cut else matrix.title, BOLD)])
    marks = [matrix.mark_head] if matrix.mark_head else []
    sheet.header([matrix.corner, *marks, *columns, "", *(f"n: {column}" for column in columns)], lines=2)
    first = sheet.row + 1
    for at, (label, figures) in enumerate(rows):
        bold = label == matrix.bold_row
        items = [Item(label, Style(bold=bold)), *([matrix.marks[at]] if marks else [])]
        shown = [figures.get(column, NOTHING) for column in columns]
        for one, top in zip(shown, matrix.tops, strict=False):
            items.append(Item(one.value, Style(PERCENT if top > 10 else SCORE, bold=bold, faint=one.few)))
        items.append(Item(None))
        sheet.append([*items, *(Item(one.n, Style(COUNT, bold=bold, faint=one.few)) for one in shown)])
    start = 2 + len(marks)
    for top in dict.fromkeys(matrix.tops[: len(columns)]):
        span = [at for at, one in enumerate(matrix.tops[: len(columns)]) if one == top]
        sheet.colour_scale(start + span[0], first, sheet.row, top, start + span[-1])


def _matrices(part: RunPart) -> list[Matrix]:
    title = TASK_TITLES[part.task]
    found = []
    if part.task is not Task.PERCEPTION and part.groups.get(MODALITY):
        measures = [*DIMENSION_TITLES.values(), OVERALL]
        rows = [
            (str(name), {measure: cell_point(part.task, mapping(cell), measure) for measure in measures})
            for name, cell in part.groups[MODALITY].items()
        ]
        rows.append((ALL, {measure: measure_point(part, measure) for measure in measures}))
        tops = [top_of(part.task, measure) for measure in measures]
        found.append(Matrix(f"{title}: modality x dimension", "Modality", measures, rows, tops, ALL))
    for axis in part.groups:
        outer, _, inner = axis.partition("_x_")
        if inner:
            found.append(_crossing(part, title, outer, inner))
    return found


def _crossing(part: RunPart, title: str, outer: str, inner: str) -> Matrix:
    """The groups of two axes, with the groups of each alone at the edges."""
    words = [axis.replace("_", " ") for axis in (outer, inner)]
    totals = points_by(part, inner)
    crossed = mapping(part.groups.get(f"{outer}_x_{inner}"))
    seen = dict.fromkeys([*totals, *(str(name) for cells in crossed.values() for name in mapping(cells))])
    alone = points_by(part, outer)
    rows: list[tuple[str, Mapping[str, Point]]] = []
    for name, cells in crossed.items():
        found = {str(inside): cell_point(part.task, mapping(cell)) for inside, cell in mapping(cells).items()}
        rows.append((str(name), {**found, ALL: alone.get(str(name), NOTHING)}))
    rows.append((ALL, {**totals, ALL: measure_point(part)}))
    columns = [*list(seen)[: MAX_COLUMNS - 1], ALL]
    tops = [top_of(part.task)] * len(columns)
    return Matrix(
        f"{title}: {' x '.join(words)}, {unit_words(part.task)}", words[0].capitalize(), columns, rows, tops, ALL
    )
