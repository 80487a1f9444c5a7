"""One line a run, published or own: ranked, and with labels that tell runs apart."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medqbench_vlmeval.benchmark import OVERALL, Comparable, Task, published_rows
from medqbench_vlmeval.provenance import Provenance
from medqbench_vlmeval.report.table import task_kind, value_words
from medqbench_vlmeval.report.text import one_line
from medqbench_vlmeval.types import TaskRun

KINDS = PUBLISHED, OWN, BASELINE = "published", "own", "baseline"
# Behind the names of own runs in figures and in tables for papers.
COMPARABLE_MARKS: Mapping[Comparable, str] = {Comparable.YES: "", Comparable.UNVERIFIED: "§", Comparable.NO: "†"}
# What tells two runs of one model apart, the plainest first.
_FACTS: Sequence[Callable[[Row], str | None]] = (
    lambda row: row.dataset,
    lambda row: row.judge,
    lambda row: row.protocol,
    lambda row: row.prompt_style,
    lambda row: row.images,
    lambda row: shown_hash(row.data_sha256),
    lambda row: f"n={row.n}",
    lambda row: row.created,
)


@dataclass(frozen=True)
class Row:
    """``values`` are by measure as in the result file, ``interval`` is Overall's in its unit, ``kind`` one of KINDS;
    ``category`` is None where nobody said it. ``source`` is None on own rows, settings, ``n`` and ``created`` on
    published ones."""

    task: Task
    kind: str
    model: str
    values: Mapping[str, float | None]
    comparable: Comparable
    not_comparable_because: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None
    n: int | None = None
    category: str | None = None
    dataset: str | None = None
    judge: str | None = None
    protocol: str | None = None
    prompt_style: str | None = None
    data_sha256: str | None = None
    created: str | None = None
    source: str | None = None
    images: str | None = None


def reference_rows(task: Task) -> list[Row]:
    """The published rows of one task."""
    return [
        Row(task, PUBLISHED, row.model, row.values, comparable=Comparable.YES, category=row.category, source=row.source)
        for row in published_rows(task)
    ]


def own_row(run: TaskRun) -> Row:
    """A run's own line."""
    part = run.result
    return Row(
        task=part.task,
        kind=BASELINE if run.baseline else OWN,
        model=run.model,
        values={measure: cell.value for measure, cell in part.measures.items()},
        comparable=part.comparable,
        not_comparable_because=part.not_comparable_because,
        interval=part.overall.interval,
        n=part.n,
        dataset=part.dataset,
        judge=None if run.settings.judge is None else run.settings.judge.name,
        protocol=run.settings.protocol.name,
        prompt_style=run.settings.prompt_style,
        data_sha256=data_hash(run),
        created=run.settings.created,
        images=image_way(run.settings),
    )


def image_way(settings: Provenance) -> str | None:
    """How a run's images were sent ('kit', 'original', ...), None where that is not on record."""
    images = settings.model_use.images if settings.model_use else None
    return images.way if images else None


def data_hash(run: TaskRun) -> str:
    """The sha256 of the data file; 'samples:' and that of the samples where a prediction file was all there was."""
    return run.data.sha256 or f"samples:{run.data.samples_sha256}"


def shown_hash(sha256: str | None) -> str:
    """The first eight characters of a data's hash, which tell it from others in a table."""
    return (sha256 or "").removeprefix("samples:")[:8]


def _questions_of(row: Row) -> str:
    """What a row is ranked on: the published rows' questions, or those of its data file where there are none."""
    return "" if published_rows(row.task) else f"{row.dataset} {row.data_sha256}"


def place_of(row: Row) -> tuple[str, int, float, int, str, str]:
    """What orders rows by Overall, best first: see :func:`by_overall`."""
    overall = row.values.get(OVERALL)
    rank = math.inf if overall is None else -overall
    return (_questions_of(row), row.comparable.place, rank, KINDS.index(row.kind), row.model, row.dataset or "")


def by_overall(rows: Iterable[Row]) -> list[Row]:
    """Best first, rows without a number last, ties by kind and name; what is not verified comes below what is, and
    what is not comparable last. Of a task without published rows each data file's rows stand together."""
    return sorted(rows, key=place_of)


def ranks(rows: Iterable[Row], apart: bool = True) -> list[int | None]:
    """The ranks of rows that stand best first: numbers that are shown alike share one ('1, 2, 2, 4'). None for rows
    without a number and, if ``apart``, for those that are not comparable. Of a task without published rows each data
    file is ranked by itself, with what is not verified."""
    shown: dict[str, list[str]] = {}
    places: list[int | None] = []
    for row in rows:
        value, questions, at = row.values.get(OVERALL), _questions_of(row), None
        worst = Comparable.UNVERIFIED if questions and apart else Comparable.YES if apart else Comparable.NO
        if value is not None and row.comparable.place <= worst.place:
            above = shown.setdefault(questions, [])
            above.append(value_words(value, task_kind(row.task)))
            at = above.index(above[-1]) + 1
        places.append(at)
    return places


def names_by(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names in one text by what holds for them, from pairs of the two; each name once."""
    names: dict[str, dict[str, None]] = {}
    for fact, name in pairs:
        names.setdefault(fact, {})[name] = None
    return {fact: ", ".join(alike) for fact, alike in names.items()}


def run_labels(runs: Sequence[TaskRun], limit: int = 34) -> list[str]:
    """A label a run, all different, each at most ``limit`` wide (see :func:`shortened`) but for what sets it apart: the
    first of :data:`_FACTS` in which the runs of a model differ, else a number."""
    rows = [own_row(run) for run in runs]
    names = [one_line(row.model) or "unnamed" for row in rows]
    short: dict[str, str] = {}
    for name in dict.fromkeys(names):
        # Where a cut would make two names alike, it stands further back.
        wider = (shortened(name, room) for room in (limit, limit + 8))
        free = (label for label in wider if label not in short.values())
        short[name] = next(free, None) or _free(shortened(name, limit), short.values())
    labels: list[str] = []
    for row, name in zip(rows, names, strict=True):
        alike = [other for other, same in zip(rows, names, strict=True) if same == name]
        texts = (fact_of(row) for fact_of in _FACTS if len({fact_of(other) for other in alike}) > 1)
        fact = next((shortened(one_line(text), 28) for text in texts if text), None)
        labels.append(_free(f"{short[name]} ({fact})" if fact else short[name], labels))
    return labels


def shortened(name: str, limit: int) -> str:
    """``name`` in at most ``limit`` columns: the middle goes, since families differ in front and versions at the end. A
    character of an East Asian script takes two columns, one that combines with its neighbour none."""
    from rich.cells import cell_len

    def first(text: str, columns: int) -> str:
        ends = itertools.accumulate(map(cell_len, text))
        return text[: sum(end <= columns for end in ends)]

    if cell_len(name) <= limit:
        return name
    tail = first(name[::-1], (limit - 1) * 3 // 5)[::-1]
    # A mark without its letter would sit on the cut.
    while tail and unicodedata.combining(tail[0]):
        tail = tail[1:]
    return f"{first(name, limit - 1 - cell_len(tail))}…{tail}"


def _free(label: str, labels: Collection[str]) -> str:
    """``label``, or with the lowest number that makes it differ from the others."""
    numbered = (f"{label} #{number}" for number in itertools.count(2))
    return next(free for free in itertools.chain([label], numbered) if free not in labels)
