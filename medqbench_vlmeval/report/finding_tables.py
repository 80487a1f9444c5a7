"""What stands behind a run's sentences: findings with their tables, stated conclusions, how far verdicts repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, MEASURES, TASK_TITLES, Task
from medqbench_vlmeval.report.many_tables import NamedRun
from medqbench_vlmeval.report.run_tables import count_item
from medqbench_vlmeval.report.sample_tables import Read, add_rows, judge_words
from medqbench_vlmeval.report.sentences import has_rules
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import FEW_HEAD, Column, Entry, Item, Kind, Row, Table, columns, few_item, table
from medqbench_vlmeval.report.text import INTROS, LABELS
from medqbench_vlmeval.scoring.agreement import is_same
from medqbench_vlmeval.types import Agreement, Cell, Finding, SampleRow, TaskRun

FINDINGS, CONCLUSIONS, RELIABILITY = "Findings", "Conclusions", "Reliability"
_COLUMNS = (
    Column("Task"),
    Column("Finding", width=34, wrap=True),
    Column("Value", "percent", interval=""),
    Column("Unit"),
    Column("n", "count"),
    Column(FEW_HEAD),
    Column("Statement", width=72, wrap=True),
    Column("Interval", width=36, wrap=True),
)
_RUNS_A_PAGE = 6
_QUALITY = "quality_accuracy"
_IMAGES: Mapping[str | int, str] = {1: "first image", 2: "second image", "same": "no difference"}
_UNREAD = "none that can be read"
_WITH_RULES = "One of the panel is 'rules', whose quality accuracy is computed in this very way."


def add_findings(book: Book, runs: Sequence[TaskRun]) -> None:
    """Write a line a finding and below them the tables that they are made from; without findings no sheet."""
    known = [run for run in runs if run.result.findings or run.result.not_found]
    if not known:
        return
    sheet = book.add_fixed(FINDINGS)
    sheet.sentence(INTROS["findings"])
    head = sheet.add_table(Table("", _COLUMNS, [row for run in known for row in _finding_rows(run)]))
    for run in known:
        for finding in run.result.findings.values():
            for at, part in enumerate(_tables_of(finding)):
                if at == 0:
                    sheet.append()
                    sheet.append([TASK_TITLES[run.task], finding.title], "bold")
                # From the second column on.
                sheet.add_table(table("", (Column(""), *part.columns), [(None, *row.entries) for row in part.rows]))
    sheet.finish(freeze=f"C{head + 1}", repeat_row=1)


def _finding_rows(run: TaskRun) -> Iterator[Row]:
    task = TASK_TITLES[run.task]
    for finding in run.result.findings.values():
        cell = finding.cell
        value = (_value(finding), finding.unit, count_item(cell), few_item(cell.few))
        yield Row((task, Item(finding.title, bold=True), *value, finding.statement, finding.method))
    for name, reason in run.result.not_found.items():
        yield Row((task, name.replace("_", " "), *[None] * 4, f"not found: {reason}", None), "faint")


def _value(finding: Finding) -> Item:
    return Item(finding.cell, "score" if finding.unit in ("score", "correlation") else "percent")


def _tables_of(finding: Finding) -> Iterator[Table]:
    details = finding.details
    if details.groups:
        compared = {name for side in details.compared for name in side}
        kind: Kind = "percent" if finding.unit == "points" else "score"
        value = Column("Accuracy, %" if kind == "percent" else "Mean", kind, interval="", n="n")
        rows = [
            (name, "compared" if name in compared else None, cell, few_item(cell.few))
            for name, cell in details.groups.items()
        ]
        yield table("", [*columns("Group", "Compared"), value, Column(FEW_HEAD)], rows)
    for scale, counts in (details.scales or {}).items():
        # Counts by the right level (rows) and the chosen one (columns), coloured up to the largest count.
        levels = list(dict.fromkeys(level for row in counts.values() for level in row))
        top = max([1, *(count for row in counts.values() for count in row.values())])
        heads = [*columns(f"Right level ({scale})", "Chosen:"), *(Column(to, "count", top=top) for to in levels)]
        yield table("", heads, [(right, None, *map(row.get, levels)) for right, row in counts.items()])
    if groups := details.failure_groups:
        axes = list(dict.fromkeys(axis for group in groups for axis in group.values))
        heads = [*columns(*(axis.replace("_", " ").capitalize() for axis in axes), ("Failed", "count"))]
        heads += [Column("Failed, %", "percent", interval="", n="of"), *columns(("Images", "count"), ("p (Holm)", "p"))]
        lines = [
            (*map(group.values.get, axes), group.share.counts["count"], group.share, group.share.n_clusters, group.p)
            for group in groups
        ]
        yield table("", heads, lines)
    mistakes = {f"{mistake.right} taken for {mistake.chosen}": mistake.share for mistake in details.mistakes}
    yield from _shares("Confused levels", mistakes.items())
    for letters, bias in (details.by_options or {}).items():
        heads = columns("Letter", f"{len(letters)} options, n = {bias.n}", ("Chosen, %", "percent"))
        heads += [Column("Right, %", "percent"), Column("Points apart", "percent", interval="")]
        uses = [
            (letter, None, use.chosen, use.right, Cell(use.difference, use.low, use.high))
            for letter, use in bias.letters.items()
        ]
        yield table("", heads, [*uses, ("Total variation distance", None, None, None, bias.distance)])
    shares = [(label, details.shares[name]) for name, label in LABELS["shares"].items() if name in details.shares]
    yield from _shares("", [*(details.kinds or {}).items(), *(details.reasons or {}).items(), *shares])


def _shares(head: str, shares: Iterable[tuple[str, Cell]]) -> Iterator[Table]:
    """A line a share with what it was counted from; no shares, no table."""
    share = Column("Share, %", "percent", interval="")
    rows = [
        (label, cell, Item(cell.counts.get("count"), few=cell.few), count_item(cell), few_item(cell.few))
        for label, cell in shares
    ]
    if rows:
        yield table("", [Column(head), share, *columns(("Count", "count"), ("of", "count"), FEW_HEAD)], rows)


def add_many_findings(book: Book, tasks: Mapping[Task, Sequence[NamedRun]]) -> None:
    """Write the findings of many runs, one row a finding and three columns a run; no sheet where no run has any."""
    known = [(task, runs, titles) for task, runs in tasks.items() if (titles := _titles(runs))]
    if not known:
        return
    most = max(len(runs) for _, runs, _ in known)
    sheet = book.add_fixed(FINDINGS)
    sheet.title("Findings side by side")
    sheet.sentence(INTROS["many_findings"])
    for task, runs, titles in known:
        sheet.append()
        sheet.append([TASK_TITLES[task]], "bold")
        sheet.append([Item(fill="head"), Item(fill="head")])
        for at, run in enumerate(runs):
            sheet.span(run.label, 3 + 3 * at, 5 + 3 * at, "head")
        heads = [*columns("Finding", "Unit"), *[Column("value", "percent", interval="95%")] * len(runs)]
        rows = [
            (Item(title, bold=True), unit, *(_entry(run.task_run, name) for run in runs))
            for name, (title, unit) in titles.items()
        ]
        sheet.add_table(table("", heads, rows))
    sheet.finish(freeze="C2", repeat_row=1, pages=-(-most // _RUNS_A_PAGE), repeat_columns=2)


def _titles(runs: Sequence[NamedRun]) -> dict[str, tuple[str, str | None]]:
    """Title and unit by name of every finding that some run has, or has a reason for not having."""
    results = [run.task_run.result for run in runs]
    present = {name: (finding.title, finding.unit) for part in results for name, finding in part.findings.items()}
    absent = {name: (name.replace("_", " ").capitalize(), None) for part in results for name in part.not_found}
    return {**present, **{name: title for name, title in absent.items() if name not in present}}


def _entry(run: TaskRun, name: str) -> Entry:
    if name in run.result.findings:
        return _value(run.result.findings[name])
    return Item("absent", few=True) if name in run.result.not_found else None


def add_conclusions(book: Book, runs: Sequence[TaskRun], rows: Sequence[SampleRow]) -> None:
    """Write where the judge's quality accuracy and the stated conclusions disagree; a result without them gets no
    sheet."""
    checks = [(run, check) for run in runs if (check := run.result.conclusions)]
    if not checks:
        return
    sheet = book.add_fixed(CONCLUSIONS)
    sheet.sentence(INTROS["conclusions"])
    if any(has_rules(run) for run, _ in checks):
        sheet.sentence(_WITH_RULES)
    heads = columns("Task", ("Computed", "score"), ("of", "count"), ("Judge", "score"), ("of", "count"))
    heads += columns(("Same, %", "percent"), ("Kappa", "score"), ("Differ", "count"))
    means = [
        (Item(TASK_TITLES[run.task], bold=True), check.computed, check.n, check.judge, check.agreement.n,
         check.agreement.same, check.agreement.kappa, check.n_disagreements)
        for run, check in checks
    ]  # fmt: skip
    sheet.add_table(table("", heads, means))
    sheet.append()
    tasks = {run.task for run, _ in checks}
    differing = [row for row in rows if row.sample.task in tasks and _disagrees(row)]
    sheet.finish(repeat_row=add_rows(sheet, _conclusion_columns(len(runs) > 1), differing))


def _disagrees(row: SampleRow) -> bool:
    computed, judged = _computed(row), row.score_on(_QUALITY)
    return computed is not None and judged is not None and not is_same(computed, judged)


def _computed(row: SampleRow) -> float | None:
    return None if row.conclusion is None else row.conclusion.quality_accuracy


def _conclusion_columns(several_tasks: bool) -> list[Read[SampleRow]]:
    task: Read[SampleRow] = (Column("task"), lambda row: row.sample.task.value)
    return [
        (Column("index"), lambda row: row.sample.index),
        *([task] if several_tasks else []),
        (Column("modality", optional=1), lambda row: row.sample.modality),
        (Column("stated"), lambda row: _words(row.conclusion and row.conclusion.stated) or _UNREAD),
        (Column("reference"), lambda row: _words(row.conclusion and row.conclusion.reference)),
        (Column("computed", "mark"), _computed),
        (Column("judge", "mark"), lambda row: row.score_on(_QUALITY)),
        (Column("judge said", width=60, wrap=True), lambda row: judge_words(row.verdicts.get(_QUALITY))),
        (Column("prediction", width=70, wrap=True), lambda row: row.prediction.text),
        (Column("description", width=60, wrap=True), lambda row: row.sample.description),
    ]


def _words(conclusion: str | int | None) -> str | None:
    return _IMAGES.get(conclusion, str(conclusion)) if conclusion else None


def reliability(run: TaskRun) -> Iterator[Table]:
    """How far verdicts repeat between rounds and between judges; of a result without them nothing."""
    title, measures, result = TASK_TITLES[run.task], MEASURES[run.task], run.result
    if result.between_rounds:
        heads = columns(("Pairs", "count"), ("Same, %", "share"), ("Kappa", "score"), ("Mean difference", "score"))
        rows = [
            (name, cell.n, cell.same, cell.kappa, cell.mean_absolute_difference)
            for name, cell in result.between_rounds.items()
        ]
        yield table(f"{title}: the same judge on the same sample in two rounds", [Column("Dimension"), *heads], rows)
    if judges := result.between_judges:
        heads = [Column("Judge"), *(Column(measure, "score") for measure in measures)]
        means = [(name, *map(of_judge.get, measures)) for name, of_judge in judges.means.items()]
        yield table(f"{title}: means by judge", heads, means)
        pairs = {
            f"{first} / {second}": cells for first, others in judges.pairs.items() for second, cells in others.items()
        }
        yield shares_table(f"{title}: judges pair by pair", "Judges", pairs)


def shares_table(title: str, head: str, pairs: Mapping[str, Mapping[str, Agreement]]) -> Table:
    """A line a label, with n, share and kappa a dimension: two scorers, or a group of answers."""
    heads, rows = [Column(head)], []
    for dimension in DIMENSION_TITLES.values():
        heads += columns((f"{dimension} n", "count"), ("same, %", "share"), ("kappa", "score"))
    for label, cells in pairs.items():
        agreements = [cells.get(dimension) for dimension in DIMENSION_TITLES.values()]
        trios = [(cell.n, cell.same, cell.kappa) if cell else (None, None, None) for cell in agreements]
        rows.append((label, *(number for trio in trios for number in trio)))
    return table(title, heads, rows)
