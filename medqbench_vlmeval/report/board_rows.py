"""The lines of a board: own entries beside the published rows, and what sets own entries apart from each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medqbench_vlmeval.report.board_entries import Entry, category_of
from medqbench_vlmeval.report.rows import Row, by_overall, reference_rows
from medqbench_vlmeval.report.runs import MEASURES, number, text, whole
from medqbench_vlmeval.tasks import Task

_SHOWN = 8  # characters of a hash

Hashes = Callable[[Mapping[str, Any]], frozenset[str]]


def board_rows(entries: Sequence[Entry], task: Task) -> list[Row]:
    """One task's own and published rows, best first.

    Entries that each call themselves comparable with the published rows, and were measured on different data or
    with different templates of one protocol, cannot all be: those that differ from the rest say so and are not
    ranked. The rest are those whose data came from the hub; where none or all did, those that most rows agree with.
    """
    of_task = [entry for entry in entries if entry["task"] == task.value]
    claims = [entry for entry in of_task if entry.get("comparable") is True]
    because: dict[int, list[str]] = {}
    found = [("data", outsider) for outsider in _outsiders(claims, _data_hashes)]
    for name in {text(entry.get("protocol")) for entry in claims}:
        asked_alike = [entry for entry in claims if text(entry.get("protocol")) == name]
        found += [("protocol templates", outsider) for outsider in _outsiders(asked_alike, _template_hashes)]
    for what, (entry, other, reference) in found:
        because.setdefault(id(entry), []).append(
            f"other {what} ({other[:_SHOWN]}) than the comparable rows of this board ({reference[:_SHOWN]})"
        )
    own = []
    for entry in of_task:
        row = row_of(entry)
        if id(entry) in because:
            row = replace(row, comparable=False, not_comparable_because=tuple(because[id(entry)]))
        own.append(row)
    return by_overall([*own, *reference_rows(task)])


def row_of(entry: Mapping[str, Any]) -> Row:
    """The line of a checked entry."""
    interval = entry.get("interval")
    return Row(
        task=Task(entry["task"]),
        kind=entry["kind"],
        model=entry["model"],
        values={measure: number(entry["values"].get(measure)) for measure in MEASURES[Task(entry["task"])]},
        comparable=entry.get("comparable") is True,
        not_comparable_because=tuple(entry.get("not_comparable_because", ())),
        interval=(interval[0], interval[1]) if interval else None,
        n=whole(entry.get("n")),
        category=category_of(entry),
        dataset=text(entry.get("dataset")),
        judge=text(entry.get("judge")),
        protocol=text(entry.get("protocol")),
        prompt_style=text(entry.get("prompt_style")),
        data_sha256=text(entry.get("data_sha256")),
        created=text(entry.get("created")),
    )


def _outsiders(entries: Sequence[Entry], hashes_of: Hashes) -> list[tuple[Entry, str, str]]:
    """Entries that share no hash with the reference group, each with a hash of its own and one of the group's."""
    groups: list[tuple[set[str], list[Entry]]] = []
    for entry in entries:
        hashes, members = set(hashes_of(entry)), [entry]
        if not hashes:
            continue
        # A row may know the file's hash, the samples' hash or both, and so join groups that looked apart.
        for group in [group for group in groups if group[0] & hashes]:
            groups.remove(group)
            hashes |= group[0]
            members += group[1]
        groups.append((hashes, members))
    if len(groups) < 2:
        return []

    def rank(group: tuple[set[str], list[Entry]]) -> tuple[Any, ...]:
        hashes, members = group
        from_hub = any(entry.get("data_revision") for entry in members)
        created = min(str(entry.get("created") or "") for entry in members)
        return (not from_hub, -len(members), created, min(hashes))

    reference, *rest = sorted(groups, key=rank)
    return [(entry, min(hashes), min(reference[0])) for hashes, members in rest for entry in members]


def _data_hashes(entry: Mapping[str, Any]) -> frozenset[str]:
    found = (entry.get("data_sha256"), entry.get("data_samples_sha256"))
    return frozenset(str(one).removeprefix("samples:") for one in found if one)


def _template_hashes(entry: Mapping[str, Any]) -> frozenset[str]:
    return frozenset([str(entry["protocol_sha256"])]) if entry.get("protocol_sha256") else frozenset()
