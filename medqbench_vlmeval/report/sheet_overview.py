"""The first sheet: what the run is, its headline numbers, and the published rows beside them."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.data.published import HUMAN
from medqbench_vlmeval.report.cells import BOLD, COUNT, PERCENT, SCORE, TEXT, TITLE, WRAPPED, Book, Item, Sheet, Style
from medqbench_vlmeval.report.checks import has_several_verdicts
from medqbench_vlmeval.report.rows import Row, by_overall, data_hash, own_row, reference_rows
from medqbench_vlmeval.report.runs import MEASURES, OVERALL, TASK_TITLES, RunPart, ends_of, mapping, number, whole
from medqbench_vlmeval.report.sheet_extractor import add_extractor_block
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

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
        _headline(sheet, part)
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


def _headline(sheet: Sheet, part: RunPart) -> None:
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
