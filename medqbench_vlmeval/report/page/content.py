"""What the page says of each run beside its samples: names, numbers, findings, counts and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSIONS, Task, own_index
from medqbench_vlmeval.data import canonical_index
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import storable
from medqbench_vlmeval.report.leaderboard.entries import BOARD_TASKS, board_rows, entry_of
from medqbench_vlmeval.report.page.thumbnails import Finder, folders_of
from medqbench_vlmeval.report.run_tables import BASELINE_NOTE, COUNT_TITLES, checks_of
from medqbench_vlmeval.report.standings import PUBLISHED, Row, data_hash, own_row
from medqbench_vlmeval.report.terminal import absent_findings, findings_of, title_of, words_of
from medqbench_vlmeval.runs.result import (
    MEASURES,
    OVERALL,
    TASK_TITLES,
    RunPart,
    mapping,
    number,
    parts_of,
    text,
    whole,
)

_AXIS_OF = {
    "modality_gap": "modality",
    "image_source": "source",
    "severity_profile": "severity",
    "general_vs_specific": "scope",
    "coarse_vs_fine": "difficulty",
}
_DIFFERENCES = ("points", "correlation", "score")


@dataclass(frozen=True)
class PageRun:
    """One run: ``key`` names it in links and is unique on the page, ``label`` on the screen."""

    key: str
    label: str
    parts: tuple[RunPart, ...]

    @property
    def model(self) -> str:
        return storable(self.parts[0].model)


def page_runs(scores: Sequence[Mapping[str, Any]]) -> list[PageRun]:
    """The runs with names that tell them apart.

    Raises:
        BadInput: a score is not a result of this package.
    """
    keys: set[str] = set()
    runs = []
    for score in scores:
        parts = parts_of(score)
        name, label = (storable(sign.join((parts[0].model, parts[0].dataset))) for sign in ("_", " · "))
        key, count = name, 1
        while key in keys:
            count += 1
            key = f"{name}-{count}"
        keys.add(key)
        runs.append(PageRun(key, label if count == 1 else f"{label} ({count})", parts))
    return runs


def run_facts(run: PageRun) -> dict[str, Any]:
    """A run as the page's script reads it."""
    return {
        "key": run.key,
        "label": run.label,
        "model": run.model,
        "baseline": BASELINE_NOTE if any(part.baseline for part in run.parts) else None,
        "parts": [_part_facts(part) for part in run.parts],
    }


def unit(task: Task) -> str:
    """'percent' for shares of right answers, 'score' for means of verdicts."""
    return "percent" if task is Task.PERCEPTION else "score"


def _part_facts(part: RunPart) -> dict[str, Any]:
    measures = (OVERALL, *(measure for measure in MEASURES[part.task] if measure != OVERALL))
    return {
        "task": part.task.value,
        "title": TASK_TITLES[part.task],
        "unit": unit(part.task),
        "n": part.n,
        "comparable": part.comparable,
        "because": list(part.reasons),
        "measures": [[name, part.values[name], part.intervals.get(name), part.measure_n(name)] for name in measures],
        "counts": [[COUNT_TITLES[name], count] for name, count in part.counts.items() if name in COUNT_TITLES],
        "findings": [_finding_facts(name, found) for name, found in findings_of(part)],
        "absent": [[words_of(name), reason] for name, reason in absent_findings(part).items()],
        "checks": checks_of(part),
        "settings": [[name, value] for name, value in _settings(part) if value],
    }


def _finding_facts(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    low, high = number(found.get("low")), number(found.get("high"))
    open_ = found.get("unit") in _DIFFERENCES and (low is None or high is None or low <= 0 <= high)
    return {
        "title": title_of(name, found),
        "statement": str(found["statement"]),
        "few": found.get("few") is True,
        "open": open_,
        "method": text(found.get("method")),
        "links": [list(link) for link in _links(name, mapping(found.get("details")))],
    }


def _links(name: str, details: Mapping[str, Any]) -> Iterator[tuple[str, str, float | None, int | None, bool]]:
    """The groups that a finding speaks of and that the browser can show: axis, group, value, n, failed ones only."""
    axis = _AXIS_OF.get(name)
    if axis is not None:
        for group, cell in mapping(details.get("groups")).items():
            yield axis, str(group), number(mapping(cell).get("value")), whole(mapping(cell).get("n")), True
    if name == "error_kinds":
        for kind, cell in mapping(details.get("kinds")).items():
            yield "kind", str(kind), None, whole(mapping(cell).get("count")), False


def _settings(part: RunPart) -> Iterator[tuple[str, str | None]]:
    yield "Model", part.model
    yield "Dataset", part.dataset
    yield "Data sha256", data_hash(part)
    yield "Data revision", text(part.data.get("revision"))
    yield "Prompt style", part.setting("prompt", "style")
    yield "Prompt sha256", part.setting("prompt", "sha256")
    yield "Judge", part.setting("judge", "name")
    yield "Judge served as", part.setting("judge", "served_as")
    yield "Protocol", part.setting("protocol", "name")
    yield "Protocol sha256", part.setting("protocol", "sha256")
    yield "Prediction file", part.setting("prediction_file", "name")
    yield "Prediction file sha256", part.setting("prediction_file", "sha256")
    yield "Versions", ", ".join(f"{name} {found}" for name, found in mapping(part.settings.get("versions")).items())
    yield "Date", text(part.settings.get("created"))
    yield "Intervals", text(mapping(part.score.get("intervals")).get("method"))


# One run's answer to one sample, as the page's script reads it.


RIGHT, WRONG, NO_ANSWER, NO_REPLY = "right", "wrong", "no answer", "no reply"
SOUND, FAULTY, UNSCORED = "no error found", "with errors", "unscored"
_LOW = 0.5  # a score that counts as an error where a result of an earlier version does not name errors


def answer_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Reply, what was read from it or how it was judged, and how it came out; what is absent is left out.

    ``outcome`` is one of the constants of this module, and ``bad`` says that it failed: a wrong letter or none, or a
    judged reply with an error that can be told.
    """
    perception = row.get("task") == Task.PERCEPTION.value
    named = row.get("error_kinds")
    kinds = list(dict.fromkeys(map(str, named))) if isinstance(named, (list, tuple)) else None
    told = {
        "reply": text(row.get("prediction")) or "",
        "cut": row.get("prediction_cut") is True or None,
        "unscored": text(row.get("unscored")),
        "kinds": kinds or None,
        **(_perception(row) if perception else _reasoning(row, kinds)),
    }
    return {name: value for name, value in told.items() if value is not None}


def _perception(row: Mapping[str, Any]) -> dict[str, Any]:
    right = row.get("correct") is True
    letter = text(row.get("extracted"))
    outcome = RIGHT if right else NO_REPLY if row.get("unscored") else NO_ANSWER if letter is None else WRONG
    asked = mapping(row.get("extractor"))
    return {
        "outcome": outcome,
        "bad": not right,
        "letter": letter,
        "rule": text(row.get("rule")),
        "extractor": {name: value for name in _EXTRACTOR if (value := text(asked.get(name)))} or None,
    }


def _reasoning(row: Mapping[str, Any], kinds: list[str] | None) -> dict[str, Any]:
    verdicts = mapping(row.get("verdicts"))
    scores = mapping(row.get("scores"))
    if kinds is None:
        low = [score for name in DIMENSIONS if (score := number(scores.get(name))) is not None and score <= _LOW]
        bad = bool(low)
    else:
        bad = bool(kinds)
    outcome = UNSCORED if row.get("unscored") else FAULTY if bad else SOUND
    conclusion = mapping(row.get("conclusion"))
    told = [_verdict(name, mapping(verdicts.get(name)), number(scores.get(name))) for name in DIMENSIONS]
    replies: dict[str, int] = {}
    for place, verdict in enumerate(told):
        # One reply on all four dimensions is held once.
        if (reply := verdict.get("reply")) is not None and replies.setdefault(reply, place) != place:
            verdict["same"] = replies[verdict.pop("reply")]
    return {
        "outcome": outcome,
        "bad": bad,
        "sum": number(row.get("score")),
        "verdicts": told,
        "stated": text(conclusion.get("stated")),
        "reference": text(conclusion.get("reference")),
    }


_EXTRACTOR = ("letter", "reason", "reply", "judge", "note")
_VERDICT = ("reason", "reply", "judge", "explanation", "note")


def _verdict(name: str, verdict: Mapping[str, Any], score: float | None) -> dict[str, Any]:
    told: dict[str, Any] = {"of": name}
    given = number(verdict.get("score"))
    if (value := given if given is not None else score) is not None:
        told["score"] = value
    told.update({key: words for key in _VERDICT if (words := text(verdict.get(key)))})
    parts = mapping(verdict.get("parts"))
    if parts:
        told["parts"] = [_verdict(str(part), mapping(found), None) for part, found in parts.items()]
    return told


# Samples and answers for the page: a sample that several runs answered is held once, and each run's answer apart.


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


# The page's leaderboards: one a task that its runs measure, every run a row beside the published ones.


_SCALE = {"percent": 100, "score": 8}


def boards(runs: Sequence[PageRun]) -> list[dict[str, Any]]:
    """The boards in the tasks' order; unlike a board's file, which keeps the newest of two equal runs, all are rows."""
    found = []
    for task in BOARD_TASKS:
        parts = [(place, part) for place, run in enumerate(runs) for part in run.parts if part.task is task]
        if parts:
            found.append(_board(task, parts))
    return found


def _board(task: Task, parts: Sequence[tuple[int, RunPart]]) -> dict[str, Any]:
    measures = (OVERALL, *(measure for measure in MEASURES[task] if measure != OVERALL))
    waiting = list(parts)
    lines = []
    for row in board_rows([entry_of(part) for _, part in parts], task):
        line = _line(row, measures)
        if row.kind != PUBLISHED:
            place, part = waiting.pop(_place_of(row, [part for _, part in waiting]))
            line["run"] = place
            line["intervals"] = [part.intervals.get(measure) for measure in measures]
        lines.append(line)
    return {
        "task": task.value,
        "title": TASK_TITLES[task],
        "unit": unit(task),
        "scale": _SCALE[unit(task)],
        "measures": list(measures),
        "rows": lines,
    }


def _line(row: Row, measures: Sequence[str]) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "model": row.model,
        "category": row.category,
        "values": [row.values[measure] for measure in measures],
        "intervals": [None] * len(measures),
        "n": row.n,
        "comparable": row.comparable,
        "because": list(row.not_comparable_because),
        "dataset": row.dataset,
        "judge": row.judge,
        "protocol": row.protocol,
        "created": row.created,
        "source": row.source,
        "run": None,
    }


def _place_of(row: Row, parts: Sequence[RunPart]) -> int:
    """Which part a board's row is of: rows are sorted, and two of them may be equal to the last field."""

    def same(part: RunPart) -> bool:
        own = own_row(part)
        names = ((own.model, row.model), (own.dataset, row.dataset), (own.judge, row.judge))
        if any(storable(ours or "") != (theirs or "") for ours, theirs in names):
            return False
        settings = ("protocol", "prompt_style", "data_sha256", "created")
        return (
            own.n == row.n
            and own.values == row.values
            and all(storable(getattr(own, name) or "") == (getattr(row, name) or "") for name in settings)
        )

    return next(place for place, part in enumerate(parts) if same(part))
