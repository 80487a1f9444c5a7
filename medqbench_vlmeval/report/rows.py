"""One line of a leaderboard, published or own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medqbench_vlmeval.data.published import published_rows
from medqbench_vlmeval.report.runs import OVERALL, RunPart
from medqbench_vlmeval.tasks import Task

PUBLISHED = "published"
OWN = "own"
BASELINE = "baseline"
KINDS = (PUBLISHED, OWN, BASELINE)


@dataclass(frozen=True)
class Row:
    """``values`` are by measure as in the result file; ``interval`` is Overall's, in its unit.

    ``kind`` is 'published', 'own' or 'baseline'. ``category`` is the model's, None where nobody said it.
    Fields that only one kind has are None on the others: ``source`` on own rows, the settings, ``n`` and ``created``
    on published ones.
    """

    task: Task
    kind: str
    model: str
    values: Mapping[str, float | None]
    comparable: bool
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


def reference_rows(task: Task) -> list[Row]:
    """The published rows of one task."""
    return [
        Row(task, PUBLISHED, row.model, row.values, comparable=True, category=row.category, source=row.source)
        for row in published_rows(task)
    ]


def own_row(part: RunPart) -> Row:
    """A run's own line."""
    return Row(
        task=part.task,
        kind=BASELINE if part.baseline else OWN,
        model=part.model,
        values=part.values,
        comparable=part.comparable,
        not_comparable_because=part.reasons,
        interval=part.intervals.get(OVERALL),
        n=part.n,
        dataset=part.dataset,
        judge=part.setting("judge", "name"),
        protocol=part.setting("protocol", "name"),
        prompt_style=part.setting("prompt", "style"),
        data_sha256=data_hash(part),
        created=_created(part),
    )


def data_hash(part: RunPart) -> str | None:
    """The sha256 of the data file; 'samples:' and that of the samples where a prediction file was all there was."""
    if part.data.get("sha256"):
        return str(part.data["sha256"])
    samples = part.data.get("samples_sha256")
    return None if samples is None else f"samples:{samples}"


def by_overall(rows: Iterable[Row]) -> list[Row]:
    """Best first, rows without a number last, ties by kind and name; what is not comparable comes below the rest."""

    def key(row: Row) -> tuple[bool, float, int, str, str]:
        overall = row.values.get(OVERALL)
        return (
            not row.comparable,
            math.inf if overall is None else -overall,
            KINDS.index(row.kind),
            row.model,
            row.dataset or "",
        )

    return sorted(rows, key=key)


def _created(part: RunPart) -> str | None:
    created = part.settings.get("created")
    return None if created is None else str(created)
