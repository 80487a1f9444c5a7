"""The words and figures of a comparison of runs that the terminal and the workbook share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medqbench_vlmeval.report.runs import OVERALL, TASK_TITLES, mapping, number, whole
from medqbench_vlmeval.tasks import Task

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
