"""One run as the board's file keeps it: what makes two runs the same, and what becomes of the older one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, HUMAN, Task, published_rows
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import storable
from medqbench_vlmeval.report.standings import BASELINE, OWN, Row, by_overall, own_row, reference_rows
from medqbench_vlmeval.runs.result import MEASURES
from medqbench_vlmeval.types import TaskRun

if TYPE_CHECKING:
    from pydantic import TypeAdapter

HISTORY = 20  # past results kept for a row
BOARD_TASKS = (Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE)
CATEGORIES = ("commercial", "open-source", "medical-specialized", HUMAN, BASELINE)
_SHOWN = 8  # characters of a hash


@dataclass(frozen=True)
class PastResult:
    """An earlier result of an entry's run: ``created`` is ISO 8601 in UTC, ``values`` are as in :class:`Row`."""

    created: str | None
    n: int | None
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Entry:
    """One own run on a board. ``row`` is its line; the rest says what it was measured on and with.

    ``history`` has the earlier results of the same run, newest first. ``extra`` keeps fields that somebody wrote into
    the file by hand.
    """

    row: Row
    counts: Mapping[str, int] = field(default_factory=dict)
    protocol_sha256: str | None = None
    data_samples_sha256: str | None = None
    data_revision: str | None = None
    versions: Mapping[str, str | None] = field(default_factory=dict)
    history: tuple[PastResult, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[object, ...]:
        """What two entries of the same run have in common."""
        row = self.row
        known = ALL_DATASET_NAMES.get(str(row.dataset))
        # One table has several names: no suffix means test, and a combined run measures both single ones.
        dataset = known.split.value if known else str(row.dataset)
        settings = (row.protocol, self.protocol_sha256, row.judge, row.data_sha256, row.prompt_style)
        # n: a run that was limited to some samples does not take the place of a whole one.
        return (row.task, row.model, known is not None, dataset, *settings, row.n)

    @property
    def results(self) -> tuple[PastResult, ...]:
        """The current result and the past ones."""
        return (PastResult(self.row.created, self.row.n, self.row.values), *self.history)


def entry_of(run: TaskRun) -> Entry:
    """A run's entry, without a past and without a category."""
    row = own_row(run)
    # What the file gives back must be what was put in, or a rerun would not find its row.
    texts: dict[str, Any] = {name: storable(text) for name, text in vars(row).items() if type(text) is str}
    row = replace(row, **texts, not_comparable_because=tuple(map(storable, row.not_comparable_because)))
    return Entry(
        row,
        counts={name: count for name, count in run.result.counts.items() if name != "n_clusters"},
        protocol_sha256=run.settings.protocol.sha256,
        data_samples_sha256=run.data.samples_sha256,
        data_revision=run.data.revision,
        versions=dict(run.settings.versions),
    )


_OF_ROW = tuple(one.name for one in fields(Row) if one.name != "source")
_OF_ENTRY = tuple(one.name for one in fields(Entry) if one.name not in ("row", "extra"))


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """An entry as the board's file holds it: one flat object."""
    content = asdict(entry)
    row = {name: content["row"][name] for name in _OF_ROW}
    return {**content["extra"], **row, "task": entry.row.task.value, **{name: content[name] for name in _OF_ENTRY}}


def entry_from_json(content: object) -> Entry:
    """Check one object under 'runs' of a board's file.

    Raises:
        BadInput: it is no entry; the message is the end of a sentence about the run.
    """
    from pydantic import ValidationError

    if not isinstance(content, dict):
        raise BadInput("is not an object")
    shape: dict[str, Any] = {name: content[name] for name in _OF_ENTRY if name in content}
    shape["extra"] = {name: value for name, value in content.items() if name not in (*_OF_ROW, *_OF_ENTRY)}
    shape["row"] = {"comparable": False, **{name: content[name] for name in _OF_ROW if name in content}}
    shape["history"] = [{"created": None, "n": None, **past} for past in _objects(content.get("history", []))]
    try:
        entry: Entry = _adapter().validate_python(shape)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"] if step != "row")
        missing = first["type"] == "missing"
        raise BadInput(f"has no {place!r}" if missing else f"has a {place!r} that is {first['input']!r:.60}") from None
    row = entry.row
    if row.task not in BOARD_TASKS:
        raise BadInput(f"has a 'task' that is {row.task.value!r}")
    if row.kind not in (OWN, BASELINE):
        raise BadInput(f"has the kind {row.kind!r}, and only {OWN!r} and {BASELINE!r} belong under 'runs'")
    if row.category is not None and row.category not in CATEGORIES:
        raise BadInput(f"has the category {row.category!r}, which is none of {', '.join(CATEGORIES)}")
    numbers = [*row.values.values(), *(row.interval or ())]
    if not all(number is None or math.isfinite(number) for number in numbers):
        raise BadInput("has a number without end")
    return replace(entry, row=replace(row, values={name: row.values.get(name) for name in MEASURES[row.task]}))


def _objects(history: object) -> Iterator[dict[str, Any]]:
    if not isinstance(history, list) or not all(isinstance(past, dict) for past in history):
        raise BadInput("has a 'history' that is not a list of objects")
    yield from history


@cache
def _adapter() -> TypeAdapter[Entry]:
    from pydantic import TypeAdapter

    return TypeAdapter(Entry)


def merged(entries: Iterable[Entry], new: Entry) -> list[Entry]:
    """The entries with ``new`` among them.

    Of several results of one run the newest is the row and the others its ``history``, newest first and each
    once, in whatever order they were added. A model's category is kept until another one is given.
    """
    same: list[Entry] = []
    others: list[Entry] = []
    for entry in entries:
        (same if entry.identity == new.identity else others).append(entry)
    # Of two results of one second the one that was added last counts.
    newest, *older = sorted([new, *same], key=lambda entry: entry.row.created or "", reverse=True)
    past = [result for entry in older for result in entry.results[:1]]
    past += [result for entry in (newest, *older) for result in entry.history]
    of_model = (entry.row.category for entry in (newest, *same, *others) if entry.row.model == new.row.model)
    category = next((known for known in of_model if known), None)
    row = replace(newest.row, category=category)
    return [*others, replace(newest, row=row, history=_history(newest.results[0], past))]


def _history(current: PastResult, past: Iterable[PastResult]) -> tuple[PastResult, ...]:
    kept: list[PastResult] = []
    # All times are written in UTC and in one form, so that texts sort as times do.
    for result in sorted(past, key=lambda result: result.created or "", reverse=True):
        # A result that was added again is no second result.
        if all((result.created, result.values) != (known.created, known.values) for known in (current, *kept)):
            kept.append(result)
    return tuple(kept[:HISTORY])


def category_of(row: Row) -> str | None:
    """A row's category: the given one, else that of a baseline or of the published row of that name."""
    if row.category is not None:
        return row.category
    if row.kind == BASELINE:
        return BASELINE
    published = (reference for task in BOARD_TASKS for reference in published_rows(task))
    return next((reference.category for reference in published if reference.model == row.model), None)


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """By task, then best first: the file's bytes do not depend on the order in which runs were added."""

    def key(entry: Entry) -> tuple[Any, ...]:
        overall = entry.row.values.get("Overall")
        task = BOARD_TASKS.index(entry.row.task)
        return (task, overall is None, -(overall or 0), entry.row.model, repr(entry.identity))

    return sorted(entries, key=key)


def board_rows(entries: Sequence[Entry], task: Task) -> list[tuple[Row, int | None]]:
    """One task's own and published rows, best first; an own row with the place of its entry among ``entries``.

    Entries that each call themselves comparable with the published rows, and were measured on different data or
    with different templates of one protocol, cannot all be: those that differ from the rest say so and are not
    ranked. The rest are those whose data came from the hub; where none or all did, those that most rows agree with.
    """
    claims = [entry for entry in entries if entry.row.task is task and entry.row.comparable]
    because: dict[int, list[str]] = {}
    differing = [("data", *outsider) for outsider in _outsiders(claims, _data_hashes)]
    for protocol in {entry.row.protocol for entry in claims}:
        same_protocol = [entry for entry in claims if entry.row.protocol == protocol]
        outsiders = _outsiders(same_protocol, lambda entry: (entry.protocol_sha256,))
        differing += [("protocol templates", *outsider) for outsider in outsiders]
    for what, entry, other, reference in differing:
        because.setdefault(id(entry), []).append(
            f"other {what} ({other[:_SHOWN]}) than the comparable rows of this board ({reference[:_SHOWN]})"
        )
    places: dict[int, int] = {}
    own = []
    for place, entry in enumerate(entries):
        if entry.row.task is task:
            row = replace(entry.row, category=category_of(entry.row))
            if reasons := because.get(id(entry)):
                row = replace(row, comparable=False, not_comparable_because=tuple(reasons))
            places[id(row)] = place
            own.append(row)
    return [(row, places.get(id(row))) for row in by_overall([*own, *reference_rows(task)])]


def _data_hashes(entry: Entry) -> tuple[str | None, ...]:
    return entry.row.data_sha256, entry.data_samples_sha256


def _outsiders(
    entries: Sequence[Entry], hashes_of: Callable[[Entry], tuple[str | None, ...]]
) -> list[tuple[Entry, str, str]]:
    """Entries that share no hash with the reference group, each with a hash of its own and one of the group's."""
    groups: list[tuple[set[str], list[Entry]]] = []
    for entry in entries:
        hashes, members = {sha256.removeprefix("samples:") for sha256 in hashes_of(entry) if sha256}, [entry]
        if not hashes:
            continue
        # A row may know the file's hash, the samples' hash or both, and so join groups that looked apart.
        for group in [group for group in groups if group[0] & hashes]:
            groups.remove(group)
            hashes |= group[0]
            members += group[1]
        groups.append((hashes, members))

    def rank(group: tuple[set[str], list[Entry]]) -> tuple[Any, ...]:
        hashes, members = group
        from_hub = any(entry.data_revision for entry in members)
        return (not from_hub, -len(members), min(entry.row.created or "" for entry in members), min(hashes))

    reference, *rest = sorted(groups, key=rank) or [(set(), [])]
    return [(entry, min(hashes), min(reference[0])) for hashes, members in rest for entry in members]
