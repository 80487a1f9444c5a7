"""Agreement of a judge with people in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.render import Grid, own_console, print_grid, print_line
from medqbench_vlmeval.report.runs import mapping, number, whole

if TYPE_CHECKING:
    from rich.console import Console

_STATISTICS = (("accuracy", "Same %", 1), ("kappa", "Kappa", 3), ("spearman", "Spearman", 3))
_NONE = "-"
PAIRS = "Judge and raters, two by two"


def agreement_tables(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print one line a dimension, the raters among themselves, and what was left out."""
    console = console or own_console()
    print_grid(_main(result), console)
    if result["against"] == "people":
        print_line(published_line(result), console)
    pairs = _pairs(result)
    if pairs.rows:
        print_grid(pairs, console)
    for note in notes_of(result):
        print_line(f"! {note}", console, "yellow")


def headline(result: Mapping[str, Any]) -> str:
    """What is compared: 'Judge J (PROTOCOL) on M against 3 raters (median), 200 answers'."""
    runs = [mapping(run) for run in result["verdicts"]]
    judges = ", ".join(dict.fromkeys(_judge(run) for run in runs))
    models = ", ".join(dict.fromkeys(str(run.get("model")) for run in runs))
    raters = [str(rater) for rater in result["raters"]]
    others = f"{len(raters)} raters (median)" if len(raters) > 1 else raters[0]
    kind = "judge" if result["against"] == "judge" else ""
    return f"Judge {judges} on {models} against {kind} {others}, {result['n']} answers".replace("  ", " ")


def _judge(run: Mapping[str, Any]) -> str:
    protocol = run.get("protocol")
    return f"{run.get('judge') or 'unknown'} ({protocol})" if protocol else str(run.get("judge") or "unknown")


def notes_of(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    notes = []
    people = result["against"] == "people"
    if len({_judge(mapping(run)) for run in result["verdicts"]}) > 1:
        notes.append("the verdicts are of several judges or protocols, taken together")
    if not people:
        notes.append("bias is the mean of the first less that of the second")
    if result["n_ratings_of_other_runs"]:
        named = ", ".join(str(name) for name in result["other_runs"][:5])
        notes.append(f"{result['n_ratings_of_other_runs']} ratings are of runs that were not given: {named}")
    counted = [
        ("n_not_rated", "not rated" if people else "without a verdict of the second"),
        ("n_unscored", "rated, but without a verdict" if people else "without a verdict of the first alone"),
    ]
    if people:
        counted.append(("n_between_marks", "raters' median between two marks, which no whole verdict equals"))
    for name, what in counted:
        counts = {title: whole(mapping(cell).get(name)) for title, cell in mapping(result["dimensions"]).items()}
        if any(counts.values()):
            notes.append(f"{what}: {', '.join(f'{title} {count}' for title, count in counts.items() if count)}")
    undefined = [
        f"{title} {label.lower()} {count}"
        for title, cell in mapping(result["dimensions"]).items()
        for name, label, _ in _STATISTICS
        if (count := whole(mapping(mapping(cell).get("n_undefined")).get(name)))
    ]
    if undefined:
        notes.append(f"resamples without a value (one side constant), left out of the interval: {', '.join(undefined)}")
    if any(mapping(cell).get("n") and mapping(cell).get("kappa") is None for cell in result["dimensions"].values()):
        notes.append("'-': one side gives every answer the same score, so kappa and Spearman say nothing")
    return notes


def published_line(result: Mapping[str, Any]) -> str:
    """The published validation, to compare with."""
    found = mapping(result["published"])
    (low, high), (least, most) = found["accuracy"], found["kappa"]
    return f"Published: {low}-{high}% and kappa {least}-{most} ({found['of']})."


def _main(result: Mapping[str, Any]) -> Grid:
    heads = ["", "n"]
    for _, label, _ in _STATISTICS:
        heads += [label, "95% interval"]
    lines = []
    for title, cell in mapping(result["dimensions"]).items():
        line = [str(title), str(whole(mapping(cell).get("n")))]
        for name, _, digits in _STATISTICS:
            value = number(mapping(cell).get(name))
            line.append(_NONE if value is None else f"{value:.{digits}f}")
            line.append(_interval(mapping(mapping(cell).get("intervals")).get(name), digits))
        bias = number(mapping(cell).get("bias"))
        lines.append((*line, _NONE if bias is None else f"{bias:+.3f}"))
    # Kappa with its interval stays longest where a terminal is narrow.
    return Grid(headline(result), (*heads, "Bias"), tuple(lines), spare=(5, 2, 3, 6, 7))


def _interval(ends: Any, digits: int) -> str:
    if not isinstance(ends, list) or len(ends) != 2:
        return _NONE
    return " to ".join(f"{end:.{digits}f}" for end in ends)


def pairs_of(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The judge and each rater, then the raters two by two, by a label a pair; empty for a single rater."""
    found = {f"the judge / {rater}": mapping(cells) for rater, cells in mapping(result.get("by_rater")).items()}
    for first, others in mapping(result.get("between_raters")).items():
        found |= {f"{first} / {second}": mapping(cells) for second, cells in mapping(others).items()}
    return found


def _pairs(result: Mapping[str, Any]) -> Grid:
    titles = tuple(mapping(result["dimensions"]))
    lines = [
        (label, *(_cell(mapping(cells.get(title))) for title in titles)) for label, cells in pairs_of(result).items()
    ]
    return Grid(f"{PAIRS}: same %, kappa", ("", *titles), tuple(lines))


def _cell(cell: Mapping[str, Any]) -> str:
    same, kappa = number(cell.get("same")), number(cell.get("kappa"))
    if same is None:
        return _NONE
    return f"{same:.1f}, {_NONE if kappa is None else f'{kappa:.3f}'}"
