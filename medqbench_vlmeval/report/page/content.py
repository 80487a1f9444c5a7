"""What the page shows, as plain JSON: runs, leaderboards, comparisons, samples and the runs' answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSIONS, TASK_TITLES
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.data.info import index_key
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.files import storable
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.report.card import data_facts, settings_facts
from medqbench_vlmeval.report.colours import look_of, places_of
from medqbench_vlmeval.report.compare_tables import in_order
from medqbench_vlmeval.report.leaderboard.entries import BOARD_TASKS, board_rows, entry_of
from medqbench_vlmeval.report.run_tables import BASELINE_NOTE, COUNT_TITLES, contrast_tables, measures_of
from medqbench_vlmeval.report.sentences import checks_of
from medqbench_vlmeval.report.standings import ranks
from medqbench_vlmeval.report.table import Flat, flat, task_kind, words
from medqbench_vlmeval.report.text import LABELS
from medqbench_vlmeval.runs.comparison import ComparedPair, ComparedTask, RunComparison, SharedSample, item_to_json
from medqbench_vlmeval.runs.result import findings_to_json, json_of, top_of
from medqbench_vlmeval.scoring import compare
from medqbench_vlmeval.types import Cell, Finding, Run, Sample, SampleRow, TaskRun, Verdict

Json = dict[str, Any]

RIGHT, WRONG, NO_ANSWER, NO_REPLY = "right", "wrong", "no answer", "no reply"
SOUND, FAULTY, UNSCORED = "no error found", "with errors", "unscored"
AXES = ("modality", "question_type", "severity", "scope", "difficulty", "category", "degradation", "source")
_MANY_IMAGES = 20
_QUESTION = 160  # characters that a comparison shows of a question


def runs_json(runs: Sequence[Run]) -> list[Json]:
    """The runs as the page's script reads them: a unique ``key`` names one in links, ``label`` on the screen."""
    by_key: dict[str, Json] = {}
    results = [run.result for run in runs]
    for result, place in zip(results, places_of(results), strict=True):
        name, label = (storable(sign.join((result.model, result.dataset))) for sign in ("_", " · "))
        key, count = name, 1
        while key in by_key:
            count += 1
            key = f"{name}-{count}"
        by_key[key] = {
            "key": key,
            "label": label if count == 1 else f"{label} ({count})",
            "model": storable(result.model),
            "dataset": storable(result.dataset),
            "look": json_of(look_of(place), "colour", "marker"),
            "baseline": BASELINE_NOTE if result.baseline else None,
            "parts": [_task_json(run) for run in result.tasks],
        }
    return list(by_key.values())


def _task_json(run: TaskRun) -> Json:
    result, settings = run.result, run.settings
    facts = {"model": run.model, "dataset": result.dataset, **data_facts(run), **settings_facts(settings)}
    facts |= {"date": settings.created, "intervals": result.interval_method}
    cells = {name: result.measures[name] for name in measures_of(run.task)}
    return {
        "task": run.task.value,
        "title": TASK_TITLES[run.task],
        "unit": task_kind(run.task),
        "n": result.n,
        "comparable": result.comparable,
        "standing": result.comparable.words,
        "because": result.not_comparable_because,
        "measures": [[name, cell.value, cell.interval, cell.n] for name, cell in cells.items()],
        "counts": [[COUNT_TITLES[name], count] for name, count in result.counts.items() if name in COUNT_TITLES],
        "findings": [_finding_json(name, finding) for name, finding in result.findings.items()],
        "groups": findings_to_json(result).get("failure_groups", {}).get("details", {}).get("failure_groups", []),
        "absent": [[name.replace("_", " "), reason] for name, reason in result.not_found.items()],
        "checks": checks_of(run),
        "tables": [_table_json(flat(each, for_text=True)) for each in contrast_tables(result)],
        "settings": [[name[:1].upper() + name[1:], facts[name]] for name in facts if name != "samples" and facts[name]],
    }


def _table_json(plain: Flat) -> Json:
    rows = [[[words(item), item.few] for item in items] for _, items in plain.rows]
    heads = [[column.head, column.is_numeric] for column in plain.columns]
    return {"title": plain.title, "heads": heads, "rows": rows, "notes": plain.notes}


def _finding_json(name: str, finding: Finding) -> Json:
    details, axis = finding.details, LABELS["axis_of_finding"].get(name)
    # What it speaks of and the browser can show: axis, group, value, n, failed ones only.
    links = [[axis, group, cell.value, cell.n, True] for group, cell in details.groups.items() if axis]
    if name == "error_kinds":
        links = [["kind", kind, None, cell.counts.get("count"), False] for kind, cell in (details.kinds or {}).items()]
    texts = json_of(finding, "title", "statement", "method")
    return {**texts, "few": finding.cell.few, "open": finding.is_open, "links": links}


def boards_json(runs: Sequence[Run]) -> list[Json]:
    """A leaderboard a task that the runs measure; unlike in a board's file, older runs of a model are rows too."""
    names = (
        "kind", "model", "category", "n", "comparable", "dataset", "judge", "protocol", "images", "created", "source",
    )  # fmt: skip
    task_runs = [(place, task_run) for place, run in enumerate(runs) for task_run in run.result.tasks]
    boards = []
    for task in BOARD_TASKS:
        pairs, measures, lines = [pair for pair in task_runs if pair[1].task is task], measures_of(task), []
        rows = board_rows([entry_of(run) for _, run in pairs], task)
        for (row, own), rank in zip(rows, ranks(row for row, _ in rows), strict=True):
            place, cells = (None, {}) if own is None else (pairs[own][0], pairs[own][1].result.measures)
            numbers: Json = {
                "values": [row.values[measure] for measure in measures],
                "intervals": [cells.get(measure, Cell(None)).interval for measure in measures],
            }
            numbers |= {"standing": row.comparable.words, "because": row.not_comparable_because}
            lines.append({**json_of(row, *names), **numbers, "rank": rank, "run": place})
        scale = {"unit": task_kind(task), "scale": int(top_of(task)), "measures": measures}
        if pairs:
            boards.append({"task": task.value, "title": TASK_TITLES[task], **scale, "rows": lines})
    return boards


def answer_json(row: SampleRow) -> Json:
    """A reply, what was read from it or how it was judged, and how it came out (``outcome``, a constant of this module,
    and ``bad``: it failed); what is absent is left out."""
    kinds = list(dict.fromkeys(row.error_kinds))
    return {
        "reply": row.prediction.text,
        **_present(cut=row.prediction.cut or None, unscored=row.unscored, kinds=kinds),
        **(_perception(row) if row.sample.task.is_choice else _reasoning(row)),
    }


def _present(**facts: Any) -> Json:
    return {name: value for name, value in facts.items() if value is not None and value not in ("", [], {})}


def _texts(verdict: Verdict, *names: str) -> Json:
    return _present(**json_of(verdict, "reason", "reply", "judge", "note", *names))


def _perception(row: SampleRow) -> Json:
    outcome = RIGHT if row.correct else NO_REPLY if row.unscored else NO_ANSWER if row.extracted is None else WRONG
    verdict = row.choice
    extractor = verdict and {**_present(letter=letter_of(verdict.score)), **_texts(verdict)}
    read = _present(letter=row.extracted, rule=row.rule, confidence=row.confidence, extractor=extractor)
    return {"outcome": outcome, "bad": not row.correct, **read}


def _reasoning(row: SampleRow) -> Json:
    bad = bool(row.error_kinds)
    verdicts = [_verdict_json(name, row.verdicts.get(name)) for name in DIMENSIONS]
    replies: dict[str, int] = {}
    for place, verdict in enumerate(verdicts):
        # One reply on all four dimensions is held once.
        if (reply := verdict.get("reply")) is not None and replies.setdefault(reply, place) != place:
            verdict["same"] = replies[verdict.pop("reply")]
    conclusion = {} if row.conclusion is None else json_of(row.conclusion, "stated", "reference")
    levels = {name: str(level) for name, level in conclusion.items() if level is not None}
    outcome = UNSCORED if row.unscored else FAULTY if bad else SOUND
    return {"outcome": outcome, "bad": bad, "verdicts": verdicts, **_present(sum=row.score), **levels}


def _verdict_json(name: str, verdict: Verdict | None) -> Json:
    if verdict is None:
        return {"of": name}
    parts = [_verdict_json(part, inner) for part, inner in verdict.parts.items()]
    return {"of": name, **_present(score=verdict.score, parts=parts), **_texts(verdict, "explanation")}


def comparison_json(comparison: RunComparison) -> list[Json]:
    """The tasks of a comparison without a baseline: the runs, the best first, each two of them, and samples x runs. A
    run is named by model, dataset and ``nth`` (from 0), its place among the runs of these; pairs name runs by place."""
    seen: Counter[tuple[str, str]] = Counter()
    named: dict[tuple[str, str], Json] = {}
    for run_set in comparison.run_sets:
        for result in (run.result for run in run_set.runs):
            key = (result.model, result.dataset)
            named[run_set.label, result.dataset] = {"model": key[0], "dataset": key[1], "nth": seen[key]}
            seen[key] += 1
    return [_compared_json(part, named) for part in comparison.parts]


def _compared_json(part: ComparedTask, named: dict[tuple[str, str], Json]) -> Json:
    order, datasets = in_order(part), dict(zip(part.runs, part.datasets, strict=True))
    values = {label: {"value": value} for pair in part.pairs for label, value in pair.values.items()}
    for row in part.ranking:
        values[row.run] = json_of(row, "places") | json_of(row.cell, "value", "low", "high")
    letters = [[of.rows[label].extracted for of in part.samples] for label in order]
    at = {id(sample.row.sample): place for place, sample in enumerate(part.samples)}
    return {
        **json_of(part, "task", "dataset"),
        "title": TASK_TITLES[part.task],
        "unit": task_kind(part.task),
        "runs": [{"label": label, **named[label, datasets[label]], **values[label]} for label in order],
        "pairs": [_pair_json(pair, order) for pair in part.pairs],
        "notes": [*part.warnings, *part.notes],
        "samples": [_shared_json(sample, order) for sample in part.samples],
        "items": [{"at": at[id(item.sample)], **item_to_json(item)} for item in part.items if item.notes],
        "letters": letters if part.task.is_choice else None,
        "errors": [[int(bool(of.rows[label].error_kinds)) for of in part.samples] for label in order],
        "scores": [[round(sample.scores[label], 3) for sample in part.samples] for label in order],
    }


def _pair_json(pair: ComparedPair, order: list[str]) -> Json:
    """The difference of the run ahead in ``order`` less the other."""
    a, b = order.index(pair.a), order.index(pair.b)
    of, sign = pair.overall, 1 if a < b else -1
    facts = {"value": sign * (of.cell.value or 0.0), "ends": sorted(sign * end for end in of.cell.interval or ())}
    facts |= {"n": of.cell.n, "p": of.adjusted_p, "significant": of.is_significant}
    return {"a": min(a, b), "b": max(a, b), **facts, **json_of(pair.agreement, "same", "kappa")}


def _shared_json(sample: SharedSample, order: list[str]) -> list[object]:
    """The index, a list of them where runs spell it differently; what it is; how the question begins; the answer."""
    names = [sample.rows[label].sample.index for label in order]
    about = " · ".join(value for axis in compare.AXES if (value := sample.on_axis(axis)))
    index = names[0] if len(set(names)) == 1 else names
    return [index, about, (sample.row.sample.question or "")[:_QUESTION], sample.row.sample.answer]


@dataclass
class Gathered:
    """All samples, each held once, and each run's answers, which name their sample by its place. Samples name their
    images by place in ``pictures``: the name in the result files, and the folder to look in."""

    samples: list[Json] = field(default_factory=list)
    answers: list[list[Json]] = field(default_factory=list)
    pictures: dict[tuple[str, Path | None], int] = field(default_factory=dict)
    places: dict[tuple[object, ...], list[int]] = field(default_factory=dict)

    def place_of(self, sample: Sample, folder: Path | None) -> int:
        """A sample's place, which is a new one where task, index, texts or images are not those of an earlier sample; a
        run that names no images is taken to have seen those of the others."""
        names = image_names(sample)[:_MANY_IMAGES]
        pictures = [self.pictures.setdefault((name, folder), len(self.pictures)) for name in names]
        texts = (index_key(sample), sample.question, sample.answer, sample.description)
        places = self.places.setdefault((sample.task, *texts, *sample.options.items()), [])
        for place in places:
            known = self.samples[place]
            if not pictures or not known["images"] or known["images"] == pictures:
                known["images"] = known["images"] or pictures
                return place
        places.append(len(self.samples))
        facts = json_of(sample, *AXES, "question", "answer", "description")
        facts = _present(**facts, options=dict(sample.options))
        self.samples.append({"index": sample.index, "task": sample.task.value, "images": pictures, **facts})
        return places[-1]

    def answers_json(self, run: Run, image_root: Path | None) -> list[Json]:
        """A run's answers; samples that are new come to those that are held."""
        # Names of the embedded set's images may be those of other images elsewhere: they are looked for here alone.
        embedded = {of.task: of.data.origin == "embedded" for of in run.result.tasks}
        own_images, answers = embedded_folder() / "images", []
        for row in run.rows:
            place = self.place_of(row.sample, own_images if embedded[row.sample.task] else image_root)
            same_index = self.samples[place]["index"] == row.sample.index
            answers.append({"s": place, **({} if same_index else {"index": row.sample.index}), **answer_json(row)})
        return answers
