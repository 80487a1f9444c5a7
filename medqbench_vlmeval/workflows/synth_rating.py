"""``medqbench synth rate`` and ``synth calibrate``: what 'mild' and 'severe' are to the readers of a site. Pictures of
every degradation are made at strengths between and beyond its two severities, and shown on one page under ids that say
nothing; the key beside the page, for the maker alone, says what each is. The readers' exports are read back with it,
and the strengths move to where their ratings turn."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np

from medqbench_vlmeval import __version__
from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.files import json_object, sha256_text, write_json, writing
from medqbench_vlmeval.report.page.rating import IMAGE_EXPORT_FORMAT, QUALITY, write_image_rating_page
from medqbench_vlmeval.scoring.agreement import compare_scores, measure_raters
from medqbench_vlmeval.scoring.intervals import share_cell
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.synth.calibration import (
    STRENGTHS_FORMAT,
    FaultSeen,
    Reading,
    SiteCalibration,
    calibrate,
    checked_strengths,
    parameters_at,
    reach,
)
from medqbench_vlmeval.synth.catalogue import (
    DEGRADATIONS,
    GRADES,
    Degradation,
    Planned,
    Source,
    of_modality,
    recalibrated,
)
from medqbench_vlmeval.synth.plan import Plan
from medqbench_vlmeval.synth.produce import IMAGES, produce
from medqbench_vlmeval.workflows.rating_sheets import (
    ID_LENGTH,
    KEY_ENDING,
    RATING_ID,
    check_new,
    mark_of,
    read_table,
    spelled,
    under_ids,
)

PAGE, STRENGTHS, REPORT = "rating.html", "strengths.json", "calibration.json"
_KEY = f"rating{KEY_ENDING}"
_KEY_FORMAT = "medqbench image rating key 1"
_FARTHEST = 9.0
_PER_CLEAN = 6  # degraded pictures of a modality for each undegraded one
# The mark of an image, and the faults that are ticked.
_Read: TypeAlias = tuple[int, frozenset[str]]


@dataclass(frozen=True)
class ImageDraw:
    """What was drawn: ``n`` images on ``page``, ``n_clean`` of them undegraded, the others of ``n_degradations``."""

    page: Path
    key: Path
    n: int
    n_clean: int
    n_degradations: int


@dataclass(frozen=True)
class _Shown:
    """What an image shows: a source by its key, a degradation by its key ("" for none), and its position."""

    source: str
    modality: str
    degradation: str
    position: float

    @property
    def mark(self) -> float:
        """What the simulator would say: 2 undegraded, 1 mild, 0 severe."""
        return min(max(1.0 - self.position, 0.0), 2.0) if self.degradation else 2.0


def draw_image_ratings(
    sources: Sequence[Source],
    out: Path,
    n: int = 12,
    seed: int = 0,
    workers: int = 1,
    degradations: Collection[str] | None = None,
    taken: Sequence[Degradation] = tuple(DEGRADATIONS.values()),
) -> ImageDraw:
    """Write the page on which readers rate, 'rating.html', and its key, 'rating_key.json', into the folder ``out``.

    ``n`` pictures of each degradation (or of those whose keys are given) of the sources' modalities are made, one in
    each of ``n`` equal parts of its strengths on a logarithmic scale, their sources by turns, and one undegraded
    picture for six of them. ``taken`` are the degradations with the parameters that are to be calibrated. Raises
    BadInput where there is nothing to draw, a file is there already, or the images are too large for a page. Raises
    RunFailed where a file cannot be written.
    """
    page, key = out / PAGE, out / _KEY
    check_new((page, key), "--out")
    for name in degradations or ():
        if name not in DEGRADATIONS:
            raise BadInput(f"The catalogue has no degradation '{name[:40]}'.{did_you_mean(name, DEGRADATIONS)}")
    modalities = {source.modality for source in sources}
    rows = [row for row in taken if row.modality in modalities and (degradations is None or row.key in degradations)]
    if n < 1 or not rows:
        raise BadInput(f"There is nothing to rate: {len(sources)} images, {len(rows)} degradations, {n} of each.")
    drawn = list(_draw(sources, rows, n, seed))
    by_id = under_ids("I", drawn, [sha256_text(json.dumps([of.source, *planned.seed])) for of, planned in drawn])
    number = sha256_text("\0".join((str(seed), *by_id)))[:ID_LENGTH]
    about = {"format": _KEY_FORMAT, "page": number, "seed": seed, "version": __version__}
    entries = {rating_id: asdict(shown) for rating_id, (shown, _) in by_id.items()}
    with TemporaryDirectory() as folder:
        plan = Plan(seed, tuple(replace(planned, stem=name) for name, (_, planned) in by_id.items()), {})
        produce(plan, Path(folder), workers)
        step("writing the rating page")
        write_image_rating_page(page, plan.pictures, Path(folder) / IMAGES, number)
    with writing(key):
        write_json(key, about | {"strengths": {row.key: row.parameters for row in rows}, "images": entries})
    return ImageDraw(page, key, len(by_id), sum(not shown.degradation for shown, _ in by_id.values()), len(rows))


def _draw(
    sources: Sequence[Source], rows: Sequence[Degradation], n: int, seed: int
) -> Iterator[tuple[_Shown, Planned]]:
    for modality in sorted({row.modality for row in rows}):
        of_modality = [row for row in rows if row.modality == modality]
        here = [source for source in sources if source.modality == modality]
        for number, row in enumerate([*of_modality, None]):
            entropy = int(sha256_text(row.key if row else f"none {modality}")[:8], 16)
            rng = np.random.default_rng([seed, entropy])
            turns = rng.permutation(len(here))
            low, high = reach(row) if row else (0.0, 0.0)
            n_here = n if row else min(-(-n * len(of_modality) // _PER_CLEAN), 2 * len(here))
            for place in range(n_here):
                position = round(low + (high - low) * (place + float(rng.random())) / n, 4)
                source = here[turns[(place + number) % len(here)]]
                at = row and replace(row, parameters=dict.fromkeys(GRADES, parameters_at(row, position)))
                planned = Planned(source, at, GRADES[0] if at else "none", (seed, entropy, place))
                yield _Shown(source.key, modality, row.key if row else "", position), planned


def calibrate_to_readers(folder: Path, exports: Sequence[Path], seed: int = 0) -> SiteCalibration:
    """Calibrate to the readers whose ``exports`` (JSON or CSV) are of the page in ``folder``; write 'calibration.json'
    there and, where any degradation's ratings carry new strengths, 'strengths.json' for 'medqbench synth --strengths'.
    Raises BadInput where the key is missing or changed, or an export cannot be read, is another page's, has a rating id
    or fault that the page has not, a mark that is none, or a rater that another export has; where nothing is rated.
    Raises RunFailed where a file cannot be written."""
    key = folder / _KEY
    page, shown, rows = _read_key(key)
    by_rater: dict[str, dict[str, _Read]] = {}
    files: dict[str, Path] = {}
    for path in exports:
        for rater, where, rating_id, read in _read_export(path, page, shown, key):
            if files.setdefault(rater, path) is not path:
                raise BadInput(f"{where}: {files[rater]} holds ratings of '{rater[:60]}' already; give one of them.")
            if rating_id in by_rater.setdefault(rater, {}):
                raise BadInput(f"{where}: the rating id '{rating_id}' stands there twice; export once more.")
            by_rater[rater][rating_id] = read
    if not by_rater:
        raise BadInput(f"{', '.join(map(str, exports))}: no image is rated yet.")
    rated = sorted({rating_id for reads in by_rater.values() for rating_id in reads})
    step("fitting thresholds")
    readings: dict[str, list[Reading]] = {row.key: [] for row in rows}
    for rater, reads in by_rater.items():
        for rating_id, (mark, _) in reads.items():
            if (of := shown[rating_id]).degradation:
                readings[of.degradation].append(Reading(rater, rating_id, of.position, mark))
    truth = [shown[rating_id].mark for rating_id in rated]
    columns = {
        rater: [float(reads[rating_id][0]) if rating_id in reads else None for rating_id in rated]
        for rater, reads in by_rater.items()
    }
    of_image = [shown[rating_id].source for rating_id in rated]
    clusters = [sorted(set(of_image)).index(source) for source in of_image]
    agreed = measure_raters(list(columns.values()), truth, clusters, seed)
    seen = [
        (shown[rating_id].degradation, ticked)
        for reads in by_rater.values()
        for rating_id, (_, ticked) in reads.items()
    ]
    result = SiteCalibration(
        tuple(by_rater),
        len(rated),
        len(shown),
        tuple(calibrate(row, readings[row.key], seed) for row in rows),
        agreed.kappa,
        agreed.with_judge,
        agreed.alpha,
        {rater: compare_scores(truth, column) for rater, column in columns.items()},
        {row.key: _fault_seen(row.key, seen) for row in rows},
    )
    with writing(folder / REPORT, "choose another folder"):
        write_json(folder / REPORT, {"version": __version__, "page": page, **result.to_json()})
        (folder / STRENGTHS).unlink(missing_ok=True)
        if result.strengths:
            about = {"format": STRENGTHS_FORMAT, "version": __version__, "page": page, "n_raters": len(by_rater)}
            write_json(folder / STRENGTHS, about | {"strengths": result.strengths})
    return result


def _fault_seen(key: str, seen: Sequence[tuple[str, frozenset[str]]]) -> FaultSeen:
    """Of pairs of what an image has and what a rater ticked."""
    has = [key in ticked for fault, ticked in seen if fault == key]
    right = [fault == key for fault, ticked in seen if key in ticked]
    return FaultSeen(share_cell(sum(has), len(has)), share_cell(sum(right), len(right)))


def _read_key(key: Path) -> tuple[str, Mapping[str, _Shown], Sequence[Degradation]]:
    """The page's number, what its images are, and the degradations as they were when it was made."""
    content = json_object(key) or {}
    images, page = content.get("images"), content.get("page")
    if content.get("format") != _KEY_FORMAT or not isinstance(images, dict) or not isinstance(page, str):
        raise BadInput(f"{key} is no key of a rating page, or cannot be read; 'medqbench synth rate' writes it.")
    strengths = checked_strengths(key, content.get("strengths"))
    shown = {}
    for rating_id, entry in images.items():
        match entry:
            case {"source": str(source), "modality": str(of), "degradation": str(name), "position": float(at)} if (
                name in ("", *strengths) and abs(at) < _FARTHEST
            ):
                shown[rating_id] = _Shown(source, of, name, at)
            case _:
                raise BadInput(f"{key}, image '{rating_id[:40]}' was changed; take the key that was written.")
    return page, shown, recalibrated((DEGRADATIONS[name] for name in strengths), strengths)


def _read_export(
    path: Path, page: str, shown: Mapping[str, _Shown], key: Path
) -> Iterator[tuple[str, str, str, _Read]]:
    """Rater, place for messages, rating id and what was read, of each image that an export has a rating of."""
    table = read_table(path, IMAGE_EXPORT_FORMAT, (QUALITY, "faults"))
    for name in (RATING_ID, QUALITY, "faults", "page"):
        if spelled(name) not in table.columns:
            raise BadInput(f"{path}: no column '{name}'; an export of a page of 'medqbench synth rate' has it.")
    for number, row in table.rows.items():
        where = f"{path}, row {number}"
        mark = mark_of(row.get(QUALITY, ""), f"{where}, column '{QUALITY}'")
        if mark is None:
            continue
        if row.get("page") != page:
            raise BadInput(f"{where}: a rating of page '{row.get('page', '')[:40]}', and {key} is of page '{page}'.")
        rating_id = row.get(spelled(RATING_ID), "")
        if rating_id not in shown:
            raise BadInput(f"{where}: the rating id '{rating_id[:40]}' is not in {key}; was the export changed?")
        faults = frozenset(row.get("faults", "").split())
        known = {of.key for of in of_modality(shown[rating_id].modality)}
        if unknown := sorted(faults - known):
            raise BadInput(f"{where}: '{unknown[0][:40]}' is no degradation of {shown[rating_id].modality}.")
        yield row.get("rater") or path.stem, where, rating_id, (int(mark), faults)
