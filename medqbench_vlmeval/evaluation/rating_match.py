"""Ratings put beside the verdicts on the same answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation.rating_files import Rating
from medqbench_vlmeval.evaluation.verdict_files import JudgedRow, JudgedRun
from medqbench_vlmeval.tasks import dimension_scores

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
