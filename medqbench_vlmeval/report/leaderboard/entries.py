"""One run as the board's file keeps it: what makes two runs the same, and what becomes of the older one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, HUMAN, Task, published_rows
from medqbench_vlmeval.files import storable
from medqbench_vlmeval.report.standings import BASELINE, OWN, Row, by_overall, own_row, reference_rows
from medqbench_vlmeval.runs.result import MEASURES, OVERALL, RunPart, mapping, number, text, whole

HISTORY = 20  # past results kept for a row
BOARD_TASKS = (Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE)
CATEGORIES = ("commercial", "open-source", "medical-specialized", HUMAN, BASELINE)

Entry = dict[str, Any]


def entry_of(part: RunPart) -> Entry:
    """A run's entry, without a past and without a category."""
    row = own_row(part)
    entry = {
        "task": row.task.value,
        "kind": row.kind,
        "category": None,
        "model": row.model,
        "dataset": row.dataset,
        "values": dict(row.values),
        "interval": list(row.interval) if row.interval else None,
        "n": row.n,
        "counts": dict(part.counts),
        "comparable": row.comparable,
        "not_comparable_because": list(row.not_comparable_because),
        "judge": row.judge,
        "protocol": row.protocol,
        "protocol_sha256": part.setting("protocol", "sha256"),
        "prompt_style": row.prompt_style,
        "data_sha256": row.data_sha256,
        "data_samples_sha256": part.data.get("samples_sha256"),
        "data_revision": part.data.get("revision"),
        "versions": dict(mapping(part.settings.get("versions"))),
        "created": row.created,
        "history": [],
    }
    # What the file gives back must be what was put in, or a rerun would not find its row.
    return {name: _storable(value) for name, value in entry.items()}


def identity(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two entries of the same run have in common."""
    known = ALL_DATASET_NAMES.get(str(entry.get("dataset")))
    # One table has several names: no suffix means test, and a combined run measures both single ones.
    dataset = known.split.value if known else str(entry.get("dataset"))
    # n: a run that was limited to some samples does not take the place of a whole one.
    fields = ("protocol", "protocol_sha256", "judge", "data_sha256", "prompt_style", "n")
    return (entry["task"], entry["model"], known is not None, dataset, *(entry.get(field) for field in fields))


def merged(entries: Iterable[Entry], new: Entry) -> list[Entry]:
    """The entries with ``new`` among them.

    Of several results of one run the newest is the row and the others its ``history``, newest first and each
    once, in whatever order they were added. A model's category is kept until another one is given.
    """
    same: list[Entry] = []
    others: list[Entry] = []
    for entry in entries:
        (same if identity(entry) == identity(new) else others).append(entry)
    # Of two results of one second the one that was added last counts.
    found = sorted([new, *same], key=_created, reverse=True)
    past = [{name: old.get(name) for name in ("created", "n", "values")} for old in found[1:]]
    past += [one for entry in found for one in entry.get("history", [])]
    current = {**found[0], "category": found[0].get("category") or _category_of(new["model"], [*same, *others])}
    return [*others, {**current, "history": _history(current, past)}]


def categorised(entries: Iterable[Entry], model: str, category: str) -> list[Entry]:
    """The entries with ``category`` on all of a model's."""
    return [{**entry, "category": category} if entry["model"] == model else entry for entry in entries]


def category_of(entry: Mapping[str, Any]) -> str | None:
    """An entry's category: the given one, else that of a baseline or of the published row of that name."""
    if entry.get("category") is not None:
        return str(entry["category"])
    if entry.get("kind") == BASELINE:
        return BASELINE
    published = (row for task in BOARD_TASKS for row in published_rows(task))
    return next((row.category for row in published if row.model == entry["model"]), None)


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """By task, then best first: the file's bytes do not depend on the order in which runs were added."""

    def key(entry: Entry) -> tuple[Any, ...]:
        overall = entry["values"].get(OVERALL)
        task = BOARD_TASKS.index(Task(entry["task"]))
        return (task, overall is None, -(overall or 0), entry["model"], repr(identity(entry)))

    return sorted(entries, key=key)


def problem_of(entry: object) -> str | None:
    """What keeps an object from being an entry, as the end of a sentence; None where nothing does."""
    if not isinstance(entry, dict):
        return "is not an object"
    if entry.get("task") not in [task.value for task in BOARD_TASKS]:
        return f"has the unknown task {entry.get('task')!r}"
    if entry.get("kind") not in (OWN, BASELINE):
        return f"has the kind {entry.get('kind')!r}, and only {OWN!r} and {BASELINE!r} belong under 'runs'"
    if not isinstance(entry.get("model"), str):
        return "has no model's name"
    if entry.get("category") is not None and entry["category"] not in CATEGORIES:
        return f"has the category {entry['category']!r}, which is none of {', '.join(CATEGORIES)}"
    values = entry.get("values")
    if not isinstance(values, dict) or any(value is not None and number(value) is None for value in values.values()):
        return "has no 'values' made of numbers"
    interval = entry.get("interval")
    pair = isinstance(interval, list) and len(interval) == 2 and all(number(end) is not None for end in interval)
    if interval is not None and not pair:
        return "has an 'interval' that is not two numbers"
    reasons = entry.get("not_comparable_because", [])
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        return "has 'not_comparable_because' that is not a list of texts"
    history = entry.get("history", [])
    if not isinstance(history, list) or not all(isinstance(past, dict) for past in history):
        return "has a 'history' that is not a list of objects"
    return None


def _history(current: Entry, past: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    kept: list[Mapping[str, Any]] = []
    # A result that was added again is no second result.
    seen = [(current.get("created"), current["values"])]
    for one in sorted(past, key=_created, reverse=True):
        if (one.get("created"), one.get("values")) not in seen:
            seen.append((one.get("created"), one.get("values")))
            kept.append(one)
    return kept[:HISTORY]


def _created(entry: Mapping[str, Any]) -> str:
    # All are written in UTC and in one form, so that texts sort as times do.
    return str(entry.get("created") or "")


def _category_of(model: str, entries: Iterable[Entry]) -> str | None:
    return next((entry["category"] for entry in entries if entry["model"] == model and entry.get("category")), None)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value


# The lines of a board: own entries beside the published rows, and what sets own entries apart from each other.


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
