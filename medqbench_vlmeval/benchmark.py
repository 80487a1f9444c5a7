"""All that is known of MedQ-Bench and its sibling MedQ-Deg: tasks, splits, dataset names, dimensions, axes, tables. The
published rows stand beside a user's own numbers as reference. Own numbers never enter their files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, cached_property, lru_cache
from pathlib import Path

from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.files import json_object


class Task(str, Enum):
    """One of MedQ-Bench's three tasks, both reasoning tasks in one run, or the one task of MedQ-Deg."""

    PERCEPTION = "perception"
    NO_REFERENCE = "no-reference"
    COMPARATIVE = "comparative"
    REASONING = "reasoning"
    DEGRADATION = "degradation"

    @property
    def is_choice(self) -> bool:
        """Whether its samples are multiple-choice questions; those of the others are judged."""
        return self in (Task.PERCEPTION, Task.DEGRADATION)

    @property
    def parts(self) -> tuple[Task, ...]:
        """The single tasks that this one is made of."""
        return (Task.NO_REFERENCE, Task.COMPARATIVE) if self is Task.REASONING else (self,)


class Split(str, Enum):
    """``MINI`` is embedded in this package. MedQ-Deg has degraded images ('simulate') and originals ('good')."""

    DEV = "dev"
    TEST = "test"
    MINI = "mini"
    SIMULATE_TEST = "simulate_test"
    SIMULATE_DEV = "simulate_dev"
    GOOD_TEST = "good_test"
    GOOD_DEV = "good_dev"


class Comparable(str, Enum):
    """Whether a result may be ranked with the published rows, the best first. ``UNVERIFIED``: nothing contradicts it,
    and something that it takes is not on record."""

    YES = "yes"
    UNVERIFIED = "unverified"
    NO = "no"

    def __str__(self) -> str:
        return self.value

    @property
    def place(self) -> int:
        """0 for the best."""
        return list(Comparable).index(self)

    @property
    def words(self) -> str:
        """The value in a sentence: '... with the published rows'."""
        return ("comparable", "not verified as comparable", "not comparable")[self.place]

    @classmethod
    def worst(cls, values: Iterable[Comparable]) -> Comparable:
        """What holds of several together; of none YES."""
        return max(values, key=lambda value: value.place, default=cls.YES)


OPTION_LETTERS = ("A", "B", "C", "D", "E")

QUESTION_TYPES = ("Yes-or-No", "What", "How")
OTHER_QUESTION_TYPE = "Other"

DIMENSION_TITLES = {
    "completeness": "Completeness",
    "preciseness": "Preciseness",
    "consistency": "Consistency",
    "quality_accuracy": "Quality Accuracy",
}
DIMENSIONS = tuple(DIMENSION_TITLES)

MAX_VERDICT = 2  # of one dimension; the worst is 0

MODALITIES = ("CT", "MRI", "Histopathology", "Endoscopy", "Fundus")
SEVERITIES = ("none", "mild", "moderate", "severe")
DEGREES = ("L0", "L1", "L2")  # MedQ-Deg's severities: the original, moderately and severely degraded
SCOPES = ("general", "modality-specific")
DIFFICULTIES = ("coarse-grained", "fine-grained")
AXES = ("modality", "question_type", "severity", "scope", "source", "difficulty", "category", "degradation")
"""Along which samples of either benchmark are told apart, in the order of their columns."""
UNKNOWN = "unknown"  # on any of these axes

QUALITY_LEVELS = ("reject", "usable", "good")

BASELINES = ("MedQ-Chance", "MedQ-Classical")

_PUBLISHED = Path(__file__).parent / "data" / "published"

# Of the test split: published percentages and means are ratios of integers for these sizes only (docs/published.md).
PUBLISHED_SIZES = {Task.PERCEPTION: 1305, Task.NO_REFERENCE: 221, Task.COMPARATIVE: 133}
PUBLISHED_QUESTIONS = {"Yes-or-No": 558, "What": 258, "How": 489}

# A combined run keeps one index space: each part's rows carry its prefix.
REASONING_PREFIX = {Task.NO_REFERENCE: "NoReference", Task.COMPARATIVE: "Comparative"}

# The suffix of a dataset's second pass (circular evaluation: options permuted, images swapped).
ROBUSTNESS = "_robustness"

HUMAN = "human"

_STEMS = {
    Task.PERCEPTION: "MedQBench_Perception",
    Task.NO_REFERENCE: "MedQBench_Reasoning_NoReference",
    Task.COMPARATIVE: "MedQBench_Reasoning_Comparative",
    Task.REASONING: "MedQBench_Reasoning",
    Task.DEGRADATION: "MedQDeg",
}

TASK_TITLES = {
    Task.PERCEPTION: "Perception",
    Task.NO_REFERENCE: "Reasoning, no-reference",
    Task.COMPARATIVE: "Reasoning, comparative",
    Task.DEGRADATION: "MedQ-Deg",
}


def title_of(task: Task) -> str:
    """A task behind its benchmark: 'MedQ-Bench Perception', 'MedQ-Deg'."""
    return " ".join(dict.fromkeys((benchmarks([task]), TASK_TITLES[task])))


def benchmarks(tasks: Iterable[Task]) -> str:
    """'MedQ-Bench', 'MedQ-Deg', or both."""
    return " and ".join(dict.fromkeys("MedQ-Deg" if task is Task.DEGRADATION else "MedQ-Bench" for task in tasks))


OVERALL = "Overall"

_MEASURE_AXES = {Task.PERCEPTION: ("question_type", QUESTION_TYPES), Task.DEGRADATION: ("severity", DEGREES)}

# Of each single task, in the order of its table.
MEASURES: Mapping[Task, tuple[str, ...]] = {
    task: (*(_MEASURE_AXES[task][1] if task.is_choice else DIMENSION_TITLES.values()), OVERALL)
    for task in Task
    if task is not Task.REASONING
}


def measure_axis(task: Task) -> str:
    """The axis of a multiple-choice task along which its table's measures lie, but for Overall."""
    return _MEASURE_AXES[task][0]


def own_index(index: str, task: Task) -> str:
    """A sample's index in its own dataset: without the prefix of the part that it has in a combined one."""
    prefix = REASONING_PREFIX.get(task)
    return index.removeprefix(f"{prefix}:") if prefix else index


def dimension_scores(task: Task, dimension: str) -> tuple[int, ...]:
    """Verdicts that the published protocol allows: 0, 1, 2, but 0 or 2 for a pair's quality accuracy."""
    return (0, 2) if task is Task.COMPARATIVE and dimension == "quality_accuracy" else (0, 1, 2)


@dataclass(frozen=True)
class DatasetName:
    """A name for ``--data``: ``text`` as typed, and what it stands for. ``folder`` has the files of a set that the user
    registered, None for the benchmark's."""

    text: str
    task: Task
    split: Split
    second_pass: bool = False
    folder: Path | None = None

    @property
    def first_pass(self) -> DatasetName:
        """The dataset behind a second pass; one that is no second pass itself."""
        return replace(self, text=self.text.removesuffix(ROBUSTNESS), second_pass=False)


def dataset_names(task: Task, second_pass: bool = False) -> dict[str, DatasetName]:
    """All names of a task (without a split's suffix test is meant), or those of its second passes where it has any."""
    if second_pass and task in (Task.NO_REFERENCE, Task.DEGRADATION):
        return {}
    stem, ending = _STEMS[task], ROBUSTNESS if second_pass else ""
    deg = task is Task.DEGRADATION
    named = [split for split in Split if split is Split.MINI or ("_" in split.value) is deg]
    splits = {f"{stem}_{split.value}": split for split in sorted(named, key=lambda split: deg and split is Split.MINI)}
    if not deg:
        splits = {stem: Split.TEST, **splits}
    names = [DatasetName(f"{text}{ending}", task, split, second_pass) for text, split in splits.items()]
    return {name.text: name for name in names}


ALL_DATASET_NAMES = {text: name for task in Task for text, name in dataset_names(task).items()}
SECOND_PASS_NAMES = {text: name for task in Task for text, name in dataset_names(task, second_pass=True).items()}

# Prediction files of the kit's own classes carry their names; the data are the same.
_KITS_OWN = {
    Task.PERCEPTION: "MedqbenchMCQ",
    Task.NO_REFERENCE: "MedqbenchCaption",
    Task.COMPARATIVE: "MedqbenchPairedDescription",
    Task.DEGRADATION: "MedQDEGBench",
}
KITS_NAMES = {
    name.replace(_STEMS[task], kits): name
    for task, kits in _KITS_OWN.items()
    for name, of in dataset_names(task).items()
    if of.split is not Split.MINI
}
"""Names of the datasets of the kit's own classes, with ours for the same data."""


@dataclass(frozen=True)
class RegisteredSet:
    """A folder of data files under a name of the user's; ``parts`` are the tasks and splits that it has files of."""

    name: str
    folder: Path
    parts: tuple[tuple[Task, Split], ...]

    def _stems(self) -> dict[Task, str]:
        """Names without a split's suffix by their tasks, of which it has a split."""
        tasks = (Task.PERCEPTION, Task.REASONING, Task.NO_REFERENCE, Task.COMPARATIVE)
        return {task: _STEMS[task].replace("MedQBench", self.name) for task in tasks if self._splits(task)}

    def _splits(self, task: Task) -> list[Split]:
        return [of for of in (Split.TEST, Split.DEV) if all((part, of) in self.parts for part in task.parts)]

    @cached_property
    def names(self) -> dict[str, DatasetName]:
        """Its names for ``--data``: 'NAME_Perception', 'NAME_Perception_dev', ... Without a split's suffix test is
        meant (dev, where that is all), and NAME alone is the first task's."""
        found: dict[str, DatasetName] = {}
        for task, stem in self._stems().items():
            splits = self._splits(task)
            meant = {stem: splits[0], **{f"{stem}_{split.value}": split for split in splits}}
            if not found:
                meant[self.name] = splits[0]
            found |= {text: DatasetName(text, task, split, folder=self.folder) for text, split in meant.items()}
        again = {f"{text}{ROBUSTNESS}": name for text, name in found.items() if name.task is not Task.NO_REFERENCE}
        return found | {text: replace(name, text=text, second_pass=True) for text, name in again.items()}

    def whole(self) -> tuple[str, ...]:
        """The names that together are its questions of all tasks."""
        stems = self._stems()
        parts = Task.REASONING.parts if Task.REASONING in stems else ()
        return tuple(stem for task, stem in stems.items() if task not in parts)


def registry() -> Path:
    """The file in the user's settings that says which folders have names."""
    from platformdirs import user_config_path

    return user_config_path("medqbench", appauthor=False) / "datasets.json"


def registered_sets() -> Mapping[str, RegisteredSet]:
    """The user's own sets by name; what cannot be understood in the file is left out."""
    # Asked for each prediction file of a folder: the file is read again where it was written anew.
    path = registry()
    try:
        state = path.stat()
    except OSError:
        return {}
    return _sets(path, state.st_ino, state.st_mtime_ns)


def own_names() -> Mapping[str, DatasetName]:
    """All names of the user's own sets, those of second passes too."""
    return {text: name for of in registered_sets().values() for text, name in of.names.items()}


@lru_cache(maxsize=1)
def _sets(path: Path, *_: int) -> Mapping[str, RegisteredSet]:
    sets = {}
    for name, entry in (json_object(path) or {}).items():
        with suppress(KeyError, TypeError, ValueError):
            parts = tuple((Task(task), Split(split)) for task, split in entry["parts"])
            sets[name] = RegisteredSet(name, Path(entry["folder"]), parts)
    return sets


def known_dataset(text: str) -> DatasetName | None:
    """The dataset of this name, the benchmark's or the user's; None where there is none, and for a second pass."""
    name = ALL_DATASET_NAMES.get(text) or own_names().get(text)
    return None if name is None or name.second_pass else name


def all_names() -> dict[str, DatasetName]:
    """Every name for ``--data``: the benchmark's datasets, their second passes, and the user's."""
    return {**ALL_DATASET_NAMES, **SECOND_PASS_NAMES, **own_names()}


def name_in_file(stem: str) -> str | None:
    """The dataset's name that the stem 'MODEL_DATASET' of a prediction file ends in, None where it ends in none."""
    names = (name for name in (*all_names(), *KITS_NAMES) if stem.endswith(f"_{name}"))
    return max(names, key=len, default=None)


def kits_dataset(stem: str) -> DatasetName | None:
    """Our dataset of the same data as that of the kit's own class which such a stem ends in, None where it is none."""
    return ALL_DATASET_NAMES.get(KITS_NAMES.get(name_in_file(stem) or "", ""))


def parse_dataset_name(text: str) -> DatasetName:
    """Look a dataset's name up, or that of a second pass. Raises BadInput, with the nearest, where there is none."""
    names = all_names()
    if text in names:
        return names[text]
    if text.removesuffix(ROBUSTNESS) in names:
        raise BadInput(
            f"'{text}' does not exist: there are second passes of perception (options in another order) and of pairs "
            "(images swapped) alone."
        )
    known = ", ".join(name for name, of in names.items() if not of.second_pass)
    raise BadInput(f"'{text}' is no dataset of these benchmarks.{did_you_mean(text, names)} Known names: {known}.")


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table: ``values`` by measure, None where the table has no number."""

    model: str
    category: str
    values: Mapping[str, float | None]
    source: str


@cache
def published_rows(task: Task) -> tuple[PublishedRow, ...]:
    """The published test results of one task, in the table's order: percent for perception, means for reasoning (four
    dimensions 0-2, ``Overall`` 0-8). There are none of MedQ-Deg, whose table could not be had. Raises ValueError for
    the combined task, which has no table."""
    if task is Task.DEGRADATION:
        return ()
    if task is Task.REASONING:
        raise ValueError("the combined task has no published table; ask for one of its parts")
    measures = MEASURES[task]
    with (_PUBLISHED / f"{task.value.replace('-', '_')}_test.csv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    values = [{name: float(cell) if (cell := row[column_name(name)]) else None for name in measures} for row in rows]
    return tuple(
        PublishedRow(row["model"], row["category"], of, row["source"]) for row, of in zip(rows, values, strict=True)
    )


def human_overall(task: Task) -> float | None:
    """The human experts' published Overall, in the task's unit; None where the table has no such row."""
    return next((row.values[OVERALL] for row in published_rows(task) if row.category == HUMAN), None)


def column_name(measure: str) -> str:
    """A measure's column in the published files and in the board's: 'Quality Accuracy' -> 'quality_accuracy'."""
    return measure.lower().replace(" ", "_").replace("-", "_")
