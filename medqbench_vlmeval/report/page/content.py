"""What the page shows, as plain JSON: each run's numbers and settings, leaderboards, samples and the runs' answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSIONS, TASK_TITLES, Task, own_index
from medqbench_vlmeval.data import canonical_index
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.files import storable
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.report.leaderboard.entries import BOARD_TASKS, board_rows, entry_of
from medqbench_vlmeval.report.page.thumbnails import folder_of
from medqbench_vlmeval.report.run_tables import BASELINE_NOTE, COUNT_TITLES, measures_of
from medqbench_vlmeval.report.sentences import checks_of
from medqbench_vlmeval.report.standings import data_hash
from medqbench_vlmeval.report.table import task_kind
from medqbench_vlmeval.runs.result import top_of
from medqbench_vlmeval.types import Cell, Finding, Run, Sample, SampleRow, TaskRun, Verdict

Json = dict[str, Any]

RIGHT, WRONG, NO_ANSWER, NO_REPLY = "right", "wrong", "no answer", "no reply"
SOUND, FAULTY, UNSCORED = "no error found", "with errors", "unscored"
AXES = ("modality", "question_type", "severity", "scope", "difficulty", "degradation", "source")
_AXIS_OF_FINDING = {
    "modality_gap": "modality",
    "image_source": "source",
    "severity_profile": "severity",
    "general_vs_specific": "scope",
    "coarse_vs_fine": "difficulty",
}
_DIFFERENCES = ("points", "correlation", "score")
_MANY_IMAGES = 20


@dataclass(frozen=True)
class PageRun:
    """One run: ``key`` names it in links and is unique on the page, ``label`` on the screen."""

    key: str
    label: str
    run: Run


def page_runs(runs: Sequence[Run]) -> list[PageRun]:
    """The runs with names that tell them apart."""
    named: dict[str, PageRun] = {}
    for run in runs:
        names = (run.result.model, run.result.dataset)
        name, label = (storable(sign.join(names)) for sign in ("_", " · "))
        key, count = name, 1
        while key in named:
            count += 1
            key = f"{name}-{count}"
        named[key] = PageRun(key, label if count == 1 else f"{label} ({count})", run)
    return list(named.values())


def run_json(page_run: PageRun) -> Json:
    """A run as the page's script reads it."""
    result = page_run.run.result
    return {
        "key": page_run.key,
        "label": page_run.label,
        "model": storable(result.model),
        "baseline": BASELINE_NOTE if result.baseline else None,
        "parts": [_task_json(run) for run in result.tasks],
    }


def _task_json(run: TaskRun) -> Json:
    result = run.result
    cells = {name: result.measures[name] for name in measures_of(run.task)}
    return {
        "task": run.task.value,
        "title": TASK_TITLES[run.task],
        "unit": task_kind(run.task),
        "n": result.n,
        "comparable": result.comparable,
        "because": result.not_comparable_because,
        "measures": [[name, cell.value, cell.interval, cell.n] for name, cell in cells.items()],
        "counts": [[COUNT_TITLES[name], count] for name, count in result.counts.items() if name in COUNT_TITLES],
        "findings": [_finding_json(name, finding) for name, finding in result.findings.items()],
        "absent": [[name.replace("_", " "), reason] for name, reason in result.not_found.items()],
        "checks": checks_of(run),
        "settings": [[name, value] for name, value in _settings(run).items() if value],
    }


def _finding_json(name: str, finding: Finding) -> Json:
    ends = finding.cell.interval
    return {
        "title": finding.title,
        "statement": finding.statement,
        "few": finding.cell.few,
        "open": finding.unit in _DIFFERENCES and (ends is None or ends[0] <= 0 <= ends[1]),
        "method": finding.method,
        "links": list(_links(name, finding)),
    }


def _links(name: str, finding: Finding) -> Iterator[list[str | float | bool | None]]:
    """The groups that a finding speaks of and that the browser can show: axis, group, value, n, failed ones only."""
    if axis := _AXIS_OF_FINDING.get(name):
        for group, cell in finding.details.groups.items():
            yield [axis, group, cell.value, cell.n, True]
    if name == "error_kinds":
        for kind, cell in (finding.details.kinds or {}).items():
            yield ["kind", kind, None, cell.counts.get("count"), False]


def _settings(run: TaskRun) -> dict[str, str | None]:
    settings, judge = run.settings, run.settings.judge
    return {
        "Model": run.model,
        "Dataset": run.result.dataset,
        "Data sha256": data_hash(run),
        "Data revision": run.data.revision,
        "Prompt style": settings.prompt_style,
        "Prompt sha256": settings.prompt_sha256,
        "Judge": judge.name if judge else None,
        "Judge served as": judge.served_as if judge else None,
        "Protocol": settings.protocol.name,
        "Protocol sha256": settings.protocol.sha256,
        "Prediction file": settings.prediction_file.name,
        "Prediction file sha256": settings.prediction_file.sha256,
        "Versions": ", ".join(f"{name} {version}" for name, version in settings.versions.items()),
        "Date": settings.created,
        "Intervals": run.result.interval_method,
    }


def boards_json(runs: Sequence[PageRun]) -> list[Json]:
    """A leaderboard a task that the runs measure; unlike a board's file, which keeps the newest of two equal runs, all
    are rows beside the published ones."""
    task_runs = [(place, run) for place, page_run in enumerate(runs) for run in page_run.run.result.tasks]
    by_task = {task: [pair for pair in task_runs if pair[1].task is task] for task in BOARD_TASKS}
    return [_board(task, of_task) for task, of_task in by_task.items() if of_task]


def _board(task: Task, runs: Sequence[tuple[int, TaskRun]]) -> Json:
    measures = measures_of(task)
    lines = []
    for row, own in board_rows([entry_of(run) for _, run in runs], task):
        place, cells = (None, {}) if own is None else (runs[own][0], runs[own][1].result.measures)
        names = ("kind", "model", "category", "n", "comparable", "dataset", "judge", "protocol", "created", "source")
        line = {name: getattr(row, name) for name in names}
        line |= {"because": row.not_comparable_because, "values": [row.values[measure] for measure in measures]}
        line |= {"intervals": [cells.get(measure, Cell(None)).interval for measure in measures], "run": place}
        lines.append(line)
    scale = {"unit": task_kind(task), "scale": int(top_of(task)), "measures": measures}
    return {"task": task.value, "title": TASK_TITLES[task], **scale, "rows": lines}


def answer_json(row: SampleRow) -> Json:
    """A reply, what was read from it or how it was judged, and how it came out; what is absent is left out.

    ``outcome`` is one of the constants of this module, and ``bad`` says that it failed: a wrong letter or none, or a
    judged reply with an error that can be told.
    """
    kinds = list(dict.fromkeys(row.error_kinds))
    return {
        "reply": row.prediction.text,
        **_present(cut=row.prediction.cut or None, unscored=row.unscored, kinds=kinds),
        **(_perception(row) if row.sample.task is Task.PERCEPTION else _reasoning(row)),
    }


def _present(**facts: Any) -> Json:
    return {name: value for name, value in facts.items() if value is not None and value not in ("", [], {})}


def _texts(verdict: Verdict, *names: str) -> Json:
    return _present(**{name: getattr(verdict, name) for name in ("reason", "reply", "judge", "note", *names)})


def _perception(row: SampleRow) -> Json:
    outcome = RIGHT if row.correct else NO_REPLY if row.unscored else NO_ANSWER if row.extracted is None else WRONG
    verdict = row.choice
    extractor = verdict and {**_present(letter=letter_of(verdict.score)), **_texts(verdict)}
    read = _present(letter=row.extracted, rule=row.rule, extractor=extractor)
    return {"outcome": outcome, "bad": not row.correct, **read}


def _reasoning(row: SampleRow) -> Json:
    bad = bool(row.error_kinds)
    verdicts = [_verdict_json(name, row.verdicts.get(name)) for name in DIMENSIONS]
    replies: dict[str, int] = {}
    for place, verdict in enumerate(verdicts):
        # One reply on all four dimensions is held once.
        if (reply := verdict.get("reply")) is not None and replies.setdefault(reply, place) != place:
            verdict["same"] = replies[verdict.pop("reply")]
    conclusion = (
        {} if row.conclusion is None else {name: getattr(row.conclusion, name) for name in ("stated", "reference")}
    )
    levels = {name: str(level) for name, level in conclusion.items() if level is not None}
    outcome = UNSCORED if row.unscored else FAULTY if bad else SOUND
    return {"outcome": outcome, "bad": bad, "verdicts": verdicts, **_present(sum=row.score), **levels}


def _verdict_json(name: str, verdict: Verdict | None) -> Json:
    if verdict is None:
        return {"of": name}
    parts = [_verdict_json(part, inner) for part, inner in verdict.parts.items()]
    return {"of": name, **_present(score=verdict.score, parts=parts), **_texts(verdict, "explanation")}


@dataclass
class Gathered:
    """All samples, each held once, and each run's answers, which name their sample by its place.

    Samples name their images by place in ``pictures``: the name in the result files, and the folder to look in.
    """

    samples: list[Json] = field(default_factory=list)
    answers: list[list[Json]] = field(default_factory=list)
    pictures: dict[tuple[str, Path | None], int] = field(default_factory=dict)
    places: dict[tuple[object, ...], list[int]] = field(default_factory=dict)

    def place_of(self, sample: Sample, folder: Path | None) -> int:
        """A sample's place, which is a new one where it is not the same as an earlier sample."""
        names = image_names(sample)[:_MANY_IMAGES]
        pictures = [self.pictures.setdefault((name, folder), len(self.pictures)) for name in names]
        index = canonical_index(own_index(sample.index, sample.task))
        texts = (sample.question, sample.answer, sample.description)
        places = self.places.setdefault((sample.task, index, *texts, *sample.options.items()), [])
        for place in places:
            known = self.samples[place]
            if not pictures or not known["images"] or known["images"] == pictures:
                known["images"] = known["images"] or pictures
                return place
        places.append(len(self.samples))
        facts = {name: getattr(sample, name) for name in (*AXES, "question", "answer", "description")}
        shown = _present(**facts, options=dict(sample.options))
        self.samples.append({"index": sample.index, "task": sample.task.value, "images": pictures, **shown})
        return places[-1]


def gather(runs: Sequence[PageRun], image_root: Path | None) -> Gathered:
    """The samples of all runs, each held once, and each run's answers apart.

    Two runs answered the same sample where task, index, question, options, answer, reference and images are the same;
    a run that names no images is taken to have seen those of the others.
    """
    gathered = Gathered()
    for run in (page_run.run for page_run in runs):
        folders = {of.task: folder_of(of.data, image_root) for of in run.result.tasks}
        answers = []
        for row in run.rows:
            place = gathered.place_of(row.sample, folders[row.sample.task])
            same_index = gathered.samples[place]["index"] == row.sample.index
            answers.append({"s": place, **({} if same_index else {"index": row.sample.index}), **answer_json(row)})
        gathered.answers.append(answers)
    return gathered
