"""A judge's verdicts against people's ratings, or against another judge's verdicts on the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.evaluation.rating_files import Rating, read_ratings
from medqbench_vlmeval.evaluation.rating_match import Matched, RatedAnswer, match
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
    """``result`` is the content of ``agreement.json``; ``disagreements`` has a row an answer and dimension."""

    result: dict[str, Any]
    disagreements: list[dict[str, Any]]


def compare_ratings(verdicts: Path, ratings: Sequence[Path], key: Path | None = None, seed: int = 0) -> Comparison:
    """Compare verdicts with ratings of the same answers, dimension by dimension.

    Of several raters the median of an answer's ratings counts, and the raters are compared pair by pair.

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
        **_between_raters(matched, raters),
        "groups": _groups(answers),
        "published": PUBLISHED,
    }
    return Comparison(result, disagreements)


def write_comparison(comparison: Comparison, out: Path) -> tuple[Path, Path]:
    """Write ``agreement.json`` and ``agreement.xlsx`` into a folder and return their paths.

    Raises:
        RunFailed: a file cannot be written.
    """
    from medqbench_vlmeval.report.sheet_agreement import write_agreement

    paths = out / "agreement.json", out / "agreement.xlsx"
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
    """The statistics on one dimension, over the answers with a verdict and a rating; the others are counted."""
    sides = [(one.row.scores[dimension], one.consensus(dimension)) for one in answers]
    both = [(ours, theirs) for ours, theirs in sides if ours is not None and theirs is not None]
    return {
        **measure_agreement([ours for ours, _ in both], [theirs for _, theirs in both], seed),
        "n_unscored": sum(ours is None and theirs is not None for ours, theirs in sides),
        "n_not_rated": sum(theirs is None for _, theirs in sides),
    }


def _between_raters(matched: Matched, raters: Sequence[str]) -> dict[str, Any]:
    if len(raters) < 2:
        return {}

    def score(one: RatedAnswer, rater: str, dimension: str) -> float | None:
        rating: Rating | None = one.ratings.get(rater)
        return rating.scores.get(dimension) if rating is not None else None

    columns = {
        rater: {
            title: [score(one, rater, dimension) for one in matched.answers]
            for dimension, title in DIMENSION_TITLES.items()
        }
        for rater in raters
    }
    return {"between_raters": pairwise(columns)}


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
