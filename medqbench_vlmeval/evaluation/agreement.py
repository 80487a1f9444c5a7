"""A judge's verdicts against people's ratings, or against another judge's verdicts on the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.evaluation.rating_files import read_ratings
from medqbench_vlmeval.evaluation.rating_match import RatedAnswer, match
from medqbench_vlmeval.evaluation.verdict_files import JudgedRun, read_runs
from medqbench_vlmeval.files import write_json
from medqbench_vlmeval.scoring import is_same, measure_agreement, pairwise
from medqbench_vlmeval.scoring.reliability import compared
from medqbench_vlmeval.tasks import DIMENSION_TITLES, DIMENSIONS

PUBLISHED = {
    "of": "GPT-4o against three radiologists on 200 cases",
    "accuracy": [83.3, 90.5],
    "kappa": [0.774, 0.985],
}
_GROUPS: dict[str, Callable[[RatedAnswer], str]] = {
    "model": lambda one: one.run.model,
    "task": lambda one: one.row.task.value,
    "modality": lambda one: one.row.modality or "unknown",
}


@dataclass(frozen=True)
class Comparison:
    """``result`` is the content of ``agreement.json``; ``disagreements`` has a row an answer and dimension; ``sources``
    are the files of ratings."""

    result: dict[str, Any]
    disagreements: list[dict[str, Any]]
    sources: tuple[Path, ...]


def compare_ratings(verdicts: Path, ratings: Sequence[Path], key: Path | None = None, seed: int = 0) -> Comparison:
    """Compare verdicts with ratings of the same answers, dimension by dimension.

    Of several raters the median of an answer's ratings counts; the judge is also compared with each of them, and they
    are with each other, pair by pair.

    Args:
        verdicts: the ``_samples.jsonl`` of a reasoning run, or a folder with such files.
        ratings: filled rating sheets, tables with ``index`` and the dimensions, or another run's ``_samples.jsonl``.
        key: the key of a rating sheet, None to look for it beside the sheet.
        seed: of the bootstrap.

    Raises:
        BadInput: a file cannot be read, or the two sides do not belong together.
    """
    runs = read_runs([verdicts])
    rated = read_ratings(ratings, key)
    by_judge = {one.by_judge for one in rated}
    if len(by_judge) > 1:
        raise BadInput("People's ratings and a judge's verdicts cannot be mixed; compare with one kind at a time.")
    matched = match(rated, runs)
    answers = matched.answers
    raters = list(dict.fromkeys(one.rater for one in rated))
    disagreements = list(_disagreements(answers))
    result = {
        "against": "judge" if by_judge.pop() else "people",
        "verdicts": [_described(run) for run in runs if any(one.run is run for one in answers)],
        "raters": raters,
        "n": len(answers),
        "n_verdicts_unrated": matched.n_unrated,
        "n_ratings_of_other_runs": matched.n_elsewhere,
        "other_runs": list(matched.elsewhere),
        "dimensions": {title: _dimension(answers, name, seed) for name, title in DIMENSION_TITLES.items()},
        "n_disagreements": len(disagreements),
        **_by_rater(answers, raters),
        "groups": _groups(answers),
        "published": PUBLISHED,
    }
    return Comparison(result, disagreements, tuple(ratings))


def write_comparison(comparison: Comparison, out: Path) -> tuple[Path, Path]:
    """Write ``agreement.json`` and ``agreement.xlsx`` into a folder and return their paths.

    Raises:
        BadInput: a file would replace the ratings themselves.
        RunFailed: a file cannot be written.
    """
    from medqbench_vlmeval.report.sheet_agreement import write_agreement

    paths = out / "agreement.json", out / "agreement.xlsx"
    for path in paths:
        if path.exists() and any(source.exists() and path.samefile(source) for source in comparison.sources):
            raise BadInput(f"{path} would replace the ratings themselves; choose another --out, or rename them.")
    try:
        write_json(paths[0], {**comparison.result, "disagreements": comparison.disagreements})
    except OSError as error:
        raise RunFailed(f"{paths[0]} cannot be written ({error.strerror or error}); choose another --out.") from error
    write_agreement(paths[1], comparison.result, comparison.disagreements)
    return paths


def _described(run: JudgedRun) -> dict[str, Any]:
    return {
        "file": run.path.name,
        "model": run.model,
        "dataset": run.dataset,
        "judge": run.judge,
        "protocol": run.protocol,
        "n": len(run.rows),
    }


def _dimension(answers: Sequence[RatedAnswer], dimension: str, seed: int) -> dict[str, Any]:
    """The statistics on one dimension, over the answers with a verdict and a rating; the others are counted.

    ``n_between_marks`` of the answers have a rating that is no whole number: of two raters who differ by a point the
    median lies half a point from either mark, and no whole verdict is the same as it.
    """
    sides = [(one.row.scores[dimension], one.consensus(dimension)) for one in answers]
    both = [(ours, theirs) for ours, theirs in sides if ours is not None and theirs is not None]
    return {
        **measure_agreement([ours for ours, _ in both], [theirs for _, theirs in both], seed),
        "n_between_marks": sum(theirs % 1 != 0 for _, theirs in both),
        "n_unscored": sum(ours is None and theirs is not None for ours, theirs in sides),
        "n_not_rated": sum(theirs is None for _, theirs in sides),
    }


def _by_rater(answers: Sequence[RatedAnswer], raters: Sequence[str]) -> dict[str, Any]:
    """The judge against each rater alone, and the raters two by two; nothing of a single rater."""
    if len(raters) < 2:
        return {}
    columns = {
        rater: {
            title: [found.scores[name] if (found := one.ratings.get(rater)) else None for one in answers]
            for name, title in DIMENSION_TITLES.items()
        }
        for rater in raters
    }
    verdicts = {title: [one.row.scores[name] for one in answers] for name, title in DIMENSION_TITLES.items()}
    by_rater = {
        rater: {title: compared(verdicts[title], column) for title, column in of_rater.items()}
        for rater, of_rater in columns.items()
    }
    return {"by_rater": by_rater, "between_raters": pairwise(columns)}


def _groups(answers: Sequence[RatedAnswer]) -> dict[str, Any]:
    """Accuracy and kappa by model, task and modality, where there is more than one."""
    found: dict[str, Any] = {}
    for axis, read in _GROUPS.items():
        values = sorted({read(one) for one in answers})
        if len(values) < 2:
            continue
        found[axis] = {}
        for value in values:
            of_value = [one for one in answers if read(one) == value]
            found[axis][value] = {
                title: compared([one.row.scores[name] for one in of_value], [one.consensus(name) for one in of_value])
                for name, title in DIMENSION_TITLES.items()
            }
    return found


def _disagreements(answers: Sequence[RatedAnswer]) -> Iterator[dict[str, Any]]:
    from medqbench_vlmeval.report.judge_words import judge_words

    for one in answers:
        for dimension in DIMENSIONS:
            ours, theirs = one.row.scores[dimension], one.consensus(dimension)
            if ours is None or theirs is None or is_same(ours, theirs):
                continue
            yield {
                "model": one.run.model,
                "index": one.row.index,
                "task": one.row.task.value,
                "modality": one.row.modality,
                "dimension": dimension,
                "judge": ours,
                "rated": theirs,
                "ratings": {rater: rating.scores.get(dimension) for rater, rating in one.ratings.items()},
                "judge_said": judge_words(one.row.verdicts.get(dimension)),
                "reference": one.row.reference,
                "answer": one.row.answer,
            }
