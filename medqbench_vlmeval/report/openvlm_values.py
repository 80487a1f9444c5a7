"""A run's numbers as an OpenVLM-style file holds them: one flat object of numbers a dataset.

The leaderboard's tables take all keys but ``Overall`` for columns of numbers, so that modalities stand beside the
question types or dimensions, and the mark is a number too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medqbench_vlmeval.report.runs import MEASURES, MODALITY, OVERALL, RunPart, mapping, number
from medqbench_vlmeval.scoring.axes import UNKNOWN
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, REASONING_PREFIX, Task, dataset_names

COMPARABLE = "comparable_with_published"  # 1 or 0, as in the kit's status file
_NEAR = 0.01
_UNNAMED = ("custom", UNKNOWN)
_HIGHEST = {Task.PERCEPTION: (100.0, 100.0), Task.NO_REFERENCE: (8.0, 2.0), Task.COMPARATIVE: (8.0, 2.0)}


def values_of(part: RunPart) -> dict[str, float | int | None]:
    """The numbers of one task: percent for perception (0-100), means (0-2) and their sum (0-8) for reasoning.

    A measure that no sample has is None. Modalities are given by their accuracy or their Overall.
    """
    measures = MEASURES[part.task]
    values: dict[str, float | int | None] = {OVERALL: part.values[OVERALL]}
    values |= {measure: part.values[measure] for measure in measures if measure != OVERALL}
    of_cell = "accuracy" if part.task is Task.PERCEPTION else OVERALL
    for name, cell in part.groups.get(MODALITY, {}).items():
        if name not in (*values, UNKNOWN, COMPARABLE):
            values[name] = number(mapping(cell).get(of_cell))
    return {**values, COMPARABLE: int(part.comparable)}


def combined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``old`` with the numbers of ``new``: keys that are not ours stay, numbers of ours that are gone go."""
    ours = {*(measure for task in MEASURES.values() for measure in task), COMPARABLE}
    kept = {key: new.get(key, value) for key, value in old.items() if key in new or key not in ours}
    return {**kept, **{key: value for key, value in new.items() if key not in kept}}


def key_of(part: RunPart, *, in_combined_run: bool) -> str:
    """The name of a run's dataset in the file: a combined run's parts get those of the single tasks."""
    stem = next(iter(dataset_names(part.task)))
    known = ALL_DATASET_NAMES.get(part.dataset)
    if known is not None:
        return stem + known.text.removeprefix(next(iter(dataset_names(known.task))))
    if part.dataset in _UNNAMED:
        return f"{stem}_custom"
    return f"{part.dataset}_{REASONING_PREFIX[part.task]}" if in_combined_run else part.dataset


def spellings(key: str) -> tuple[str, ...]:
    """All names of the dataset that ``key`` names: no suffix means the test split."""
    known = ALL_DATASET_NAMES.get(key)
    if known is None:
        return (key,)
    return tuple(name for name, one in dataset_names(known.task).items() if one.split is known.split)


def task_of(key: str) -> Task | None:
    """The single task that a dataset's name in a file stands for, None for another benchmark's."""
    known = ALL_DATASET_NAMES.get(key.removesuffix("_custom"))
    return known.task if known is not None and known.task is not Task.REASONING else None


def problems_of(task: Task, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with a dataset's numbers, each as the end of a sentence about them."""
    measures = MEASURES[task]
    highest, highest_single = _HIGHEST[task]
    problems = [f"has no '{measure}'" for measure in measures if measure not in values]
    for name, value in values.items():
        found = number(value)
        single = name in measures and name != OVERALL
        limit = 1.0 if name == COMPARABLE else highest_single if single else highest
        if value is None and name != OVERALL:
            continue
        if found is None:
            problems.append(f"has '{name}' that is not a number ({value!r})")
        elif not 0 <= found <= limit:
            problems.append(f"has '{name}' {found:g}, which is not within 0 and {limit:g}")
    overall, singles = number(values.get(OVERALL)), [number(values.get(name)) for name in measures if name != OVERALL]
    known = [value for value in singles if value is not None]
    if problems or overall is None or task is Task.PERCEPTION:
        return problems
    if len(known) == len(singles) and abs(overall - sum(known)) > _NEAR:
        problems.append(f"has an '{OVERALL}' of {overall:g}, and its dimensions' sum is {sum(known):g}")
    return problems
