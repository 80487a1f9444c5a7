"""Reading the ``_samples.jsonl`` files of judged reasoning runs back, with what their ``_score.json`` says of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.data import canonical_index
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation.sample_lines import checked_scores, read_lines
from medqbench_vlmeval.files import read_object, sha256_text
from medqbench_vlmeval.report.runs import SAMPLES_ENDING, SCORE_ENDING
from medqbench_vlmeval.tasks import Task


@dataclass(frozen=True)
class JudgedRow:
    """One judged answer: ``scores`` is None on a dimension without a verdict, ``verdicts`` is as in the file. A sample
    that was not put to the judge has no verdicts."""

    index: str
    task: Task
    modality: str | None
    reference: str
    answer: str
    scores: Mapping[str, float | None]
    verdicts: Mapping[str, Any]

    @property
    def is_scored(self) -> bool:
        """Whether any dimension has a verdict."""
        return any(score is not None for score in self.scores.values())

    @property
    def answer_sha256(self) -> str:
        return sha256_text(self.answer)

    @property
    def reference_sha256(self) -> str:
        return sha256_text(self.reference)


@dataclass(frozen=True)
class JudgedRun:
    """One file of verdicts. ``stem`` is its name without the ending; ``model``, ``dataset``, ``judge`` and
    ``protocol`` are as the score file beside it says, the stem and None where there is none."""

    path: Path
    stem: str
    model: str
    dataset: str | None
    judge: str | None
    protocol: str | None
    rows: Mapping[str, JudgedRow]

    def find(self, index: str) -> JudgedRow | None:
        """The row of an index by its text, else by its number ('7', '07' and '7.0') where one row alone has it."""
        if index in self.rows:
            return self.rows[index]
        number = canonical_index(index)
        found = [row for name, row in self.rows.items() if canonical_index(name) == number]
        return found[0] if len(found) == 1 else None


def read_runs(paths: Iterable[Path]) -> list[JudgedRun]:
    """Read files of verdicts and folders of such files; multiple-choice runs in a folder are passed over.

    Raises:
        BadInput: a path does not exist, is no whole file of verdicts or is one of a multiple-choice run; a folder has
            no reasoning run; a file is named twice.
    """
    runs: list[JudgedRun] = []
    for path in paths:
        if not path.is_dir():
            runs.append(read_run(path))
            continue
        files = sorted(path.glob(f"*{SAMPLES_ENDING}"))
        found = [run for file in files if (run := _read(file, True)) is not None]
        if not found:
            raise BadInput(
                f"{path} holds no verdicts: no file '*{SAMPLES_ENDING}' of a reasoning run is in it; score a reasoning "
                "run first."
            )
        runs += found
    seen: set[Path] = set()
    for run in runs:
        if run.path.resolve() in seen:
            raise BadInput(f"{run.path} is named twice; name each file of verdicts once.")
        seen.add(run.path.resolve())
    return runs


def read_run(path: Path) -> JudgedRun:
    """Read one file of verdicts (see :func:`read_runs`)."""
    found = _read(path, False)
    if found is None:
        raise BadInput(
            f"{path} is of a multiple-choice run, which no judge scores; name the '{SAMPLES_ENDING}' of a reasoning "
            "run."
        )
    return found


def is_verdicts(path: Path) -> bool:
    """Whether a file's first line is a sample of a run, whatever the file's name."""
    if path.suffix.lower() != ".jsonl" or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as source:
            first = json.loads(next((line for line in source if line.strip()), ""))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and ("verdicts" in first or "extracted" in first)


def _read(path: Path, in_folder: bool) -> JudgedRun | None:
    """The run of a file; None for a multiple-choice run."""
    rows: dict[str, JudgedRow] = {}
    for number, row in read_lines(path):
        if row.get("task") == Task.PERCEPTION.value:
            return None
        found = _row(row, path, number)
        if found.index in rows:
            raise BadInput(f"{path}: the index '{found.index[:60]}' stands twice; the file was put together by hand.")
        rows[found.index] = found
    if not rows:
        if in_folder:
            return None
        raise BadInput(f"{path} is empty; score the run again.")
    stem = path.name.removesuffix(SAMPLES_ENDING) if path.name.endswith(SAMPLES_ENDING) else path.stem
    score = read_object(path.with_name(f"{stem}{SCORE_ENDING}")) or {}
    settings = score.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    return JudgedRun(
        path,
        stem,
        _text(score.get("model")) or stem,
        _text(score.get("dataset")),
        _name(settings.get("judge")),
        _name(settings.get("protocol")),
        rows,
    )


def _row(row: Mapping[str, Any], path: Path, number: int) -> JudgedRow:
    verdicts, index = row.get("verdicts"), row.get("index")
    if not isinstance(verdicts, dict) or index is None:
        raise BadInput(
            f"{path}, line {number}: no 'index' and 'verdicts', so this is no '{SAMPLES_ENDING}' of a judged run."
        )
    try:
        task = Task(row.get("task"))
    except ValueError:
        raise BadInput(f"{path}, line {number}: {row.get('task')!r} is no reasoning task.") from None
    return JudgedRow(
        str(index),
        task,
        _text(row.get("modality")),
        _text(row.get("description")) or "",
        _text(row.get("prediction")) or "",
        checked_scores(verdicts, f"{path}, line {number}"),
        verdicts,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _name(settings: Any) -> str | None:
    return _text(settings.get("name")) if isinstance(settings, Mapping) else None
