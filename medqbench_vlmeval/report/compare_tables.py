"""The words and figures of a comparison of runs that the terminal and the workbook share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Task
from medqbench_vlmeval.report.old import (
    BOLD,
    COUNT,
    MAX_ROWS,
    PERCENT,
    SCORE,
    TEXT,
    TITLE,
    WRAPPED,
    Book,
    Column,
    Item,
    Sheet,
    Style,
    lines_of,
    score_item,
    write_table,
)
from medqbench_vlmeval.report.terminal import Grid, own_console, print_grid, print_line
from medqbench_vlmeval.report.text import terminal_text
from medqbench_vlmeval.runs.result import OVERALL, TASK_TITLES, mapping, number, text, whole

if TYPE_CHECKING:
    from rich.console import Console


NONE = "-"
FEW_MARK = "*"
_SMALLEST_P = 0.0001
_SHOWN = 40  # characters of an index
_AXES = {"dimension": "dimension", "modality": "modality", "question_type": "question type", "severity": "severity"}


def is_perception(part: Mapping[str, Any]) -> bool:
    return bool(part["task"] == Task.PERCEPTION.value)


def digits_of(part: Mapping[str, Any]) -> int:
    """Percent have two digits behind the point, means three."""
    return 2 if is_perception(part) else 3


def title_of(part: Mapping[str, Any]) -> str:
    """'Perception', with the dataset where a run has several of the task."""
    title = TASK_TITLES[Task(part["task"])]
    return f"{title} ({part['dataset']})" if part.get("dataset") else title


def test_of(part: Mapping[str, Any]) -> str:
    """The name of the test behind ``p``."""
    return "McNemar" if is_perception(part) else "Wilcoxon"


def cells_of(pair: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Axis, group and cell: the overall one, then axis by axis."""
    yield "", OVERALL, mapping(pair["overall"])
    for axis, cells in mapping(pair["axes"]).items():
        for group, cell in mapping(cells).items():
            yield _AXES.get(axis, axis), str(group), mapping(cell)


def headline_of(part: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    """The overall difference in one sentence."""
    cell, digits = mapping(pair["overall"]), digits_of(part)
    unit = "%" if is_perception(part) else ""
    values = f"{fixed(cell['a'], digits)}{unit} against {fixed(cell['b'], digits)}{unit}"
    p = cell["p"] if cell["p_clustered"] is None else cell["p_clustered"]
    over = "" if cell["p_clustered"] is None else ", over images"
    certain = interval_of(cell, digits) if cell.get("no_interval") else f"95% {interval_of(cell, digits)}"
    return (
        f"{values} on {cell['n']} samples: difference {signed(cell['difference'], digits)} points ({certain}), "
        f"{test_of(part)} p {p_text(p, True)}{over}. {_shown(cell, digits)}"
    )


def left_out_of(pair: Mapping[str, Any]) -> list[str]:
    """The samples of a pair that were not compared, a sentence a reason."""
    found, a, b = mapping(pair["left_out"]), pair["a"], pair["b"]
    changed = mapping(found["changed"])
    differing = ", ".join(str(name) for name in changed.get("differing", ()))
    said = {
        "only_in_a": f"only in {a}",
        "only_in_b": f"only in {b}",
        "changed": f"of one index are not the same sample in both (other {differing})",
        "unscored": "without a whole score in one run or both",
    }
    return [
        f"not compared: {whole(group['n'])} samples {words}: {_listed(group)}"
        for name, words in said.items()
        if (group := mapping(found[name])).get("n")
    ]


def places_of(part: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The places in the ranking of the runs that one cannot be told apart from: '2-4, 7'."""
    order = {str(one["run"]): place for place, one in enumerate(part["ranking"], 1)}
    places = sorted(order[str(name)] for name in row["not_distinct_from"])
    spans: list[list[int]] = []
    for place in places:
        if spans and place == spans[-1][1] + 1:
            spans[-1][1] = place
        else:
            spans.append([place, place])
    return ", ".join(f"{low}-{high}" if high > low else str(low) for low, high in spans) or NONE


def p_text(p: float | None, with_sign: bool = False) -> str:
    """'0.0312', '<0.0001' or '-'."""
    if p is None:
        return NONE
    if p < _SMALLEST_P:
        return f"< {_SMALLEST_P}" if with_sign else f"<{_SMALLEST_P}"
    return f"= {p:.4f}" if with_sign else f"{p:.4f}"


def interval_of(cell: Mapping[str, Any], digits: int) -> str:
    """'-3.20 to 1.05', or why there is none."""
    low, high = number(cell.get("low")), number(cell.get("high"))
    if low is None or high is None:
        return f"no interval: {cell.get('no_interval') or 'too few resamples'}"
    return f"{low:.{digits}f} to {high:.{digits}f}"


def signed(value: object, digits: int) -> str:
    """A difference with its sign; 0 has none."""
    found = number(value)
    if found is None:
        return NONE
    return f"{found:+.{digits}f}" if round(found, digits) else f"{0:.{digits}f}"


def fixed(value: object, digits: int) -> str:
    """A number with so many digits behind the point, '-' for none."""
    found = number(value)
    return NONE if found is None else f"{found:.{digits}f}"


def count_of(cell: Mapping[str, Any]) -> str:
    """How many samples, with a mark where they are few."""
    return f"{cell['n']}{FEW_MARK if cell.get('few') else ''}"


def part_notes(part: Mapping[str, Any]) -> list[str]:
    """All notes on one task, of a single pair with the samples that were left out."""
    pairs: Sequence[Mapping[str, Any]] = part["pairs"]
    left_out = left_out_of(pairs[0]) if len(pairs) == 1 else _left_out_of_many(pairs)
    few = any(cell.get("few") for pair in pairs for _, _, cell in cells_of(pair))
    mark = [f"{FEW_MARK} fewer than 10 samples"] if few and len(pairs) == 1 else []
    return [
        *(str(note) for note in part["notes"]),
        *left_out,
        *(_no_interval(pairs[0]) if len(pairs) == 1 else []),
        *mark,
    ]


def _no_interval(pair: Mapping[str, Any]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for _, group, cell in cells_of(pair):
        if cell.get("no_interval"):
            groups.setdefault(str(cell["no_interval"]), []).append(group)
    return [f"no interval, {reason}: {', '.join(names)}" for reason, names in groups.items()]


def _left_out_of_many(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = [
        sum(whole(mapping(group).get("n")) or 0 for group in mapping(pair["left_out"]).values()) for pair in pairs
    ]
    with_some = sum(count > 0 for count in counts)
    if not with_some:
        return []
    return [
        f"{with_some} of {len(pairs)} pairs leave samples out (up to {max(counts)}: missing, changed or unscored); "
        "the JSON says which"
    ]


def _listed(group: Mapping[str, Any]) -> str:
    first = [str(index)[:_SHOWN] for index in group.get("first", ())]
    return ", ".join(first) + (", ..." if len(first) < (whole(group.get("n")) or 0) else "")


def _shown(cell: Mapping[str, Any], digits: int) -> str:
    found = number(cell.get("detectable"))
    if found is None:
        return "What difference so many samples can show cannot be told from these."
    return f"The smallest difference that so many samples show (80% power): {fixed(found, digits)} points."


# A comparison of runs in the terminal.


# What a narrow terminal goes without, in this order.
_OPTIONAL = (("Only a", "Only b", "Differ"), ("Can show",), ("a", "b"), ("p",))
_NAME = 18  # what a name takes at least
_GAP = 2  # between columns


def compare_tables(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print, a task, the differences of two runs by group, or of more the ranking and all pairs; then the notes."""
    console = console or own_console()
    _print_equal_names(result, console)
    for part in result["parts"]:
        for warning in part["warnings"]:
            print_line(f"!! {warning}", console, "bold red")
        if len(part["pairs"]) == 1:
            (pair,) = part["pairs"]
            print_grid(_fitted(_groups(part, pair), console), console)
            print_line(headline_of(part, pair), console)
        else:
            print_grid(_ranking(part), console)
            print_grid(_fitted(_pairs(part), console), console)
        for note in part_notes(part):
            print_line(f"! {note}", console, "yellow")
        print_line("", console)
    for sentence in result["not_compared"]:
        print_line(f"! not compared: {sentence}", console, "yellow")


def _print_equal_names(result: Mapping[str, Any], console: Console) -> None:
    for run in result["runs"]:
        if run["label"] != run["model"]:
            files = ", ".join(str(Path(one["folder"], one["file"])) for one in run["results"])
            print_line(f"{run['label']}: {files}", console)


def _groups(part: Mapping[str, Any], pair: Mapping[str, Any]) -> Grid:
    digits, perception = digits_of(part), is_perception(part)
    cells = list(cells_of(pair))
    clustered = any(cell["p_clustered"] is not None for _, _, cell in cells)
    heads = ["", "Group", "n", "a", "b", "a - b", "95% interval", "p", *(["p images"] if clustered else []), "p Holm"]
    heads += ["Can show", *(["Only a", "Only b"] if perception else ["Differ"])]
    lines = []
    for axis, group, cell in cells:
        counts = (cell["only_a"], cell["only_b"]) if perception else (cell["n_differ"],)
        lines.append(
            (
                axis,
                group,
                count_of(cell),
                fixed(cell["a"], digits),
                fixed(cell["b"], digits),
                signed(cell["difference"], digits),
                NONE if number(cell.get("low")) is None else interval_of(cell, digits),
                p_text(cell["p"]),
                *((p_text(cell["p_clustered"]),) if clustered else ()),
                p_text(cell["p_holm"]),
                fixed(cell["detectable"], digits),
                *(str(count) for count in counts),
            )
        )
    title = f"{title_of(part)}: a = {pair['a']}, b = {pair['b']}"
    styles = ("bold", *[None] * (len(lines) - 1))
    return Grid(title, tuple(heads), tuple(lines), 2, styles=styles)


def _ranking(part: Mapping[str, Any]) -> Grid:
    digits = digits_of(part)
    lines = [
        (
            str(place),
            str(row["run"]),
            fixed(row["value"], digits),
            NONE if number(row.get("low")) is None else interval_of(row, digits),
            places_of(part, row),
        )
        for place, row in enumerate(part["ranking"], 1)
    ]
    n = part["ranking"][0]["n"]
    title = f"{title_of(part)}: {len(lines)} runs on the {n} samples that all of them have"
    return Grid(title, ("#", "Run", "Overall", "95% interval", "Not told apart from #"), tuple(lines), 2)


def _pairs(part: Mapping[str, Any]) -> Grid:
    digits = digits_of(part)
    clustered = any(pair["overall"]["p_clustered"] is not None for pair in part["pairs"])
    heads = ["a", "b", "n", "a - b", "95% interval", "p", *(["p images"] if clustered else []), "p Holm", "Can show"]
    lines, styles = [], []
    for pair in part["pairs"]:
        cell = mapping(pair["overall"])
        lines.append(
            (
                str(pair["a"]),
                str(pair["b"]),
                count_of(cell),
                signed(cell["difference"], digits),
                NONE if number(cell.get("low")) is None else interval_of(cell, digits),
                p_text(cell["p"]),
                *((p_text(cell["p_clustered"]),) if clustered else ()),
                p_text(cell["p_holm"]),
                fixed(cell["detectable"], digits),
            )
        )
        styles.append("bold" if pair["distinct"] else None)
    return Grid(f"All pairs (Holm over {len(lines)})", tuple(heads), tuple(lines), 2, styles=tuple(styles))


def _fitted(grid: Grid, console: Console) -> Grid:
    """The table without the columns that a terminal has no room for; it says which. ``p`` goes where there is one over
    images, and nothing goes in a pipe."""
    from rich.cells import cell_len

    if not console.is_terminal:
        return grid
    widths = {
        head: max(cell_len(head), *(cell_len(row[column]) for row in grid.rows)) + _GAP
        for column, head in enumerate(grid.heads)
    }
    # The names of runs and groups wrap, those of axes do not have to.
    for head in grid.heads[: grid.labels]:
        widths[head] = min(widths[head], _NAME)
    gone: list[str] = []
    for heads in _OPTIONAL:
        if sum(widths.values()) <= console.width:
            break
        for head in heads:
            # Of pairs, a and b are the runs' names; without p images, p is the only one.
            if head in grid.heads[grid.labels :] and (head != "p" or "p images" in grid.heads):
                gone.append(head)
                del widths[head]
    if not gone:
        return grid
    kept = [column for column, head in enumerate(grid.heads) if head in widths]
    return Grid(
        grid.title,
        tuple(grid.heads[column] for column in kept),
        tuple(tuple(row[column] for column in kept) for row in grid.rows),
        grid.labels,
        styles=grid.styles,
        notes=(f"no room for: {', '.join(gone)} (in a wider terminal, a pipe, or with --out)",),
    )


# The workbook of a comparison of runs: summary, every group, the samples on which they differ, settings.


SUMMARY, BY_GROUP, DISAGREEMENTS, SETTINGS = "Summary", "By group", "Disagreements", "Settings"

_P = '[<0.0001]"<0.0001";0.0000'
_BANNER = 7  # columns
_LINE = 110  # characters that stand on one line over so many columns
_VALUE = 40  # the width of a column of settings
_GROUP_HEADS = (
    "Task", "a", "b", "Axis", "Group", "n", "Clusters", "Value a", "Value b", "a - b", "95% low", "95% high",
    "Test", "p", "p over images", "p Holm", "Can show", "Only a right", "Only b right", "Differ", "Few",
)  # fmt: skip
_SETTINGS = (
    "dataset", "task", "n", "file", "baseline", "comparable", "prompt_style", "protocol", "protocol_version",
    "protocol_sha256", "judge", "judge_served_as", "medqbench_vlmeval", "kit", "created",
)  # fmt: skip


def write_compare(path: Path, result: Mapping[str, Any], disagreements: Sequence[Mapping[str, Any]]) -> None:
    """Write the content of ``compare.json`` as a workbook, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    comparable = all(one["comparable"] for run in result["runs"] for one in run["results"])
    book = Book(whole_text_in="compare.json", mark="" if comparable else "NOT COMPARABLE with published scores")
    _add_summary(book, result)
    _add_groups(book, result)
    _add_disagreements(book, result, disagreements)
    _add_settings(book, result)
    book.save(path)


def _add_summary(book: Book, result: Mapping[str, Any]) -> None:
    sheet = book.add_fixed(SUMMARY)
    sheet.widths([30, 30, *[13] * 12])
    sheet.append([Item("Paired comparison of runs on the same samples", TITLE)], lines=2)
    for part in result["parts"]:
        sheet.append()
        sheet.append([Item(title_of(part), BOLD)])
        for warning in part["warnings"]:
            _sentence(sheet, warning, Style(fill="bad", bold=True, wrap=True))
        if len(part["pairs"]) == 1:
            (pair,) = part["pairs"]
            _sentence(sheet, f"a = {pair['a']}")
            _sentence(sheet, f"b = {pair['b']}")
            _sentence(sheet, headline_of(part, pair))
        else:
            _sheet_compare_ranking(sheet, part)
        for note in part_notes(part):
            _sentence(sheet, note)
    for sentence in result["not_compared"]:
        _sentence(sheet, f"not compared: {sentence}")
    sheet.finish()


def _sentence(sheet: Sheet, words: str, style: Style = WRAPPED) -> None:
    """A text over the page's width, as high as it needs; a name in it cannot reorder the words around it."""
    words = terminal_text(words)
    row = sheet.append([Item(words, style), *[Item(None, style)] * (_BANNER - 1)], lines=lines_of(words, _LINE))
    sheet.worksheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=_BANNER)


def _sheet_compare_ranking(sheet: Sheet, part: Mapping[str, Any]) -> None:
    unit = Style(_unit(part))
    sheet.header(["Run", "Not told apart from place", "Place", "Overall", "95% low", "95% high", "n"], lines=2)
    for place, row in enumerate(part["ranking"], 1):
        numbers = [Item(number(row.get(name)), unit) for name in ("value", "low", "high")]
        count = Item(whole(row.get("n")), Style(COUNT))
        sheet.append([Item(str(row["run"])), Item(places_of(part, row)), Item(place), *numbers, count])


def _add_groups(book: Book, result: Mapping[str, Any]) -> None:
    sheet = book.add_fixed(BY_GROUP)
    sheet.widths([24, 26, 26, 16, 20, *[11] * (len(_GROUP_HEADS) - 5)])
    sheet.header(_GROUP_HEADS, lines=2)
    for part in result["parts"]:
        for pair in part["pairs"]:
            for axis, group, cell in cells_of(pair):
                sheet.append(_group_items(part, pair, axis, group, cell))
    sheet.table(1, len(_GROUP_HEADS))
    sheet.finish(freeze="F2", repeat_row=1)


def _group_items(
    part: Mapping[str, Any], pair: Mapping[str, Any], axis: str, group: str, cell: Mapping[str, Any]
) -> list[Item]:
    unit, difference = Style(_unit(part)), Style(f"+{_unit(part)};-{_unit(part)};{_unit(part)}")
    labels = [title_of(part), str(pair["a"]), str(pair["b"]), axis or None, group]

    def counts(*names: str) -> list[Item]:
        return [Item(whole(cell.get(name)), Style(COUNT)) for name in names]

    def numbers(style: Style, *names: str) -> list[Item]:
        return [Item(number(cell.get(name)), style) for name in names]

    return [
        *(Item(label, TEXT if axis else BOLD) for label in labels),
        *counts("n", "n_clusters"),
        *numbers(unit, "a", "b"),
        *numbers(difference, "difference", "low", "high"),
        Item(test_of(part)),
        *numbers(Style(_P), "p", "p_clustered", "p_holm"),
        *numbers(unit, "detectable"),
        *counts("only_a", "only_b", "n_differ"),
        Item("few" if cell.get("few") else None, Style(fill="warn") if cell.get("few") else TEXT),
    ]


def _add_disagreements(book: Book, result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    sheet = book.add_fixed(DISAGREEMENTS)
    labels = [str(run["label"]) for run in result["runs"]]
    write_table(sheet, _columns(labels, rows), rows, MAX_ROWS)
    sheet.finish(freeze="B2", repeat_row=1)


def _columns(labels: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    columns = [
        Column("index", 16, _read("index")),
        Column("task", 14, _read("task")),
        Column("modality", 15, _read("modality"), optional=True),
        Column("question_type", 14, _read("question_type"), optional=True),
        Column("severity", 12, _read("severity"), optional=True),
        Column("question", 44, _read("question", True), optional=True, wraps=True),
        Column("options", 30, _options, optional=True, wraps=True),
        Column("answer", 9, _read("answer"), optional=True),
        Column("reference", 60, _read("reference", True), optional=True, wraps=True),
    ]
    heads = {label: terminal_text(label) for label in labels}
    for label, head in heads.items():
        columns.append(Column(f"{head}: right", 14, _right(label), optional=True))
        columns.append(Column(f"{head}: read as", 12, _inner("extracted", label), optional=True))
        columns.append(Column(f"{head}: sum", 12, _score("scores", label), optional=True))
        columns += [
            Column(f"{head}: {title}", 14, _verdict(label, name), optional=True)
            for name, title in DIMENSION_TITLES.items()
        ]
    if any(row.get("replies") for row in rows):
        columns += [
            Column(f"{head}: reply", 70, _inner("replies", label, True), optional=True, wraps=True)
            for label, head in heads.items()
        ]
    return columns


def _read(name: str, wraps: bool = False) -> Any:
    return lambda row: Item(text(row.get(name)), WRAPPED if wraps else TEXT)


def _inner(name: str, label: str, wraps: bool = False) -> Any:
    return lambda row: Item(text(mapping(row.get(name)).get(label)), WRAPPED if wraps else TEXT)


def _right(label: str) -> Any:
    def read(row: Mapping[str, Any]) -> Item:
        found = mapping(row.get("correct")).get(label)
        return Item(found, Style(fill="good" if found else "human")) if isinstance(found, bool) else Item(None)

    return read


def _score(name: str, label: str) -> Any:
    return lambda row: score_item(mapping(row.get(name)).get(label))


def _verdict(label: str, dimension: str) -> Any:
    return lambda row: score_item(mapping(mapping(row.get("verdicts")).get(label)).get(dimension))


def _options(row: Mapping[str, Any]) -> Item:
    options = mapping(row.get("options"))
    return Item("\n".join(f"{letter}. {option}" for letter, option in options.items()) or None, WRAPPED)


def _add_settings(book: Book, result: Mapping[str, Any]) -> None:
    """What the runs were made from and with, a column a result file, and how the figures were made."""
    sheet = book.add_fixed(SETTINGS)
    results = [(run, mapping(one)) for run in result["runs"] for one in run["results"]]
    sheet.widths([34, *[_VALUE] * max(1, len(results))])
    labels = [str(run["label"]) for run, _ in results]
    sheet.header(["Setting", *labels], lines=max((lines_of(label, _VALUE) for label in labels), default=1))
    for name in _SETTINGS:
        _settings_row(sheet, name, [_plain(one.get(name)) for _, one in results])
    for task in (task.value for task in Task):
        for name in ("sha256", "samples_sha256", "revision"):
            values = [text(mapping(mapping(one.get("data")).get(task)).get(name)) for _, one in results]
            if any(values):
                _settings_row(sheet, f"data.{task}.{name}", values)
    sheet.append()
    for name in ("seed", "level", "alpha", "power"):
        sheet.append([Item(name), Item(number(result[name]))])
    for name, words in mapping(result["methods"]).items():
        if isinstance(words, Mapping):
            for inner, found in words.items():
                sheet.append([Item(f"{name}, {inner}"), Item(str(found))])
        else:
            sheet.append([Item(str(name)), Item(str(words))])
    sheet.finish(freeze="B2", repeat_row=1)


def _settings_row(sheet: Sheet, name: str, values: Sequence[str | float | None]) -> None:
    lines = max((lines_of(value, _VALUE) for value in values if isinstance(value, str)), default=1)
    sheet.append([Item(name), *(Item(value, WRAPPED) for value in values)], lines=lines)


def _plain(value: object) -> str | float | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, (int, float)) else text(value)


def _unit(part: Mapping[str, Any]) -> str:
    return PERCENT if is_perception(part) else SCORE
