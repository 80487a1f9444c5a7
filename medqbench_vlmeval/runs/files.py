"""The only reader and writer of result files. Both files of a run are read and held against each other: a score without
its samples, a file that was cut short or edited by hand, or the samples of another evaluation is refused in one
sentence. Writing loses nothing: results that were paid for move into ``previous/``, samples come before the score."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from glob import glob, has_magic
from itertools import chain, count
from pathlib import Path
from typing import Any, NoReturn

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, MAX_VERDICT, Task
from medqbench_vlmeval.data.info import canonical_index, index_key
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import (
    json_object,
    opened,
    read_json,
    read_lines,
    replacing,
    storable,
    write_json,
    write_jsonl,
    writing,
)
from medqbench_vlmeval.provenance import JudgeSettings
from medqbench_vlmeval.runs.result import result_from_json, result_to_json, row_from_json, row_to_json
from medqbench_vlmeval.steps import counted
from medqbench_vlmeval.types import Result, ResultPaths, Run, SampleRow, TaskResult

SCORE_ENDING, SAMPLES_ENDING, REPORT_ENDING = _ENDINGS = "_score.json", "_samples.jsonl", "_report.xlsx"
_BESIDE = ("_inference.json", "_model.json")
PREVIOUS = "previous"
MAKE_ROOM = "make room there or choose another folder"

_TOLERANCE = 1e-6  # of a mean that was added up in another order
_SHOWN = 60
RUN_FOLDER = re.compile(r"T\d{8}[-_]\w+")  # of the kit, by a run's start; its local mode has none
_MOST_DIGITS = 18  # of a whole number; counts have fewer


def result_paths(prediction_file: Path, out: Path | None = None, stem: str | None = None) -> ResultPaths:
    """The result files of a prediction file, in its own folder and under its own stem unless said otherwise."""
    folder = out if out is not None else prediction_file.parent
    name = stem if stem is not None else prediction_file.stem
    return ResultPaths(*(folder / f"{name}{ending}" for ending in _ENDINGS))


def read_runs(places: Iterable[Path]) -> list[Run]:
    """Read the runs of :func:`find_all`. Raises BadInput where a place holds no scored run, or half of one."""
    found = find_all(places)
    return [read_run(paths) for paths in counted("reading results", found, len(found))]


def find_all(places: Iterable[Path]) -> list[ResultPaths]:
    """The runs that places stand for, each once however often it is named or linked; files are not read. A place is a
    run's result or prediction file; a folder, searched with all below it but for ``previous``, hidden folders and links
    to folders; or a glob of these, whose matches that are no run are passed over. Of runs of one name in the kit's
    folders of one time each the latest counts. Raises BadInput where a place holds no scored run, or half of one."""
    return [_both_files(paths) for paths in _each_once(places)]


def _each_once(places: Iterable[Path]) -> list[ResultPaths]:
    runs: dict[Path, ResultPaths] = {}
    for paths in chain.from_iterable(map(_find, places)):
        runs.setdefault(paths.score.resolve(), paths)
    return list(runs.values())


def _find(place: Path) -> list[ResultPaths]:
    try:
        path = place.expanduser()
        if path.is_dir():
            if runs := _runs_below(path):
                return runs
            raise BadInput(f"{path} holds no scored run (no file '*{SCORE_ENDING}'). Score a run first.")
        is_file = path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, no rights, no such '~user'
        _cannot_read(place, error)
    if not is_file and has_magic(str(path)):
        return _runs_matching(path)
    if not is_file:
        raise BadInput(f"{path} does not exist; name a run's '*{SCORE_ENDING}', its prediction file or a folder.")
    paths = _paths_of(path)
    if not paths.score.exists() and not paths.samples.exists():
        raise BadInput(
            f"{path} has no results beside it ('{paths.score.name}'); score it first ('medqbench score'), or name the "
            f"'*{SCORE_ENDING}' where its results are."
        )
    return [paths]


def _cannot_read(place: Path | str, error: Exception) -> NoReturn:
    why = str(getattr(error, "strerror", None) or error).rstrip(".")
    raise BadInput(f"{place} cannot be read: {why}.") from None


def _paths_of(path: Path) -> ResultPaths:
    """The result files that a file of a run stands for; they need not be there."""
    ending = next((ending for ending in _ENDINGS if path.name.endswith(ending) and path.name != ending), None)
    for beside in _BESIDE:  # which a shell's glob gives, too
        if path.name.endswith(beside) and _of_stem(path, beside).score.exists():
            ending = beside
    return _of_stem(path, ending) if ending else result_paths(path)


def _runs_matching(pattern: Path) -> list[ResultPaths]:
    runs = []
    for path in map(Path, sorted(glob(str(pattern), recursive=True))):  # noqa: PTH207
        if PREVIOUS in path.parts and PREVIOUS not in pattern.parts:
            continue
        if path.is_dir():
            runs += _runs_below(path)
        elif (paths := _paths_of(path)).score.exists() and not is_foreign(paths.score):
            runs.append(paths)
    if not runs:
        raise BadInput(f"No scored run matches {pattern}.")
    return runs


def _runs_below(folder: Path) -> list[ResultPaths]:
    """The runs in a folder and below it, those of a folder before those of its subfolders."""
    latest: dict[Path, Path] = {}
    for parent, folders, names in os.walk(folder, onerror=lambda error: _cannot_read(error.filename, error)):
        folders[:] = sorted(name for name in folders if name != PREVIOUS and not name.startswith("."))
        for path in (Path(parent, name) for name in sorted(names) if not name.startswith(".")):
            if path.name.endswith(SAMPLES_ENDING):
                _both_files(_of_stem(path, SAMPLES_ENDING))
            elif path.name.endswith(SCORE_ENDING) and path.exists() and not is_foreign(path):
                # The kit links the files of its latest run into the folder above, which comes first.
                name = folder / at_any_time(path.relative_to(folder))
                known = latest.setdefault(name, path)
                if known not in (path, name) and path.stat().st_mtime_ns > known.stat().st_mtime_ns:
                    latest[name] = path
    return [_of_stem(path, SCORE_ENDING) for path in latest.values()]


def at_any_time(path: Path) -> Path:
    """The path without the kit's folders of one time each, of which the latest run of a name counts."""
    return Path(*(part for part in path.parts if not RUN_FOLDER.fullmatch(part)))


def _of_stem(path: Path, ending: str) -> ResultPaths:
    return result_paths(path, stem=path.name.removesuffix(ending))


def is_foreign(score: Path) -> bool:
    """Whether another program wrote a file of this ending: the kit has datasets that leave such files in the folder."""
    if _of_stem(score, SCORE_ENDING).samples.exists() or not score.is_file():
        return False
    try:
        content = read_json(score)
    except (BadInput, ValueError):
        return False
    return not isinstance(content, dict) or not _names_a_task(content)


def _names_a_task(content: Mapping[str, Any]) -> bool:
    return content.get("task") in [task.value for task in Task]


def _both_files(paths: ResultPaths) -> ResultPaths:
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


def read_run(paths: ResultPaths) -> Run:
    """Read the two result files of one run and hold them against each other."""
    result, rows = read_result(paths.score), []
    first_lines: dict[tuple[Task, str], int] = {}
    for line, row in _read_samples(paths.samples):
        task = row.sample.task
        if task not in result.parts:
            expected = " or ".join(part.value for part in result.parts)
            raise BadInput(
                f"{paths.samples}, line {line}: the task is {task.value!r} and the score's is {expected}: the two "
                "files are not of one evaluation. Score the run again."
            )
        first = first_lines.setdefault((task, index_key(row.sample)), line)
        if first != line:
            raise BadInput(
                f"{paths.samples}: the index '{row.sample.index[:_SHOWN]}' stands twice (lines {first} and {line}); "
                "the file was put together by hand. Score the run again."
            )
        rows.append(row)
    for part in result.parts.values():
        _refuse_other_rows(part, [row for row in rows if row.sample.task is part.task], paths)
    return Run(result, tuple(rows), paths)


def read_result(path: Path) -> Result:
    """Read a score file. Raises BadInput where it is not whole, of another program, or was edited by hand."""
    content = None
    with suppress(UnicodeDecodeError):
        content = read_json(path, _parse_object)
    if content is None:
        raise BadInput(f"{path} is not a whole JSON object: it was cut short or edited; score the run again.")
    if not _names_a_task(content):
        raise BadInput(f"{path} is no result of medqbench ('task' names none of its tasks); score the run again.")
    with _edited_by_hand(path):
        return result_from_json(content)


@contextmanager
def _edited_by_hand(where: Path | str) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        raise BadInput(
            f"{where}: {error}; the file was edited by hand or is of another version. Score the run again."
        ) from None


def known_result(score: Path) -> Result | None:
    """The result in a score file; None where there is no such file, or none that this version wrote whole."""
    try:
        return result_from_json(json_object(score) or {})
    except BadInput:
        return None


def _read_samples(path: Path) -> Iterator[tuple[int, SampleRow]]:
    """The rows of a ``_samples.jsonl`` with the numbers of their lines, from 1."""
    for number, content in _objects(path):
        where = f"{path}, line {number}"
        _check_row(content, where)
        with _edited_by_hand(where):
            row = row_from_json(content)
        yield number, row


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with opened(path) as source:
        for number, line in read_lines(source, path):
            content = _parse_object(line)
            if content is None:
                raise BadInput(
                    f"{path}, line {number}: not a whole JSON object. A '{SAMPLES_ENDING}' of a run was expected; this "
                    "file is of another kind, or was cut short; score the run again."
                )
            yield number, content


_CHOICES = [task.value for task in Task if task.is_choice]


def _check_row(content: Mapping[str, Any], where: str) -> None:
    """Refuse what people give by mistake or change by hand with words that say what a row needs."""
    index, task, verdicts = content.get("index"), content.get("task"), content.get("verdicts")
    if not isinstance(index, str | int) or isinstance(index, bool):
        raise BadInput(f"{where}: no 'index', so this is no '{SAMPLES_ENDING}' of a run.")
    if task not in list(Task) or task == Task.REASONING:
        raise BadInput(f"{where}: {str(task)[:_SHOWN]!r} is no task, so this is no '{SAMPLES_ENDING}' of a run.")
    if Task(task).is_choice:
        if not isinstance(content.get("correct"), bool):
            raise BadInput(f"{where}: 'correct' is not true or false, so this is no sample of a multiple-choice run.")
        return
    if not isinstance(verdicts, dict):
        raise BadInput(f"{where}: no 'verdicts', so this is no sample of a judged run.")
    for dimension in DIMENSIONS:
        verdict = verdicts.get(dimension)
        score = verdict.get("score") if isinstance(verdict, dict) else None
        valid = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= MAX_VERDICT
        if score is not None and not valid:
            raise BadInput(f"{where}: the verdict {score!r} on {dimension} is not between 0 and 2.")


def _refuse_other_rows(part: TaskResult, rows: Sequence[SampleRow], paths: ResultPaths) -> None:
    """Refuse samples that the score was not made from, as far as its counts and means can tell."""
    sides: dict[str, tuple[float | None, float | None]] = {f"{{}} {part.task.value} samples stand": (len(rows), part.n)}
    if part.task.is_choice:
        sides["{} answers are right"] = sum(row.correct is True for row in rows), part.counts["n_correct"]
    else:
        for dimension, title in DIMENSION_TITLES.items():
            scores = [score for row in rows if (score := row.score_on(dimension)) is not None]
            mean = math.fsum(scores) / len(scores) if scores else None
            sides[f"{title} is {{}}"] = mean, part.measures[title].value
    for words, (of_rows, of_score) in sides.items():
        if of_rows is None or of_score is None:
            same = of_rows is of_score
        else:
            same = math.isclose(of_rows, of_score, abs_tol=_TOLERANCE)
        if not same:
            differing = f"{words.format(_shown(of_rows))} in the one and {_shown(of_score)} in the other"
            raise BadInput(
                f"{paths.samples} and {paths.score.name} are not of one evaluation ({differing}); score the run again."
            )


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


_DECODER = json.JSONDecoder(
    parse_int=lambda digits: int(digits) if len(digits) <= _MOST_DIGITS else _finite(digits),
    parse_float=_finite,
    parse_constant=lambda _: None,
)


def _parse_object(line: str) -> dict[str, Any] | None:
    # Lone surrogates become U+FFFD; NaN and numbers that no sheet or calculation could hold become null. No file that
    # this package writes has any of them.
    try:
        value = _DECODER.decode(line)
        if "\\ud" in line or "\\uD" in line:
            value = json.loads(storable(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class JudgedFile:
    """The judged samples of one file by index."""

    path: Path
    rows: Mapping[str, SampleRow]

    @property
    def stem(self) -> str:
        """The file's name without the ending."""
        name = self.path.name
        return name.removesuffix(SAMPLES_ENDING) if name.endswith(SAMPLES_ENDING) else self.path.stem

    @cached_property
    def result(self) -> Result | None:
        """What the score file beside it holds, None where there is none."""
        return known_result(result_paths(self.path, stem=self.stem).score)

    @property
    def model(self) -> str:
        """The model's name, the stem where no score names it."""
        return (self.result.model if self.result else None) or self.stem

    @property
    def judge(self) -> JudgeSettings | None:
        """The judge, None where no score names one."""
        return self.result.settings.judge if self.result else None

    def find(self, index: str) -> SampleRow | None:
        """The row of an index by its text, else by its number ('7', '07' and '7.0') where one row alone has it."""
        if index in self.rows:
            return self.rows[index]
        number = canonical_index(index)
        rows = [row for name, row in self.rows.items() if canonical_index(name) == number]
        return rows[0] if len(rows) == 1 else None


def read_judged(paths: Iterable[Path]) -> list[JudgedFile]:
    """Read files of judged samples, and those of the runs that folders and globs hold (see :func:`find_all`), among
    which multiple-choice runs are passed over. Raises BadInput where there are none, or a file is named twice."""
    files: list[JudgedFile] = []
    for path in paths:
        if path.is_file():
            files.append(_judged_file(path))
            continue
        samples = [run.samples for run in find_all([path])]
        judged = [_judged_file(file) for file in samples if (of := _first(file)) and of.get("task") not in _CHOICES]
        if not judged:
            raise BadInput(f"{path} holds no verdicts: none of its runs is a reasoning run; score one first.")
        files += judged
    named: dict[Path, JudgedFile] = {}
    for file in files:
        if named.setdefault(file.path.resolve(), file) is not file:
            raise BadInput(f"{file.path} is named twice; name each run once.")
    return files


def _first(path: Path) -> dict[str, Any]:
    return next((content for _, content in _objects(path)), {})


def _judged_file(path: Path) -> JudgedFile:
    rows: dict[str, SampleRow] = {}
    if _first(path).get("task") in _CHOICES:
        raise BadInput(
            f"{path} is of a multiple-choice run, which no judge scores; name the '{SAMPLES_ENDING}' of a reasoning "
            "run."
        )
    for _, row in _read_samples(path):
        if row.sample.index in rows:
            raise BadInput(
                f"{path}: the index '{row.sample.index[:_SHOWN]}' stands twice; the file was put together by hand."
            )
        rows[row.sample.index] = row
    if not rows:
        raise BadInput(f"{path} is empty; score the run again.")
    return JudgedFile(path, rows)


def is_samples(path: Path) -> bool:
    """Whether a file's first line is a sample of a run, whatever the file's name."""
    try:
        first = _first(path)
    except BadInput:
        return False
    return path.suffix.lower() == ".jsonl" and ("verdicts" in first or "extracted" in first)


def scored_runs(place: Path) -> list[tuple[Path, Result]]:
    """A ``_score.json``, or all of a folder, with their results, whose samples need not be there. BadInput for none."""
    if place.is_dir():
        return [(paths.score, read_result(paths.score)) for paths in _each_once([place])]
    if place.exists() and place.suffix != ".json":
        raise BadInput(f"{place} is no *{SCORE_ENDING}; name the run's score, or the folder that it is in.")
    return [(place, read_result(place))]


def write_run(run: Run, write_report: Callable[[Path], None] | None = None) -> None:
    """Write the result files of a run, the workbook by ``write_report``, or none; earlier paid verdicts are kept. The
    score takes its name last: it says that all is there. Raises RunFailed where the folder cannot be written to."""
    with writing(run.paths.score.parent, MAKE_ROOM), ExitStack() as stack:
        # They take their names in the other order, when the block ends.
        score = stack.enter_context(replacing(run.paths.score))
        if write_report is not None:
            write_report(stack.enter_context(replacing(run.paths.report)))
        write_jsonl(stack.enter_context(replacing(run.paths.samples)), (row_to_json(row) for row in run.rows))
        write_json(score, result_to_json(run.result))
        _archive_previous(run)


def _archive_previous(run: Run) -> None:
    """Move an earlier result into ``previous`` that a judge or an extractor was paid for, unless the new one was made
    the same way, of the same predictions, scored no less and did not ask everything anew."""
    paths, result = run.paths, run.result
    if not paths.samples.exists() or (result.settings.judge is None and not _is_paid(paths.score)):
        return
    earlier = known_result(paths.score)
    same = earlier is not None and _made_by(earlier) == _made_by(result) and _n_scored(result) >= _n_scored(earlier)
    if same and not _asked_anew(result):
        return
    created = earlier.settings.created if earlier is not None else ""
    tag = re.sub(r"\W+", "-", created).strip("-") or f"{int(paths.samples.stat().st_mtime)}"
    folder = paths.samples.parent / PREVIOUS
    folder.mkdir(exist_ok=True)
    for path in (paths.samples, paths.score, paths.report):
        if path.exists():
            target = folder / f"{path.stem}_{tag}{path.suffix}"
            others = (target.with_stem(f"{target.stem}-{number}") for number in count(1))
            path.replace(next(name for name in chain([target], others) if not name.exists()))


def _made_by(result: Result) -> tuple[object, ...]:
    settings = result.settings
    judge = settings.judge or settings.extractor
    by_whom = (judge.name, judge.parameters, judge.protocol) if judge else None
    return by_whom, settings.protocol, settings.prediction_file.content_sha256


def _asked_anew(result: Result) -> bool:
    """Whether all verdicts were paid in this run: the earlier ones are then others, of the same judge."""
    usages = [part.usage or (part.extractor.usage if part.extractor else None) for part in result.parts.values()]
    calls = sum(usage.total.calls for usage in usages if usage)
    return 0 < calls == sum(usage.this_run.calls for usage in usages if usage and usage.this_run)


def _n_scored(result: Result) -> int:
    """How many samples have all verdicts, or a valid word of an extractor on them."""
    extractors = [part.extractor for part in result.parts.values() if part.extractor]
    n_extracted = sum(extractor.n_read + extractor.n_none for extractor in extractors)
    return sum(part.counts.get("n_scored", 0) for part in result.parts.values()) + n_extracted


def _is_paid(score: Path) -> bool:
    """Whether a score file names a judge or an extractor, also one that this version cannot read."""
    content = json_object(score) or {}
    settings = content.get("settings")
    return bool(content.get("extractor")) or (isinstance(settings, dict) and bool(settings.get("judge")))
