"""``medqbench agreement``: a judge's verdicts against people's ratings, or another judge's, of the same answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, dimension_scores
from medqbench_vlmeval.data.image_cells import image_keys
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import is_any_of, write_json, writing
from medqbench_vlmeval.runs.files import JudgedFile, read_judged
from medqbench_vlmeval.runs.result import agreement_to_json, json_of
from medqbench_vlmeval.scoring.agreement import (
    METHOD,
    PUBLISHED,
    PUBLISHED_OF,
    DimensionAgreement,
    RatingComparison,
    RatingDisagreement,
    VerdictFile,
    compare_scores,
    is_same,
    measure_agreement,
    measure_raters,
    pairwise,
)
from medqbench_vlmeval.scoring.intervals import clusters_of
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.types import LEVEL, Agreement, SampleRow
from medqbench_vlmeval.workflows.rating_sheets import Rating, hashes, read_ratings

_NAMED = 5
_SHOWN = 60


@dataclass
class RatedAnswer:
    """One judged answer with its ratings by rater."""

    file: JudgedFile
    row: SampleRow
    ratings: dict[str, Rating] = field(default_factory=dict)

    def judged(self, dimension: str) -> float | None:
        """The judge's verdict, None where there is none."""
        return self.row.score_on(dimension)

    def rated_by(self, dimension: str, rater: str) -> float | None:
        """One rater's score, None where there is none."""
        return self.ratings[rater].scores.get(dimension) if rater in self.ratings else None

    def rated(self, dimension: str) -> float | None:
        """The median over the raters who rated the dimension, None where nobody did."""
        scores = [score for rater in self.ratings if (score := self.rated_by(dimension, rater)) is not None]
        return median(scores) if scores else None


_Scores = Callable[[RatedAnswer, str], float | None]


def match(ratings: Sequence[Rating], files: Sequence[JudgedFile]) -> tuple[list[RatedAnswer], Counter[str]]:
    """The rated answers in the verdicts' order, and how many ratings are of runs whose verdicts were not given. Raises
    BadInput where the ratings are of another dataset or run, of other predictions or references, or have indexes that
    the verdicts do not have; an index stands in several runs and the ratings do not say which is meant; an answer is
    rated twice by one rater; a pair's quality accuracy is 1."""
    answers: dict[tuple[Path, str], RatedAnswer] = {}
    unknown: list[Rating] = []
    elsewhere: Counter[str] = Counter()
    renamed = _is_renamed(ratings, files)
    for rating in ratings:
        candidates = files if renamed else _candidates(rating, files)
        if not candidates:
            elsewhere[rating.run or rating.model or ""] += 1
            continue
        places = [(file, row) for file in candidates if (row := file.find(rating.index)) is not None]
        if not places:
            if rating.is_rated:
                unknown.append(rating)
            continue
        if len(places) > 1 and rating.answer_sha256:
            places = [place for place in places if hashes(place[1])["answer_sha256"] == rating.answer_sha256] or places
        if len(places) > 1:
            raise BadInput(
                f"{rating.where}: the index '{rating.index[:_SHOWN]}' is in {places[0][0].path.name} and in "
                f"{places[1][0].path.name}; give one of them alone, or add a column 'model' or 'run' to the ratings."
            )
        file, row = places[0]
        _check(rating, file, row)
        index = row.sample.index
        answer = answers.setdefault((file.path, index), RatedAnswer(file, row))
        if rating.rater in answer.ratings:
            raise BadInput(
                f"{rating.where}: rater '{rating.rater[:_SHOWN]}' rated the answer to '{index[:_SHOWN]}' before "
                f"({answer.ratings[rating.rater].where}); leave one of them, or tell the raters apart in a column "
                "'rater'."
            )
        answer.ratings[rating.rater] = rating
    _refuse_strangers(bool(answers), unknown, elsewhere, len(ratings), files)
    order = [(file.path, index) for file in files for index in file.rows]
    return [answers[place] for place in order if place in answers], elsewhere


def _candidates(rating: Rating, files: Sequence[JudgedFile]) -> Sequence[JudgedFile]:
    """The runs that a rating may be of: by the file's stem, else by the model's name; all where it names none."""
    names = {rating.run, rating.model} - {None}
    if not names:
        return files
    return [file for file in files if file.stem in names] or [file for file in files if file.model in names]


def _is_renamed(ratings: Sequence[Rating], files: Sequence[JudgedFile]) -> bool:
    """Whether ratings of one run meet one run of another name: the hashes of the texts then say if it is the same."""
    names = {(rating.run, rating.model) for rating in ratings}
    hashed = all(rating.answer_sha256 for rating in ratings)
    return len(files) == 1 and len(names) == 1 and hashed and not _candidates(ratings[0], files)


def _check(rating: Rating, file: JudgedFile, row: SampleRow) -> None:
    sample, sha256 = row.sample, hashes(row)
    for what, rated_sha256, others in (
        ("answer", rating.answer_sha256, "predictions"),
        ("reference", rating.reference_sha256, "references"),
    ):
        if rated_sha256 not in (None, sha256[f"{what}_sha256"]):
            raise BadInput(
                f"{rating.where}: the {what} of '{sample.index[:_SHOWN]}' in {file.path} is not the one that was "
                f"rated; the verdicts are of other {others}."
            )
    known = {
        "task": sample.task.value,
        "dataset": file.result.dataset if file.result else None,
        "answer": row.prediction.text,
        "reference": sample.description or "",
    }
    for what, claimed in rating.claims.items():
        own = known[what]
        if own is not None and _letters(claimed) != _letters(own):
            raise BadInput(
                f"{rating.where}: the {what} is '{_short(claimed)}', but '{_short(own)}' for the index "
                f"'{sample.index[:_SHOWN]}' in {file.path}; the verdicts are of another dataset or run than the one "
                "that was rated."
            )
    for dimension, score in rating.scores.items():
        allowed = dimension_scores(sample.task, dimension)
        if score is not None and not rating.by_judge and score not in allowed:
            raise BadInput(
                f"{rating.where}, column '{dimension}': {score:g} is no rating of a {sample.task.value} sample; "
                f"{' or '.join(str(mark) for mark in allowed)} is expected."
            )


def _letters(text: str) -> str:
    """Letters and digits alone: spreadsheets change line ends, blanks and what they cannot hold."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _short(text: str) -> str:
    squeezed = " ".join(text.split())
    return squeezed if len(squeezed) <= _SHOWN else f"{squeezed[:_SHOWN]}..."


def _refuse_strangers(
    matched: bool, unknown: Sequence[Rating], elsewhere: Mapping[str, int], n: int, files: Sequence[JudgedFile]
) -> None:
    names = ", ".join(file.path.name for file in files[:_NAMED])
    if not matched and elsewhere and not unknown:
        rated = ", ".join(f"'{name[:_SHOWN]}'" for name in list(elsewhere)[:_NAMED])
        models = ", ".join(f"'{file.model[:_SHOWN]}'" for file in files[:_NAMED])
        raise BadInput(
            f"The ratings are of {rated}, but the verdicts ({names}) are on {models}; name the run that was rated."
        )
    if not matched:
        raise BadInput(
            f"The {n} ratings and the verdicts ({names}) have no index in common: the verdicts are of another dataset "
            "or run than the one that was rated."
        )
    if unknown:
        indexes = ", ".join(f"'{rating.index[:_SHOWN]}'" for rating in unknown[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise BadInput(
            f"{unknown[0].where}: the index {indexes}{more} is not among the verdicts ({names}); are these ratings of "
            "another dataset? Remove the rows, or name the file of verdicts that has them."
        )


@dataclass(frozen=True)
class Comparison:
    """Verdicts compared with ratings; ``sources`` are the files of ratings."""

    ratings: RatingComparison
    sources: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of ``agreement.json`` but for ``disagreements``."""
        compared = self.ratings
        by_rater = {"by_rater": _agreements_json(compared.by_rater)}
        return {
            "against": "judge" if compared.by_judge else "people",
            "verdicts": [asdict(file) for file in compared.verdicts],
            "raters": list(compared.raters),
            "n": compared.n,
            "n_verdicts_unrated": compared.n_unrated,
            "n_ratings_of_other_runs": compared.n_elsewhere,
            "other_runs": list(compared.elsewhere),
            "dimensions": {title: _dimension_json(dimension) for title, dimension in compared.dimensions.items()},
            "n_disagreements": len(compared.disagreements),
            **(by_rater | {"between_raters": _agreements_json(compared.between_raters)} if compared.by_rater else {}),
            "among_raters": {title: asdict(of) for title, of in compared.among_raters.items()},
            "n_rater_disagreements": len(compared.rater_disagreements),
            "n_partly_rated": compared.n_partly,
            "reference": compared.references,
            "groups": _agreements_json(compared.groups),
            "published": {"of": PUBLISHED_OF, **{name: list(ends) for name, ends in PUBLISHED.items()}},
        }

    def disagreements_to_json(self, name: str = "disagreements") -> list[dict[str, Any]]:
        """A row an answer and dimension on which verdict and rating differ; 'rater_disagreements': raters do."""
        from medqbench_vlmeval.report.sample_tables import judge_words

        return [
            {
                **json_of(case, "model", "dimension", "judge", "rated", "ratings", "comments"),
                **json_of(case.row.sample, "index", "task", "modality"),
                "judge_said": judge_words(case.row.verdicts.get(case.dimension)),
                "reference": case.row.sample.description or "",
                "answer": case.row.prediction.text,
            }
            for case in getattr(self.ratings, name)
        ]


def compare_ratings(verdicts: Path, ratings: Sequence[Path], key: Path | None = None, seed: int = 0) -> Comparison:
    """Compare verdicts with ratings of the same answers, dimension by dimension.

    Of several raters the median of an answer's ratings counts; the judge is also compared with each of them, and they
    are with each other, pair by pair. ``verdicts`` is the ``_samples.jsonl`` of a reasoning run, or a folder with such
    files; ``ratings`` are filled rating sheets, tables with ``index`` and the dimensions, or another run's
    ``_samples.jsonl``. ``key`` is that of a rating sheet, None to look for it beside the sheet; ``seed`` is the
    bootstrap's. Raises BadInput where a file cannot be read, or the two sides do not belong together.
    """
    files = read_judged([verdicts])
    rated = read_ratings(ratings, key)
    by_judge = {rating.by_judge for rating in rated}
    if len(by_judge) > 1:
        raise BadInput("People's ratings and a judge's verdicts cannot be mixed; compare with one kind at a time.")
    answers, elsewhere = match(rated, files)
    raters = list(dict.fromkeys(rating.rater for rating in rated))
    rated_by = {rater: partial(RatedAnswer.rated_by, rater=rater) for rater in raters} if len(raters) > 1 else {}
    columns = {rater: _columns(answers, scores) for rater, scores in rated_by.items()}
    # Answers to one image are not independent, of whatever model they are.
    clusters = clusters_of([image_keys(answer.row.sample) for answer in answers])
    step("comparing ratings")
    compared = RatingComparison(
        by_judge=by_judge.pop(),
        verdicts=[_described(file) for file in files if any(answer.file is file for answer in answers)],
        raters=raters,
        n=len(answers),
        n_unrated=sum(len(file.rows) for file in files) - len(answers),
        n_elsewhere=elsewhere.total(),
        elsewhere=tuple(elsewhere),
        dimensions={title: _dimension(answers, name, seed, clusters) for name, title in DIMENSION_TITLES.items()},
        by_rater={rater: _with_judge(answers, scores) for rater, scores in rated_by.items()},
        between_raters=pairwise(columns),
        groups=_groups(answers),
        disagreements=_disagreements(answers, among_raters=False),
        among_raters={
            title: measure_raters([of[title] for of in columns.values()], judged, clusters, seed)
            for title, judged in (_columns(answers, RatedAnswer.judged).items() if columns else ())
        },
        rater_disagreements=_disagreements(answers, among_raters=True),
        n_partly=Counter(rating.rater for rating in rated if None in rating.scores.values() and not rating.by_judge),
        references=sorted({rating.reference for rating in rated if rating.reference}),
    )
    return Comparison(compared, tuple(ratings))


def write_comparison(comparison: Comparison, out: Path) -> tuple[Path, Path]:
    """Write ``agreement.json`` and ``agreement.xlsx`` into a folder and return their paths. Raises BadInput where a
    file would replace the ratings themselves. Raises RunFailed where a file cannot be written."""
    from medqbench_vlmeval.report.agreement_tables import write_agreement

    paths = out / "agreement.json", out / "agreement.xlsx"
    for path in paths:
        if is_any_of(path, comparison.sources):
            raise BadInput(f"{path} would replace the ratings themselves; choose another --out, or rename them.")
    with writing(paths[0]):
        lists = {name: comparison.disagreements_to_json(name) for name in ("disagreements", "rater_disagreements")}
        write_json(paths[0], comparison.to_json() | lists)
    write_agreement(paths[1], comparison.ratings)
    return paths


def _described(file: JudgedFile) -> VerdictFile:
    result, judge = file.result, file.judge.name if file.judge else None
    dataset, protocol = (result.dataset, result.settings.protocol.name) if result else (None, None)
    return VerdictFile(file.path.name, file.model, dataset, judge, protocol, len(file.rows))


def _dimension(
    answers: Sequence[RatedAnswer], dimension: str, seed: int, clusters: Sequence[int]
) -> DimensionAgreement:
    pairs = [(answer.judged(dimension), answer.rated(dimension)) for answer in answers]
    scores = [(*pair, cluster) for pair, cluster in zip(pairs, clusters, strict=True)]
    both = [(judged, rated, cluster) for judged, rated, cluster in scores if judged is not None and rated is not None]
    judge, people, of_both = zip(*both, strict=True) if both else ((), (), ())
    return DimensionAgreement(
        measure_agreement(judge, people, seed, of_both),
        n_between_marks=sum(rated % 1 != 0 for rated in people),
        n_unscored=sum(judged is None and rated is not None for judged, rated in pairs),
        n_not_rated=sum(rated is None for _, rated in pairs),
    )


def _dimension_json(dimension: DimensionAgreement) -> dict[str, Any]:
    agreement = dimension.agreement
    cells = {"accuracy": agreement.accuracy, "kappa": agreement.kappa, "spearman": agreement.spearman}
    values = {name: cell.value for name, cell in cells.items()}
    content: dict[str, Any] = {"n": agreement.n, **values, "bias": agreement.bias}
    if agreement.n:
        ends = {name: None if cell.interval is None else list(cell.interval) for name, cell in cells.items()}
        content |= {"intervals": {"level": LEVEL, "method": METHOD, **ends}}
        content |= {"n_undefined": agreement.n_undefined, "confusion": agreement.confusion}
    return content | {name: getattr(dimension, name) for name in ("n_between_marks", "n_unscored", "n_not_rated")}


def _agreements_json(agreements: Agreement | Mapping[str, Any]) -> dict[str, Any]:
    """Agreements in mappings of whatever depth."""
    if isinstance(agreements, Agreement):
        return agreement_to_json(agreements)
    return {name: _agreements_json(inner) for name, inner in agreements.items()}


def _columns(answers: Sequence[RatedAnswer], scores: _Scores) -> dict[str, list[float | None]]:
    """Somebody's scores by dimension's title."""
    return {title: [scores(answer, dimension) for answer in answers] for dimension, title in DIMENSION_TITLES.items()}


def _with_judge(answers: Sequence[RatedAnswer], scores: _Scores = RatedAnswer.rated) -> dict[str, Agreement]:
    """The judge's agreement with somebody's scores, by dimension's title."""
    judge = _columns(answers, RatedAnswer.judged)
    return {title: compare_scores(judge[title], rated) for title, rated in _columns(answers, scores).items()}


def _groups(answers: Sequence[RatedAnswer]) -> dict[str, dict[str, dict[str, Agreement]]]:
    """Accuracy and kappa by model, task and modality, where there is more than one."""
    axes: dict[str, Callable[[RatedAnswer], str]] = {
        "model": lambda answer: answer.file.model,
        "task": lambda answer: answer.row.sample.task.value,
        "modality": lambda answer: answer.row.sample.modality or "unknown",
    }
    groups: dict[str, dict[str, dict[str, Agreement]]] = {}
    for axis, read in axes.items():
        by_value: dict[str, list[RatedAnswer]] = {}
        for answer in answers:
            by_value.setdefault(read(answer), []).append(answer)
        if len(by_value) > 1:
            groups[axis] = {value: _with_judge(by_value[value]) for value in sorted(by_value)}
    return groups


def _disagreements(answers: Sequence[RatedAnswer], among_raters: bool) -> list[RatingDisagreement]:
    """Where the judge and the median rating differ, or the raters among themselves."""
    rows = []
    for answer in answers:
        comments = {rater: rating.comment for rater, rating in answer.ratings.items() if rating.comment}
        for dimension in DIMENSIONS:
            judged, rated = answer.judged(dimension), answer.rated(dimension)
            ratings = {rater: answer.rated_by(dimension, rater) for rater in answer.ratings}
            sides = [score for score in (ratings.values() if among_raters else (judged, rated)) if score is not None]
            if len(sides) > 1 and not is_same(min(sides), max(sides)):
                case = RatingDisagreement(answer.file.model, answer.row, dimension, judged, rated, ratings, comments)
                rows.append(case)
    return rows
