"""One run as the board's file keeps it: what makes two runs the same, and what becomes of the older one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, HUMAN, MEASURES, OVERALL, Comparable, Task, published_rows
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import storable
from medqbench_vlmeval.model_use import KIT
from medqbench_vlmeval.report.standings import BASELINE, OWN, Row, by_overall, own_row, reference_rows
from medqbench_vlmeval.runs.result import adapter_of, check_on_scale, comparable_from_json
from medqbench_vlmeval.types import TaskRun

HISTORY = 20  # past results kept for a row
BOARD_TASKS = (Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE, Task.DEGRADATION)
CATEGORIES = ("commercial", "open-source", "medical-specialized", HUMAN, BASELINE)


@dataclass(frozen=True)
class PastResult:
    """An earlier result of an entry's run: ``created`` is ISO 8601 in UTC, ``values`` are as in :class:`Row`."""

    created: str | None = None
    n: int | None = None
    values: Mapping[str, float | None] = field(kw_only=True)


@dataclass(frozen=True)
class Entry(Row):
    """One own run on a board: its line, and what else is known of what it was measured on and with. ``history`` has the
    earlier results of the same run, newest first. ``extra`` keeps fields that somebody wrote into the file by hand."""

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
        known = ALL_DATASET_NAMES.get(str(self.dataset))
        # One table has several names: no suffix means test, and a combined run measures both single ones.
        dataset = known.split.value if known else str(self.dataset)
        images = self.images or KIT  # as all runs were before it was on record
        settings = (self.protocol, self.protocol_sha256, self.judge, self.data_sha256, self.prompt_style, images)
        # n: a run that was limited to some samples does not take the place of a whole one.
        return (self.task, self.model, known is not None, dataset, *settings, self.n)

    @property
    def results(self) -> tuple[PastResult, ...]:
        """The current result and the past ones."""
        return (PastResult(self.created, self.n, values=self.values), *self.history)


def entry_of(run: TaskRun) -> Entry:
    """A run's entry, without a past and without a category."""
    row = own_row(run)
    # What the file gives back must be what was put in, or a rerun would not find its row.
    texts: dict[str, Any] = {name: storable(text) for name, text in vars(row).items() if type(text) is str}
    because = tuple(map(storable, row.not_comparable_because))
    return Entry(
        **{**vars(row), **texts, "not_comparable_because": because},
        counts={name: count for name, count in run.result.counts.items() if name != "n_clusters"},
        protocol_sha256=run.settings.protocol.sha256,
        data_samples_sha256=run.data.samples_sha256,
        data_revision=run.data.revision,
        versions=dict(run.settings.versions),
    )


_FIELDS = tuple(column.name for column in fields(Entry) if column.name not in ("source", "extra"))


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """An entry as the board's file holds it: one flat object."""
    content = asdict(entry)
    return {**content["extra"], **{name: content[name] for name in _FIELDS}, "task": entry.task.value}


def entry_from_json(content: object) -> Entry:
    """Check one object under 'runs' of a board's file. Raises BadInput where it is no entry; the message is the end of
    a sentence about the run."""
    from pydantic import ValidationError

    if not isinstance(content, dict):
        raise BadInput("is not an object")
    own = {name: content[name] for name in _FIELDS if name in content}
    extra = {name: value for name, value in content.items() if name not in _FIELDS}
    try:
        marked = comparable_from_json({"comparable": Comparable.NO, "not_comparable_because": (), **own})
        entry: Entry = adapter_of(Entry).validate_python({**own, **marked, "extra": extra})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        missing = first["type"] == "missing"
        raise BadInput(f"has no {place!r}" if missing else f"has a {place!r} that is {first['input']!r:.60}") from None
    if entry.task not in BOARD_TASKS:
        raise BadInput(f"has a 'task' that is {entry.task.value!r}")
    if entry.kind not in (OWN, BASELINE):
        raise BadInput(f"has the kind {entry.kind!r}, and only {OWN!r} and {BASELINE!r} belong under 'runs'")
    if entry.category is not None and entry.category not in CATEGORIES:
        raise BadInput(f"has the category {entry.category!r}, which is none of {', '.join(CATEGORIES)}")
    values = {name: entry.values.get(name) for name in MEASURES[entry.task]}
    try:
        for name, value in values.items():
            check_on_scale(entry.task, name, (value, *((entry.interval or ()) if name == OVERALL else ())))
    except BadInput as error:
        raise BadInput(f"has a number off its scale: {error}") from None
    return replace(entry, values=values)


def merged(entries: Sequence[Entry], new: Entry) -> list[Entry]:
    """The entries with ``new`` among them: of several results of one run the newest is the row and the others its
    ``history``, newest first and each once. A model's category is kept until another one is given."""
    same = [entry for entry in entries if entry.identity == new.identity]
    others = [entry for entry in entries if entry.identity != new.identity]
    # Of two results of one second the one that was added last counts.
    newest, *older = sorted([new, *same], key=_created, reverse=True)
    past = [*(result for entry in older for result in entry.results), *newest.history]
    of_model = (entry.category for entry in (newest, *same, *others) if entry.model == new.model)
    category = next((known for known in of_model if known), None)
    # A result that was added again is no second result.
    distinct = {(newest.created, *newest.values.items()): newest.results[0]}
    for result in sorted(past, key=_created, reverse=True):
        distinct.setdefault((result.created, *result.values.items()), result)
    return [*others, replace(newest, category=category, history=tuple(distinct.values())[1 : HISTORY + 1])]


def _created(result: Entry | PastResult) -> str:
    """All times are written in UTC and in one form, so that texts sort as times do."""
    return result.created or ""


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """By task, then best first: the file's bytes do not depend on the order in which runs were added."""

    def key(entry: Entry) -> tuple[Any, ...]:
        overall = entry.values.get(OVERALL)
        return (BOARD_TASKS.index(entry.task), overall is None, -(overall or 0), entry.model, repr(entry.identity))

    return sorted(entries, key=key)


def board_rows(entries: Sequence[Entry], task: Task) -> list[tuple[Row, int | None]]:
    """One task's own and published rows, best first; an own row with the place of its entry among ``entries``. Of
    entries that call themselves comparable and differ in data or in a protocol's templates only those stay so whose
    data came from the hub; where none or all did, those that most rows agree with."""
    claims = [entry for entry in entries if entry.task is task and entry.comparable is Comparable.YES]
    outsiders = [*_outsiders("data", claims, "data_sha256", "data_samples_sha256")]
    for protocol in {entry.protocol for entry in claims}:
        same_protocol = [entry for entry in claims if entry.protocol == protocol]
        outsiders += _outsiders("protocol templates", same_protocol, "protocol_sha256")
    published = {row.model: row.category for other in reversed(BOARD_TASKS) for row in reversed(published_rows(other))}
    rows: dict[int, Row] = {}
    for place, entry in enumerate(entries):
        if entry.task is task:
            category = entry.category or (BASELINE if entry.kind == BASELINE else published.get(entry.model))
            reasons = tuple(reason for outsider, reason in outsiders if outsider is entry)
            because = reasons or entry.not_comparable_because
            comparable = Comparable.NO if reasons else entry.comparable
            rows[place] = replace(entry, category=category, comparable=comparable, not_comparable_because=because)
    places = {id(row): place for place, row in rows.items()}
    return [(row, places.get(id(row))) for row in by_overall([*rows.values(), *reference_rows(task)])]


def _outsiders(what: str, entries: Sequence[Entry], *hash_names: str) -> Iterator[tuple[Entry, str]]:
    """Entries that share no hash with the reference group, with the reason that is shown."""
    groups: list[tuple[set[str], list[Entry]]] = []
    for entry in entries:
        hashes = {sha256.removeprefix("samples:") for name in hash_names if (sha256 := getattr(entry, name))}
        members = [entry]
        # A row may know the file's hash, the samples' hash or both, and so join groups that looked apart.
        for group in [group for group in groups if group[0] & hashes]:
            groups.remove(group)
            hashes |= group[0]
            members += group[1]
        if hashes:
            groups.append((hashes, members))

    def rank(group: tuple[set[str], list[Entry]]) -> tuple[Any, ...]:
        hashes, members = group
        from_hub = any(entry.data_revision for entry in members)
        return (not from_hub, -len(members), min(map(_created, members)), min(hashes))

    groups.sort(key=rank)
    for hashes, members in groups[1:]:
        own, reference = min(hashes)[:8], min(groups[0][0])[:8]
        reason = f"other {what} ({own}) than the comparable rows of this board ({reference})"
        yield from ((entry, reason) for entry in members)
