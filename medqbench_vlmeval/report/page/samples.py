"""Samples and answers for the page: a sample that several runs answered is held once, and each run's answer apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.data import canonical_index
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.page.answers import answer_of
from medqbench_vlmeval.report.page.pictures import Finder, folders_of
from medqbench_vlmeval.report.page.runs import PageRun
from medqbench_vlmeval.report.runs import mapping, text
from medqbench_vlmeval.tasks import Task, own_index

AXES = ("modality", "question_type", "severity", "scope", "difficulty", "degradation", "source")
_MANY_IMAGES = 20

Json = dict[str, Any]


@dataclass
class Gathered:
    """``answers`` has a list a run, whose entries name their sample by its place in ``samples``.

    Samples name their images by place in ``names`` (what the result files call them) and ``paths`` (None: not on
    this machine).
    """

    samples: list[Json] = field(default_factory=list)
    answers: list[list[Json]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    paths: list[Path | None] = field(default_factory=list)


def gather(
    runs: Sequence[PageRun], rows_of: Sequence[Sequence[Mapping[str, Any]]], image_root: Path | None
) -> Gathered:
    """Read the rows of all runs; ``rows_of`` is parallel to ``runs``.

    Two runs answered the same sample where task, index, question, options, answer, reference and images are the same;
    a run that names no images is taken to have seen those of the others.

    Raises:
        BadInput: a row is not a sample of its run's tasks.
    """
    collector = _Collector()
    for run, rows in zip(runs, rows_of, strict=True):
        parts = {part.task.value: part for part in run.parts}
        finders = {task: collector.finder(folders_of(part, image_root)) for task, part in parts.items()}
        answers = []
        for row in rows:
            task = row.get("task")
            if not isinstance(task, str) or task not in parts:
                expected = " or ".join(parts)
                raise BadInput(
                    f"A sample of {run.label} is of the task {str(task)[:60]!r} and its score of {expected}: they are "
                    "not of one evaluation. Score the run again."
                )
            own = str(row.get("index"))
            place, shared = collector.sample(row, own, finders[task])
            answers.append({"s": place, **({} if shared == own else {"index": own}), **answer_of(row)})
        collector.found.answers.append(answers)
    return collector.found


class _Collector:
    def __init__(self) -> None:
        self.found = Gathered()
        self._finders: dict[tuple[Path, ...], Finder] = {}
        self._samples: dict[tuple[Any, ...], list[int]] = {}
        self._pictures: dict[tuple[str, Path | None], int] = {}

    def finder(self, folders: tuple[Path, ...]) -> Finder:
        return self._finders.setdefault(folders, Finder(folders))

    def sample(self, row: Mapping[str, Any], own: str, finder: Finder) -> tuple[int, str]:
        """A row's sample by its place, and the index under which the page knows it."""
        images = row.get("images")
        names = [str(name) for name in images[:_MANY_IMAGES]] if isinstance(images, (list, tuple)) else []
        pictures = [self._picture(name, finder) for name in names]
        options = {str(letter): str(option) for letter, option in mapping(row.get("options")).items()}
        asked = (text(row.get("question")), text(row.get("answer")), text(row.get("description")))
        key = (row["task"], _shared_index(row["task"], own), *asked, *options.items())
        for place in self._samples.setdefault(key, []):
            sample = self.found.samples[place]
            if not pictures or not sample["images"] or sample["images"] == pictures:
                sample["images"] = sample["images"] or pictures
                return place, sample["index"]
        question, answer, description = asked
        said = {"question": question, "answer": answer, "description": description, "options": options or None}
        axes = {axis: text(row.get(axis)) for axis in AXES}
        place = len(self.found.samples)
        self.found.samples.append(
            {
                "index": own,
                "task": row["task"],
                "images": pictures,
                **{name: value for name, value in {**axes, **said}.items() if value is not None},
            }
        )
        self._samples[key].append(place)
        return place, own

    def _picture(self, name: str, finder: Finder) -> int:
        path = finder.find(name)
        key = (name, path)
        if key not in self._pictures:
            self._pictures[key] = len(self.found.names)
            self.found.names.append(name)
            self.found.paths.append(path)
        return self._pictures[key]


def _shared_index(task: str, own: str) -> str:
    return canonical_index(own_index(own, Task(task)))
