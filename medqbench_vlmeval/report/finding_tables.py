"""The findings of a run: one line each, and below them the tables that they are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Task
from medqbench_vlmeval.report.many_tables import TaskRuns
from medqbench_vlmeval.report.run_tables import FEW_HEAD, FEW_MARK, has_rules, has_several_verdicts
from medqbench_vlmeval.report.sample_tables import MAX_ROWS, Column, judge_words, score_item, write_table
from medqbench_vlmeval.report.sheet import (
    BOLD,
    COUNT,
    HEAD,
    PERCENT,
    SCORE,
    TEXT,
    TITLE,
    WRAPPED,
    Book,
    Item,
    Sheet,
    Style,
    area,
    lines_of,
)
from medqbench_vlmeval.report.terminal import absent_findings, findings_of, title_of, words_of
from medqbench_vlmeval.runs.result import MEASURES, TASK_TITLES, RunPart, mapping, number, text, whole
from medqbench_vlmeval.scoring.agreement import is_same
from medqbench_vlmeval.scoring.intervals import FEW

FINDINGS = "Findings"

_WHAT = (
    "Each finding with its 95% interval; 'no evidence' is said where the interval of a difference includes 0. What the "
    "data does not support is listed with the reason."
)
_HEADS = ("Task", "Finding", "Statement", "Value", "Low", "High", "Unit", "n", FEW_HEAD, "Interval")
_STATEMENT_WIDTH = 68
_METHOD_WIDTH = 32
_WIDTHS = (23, 34, _STATEMENT_WIDTH, 11, 11, 11, 11, 9, 9, _METHOD_WIDTH)
_FIRST_TABLE_COLUMN = 2
_SHARES = {
    "kinds": "Kind",
    "reasons": "Reason",
    "first_stated": "Answers that prefer the first image",
    "first_in_reference": "References that prefer the first image",
    "right_where_first_is_better": "Right where the first image is better",
    "right_where_second_is_better": "Right where the second image is better",
    "said_yes": "Answers that say yes",
    "is_yes": "Questions whose answer is yes",
    "right_where_yes": "Right where it is yes",
    "right_where_no": "Right where it is no",
    "inference_failed": "Inference failed",
    "missing": "Prediction missing",
}


def add_findings(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the sheet where a result has findings; a result without them gets no sheet."""
    known = [part for part in parts if any(findings_of(part)) or absent_findings(part)]
    if not known:
        return
    sheet = book.add_fixed(FINDINGS)
    sheet.widths(_WIDTHS)
    sheet.append([Item(_WHAT)])
    head = sheet.header(_HEADS)
    for part in known:
        for name, found in findings_of(part):
            _line(sheet, part, name, found)
        for name, reason in absent_findings(part).items():
            grey = Style(faint=True)
            sheet.append(
                [Item(TASK_TITLES[part.task], grey), Item(words_of(name), grey), Item(f"not found: {reason}", grey)]
            )
    for part in known:
        for name, found in findings_of(part):
            _tables(sheet, part, name, found)
    sheet.finish(freeze=f"C{head + 1}", repeat_row=1)


def _line(sheet: Sheet, part: RunPart, name: str, found: Mapping[str, Any]) -> None:
    few = found.get("few") is True
    unit = text(found.get("unit"))
    figure = Style(SCORE if unit == "score" else PERCENT, faint=few)
    statement = str(found["statement"])
    sheet.append(
        [
            Item(TASK_TITLES[part.task]),
            Item(title_of(name, found), Style(bold=True, wrap=True)),
            Item(statement, WRAPPED),
            *(Item(number(found.get(key)), figure) for key in ("value", "low", "high")),
            Item(unit),
            Item(whole(found.get("n")), Style(COUNT, faint=few)),
            Item(FEW_MARK if few else None, Style(faint=True)),
            Item(text(found.get("method")), WRAPPED),
        ],
        lines=max(lines_of(statement, _STATEMENT_WIDTH), lines_of(text(found.get("method")) or "", _METHOD_WIDTH)),
    )


def _tables(sheet: Sheet, part: RunPart, name: str, found: Mapping[str, Any]) -> None:
    """The tables of one finding, under its name."""
    details = mapping(found.get("details"))
    shares = _share_rows(details)
    groups = mapping(details.get("groups"))
    scales = mapping(details.get("scales"))
    options = mapping(details.get("by_options"))
    if not (shares or groups or scales or options):
        return
    sheet.append()
    sheet.append([Item(TASK_TITLES[part.task], BOLD), Item(title_of(name, found), BOLD)])
    if groups:
        _groups(sheet, groups, text(found.get("unit")) == "points", details)
    for scale, matrix in scales.items():
        _matrix(sheet, str(scale), mapping(matrix))
    _mistakes(sheet, details.get("mistakes"))
    for letters, table in options.items():
        _letters(sheet, str(letters), mapping(table))
    if shares:
        _head(sheet, ["", "", "Share, %", "Low", "High", "Count", "of", FEW_HEAD])
        for label, share in shares:
            sheet.append([Item(None), Item(label), Item(None), *_share(share)])


def _groups(sheet: Sheet, groups: Mapping[str, Any], in_percent: bool, details: Mapping[str, Any]) -> None:
    sides = details.get("compared")
    compared = {str(name) for side in _list(sides) for name in _list(side)}
    _head(sheet, ["Group", "Compared", "Accuracy, %" if in_percent else "Mean", "Low", "High", "n", FEW_HEAD])
    for name, cell in groups.items():
        few = mapping(cell).get("few") is True
        figure = Style(PERCENT if in_percent else SCORE, faint=few)
        sheet.append(
            [
                Item(None),
                Item(str(name)),
                Item("compared" if str(name) in compared else None),
                *(Item(number(mapping(cell).get(key)), figure) for key in ("value", "low", "high")),
                Item(whole(mapping(cell).get("n")), Style(COUNT, faint=few)),
                Item(FEW_MARK if few else None, Style(faint=True)),
            ]
        )


def _matrix(sheet: Sheet, scale: str, matrix: Mapping[str, Any]) -> None:
    """Counts by the right level (rows) and the chosen one (columns), coloured up to the largest count."""
    columns = list(dict.fromkeys(str(level) for row in matrix.values() for level in mapping(row)))
    counts = {right: [whole(mapping(row).get(level)) for level in columns] for right, row in matrix.items()}
    _head(sheet, [f"Right level ({scale})", "Chosen:", *columns])
    first = sheet.row + 1
    for right, row in counts.items():
        sheet.append([Item(None), Item(str(right)), Item(None), *(Item(count, Style(COUNT)) for count in row)])
    top = max((count or 0 for row in counts.values() for count in row), default=0)
    for at in range(len(columns)):
        sheet.colour_scale(_FIRST_TABLE_COLUMN + 2 + at, first, sheet.row, max(top, 1))


def _mistakes(sheet: Sheet, mistakes: object) -> None:
    found = [mapping(one) for one in _list(mistakes)]
    if not found:
        return
    _head(sheet, ["Level taken for another", "", "Share, %", "Low", "High", "Count", "of", FEW_HEAD])
    for one in found:
        label = f"{one.get('right')} taken for {one.get('chosen')}"
        sheet.append([Item(None), Item(label), Item(None), *_share(one)])


def _letters(sheet: Sheet, letters: str, table: Mapping[str, Any]) -> None:
    note = f"{len(letters)} options, n = {whole(table.get('n'))}"
    _head(sheet, ["Letter", note, "Chosen, %", "Right, %", "Points apart", "Low", "High"])
    for letter, row in mapping(table.get("letters")).items():
        keys = ("chosen", "right", "difference", "low", "high")
        figures = (Item(number(mapping(row).get(key)), Style(PERCENT)) for key in keys)
        sheet.append([Item(None), Item(str(letter)), Item(None), *figures])
    distance = number(table.get("distance"))
    total = [Item("Total variation distance"), *[Item(None)] * 3, Item(distance, Style(PERCENT))]
    sheet.append([Item(None), *total])


def _share_rows(details: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for key, label in _SHARES.items():
        found = mapping(details.get(key))
        if "share" in found:
            rows.append((label, found))
        elif key in ("kinds", "reasons"):
            rows += [(str(name), mapping(share)) for name, share in found.items()]
    return rows


def _share(share: Mapping[str, Any]) -> list[Item]:
    few = share.get("few") is True
    return [
        *(Item(number(share.get(key)), Style(PERCENT, faint=few)) for key in ("share", "low", "high")),
        *(Item(whole(share.get(key)), Style(COUNT, faint=few)) for key in ("count", "of")),
        Item(FEW_MARK if few else None, Style(faint=True)),
    ]


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else []


def _head(sheet: Sheet, names: Sequence[str]) -> None:
    """Heads over the second column and those from the third on."""
    sheet.append([Item(None, TEXT), *(Item(name, BOLD) for name in names)])


# The findings of many runs: one row a finding and three columns a run, and the sentences below each other.


FINDINGS_BY_RUN, SENTENCES = "Findings", "Findings in words"

_MANY_FINDINGS_WHAT = (
    "One row a finding; a run's three columns are its value and the ends of its 95% interval. Of which groups a gap "
    f"is and why one is absent, the sheet '{SENTENCES}' says. Grey italics: fewer than {FEW} samples."
)
_COLUMNS = 3  # a run
_FIRST = 3  # the column of the first run
_RUNS_A_PAGE = 6
_SENTENCE_WIDTH = 100


def add_many_findings(book: Book, tasks: Sequence[TaskRuns]) -> None:
    """Write both sheets where some run has findings; else none."""
    known = [found for found in tasks if _names(found)]
    if not known:
        return
    sheet = book.add_fixed(FINDINGS_BY_RUN)
    sheet.widths([42, 12, *[10.5] * (_COLUMNS * max(len(found.runs) for found in known))])
    sheet.append([Item("Findings side by side", TITLE)], lines=2)
    sheet.append([Item(_MANY_FINDINGS_WHAT)])
    for found in known:
        sheet.append()
        _side_by_side(sheet, found)
    pages = -(-max(len(found.runs) for found in known) // _RUNS_A_PAGE)
    sheet.finish(freeze="C2", repeat_row=1, pages=pages, repeat_columns=2)
    _sentences(book.add_fixed(SENTENCES), known)


def _names(found: TaskRuns) -> dict[str, tuple[str, str | None]]:
    """Title and unit by name of every finding that some run has, or has a reason for not having."""
    names: dict[str, tuple[str, str | None]] = {}
    for run in found.runs:
        names.update({name: (title_of(name, one), text(one.get("unit"))) for name, one in findings_of(run.part)})
    for run in found.runs:
        for name in absent_findings(run.part):
            names.setdefault(name, (words_of(name).capitalize(), None))
    return names


def _side_by_side(sheet: Sheet, found: TaskRuns) -> None:
    sheet.append([Item(found.title, BOLD)])
    runs = [(dict(findings_of(run.part)), absent_findings(run.part)) for run in found.runs]
    labels = [item for run in found.runs for item in (Item(run.label, HEAD), Item(None, HEAD), Item(None, HEAD))]
    top = sheet.append([Item(None, HEAD), Item(None, HEAD), *labels], lines=2)
    for at in range(len(runs)):
        left = _FIRST + at * _COLUMNS
        sheet.worksheet.merge_cells(area(left, top, left + _COLUMNS - 1, top))
    sheet.header(["Finding", "Unit", *["value", "95% low", "95% high"] * len(runs)])
    for name, (title, unit) in _names(found).items():
        items = [Item(title, BOLD), Item(unit)]
        for present, absent in runs:
            items += _figures(present.get(name), absent.get(name))
        sheet.append(items)


def _figures(found: Mapping[str, Any] | None, reason: str | None) -> list[Item]:
    if found is None:
        return [Item(None if reason is None else "absent", Style(faint=True)), Item(None), Item(None)]
    style = Style(
        PERCENT if text(found.get("unit")) in ("points", "percent") else SCORE, faint=found.get("few") is True
    )
    return [Item(number(found.get(key)), style) for key in ("value", "low", "high")]


def _sentences(sheet: Sheet, known: Sequence[TaskRuns]) -> None:
    sheet.widths([26, 40, 34, _SENTENCE_WIDTH, 10, 9])
    sheet.header(["Task", "Finding", "Run", "Statement", "n", FEW_HEAD])
    for found in known:
        runs = [(run.label, dict(findings_of(run.part)), absent_findings(run.part)) for run in found.runs]
        for name, (title, _) in _names(found).items():
            for label, present, absent in runs:
                if name not in present and name not in absent:
                    continue
                one = present.get(name, {})
                said = str(one["statement"]) if one else f"not found: {absent[name]}"
                few = one.get("few") is True
                sheet.append(
                    [
                        *(Item(words) for words in (found.title, title, label)),
                        Item(said, WRAPPED if one else Style(wrap=True, faint=True)),
                        Item(whole(one.get("n")), Style(COUNT, faint=few)),
                        Item(FEW_MARK if few else None, Style(faint=True)),
                    ],
                    lines=lines_of(said, _SENTENCE_WIDTH),
                )
    sheet.table(1, 6)
    sheet.finish(freeze="D2", repeat_row=1)


# The samples on which the judge's quality accuracy and the stated conclusions disagree.


CONCLUSIONS = "Conclusions"

_QUALITY = "quality_accuracy"
_IMAGES = {1: "first image", 2: "second image", "same": "no difference"}
_SHEET_CONCLUSIONS_WHAT = (
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
    sheet.append([Item(_SHEET_CONCLUSIONS_WHAT)])
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


# How far verdicts repeat: between the rounds of a judge and between the judges of a panel.


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
