"""``medqbench agreement sample``, and the filled sheets read back. Answers are drawn for people to rate: stratified,
blinded, and the same on any machine. A seed and what an answer is (its run's name, its index) are hashed; the hashes
choose, name and shuffle. No random generator is asked, whose stream might differ between versions. Ratings come back as
filled sheets with their key, as tables of one's own, or as the verdicts of another run's judge."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.columns import ACCEPTED, words
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.data.table import TableReader
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import json_object, sha256_text, write_json, writing
from medqbench_vlmeval.predictions.files import READERS, read_texts
from medqbench_vlmeval.report.page.rating import EXPORT_FORMAT, REFERENCES, write_rating_page
from medqbench_vlmeval.report.thumbnails import find_image
from medqbench_vlmeval.runs.files import JudgedFile, is_samples, read_judged
from medqbench_vlmeval.scoring.agreement import MARKS
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.types import Sample, SampleRow

RATING_ID = "rating id"
KEY_ENDING = "_key.json"

# What a table may say of a rated answer beside its index: enough to notice verdicts of another dataset.
_CLAIMS = {
    "task": ("task",),
    "dataset": ("dataset",),
    "answer": ("prediction", "answer"),
    "reference": ("description", "reference"),
}
_DIMENSION_KEYS = {"".join(words(title)): dimension for dimension, title in DIMENSION_TITLES.items()}
ID_LENGTH = 10
_NO_MODALITY = "unknown"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Rating:
    """One answer as one rater rated it: ``scores`` is None on a dimension whose cell is empty. ``where`` names file and
    row for messages. ``run`` (a verdict file's stem) and ``model`` say whose answer it is, None where the file does
    not; ``answer_sha256`` and ``reference_sha256`` are of the texts that were rated, where that is known, ``claims``
    what a table says of the answer itself ('task', 'dataset', 'answer', 'reference'). ``by_judge`` says that no person
    rated but another run's judge."""

    where: str
    rater: str
    index: str
    scores: Mapping[str, float | None]
    run: str | None = None
    model: str | None = None
    answer_sha256: str | None = None
    reference_sha256: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    by_judge: bool = False
    comment: str = ""
    reference: str | None = None

    @property
    def is_rated(self) -> bool:
        """Whether any cell is filled in."""
        return any(score is not None for score in self.scores.values())


def read_ratings(paths: Sequence[Path], key: Path | None = None) -> list[Rating]:
    """Read one or more files of ratings. A file without a column 'rater' is one rater's, named by the file. A sheet of
    :func:`draw_ratings` needs its key, which is looked for beside it. Raises BadInput where a file cannot be read, a
    column is missing, a rating is not 0, 1 or 2, the key is missing or does not fit, or a rater rated nothing."""
    stems = Counter(path.stem for path in paths)
    ratings: list[Rating] = []
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else str(path)
        ratings += _verdicts(path, name) if is_samples(path) else _filled_in(path, name, key)
    if not ratings:
        raise BadInput(f"{', '.join(str(path) for path in paths)}: no cell is filled in yet, so there are no ratings.")
    filled = {rating.rater for rating in ratings if rating.is_rated}
    for rating in ratings:
        if rating.rater not in filled:
            raise BadInput(
                f"{rating.where}: no cell is filled in yet, here or in another row of rater '{rating.rater[:60]}'; "
                "leave these ratings out, or have them filled in."
            )
    return ratings


def _verdicts(path: Path, name: str) -> Iterator[Rating]:
    """The verdicts of another run's judge as ratings."""
    (judged,) = read_judged([path])
    rater = judged.judge.name if judged.judge else name
    if judged.result is not None:
        rater = f"{rater} ({judged.result.settings.protocol.name})"
    for row in judged.rows.values():
        sha256 = hashes(row)
        yield Rating(
            f"{path}, index '{row.sample.index[:60]}'",
            rater,
            row.sample.index,
            {dimension: row.score_on(dimension) for dimension in DIMENSIONS},
            model=judged.model,
            answer_sha256=sha256["answer_sha256"],
            reference_sha256=sha256["reference_sha256"],
            by_judge=True,
        )


def hashes(row: SampleRow) -> dict[str, str]:
    """The hashes that tell the answer and the reference that were rated from others."""
    texts = {"answer": row.prediction.text, "reference": row.sample.description or ""}
    return {f"{name}_sha256": sha256_text(text) for name, text in texts.items()}


@dataclass(frozen=True)
class RatingTable:
    """A file of ratings: its column heads, where each stands by its :func:`spelled` name, and the rows' cells by their
    number in the file and these names."""

    header: Sequence[str]
    columns: Mapping[str, int]
    rows: Mapping[int, Mapping[str, str]]


def read_table(path: Path, format_name: str = EXPORT_FORMAT, needed: Sequence[str] = DIMENSIONS) -> RatingTable:
    """Read a filled sheet, a table of one's own, or a rating page's export, which is of the format of that name and has
    the ``needed`` names in each of its ratings. Raises BadInput where the file cannot be read or has no rows."""
    as_json = partial(_json, format_name=format_name, needed=needed)
    (header, *body), _ = read_texts(path, "a file of ratings", {**READERS, ".csv": _csv, ".json": as_json})
    if not body:
        raise BadInput(f"{path} has no rows of ratings.")
    columns: dict[str, int] = {}
    for position, cell in enumerate(header):
        columns.setdefault(spelled(cell), position)
    # A spreadsheet counts its rows with the header.
    rows = {
        number: {name: row[at].strip() for name, at in columns.items() if at < len(row)}
        for number, row in enumerate(body, start=1 if path.suffix.lower() in (".json", ".jsonl") else 2)
    }
    return RatingTable(header, columns, rows)


def _filled_in(path: Path, name: str, key: Path | None) -> Iterator[Rating]:
    """The ratings of a filled sheet or a table of one's own."""
    read = read_table(path)
    header, columns, rows = read.header, read.columns, read.rows
    rated = {column: dimension for column, dimension in _DIMENSION_KEYS.items() if column in columns}
    ids = next((column for column in (spelled(RATING_ID), *ACCEPTED["index"]) if column in columns), None)
    if not rated or ids is None:
        of_sheet = "the first row of the first sheet" if path.suffix.lower() == ".xlsx" else "the first row"
        there = f"{of_sheet} has {', '.join(name.strip()[:40] for name in header[:40] if name.strip()) or 'no names'}"
        wanted = f"'index' or '{RATING_ID}'" if rated else f"for any of {', '.join(DIMENSION_TITLES.values())}"
        raise BadInput(f"{path}: no column {wanted}; {there}.")
    # People write notes below their ratings: only a row with ratings must be of the sheet.
    labels = {label: number for number, row in rows.items() if (label := row.get(ids)) and any(map(row.get, rated))}
    entries = _key_for(path, key, labels) if ids == spelled(RATING_ID) else None
    for number, row in rows.items():
        where = f"{path}, row {number}"
        scores = {
            dimension: mark_of(row.get(column, ""), f"{where}, column '{header[columns[column]].strip()}'")
            for column, dimension in rated.items()
        }
        label = row.get(ids, "")
        if not label and any(score is not None for score in scores.values()):
            raise BadInput(f"{where}: there are ratings, but the cell '{header[columns[ids]].strip()}' is empty.")
        if not label or (entries is not None and label not in entries):
            continue
        if entries is None:
            entry: Mapping[str, Any] = {"index": label}
            texts = {name: next(filter(None, map(row.get, spelled)), None) for name, spelled in _CLAIMS.items()}
            claims = {name: text for name, text in texts.items() if text}
        else:
            entry, claims = entries[label], {}
        yield Rating(
            where,
            row.get("rater") or name,
            str(entry["index"]),
            dict.fromkeys(DIMENSIONS) | scores,
            run=entry.get("run") or row.get("run") or None,
            model=entry.get("model") or row.get("model") or None,
            answer_sha256=entry.get("answer_sha256"),
            reference_sha256=entry.get("reference_sha256"),
            claims=claims,
            comment=row.get("comment", ""),
            reference=row.get("referencemode"),
        )


def spelled(name: str) -> str:
    """A column's name in one spelling."""
    return "".join(words(name))


def _csv(path: Path, source: IO[bytes]) -> list[list[str]]:
    # What the head uses most: many countries' spreadsheets write semicolons.
    delimiter = max((b",", b";", b"\t"), key=source.readline(1 << 16).count)
    source.seek(0)
    return TableReader(path, source, delimiter).all_texts()


def _json(path: Path, source: IO[bytes], *, format_name: str, needed: Sequence[str]) -> list[list[str]]:
    """A table, or a rating page's export as a row a rating."""
    content = json_object(path) or {}
    entries = content.get("ratings")
    if content.get("format") != format_name or not isinstance(entries, list):
        return READERS[".json"](path, source)
    for number, entry in enumerate(entries, start=1):
        for name in (RATING_ID, *needed):
            if not isinstance(entry, dict) or name not in entry:
                raise BadInput(f"{path}, row {number}: no '{name}'; the export was changed, export it once more.")
            if isinstance(entry[name], float) and math.isnan(entry[name]):
                raise BadInput(f"{path}, row {number}, column '{name}': 'NaN' is no rating; null stands for none.")
    shared = {"rater": content.get("rater"), "reference mode": content.get("reference"), "page": content.get("page")}
    return READERS[".json"](path, BytesIO(json.dumps([entry | shared for entry in entries]).encode()))


def mark_of(text: str, where: str) -> float | None:
    """A cell's mark, None for an empty one. Raises BadInput where it is no 0, 1 or 2."""
    if not text:
        return None
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if score not in MARKS:
        raise BadInput(f"{where}: '{text[:40]}' is no rating; 0, 1 or 2 is expected, or an empty cell.")
    return score


def _key_for(sheet: Path, key: Path | None, ids: Mapping[str, int]) -> Mapping[str, Mapping[str, Any]]:
    """The key's entries by rating id: of the file given, of the one named as the sheet, or of one beside it. Each rater
    fills a copy of the sheet, so that its name need not be the key's. ``ids`` are the rated ones with the numbers of
    their rows."""
    own = sheet.with_name(f"{sheet.stem}{KEY_ENDING}")
    candidates = [key] if key else [own] if own.is_file() else sorted(sheet.parent.glob(f"*{KEY_ENDING}"))
    for candidate in candidates:
        content = (json_object(candidate) or {}).get("ratings")
        entries: dict[str, Any] = content if isinstance(content, dict) else {}
        is_key = content == entries and all(isinstance(entry, dict) and "index" in entry for entry in entries.values())
        is_key = is_key and all(isinstance(text, str | None) for entry in entries.values() for text in entry.values())
        unknown = [rating_id for rating_id in ids if rating_id not in entries]
        if is_key and not unknown:
            return entries
        if len(candidates) == 1:
            raise BadInput(
                f"{sheet}, row {ids[unknown[0]]}: the rating id '{unknown[0][:40]}' is not in the key {candidate}; is "
                "it another sheet's or page's?"
                if is_key
                else f"{candidate} is no key of a rating sheet, or cannot be read; it is written by 'agreement sample'."
            )
    raise BadInput(
        f"{sheet}: no key for its rating ids is beside it; give the '*{KEY_ENDING}' that was written with the sheet as "
        "--key."
    )


@dataclass(frozen=True)
class RatingDraw:
    """What was drawn: ``n`` answers of ``n_eligible``; ``n_too_long`` were left out because no cell holds them,
    ``n_not_judged`` because the judge gave them no score. ``n_no_image`` lack an image on the page. ``strata`` counts
    the drawn ones by task, modality, run."""

    sheet: Path | None
    page: Path | None
    key: Path
    n: int
    n_eligible: int
    n_too_long: int
    n_not_judged: int
    n_no_image: int
    strata: Mapping[tuple[str, str, str], int]


@dataclass(frozen=True)
class _Candidate:
    """A judged answer that may be drawn, with its run's name."""

    run: str
    row: SampleRow

    @property
    def stratum(self) -> tuple[str, str, str]:
        return self.row.sample.task.value, self.row.sample.modality or _NO_MODALITY, self.run

    @property
    def texts(self) -> tuple[str, str]:
        """The reference and the answer."""
        return self.row.sample.description or "", self.row.prediction.text

    def hashed(self, seed: int, purpose: str) -> str:
        """A number that looks random and is the same everywhere."""
        answer = sha256_text(self.row.prediction.text)
        return sha256_text("\0".join((str(seed), purpose, self.run, self.row.sample.index, answer)))


def draw_ratings(
    verdicts: Sequence[Path],
    n: int,
    out: Path | None = None,
    seed: int = 0,
    html: Path | None = None,
    reference: str = "shown",
) -> RatingDraw:
    """Write an empty rating sheet (``out``, .xlsx), a rating page (``html``), or both and, beside them, the key that
    says whose answers they hold: '{html}_key.json', without a page '{out}_key.json'.

    ``n`` answers are drawn from the files of verdicts, or folders with such files, in proportion to task x modality x
    run (largest remainder), shuffled, and stand under ids that say nothing; another ``seed`` draws others. Where fewer
    than ``n`` are there, all are drawn. ``reference`` says whether the page shows it. Raises BadInput where a file
    cannot be read, there is nothing to draw, a file to be written is there already, or the images are too large for a
    page. Raises RunFailed where a file cannot be written.
    """
    from medqbench_vlmeval.report.rating_sheet import RatingRow, fits_cell, write_rating_sheet

    written = [path for path in (out, html) if path is not None]
    if not written:
        raise BadInput("Name a rating page with --html, a sheet with --out, or both.")
    for path, suffix in ((out, ".xlsx"), (html, ".html")):
        if path is not None and path.suffix.lower() != suffix:
            raise BadInput(f"{path}: {suffix} is the ending of such a file.")
    key = written[-1].with_name(f"{written[-1].stem}{KEY_ENDING}")
    if reference not in REFERENCES:
        raise BadInput(f"--reference {reference[:40]}: {', '.join(REFERENCES)} are the ways to show it.")
    if n < 1:
        raise BadInput(f"--n {n}: one answer at least has to be drawn.")
    check_new((*written, key), "name")
    named = read_judged(verdicts)
    files = {file.stem: file for file in named}
    for file in named:
        if (other := files[file.stem]) is not file:
            raise BadInput(f"{file.path} and {other.path} have the same name; draw from one of them, or rename one.")
    answers = [_Candidate(name, row) for name, file in files.items() for row in file.rows.values()]
    judged = [
        answer for answer in answers if any(answer.row.score_on(dimension) is not None for dimension in DIMENSIONS)
    ]
    eligible = [answer for answer in judged if out is None or all(map(fits_cell, answer.texts))]
    if not eligible:
        raise BadInput(f"{', '.join(str(path) for path in verdicts)}: there is no judged answer to draw.")
    chosen = _draw(eligible, n, seed)
    by_id = under_ids("R", chosen, (answer.hashed(seed, "id") for answer in chosen))
    entries, rows = {}, []
    for rating_id, answer in by_id.items():
        sample, file = answer.row.sample, files[answer.run]
        whose = {"run": answer.run, "model": file.model, "task": sample.task.value, "index": sample.index}
        entries[rating_id] = whose | hashes(answer.row)
        images = _images(sample, file) if html else ()
        rows.append(RatingRow(rating_id, sample.task, *answer.texts, sample.question or "", images))
    page = sha256_text("\0".join((reference, *by_id)))[:ID_LENGTH]
    about = {"page": page, "reference": reference, "seed": seed, "n": len(entries)}
    try:
        with writing(key):
            # Without its key a sheet or page is worth nothing, so the key is written first.
            write_json(key, about | {"ratings": entries})
        if html is not None:
            step("writing the rating page")
            write_rating_page(html, rows, page, reference)
        if out is not None:
            write_rating_sheet(out, rows, RATING_ID)
    except (BadInput, RunFailed):
        for path in (key, *written):
            path.unlink(missing_ok=True)
        raise
    n_too_long, n_not_judged = len(judged) - len(eligible), len(answers) - len(judged)
    n_no_image = sum(None in (row.images or (None,)) for row in rows) if html else 0
    strata = Counter(answer.stratum for answer in chosen)
    return RatingDraw(out, html, key, len(entries), len(eligible), n_too_long, n_not_judged, n_no_image, strata)


def _images(sample: Sample, file: JudgedFile) -> tuple[Path | None, ...]:
    """A sample's images on this machine, None for each that is not here."""
    parts = file.result.tasks if file.result else ()
    is_embedded = any(part.task is sample.task and part.data.origin == "embedded" for part in parts)
    folder = embedded_folder() / "images" if is_embedded else ImageStore.default().root
    return tuple(find_image(folder, name) for name in image_names(sample))


def _draw(candidates: Sequence[_Candidate], n: int, seed: int) -> list[_Candidate]:
    """At most ``n`` candidates, in proportion to their strata."""
    strata: dict[tuple[str, str, str], list[_Candidate]] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.hashed(seed, "draw")):
        strata.setdefault(candidate.stratum, []).append(candidate)
    places = shares({stratum: len(of_stratum) for stratum, of_stratum in strata.items()}, n)
    return [candidate for stratum in sorted(strata) for candidate in strata[stratum][: places[stratum]]]


def shares(sizes: Mapping[tuple[str, str, str], int], n: int) -> dict[tuple[str, str, str], int]:
    """``n`` places (or all, where there are no more) in proportion to the sizes, by largest remainder. Of equal
    remainders the larger stratum goes first, then the alphabet decides."""
    total = sum(sizes.values())
    n = min(n, total)
    places = {stratum: n * size // total for stratum, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda stratum: (-(n * sizes[stratum] % total), -sizes[stratum], stratum))
    for stratum in by_remainder[: n - sum(places.values())]:
        places[stratum] += 1
    return places


def under_ids(letter: str, drawn: Sequence[_T], digests: Iterable[str]) -> dict[str, _T]:
    """What was drawn, by ids that begin its digest, in the order of these, which shuffles it."""
    by_id: dict[str, _T] = {}
    for each, digest in zip(drawn, digests, strict=True):
        ids = (f"{letter}-{digest[:length]}" for length in count(ID_LENGTH))
        by_id[next(rating_id for rating_id in ids if rating_id not in by_id)] = each
    return dict(sorted(by_id.items()))


def check_new(paths: Iterable[Path], what: str) -> None:
    """Refuse to write where a file is. Raises BadInput, with ``what`` to choose anew."""
    for path in paths:
        if path.exists():
            raise BadInput(f"{path} is there already and may hold somebody's work; choose another {what}.")
