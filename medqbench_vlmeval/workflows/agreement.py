"""A judge's verdicts against people's ratings, or against another judge's verdicts on the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, dimension_scores
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import write_json
from medqbench_vlmeval.runs.result import JudgedRow, JudgedRun, read_runs
from medqbench_vlmeval.runs.schema import agreement_to_json
from medqbench_vlmeval.scoring import compare_scores, is_same, measure_agreement, pairwise
from medqbench_vlmeval.scoring.agreement import METHOD, HumanAgreement
from medqbench_vlmeval.scoring.intervals import LEVEL
from medqbench_vlmeval.workflows.rating_sheets import Rating, read_ratings

# Ratings put beside the verdicts on the same answers.


_NAMED = 5
_SHOWN = 60


@dataclass
class RatedAnswer:
    """One judged answer with its ratings by rater."""

    run: JudgedRun
    row: JudgedRow
    ratings: dict[str, Rating] = field(default_factory=dict)

    def consensus(self, dimension: str) -> float | None:
        """The median over the raters who rated the dimension, None where nobody did."""
        scores = [score for one in self.ratings.values() if (score := one.scores.get(dimension)) is not None]
        return median(scores) if scores else None


@dataclass(frozen=True)
class Matched:
    """Rated answers in the verdicts' order; ``n_elsewhere`` ratings are of the runs ``elsewhere``, whose verdicts were
    not given, ``n_unrated`` verdicts have no rating."""

    answers: Sequence[RatedAnswer]
    n_elsewhere: int
    elsewhere: tuple[str, ...]
    n_unrated: int


def match(ratings: Sequence[Rating], runs: Sequence[JudgedRun]) -> Matched:
    """Find each rating's answer.

    Raises:
        BadInput: the ratings are of another dataset or run, of other predictions or references, or have indexes that
            the verdicts do not have; an index stands in several runs and the ratings do not say which is meant; an
            answer is rated twice by one rater; a pair's quality accuracy is 1.
    """
    found: dict[tuple[str, str], RatedAnswer] = {}
    unknown: list[Rating] = []
    elsewhere: dict[str, int] = {}
    renamed = _is_renamed(ratings, runs)
    for rating in ratings:
        candidates = runs if renamed else _candidates(rating, runs)
        if not candidates:
            name = rating.run or rating.model or ""
            elsewhere[name] = elsewhere.get(name, 0) + 1
            continue
        places = [(run, row) for run in candidates if (row := run.find(rating.index)) is not None]
        if not places:
            if rating.is_rated:
                unknown.append(rating)
            continue
        run, row = _one_of(places, rating)
        _check(rating, run, row)
        answer = found.setdefault((str(run.path), row.index), RatedAnswer(run, row))
        if rating.rater in answer.ratings:
            raise BadInput(
                f"{rating.where}: rater '{rating.rater[:60]}' rated the answer to '{row.index[:60]}' before "
                f"({answer.ratings[rating.rater].where}); leave one of them, or tell the raters apart in a column "
                "'rater'."
            )
        answer.ratings[rating.rater] = rating
    _refuse_strangers(found, unknown, elsewhere, ratings, runs)
    order = {(str(run.path), index): None for run in runs for index in run.rows}
    return Matched(
        [found[place] for place in order if place in found],
        sum(elsewhere.values()),
        tuple(elsewhere),
        len(order) - len(found),
    )


def _candidates(rating: Rating, runs: Sequence[JudgedRun]) -> Sequence[JudgedRun]:
    """The runs that a rating may be of: by the file's stem, else by the model's name; all where it names none."""
    names = {rating.run, rating.model} - {None}
    if not names:
        return runs
    return [run for run in runs if run.stem in names] or [run for run in runs if run.model in names]


def _is_renamed(ratings: Sequence[Rating], runs: Sequence[JudgedRun]) -> bool:
    """Whether ratings of one run meet one run of another name: the hashes of the texts then say if it is the same."""
    names = {(one.run, one.model) for one in ratings}
    hashed = all(one.answer_sha256 for one in ratings)
    return len(runs) == 1 and len(names) == 1 and hashed and not _candidates(ratings[0], runs)


def _one_of(places: Sequence[tuple[JudgedRun, JudgedRow]], rating: Rating) -> tuple[JudgedRun, JudgedRow]:
    if len(places) > 1 and rating.answer_sha256:
        places = [one for one in places if one[1].answer_sha256 == rating.answer_sha256] or places
    if len(places) > 1:
        raise BadInput(
            f"{rating.where}: the index '{rating.index[:60]}' is in {places[0][0].path.name} and in "
            f"{places[1][0].path.name}; give one of them alone, or add a column 'model' or 'run' to the ratings."
        )
    return places[0]


def _check(rating: Rating, run: JudgedRun, row: JudgedRow) -> None:
    for what, was, now in (
        ("answer", rating.answer_sha256, row.answer_sha256),
        ("reference", rating.reference_sha256, row.reference_sha256),
    ):
        if was is not None and was != now:
            other = "predictions" if what == "answer" else "references"
            raise BadInput(
                f"{rating.where}: the {what} of '{row.index[:60]}' in {run.path} is not the one that was rated; the "
                f"verdicts are of other {other}."
            )
    truth = {"task": row.task.value, "dataset": run.dataset, "answer": row.answer, "reference": row.reference}
    for what, claimed in rating.claims.items():
        known = truth[what]
        if known is not None and _plain(claimed) != _plain(known):
            raise BadInput(
                f"{rating.where}: the {what} is '{_short(claimed)}', but '{_short(known)}' for the index "
                f"'{row.index[:60]}' in {run.path}; the verdicts are of another dataset or run than the one that "
                "was rated."
            )
    for dimension, score in rating.scores.items():
        allowed = dimension_scores(row.task, dimension)
        if score is not None and not rating.by_judge and score not in allowed:
            raise BadInput(
                f"{rating.where}, column '{dimension}': {score:g} is no rating of a {row.task.value} sample; "
                f"{' or '.join(str(mark) for mark in allowed)} is expected."
            )


def _plain(text: str) -> str:
    """Letters and digits alone: spreadsheets change line ends, blanks and what they cannot hold."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _short(text: str) -> str:
    squeezed = " ".join(text.split())
    return squeezed if len(squeezed) <= _SHOWN else f"{squeezed[:_SHOWN]}..."


def _refuse_strangers(
    found: Mapping[tuple[str, str], RatedAnswer],
    unknown: Sequence[Rating],
    elsewhere: Mapping[str, int],
    ratings: Sequence[Rating],
    runs: Sequence[JudgedRun],
) -> None:
    files = ", ".join(run.path.name for run in runs[:_NAMED])
    if not found and elsewhere and not unknown:
        named = ", ".join(f"'{name[:60]}'" for name in list(elsewhere)[:_NAMED])
        there = ", ".join(f"'{run.model[:60]}'" for run in runs[:_NAMED])
        raise BadInput(
            f"The ratings are of {named}, but the verdicts ({files}) are on {there}; name the run that was rated."
        )
    if not found:
        raise BadInput(
            f"The {len(ratings)} ratings and the verdicts ({files}) have no index in common: the verdicts are of "
            "another dataset or run than the one that was rated."
        )
    if unknown:
        named = ", ".join(f"'{one.index[:60]}'" for one in unknown[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise BadInput(
            f"{unknown[0].where}: the index {named}{more} is not among the verdicts ({files}); are these ratings of "
            "another dataset? Remove the rows, or name the file of verdicts that has them."
        )


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
    from medqbench_vlmeval.report.agreement_tables import write_agreement

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
        **_agreement_json(measure_agreement([ours for ours, _ in both], [theirs for _, theirs in both], seed)),
        "n_between_marks": sum(theirs % 1 != 0 for _, theirs in both),
        "n_unscored": sum(ours is None and theirs is not None for ours, theirs in sides),
        "n_not_rated": sum(theirs is None for _, theirs in sides),
    }


def _agreement_json(found: HumanAgreement) -> dict[str, Any]:
    cells = {"accuracy": found.accuracy, "kappa": found.kappa, "spearman": found.spearman}
    block: dict[str, Any] = {"n": found.n, **{name: cell.value for name, cell in cells.items()}, "bias": found.bias}
    if found.n:
        ends = {name: None if cell.interval is None else list(cell.interval) for name, cell in cells.items()}
        block |= {"intervals": {"level": LEVEL, "method": METHOD, **ends}}
        block |= {"n_undefined": found.n_undefined, "confusion": found.confusion}
    return block


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
        rater: {title: agreement_to_json(compare_scores(verdicts[title], column)) for title, column in of_rater.items()}
        for rater, of_rater in columns.items()
    }
    between = {
        first: {
            second: {title: agreement_to_json(agreement) for title, agreement in by_title.items()}
            for second, by_title in others.items()
        }
        for first, others in pairwise(columns).items()
    }
    return {"by_rater": by_rater, "between_raters": between}


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
                title: agreement_to_json(
                    compare_scores(
                        [one.row.scores[name] for one in of_value], [one.consensus(name) for one in of_value]
                    )
                )
                for name, title in DIMENSION_TITLES.items()
            }
    return found


def _disagreements(answers: Sequence[RatedAnswer]) -> Iterator[dict[str, Any]]:
    from medqbench_vlmeval.report.sample_tables import judge_words

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
