"""One scored run from whatever a user names: its score, its samples, its workbook, its prediction file, its folder.

Both result files are read and held against each other, so that what comes out is whole: a score without its samples, a
file that was cut short or the samples of another evaluation is said in one sentence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, QUESTION_TYPES, REASONING_PREFIX, Task, own_index
from medqbench_vlmeval.data import canonical_index
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import read_object, write_json, write_jsonl
from medqbench_vlmeval.runs.result import (
    REPORT_ENDING,
    SAMPLES_ENDING,
    SCORE_ENDING,
    checked_scores,
    mapping,
    number,
    parse_object,
    read_lines,
    text,
    whole,
)
from medqbench_vlmeval.runs.schema import result_from_json, result_to_json, row_from_json, row_to_json
from medqbench_vlmeval.types import Result, ResultPaths, Run, TaskResult

# Names of the result files, and the short form of a result that a terminal or the kit shows.


def result_paths(prediction_file: Path, out: Path | None = None, stem: str | None = None) -> ResultPaths:
    """The result files of a prediction file, in its own folder and under its own stem unless said otherwise."""
    folder = out if out is not None else prediction_file.parent
    name = stem if stem is not None else prediction_file.stem
    return ResultPaths(*(folder / f"{name}{ending}" for ending in (SCORE_ENDING, SAMPLES_ENDING, REPORT_ENDING)))


def unwritable(folder: Path, error: OSError) -> RunFailed:
    """The error for results that cannot be written to a folder."""
    return RunFailed(
        f"Results cannot be written to {folder} ({error.strerror or error}); make room there or choose another folder."
    )


def headline(result: Result) -> dict[str, Any]:
    """The numbers that fit a terminal, as JSON: overall, per type or dimension, counts, and overall per modality.

    'lenient' is there where an extractor read what the rules left open.
    """
    if result.task is Task.REASONING:
        parts = {REASONING_PREFIX[task]: _part_headline(part) for task, part in result.parts.items()}
        return {**parts, "comparable": result.comparable}
    return _part_headline(result[result.task])


def _part_headline(part: TaskResult) -> dict[str, Any]:
    perception = part.task is Task.PERCEPTION
    names = QUESTION_TYPES if perception else tuple(DIMENSION_TITLES.values())
    counts = ("n", "n_unanswered" if perception else "n_unscored")
    found: dict[str, Any] = {name: part.measures[name].value for name in ("Overall", *names)}
    found |= {name: part.counts[name] for name in counts}
    if part.extractor is not None:
        lenient = part.extractor.lenient.measures
        values = {name: lenient[name].overall.value for name in ("Overall", *names)}
        found["lenient"] = values | {name: lenient["Overall"].counts[name] for name in counts}
    if "modality" in part.groups:
        found["modality"] = {name: group.overall.value for name, group in part.groups["modality"].items()}
    return {**found, "comparable": part.comparable}


_NEAR = 1e-6  # the score's means and ours are the same numbers, added in another order
_SHOWN = 60


@dataclass(frozen=True)
class ScoredPart:
    """One task of a run: ``score`` is its own object, ``rows`` its samples by index, without a combined run's prefix
    and in one spelling ('7' for '07' and '7.0')."""

    task: Task
    score: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ScoredRun:
    """One evaluation as its two result files hold it.

    ``model`` and ``dataset`` are as the score says, ``task`` is the combined one for a run of both reasoning tasks,
    ``parts`` has one entry a single task and ``rows`` all samples in the file's order.
    """

    paths: ResultPaths
    model: str
    dataset: str
    task: Task
    score: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    parts: Mapping[Task, ScoredPart]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the run was made from and with, empty where the score does not say."""
        return mapping(self.score.get("settings"))


def read_runs(places: Iterable[Path]) -> list[ScoredRun]:
    """Read every run that is named, and all runs of the folders that are.

    Args:
        places: a run's ``_score.json``, ``_samples.jsonl``, ``_report.xlsx`` or prediction file (with the results
            beside it), or a folder; subfolders are not searched.

    Raises:
        BadInput: a place holds no scored run, or one that is not whole or of another program; a run is named twice.
    """
    found = [paths for place in places for paths in find_runs(place)]
    refuse_twice(found)
    return [read_run(paths) for paths in found]


def load_runs(places: Iterable[Path]) -> list[Run]:
    """Read every run that is named, and all runs of the folders that are, as typed records (see :func:`read_runs`)."""
    return [load_run(run.paths) for run in read_runs(places)]


def load_run(paths: ResultPaths) -> Run:
    """Read the two result files of one run.

    Raises:
        BadInput: a file is not there, not whole, or was edited by hand.
    """
    run = read_run(paths)
    try:
        result = result_from_json(dict(run.score))
    except BadInput as error:
        raise BadInput(f"{paths.score}: {error}; the file was edited by hand. Score the run again.") from None
    try:
        rows = tuple(row_from_json(dict(row)) for row in run.rows)
    except BadInput as error:
        raise BadInput(f"{paths.samples}: {error}; the file was edited by hand. Score the run again.") from None
    return Run(result, rows, paths)


def known_result(score: Path) -> Result | None:
    """The result in a score file; None where there is no such file, or none that this package wrote whole."""
    content = read_object(score)
    try:
        return None if content is None else result_from_json(content)
    except BadInput:
        return None


def refuse_twice(found: Iterable[ResultPaths]) -> None:
    """Refuse a run that is named twice, in whatever way."""
    seen: set[Path] = set()
    for paths in found:
        if paths.score.resolve() in seen:
            raise BadInput(f"{paths.score} is named twice; name each run once.")
        seen.add(paths.score.resolve())


def find_runs(place: Path) -> list[ResultPaths]:
    """The result files that a place stands for; files are not read.

    Raises:
        BadInput: there are none.
    """
    try:
        return _found(place.expanduser())
    except (OSError, RuntimeError) as error:  # a name that is too long, no rights, no such '~user'
        why = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise BadInput(f"{place} cannot be read: {why}.") from None


def _found(place: Path) -> list[ResultPaths]:
    if place.is_dir():
        return _in_folder(place)
    for ending in (SCORE_ENDING, SAMPLES_ENDING, REPORT_ENDING):
        if place.name.endswith(ending) and place.name != ending:
            paths = result_paths(place, stem=place.name.removesuffix(ending))
            if not place.is_file():
                raise BadInput(f"{place} does not exist; name a result file, a prediction file or a folder.")
            return [_whole(paths)]
    if not place.is_file():
        raise BadInput(f"{place} does not exist; name a run's '*{SCORE_ENDING}', its prediction file or its folder.")
    paths = result_paths(place)
    if not paths.score.exists() and not paths.samples.exists():
        raise BadInput(
            f"{place} has no results beside it ('{paths.score.name}'); score it first ('medqbench score'), or name the "
            f"'*{SCORE_ENDING}' where its results are."
        )
    return [_whole(paths)]


def read_run(paths: ResultPaths) -> ScoredRun:
    """Read a run's two result files and hold them against each other (see :func:`read_runs`)."""
    score = _score(paths.score)
    task = Task(score["task"])
    lines = read_lines(paths.samples)
    parts = {one: _part(one, score, paths, task) for one in task.parts}
    rows: dict[Task, dict[str, Mapping[str, Any]]] = {one: {} for one, found in parts.items() if found is not None}
    lines_of: dict[tuple[Task, str], int] = {}
    for line, row in lines:
        of_task, index = _checked(row, f"{paths.samples}, line {line}", rows)
        first = lines_of.setdefault((of_task, index), line)
        if first != line:
            raise BadInput(
                f"{paths.samples}: the index '{str(row['index'])[:_SHOWN]}' stands twice (lines {first} and {line}); "
                "the file was put together by hand. Score the run again."
            )
        rows[of_task][index] = row
    whole_parts = {one: ScoredPart(one, parts[one] or {}, found) for one, found in rows.items()}
    for part in whole_parts.values():
        _hold_together(part, paths)
    return ScoredRun(
        paths,
        text(score.get("model")) or paths.score.name.removesuffix(SCORE_ENDING),
        text(score.get("dataset")) or "unknown",
        task,
        score,
        tuple(row for _, row in lines),
        whole_parts,
    )


def _in_folder(folder: Path) -> list[ResultPaths]:
    scores = [path for path in sorted(folder.glob(f"*{SCORE_ENDING}")) if not _is_foreign(path)]
    if scores:
        return [_whole(result_paths(path, stem=path.name.removesuffix(SCORE_ENDING))) for path in scores]
    samples = sorted(folder.glob(f"*{SAMPLES_ENDING}"))
    if samples:
        return [_whole(result_paths(samples[0], stem=samples[0].name.removesuffix(SAMPLES_ENDING)))]
    inside = sorted(path.name for path in folder.iterdir() if path.is_dir() and any(path.glob(f"*{SCORE_ENDING}")))
    hint = f" Subfolders are not searched; runs are in: {', '.join(inside[:5])}." if inside else ""
    raise BadInput(f"{folder} holds no scored run (no file '*{SCORE_ENDING}').{hint or ' Score a run first.'}")


def _is_foreign(score: Path) -> bool:
    """Whether another program wrote a file of this ending: the kit has datasets that leave such files in the folder."""
    if result_paths(score, stem=score.name.removesuffix(SCORE_ENDING)).samples.exists() or not score.is_file():
        return False
    try:
        found = json.loads(score.read_bytes())
    except (ValueError, RecursionError):
        return False
    return not isinstance(found, dict) or not _names_a_task(found)


def _names_a_task(score: Mapping[str, Any]) -> bool:
    return score.get("task") in [task.value for task in Task]


def _whole(paths: ResultPaths) -> ResultPaths:
    if not paths.score.is_file():
        raise BadInput(
            f"'{paths.score.name}' is not in {paths.score.parent}: the evaluation was stopped before its end, or only "
            "some of its files were copied. Score the run again."
        )
    if not paths.samples.is_file():
        raise BadInput(
            f"{paths.score} lies there without '{paths.samples.name}', which holds its samples; copy it beside the "
            "score, or score the run again."
        )
    return paths


def _score(path: Path) -> dict[str, Any]:
    try:
        found = parse_object(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise BadInput(f"{path} is not a whole JSON object: it was cut short or edited; score the run again.")
    if not _names_a_task(found):
        raise BadInput(f"{path} is no result of medqbench ('task' names none of its tasks); score the run again.")
    return found


def _part(part: Task, score: Mapping[str, Any], paths: ResultPaths, task: Task) -> Mapping[str, Any] | None:
    """A part's own object; None where a combined run had no samples of it."""
    if task is not Task.REASONING:
        return score
    found = score.get(REASONING_PREFIX[part])
    if found is None and any(isinstance(score.get(key), Mapping) for key in REASONING_PREFIX.values()):
        return None
    if not isinstance(found, Mapping):
        raise BadInput(
            f"{paths.score}: there is no whole object under '{REASONING_PREFIX[part]}'; score the run again."
        )
    return found


def _checked(row: Mapping[str, Any], where: str, tasks: Mapping[Task, Any]) -> tuple[Task, str]:
    """The task of a sample's row and its index in one spelling, after a look at what numbers are made of."""
    index = row.get("index")
    if not isinstance(index, (str, int)) or isinstance(index, bool):
        raise BadInput(f"{where}: no 'index', so this is no '{SAMPLES_ENDING}' of a run.")
    task = next((one for one in tasks if one.value == row.get("task")), None)
    if task is None:
        expected = " or ".join(one.value for one in tasks)
        raise BadInput(
            f"{where}: the task is {row.get('task')!r} and the score's is {expected}: the two files are not of one "
            "evaluation. Score the run again."
        )
    if task is Task.PERCEPTION:
        if not isinstance(row.get("correct"), bool):
            raise BadInput(f"{where}: 'correct' is not true or false, so this is no sample of a multiple-choice run.")
    elif not isinstance(row.get("verdicts"), Mapping):
        raise BadInput(f"{where}: no 'verdicts', so this is no sample of a judged run.")
    else:
        checked_scores(row["verdicts"], where)
    return task, canonical_index(own_index(str(index), task))


def _hold_together(part: ScoredPart, paths: ResultPaths) -> None:
    """Refuse samples that the score was not made from, as far as its counts and means can tell."""
    rows = list(part.rows.values())
    n = whole(part.score.get("n"))
    if n != len(rows):
        _refuse(paths, f"{len(rows)} {part.task.value} samples stand in the one and {n} in the other")
    if part.task is Task.PERCEPTION:
        ours, theirs = sum(row["correct"] for row in rows), whole(part.score.get("n_correct"))
        if theirs is not None and ours != theirs:
            _refuse(paths, f"{ours} answers are right in the one and {theirs} in the other")
        return
    for dimension, title in DIMENSION_TITLES.items():
        mean, theirs_mean = _mean(rows, dimension), number(part.score.get(title))
        if mean is None or theirs_mean is None:
            differ = (mean is None) != (theirs_mean is None)
        else:
            differ = not math.isclose(mean, theirs_mean, abs_tol=_NEAR)
        if differ:
            _refuse(paths, f"{title} is {_shown(mean)} in the one and {_shown(theirs_mean)} in the other")


def _mean(rows: Sequence[Mapping[str, Any]], dimension: str) -> float | None:
    found = [number(mapping(row["verdicts"].get(dimension)).get("score")) for row in rows]
    known = [score for score in found if score is not None]
    return math.fsum(known) / len(known) if known else None


def _shown(mean: float | None) -> str:
    return "unknown" if mean is None else f"{mean:.3f}"


def _refuse(paths: ResultPaths, because: str) -> None:
    raise BadInput(
        f"{paths.samples} and {paths.score.name} are not of one evaluation ({because}); score the run again."
    )


# Writing a run: the samples first, which hold what was paid for, the score last, which says that all is there.


def write_samples(run: Run) -> None:
    """Write the samples' file of a run."""
    write_jsonl(run.paths.samples, (row_to_json(row) for row in run.rows))


def write_score(run: Run) -> None:
    """Write the score file of a run."""
    write_json(run.paths.score, result_to_json(run.result))


# Keeping the verdicts of an earlier evaluation that a new one would write over.
#
# Judging costs money. A second evaluation of the same predictions with another judge, protocol or parameter, one
# that scored less than the earlier one, one that asked the judge everything anew, or one of new predictions under the
# same file name first moves the earlier result files into the folder ``previous``. What an extractor read
# was paid for
# just as well: a result that holds some of it is moved also where the new one has no extractor. The earlier
# files may be
# of any shape: somebody may have edited them.


_FOLDER = "previous"


def archive_previous(run: Run) -> None:
    """Move an earlier result with paid verdicts out of the way unless the new one was made in the same way.

    Raises:
        OSError: the folder cannot be written to.
    """
    paths = run.paths
    if not paths.samples.exists():
        return
    earlier, score = read_object(paths.score), result_to_json(run.result)
    if not score["settings"]["judge"] and not (earlier and _holds_paid(earlier)):
        return
    same = earlier is not None and _made_by(earlier) == _made_by(score) and _scored(score) >= _scored(earlier)
    if same and not _asked_anew(score):
        return
    created = str(_object(earlier, "settings").get("created", "")) if earlier else ""
    tag = re.sub(r"\W+", "-", created).strip("-") or f"{int(paths.samples.stat().st_mtime)}"
    folder = paths.samples.parent / _FOLDER
    folder.mkdir(exist_ok=True)
    for path in (paths.samples, paths.score, paths.report):
        if path.exists():
            path.replace(_free(folder / f"{path.stem}_{tag}{path.suffix}"))


def _made_by(score: Mapping[str, Any]) -> tuple[Any, ...]:
    settings = _object(score, "settings")
    judge = _object(settings, "judge") or _object(settings, "extractor")
    protocols = (settings.get("protocol"), judge.get("protocol"))
    predictions = _object(settings, "prediction_file").get("content_sha256")
    return (judge.get("name"), judge.get("parameters"), protocols, predictions)


def _asked_anew(score: Mapping[str, Any]) -> bool:
    """Whether all verdicts were paid in this run: the earlier ones are then others, of the same judge."""
    used = [_object(part, "usage") or _object(_object(part, "extractor"), "usage") for part in _parts(score)]
    calls = sum(_count(one, "calls") for one in used)
    return 0 < calls == sum(_count(_object(one, "this_run"), "calls") for one in used)


def _scored(score: Mapping[str, Any]) -> int:
    return sum(_count(part, "n_scored") for part in _parts(score)) + _n_extracted(score)


def _holds_paid(score: Mapping[str, Any]) -> bool:
    return bool(_object(_object(score, "settings"), "judge")) or _n_extracted(score) > 0


def _n_extracted(score: Mapping[str, Any]) -> int:
    """How many replies an extractor said something valid about."""
    found = _object(score, "extractor")
    return sum(_count(found, name) for name in ("n_read", "n_none"))


def _parts(score: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts = [score[name] for name in REASONING_PREFIX.values() if name in score] or [score]
    return [part for part in parts if isinstance(part, Mapping)]


def _object(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}


def _count(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    return value if isinstance(value, int) else 0


def _free(path: Path) -> Path:
    taken = 0
    free = path
    while free.exists():
        taken += 1
        free = path.with_stem(f"{path.stem}-{taken}")
    return free


# Finding the scored runs of a folder: whole results only, each once.


_SET_ASIDE = "previous"  # where an evaluation keeps results that a later one would have written over


@dataclass(frozen=True)
class ScoreFile:
    """A ``_score.json`` and the result that it holds."""

    path: Path
    result: Result


def scored_runs(place: Path) -> list[ScoreFile]:
    """The result in a ``_score.json``, or all of a folder; where the folder has none, those of its subfolders.

    Links of one result count once. All files are read before anything is returned, so that a bad one among good
    ones is found before a board is touched.

    Raises:
        BadInput: there is no result, one of them is not a result of this package, or a run is half written: it has
            samples and no score.
    """
    if not place.is_dir():
        if place.exists() and place.suffix != ".json":
            raise BadInput(f"{place} is no *{SCORE_ENDING}; name the run's score, or the folder that it is in.")
        return [ScoreFile(place, _read(place))]
    here = _results(place.iterdir())
    below = [] if here else _results(path for path in place.rglob("*") if _SET_ASIDE not in path.parts)
    paths = list({path.resolve(): path for path in here or below}.values())
    for path in paths:
        if path.name.endswith(SAMPLES_ENDING):
            score = path.with_name(path.name.removesuffix(SAMPLES_ENDING) + SCORE_ENDING)
            if not score.exists():
                raise BadInput(
                    f"{path} is half of a run: {score.name} is not there, which is written last. Score that run "
                    "again, or name the *_score.json files of the others."
                )
    found = [path for path in paths if path.name.endswith(SCORE_ENDING)]
    if not found:
        raise BadInput(f"There is no *{SCORE_ENDING} in {place}: name the folder of a scored run.")
    return [ScoreFile(path, _read(path)) for path in found]


def _results(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path for path in paths if path.name.endswith((SCORE_ENDING, SAMPLES_ENDING)) and not path.name.startswith(".")
    )


def _read(path: Path) -> Result:
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); name a *{SCORE_ENDING} file.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON ({error}); score the run again.") from error
    try:
        return result_from_json(content)
    except BadInput as error:
        raise BadInput(f"{path} is no whole result of medqbench ({error}); score the run again.") from error
