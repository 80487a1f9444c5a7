"""Drawing answers for people to rate: stratified, blinded, and the same on any machine.

A seed and what an answer is (its run's name, its index) are hashed; the hashes choose, name and shuffle. No random
generator is asked, whose stream might differ between versions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.evaluation.rating_files import KEY_ENDING, RATING_ID
from medqbench_vlmeval.evaluation.verdict_files import JudgedRow, JudgedRun, read_runs
from medqbench_vlmeval.files import sha256_text, write_json

Stratum = tuple[str, str, str]

_ID_LENGTH = 10
_NO_MODALITY = "unknown"


@dataclass(frozen=True)
class Drawn:
    """What was drawn: ``n`` answers of ``n_eligible``; ``n_too_long`` were left out because no cell holds them,
    ``n_not_judged`` because the judge gave them no score. ``strata`` counts the drawn ones by task, modality, run."""

    sheet: Path
    key: Path
    n: int
    n_eligible: int
    n_too_long: int
    n_not_judged: int
    strata: Mapping[Stratum, int]


def draw_ratings(verdicts: Sequence[Path], n: int, out: Path, seed: int = 0) -> Drawn:
    """Write an empty rating sheet and, beside it, the key that says whose answers are on it.

    Answers are drawn in proportion to task x modality x run (largest remainder), shuffled, and stand under ids that
    say nothing. Where fewer than ``n`` are there, all are drawn.

    Args:
        verdicts: files of verdicts, or folders with such files.
        n: how many answers.
        out: the sheet, an .xlsx file; '{out}_key.json' is the key.
        seed: another seed draws other answers.

    Raises:
        BadInput: a file cannot be read, there is nothing to draw, or the sheet or the key is there already.
        RunFailed: a file cannot be written.
    """
    from medqbench_vlmeval.report.sheet_ratings import RatingRow, fits_cell, write_rating_sheet

    key = out.with_name(f"{out.stem}{KEY_ENDING}")
    if out.suffix.lower() != ".xlsx":
        raise BadInput(f"--out {out}: a rating sheet is an .xlsx file.")
    if n < 1:
        raise BadInput(f"--n {n}: one answer at least has to be drawn.")
    for path in (out, key):
        if path.exists():
            raise BadInput(f"{path} is there already and may hold somebody's work; choose another --out.")
    runs = read_runs(verdicts)
    names = _names(runs)
    judged = [(name, row) for name, run in names.items() for row in run.rows.values() if row.is_scored]
    eligible = [(name, row) for name, row in judged if fits_cell(row.answer) and fits_cell(row.reference)]
    if not eligible:
        raise BadInput(f"{', '.join(str(path) for path in verdicts)}: there is no judged answer to draw.")
    chosen = draw(eligible, n, seed)
    ids = _ids(chosen, seed)
    entries = {
        rating_id: {
            "run": names[name].stem,
            "model": names[name].model,
            "task": row.task.value,
            "index": row.index,
            "answer_sha256": row.answer_sha256,
            "reference_sha256": row.reference_sha256,
        }
        for rating_id, (name, row) in ids.items()
    }
    try:
        # Without its key a sheet is worth nothing, so the key is written first.
        write_json(key, {"sheet": out.name, "seed": seed, "n": len(entries), "ratings": entries})
    except OSError as error:
        raise RunFailed(f"{key} cannot be written ({error.strerror or error}); choose another --out.") from error
    try:
        rows = [RatingRow(rating_id, row.task, row.reference, row.answer) for rating_id, (_, row) in ids.items()]
        write_rating_sheet(out, rows, RATING_ID)
    except RunFailed:
        key.unlink(missing_ok=True)
        raise
    return Drawn(
        out,
        key,
        len(entries),
        len(eligible),
        len(judged) - len(eligible),
        sum(len(run.rows) for run in runs) - len(judged),
        Counter(_stratum(name, row) for name, row in chosen),
    )


def draw(rows: Sequence[tuple[str, JudgedRow]], n: int, seed: int) -> list[tuple[str, JudgedRow]]:
    """At most ``n`` of the rows (a run's name and a row of it), in proportion to their strata."""
    strata: dict[Stratum, list[tuple[str, JudgedRow]]] = {}
    for name, row in sorted(rows, key=lambda one: _hash(seed, "draw", *_identity(*one))):
        strata.setdefault(_stratum(name, row), []).append((name, row))
    wanted = shares({stratum: len(found) for stratum, found in strata.items()}, n)
    return [one for stratum in sorted(strata) for one in strata[stratum][: wanted[stratum]]]


def shares(sizes: Mapping[Stratum, int], n: int) -> dict[Stratum, int]:
    """``n`` places (or all, where there are no more) in proportion to the sizes, by largest remainder.

    Of equal remainders the larger stratum goes first, then the alphabet decides.
    """
    total = sum(sizes.values())
    n = min(n, total)
    found = {stratum: n * size // total for stratum, size in sizes.items()}
    left = n - sum(found.values())
    by_remainder = sorted(sizes, key=lambda stratum: (-(n * sizes[stratum] % total), -sizes[stratum], stratum))
    for stratum in by_remainder[:left]:
        found[stratum] += 1
    return found


def _names(runs: Sequence[JudgedRun]) -> dict[str, JudgedRun]:
    """Runs by name: their stem. Two runs of one stem would share a place in the key."""
    names: dict[str, JudgedRun] = {}
    for run in runs:
        if run.stem in names:
            raise BadInput(
                f"{names[run.stem].path} and {run.path} have the same name; draw from one of them, or rename one."
            )
        names[run.stem] = run
    return names


def _ids(chosen: Sequence[tuple[str, JudgedRow]], seed: int) -> dict[str, tuple[str, JudgedRow]]:
    """The drawn answers by id, shuffled: in the order of their ids."""
    found: dict[str, tuple[str, JudgedRow]] = {}
    for one in chosen:
        digest = _hash(seed, "id", *_identity(*one))
        length = _ID_LENGTH
        while f"R-{digest[:length]}" in found:
            length += 1
        found[f"R-{digest[:length]}"] = one
    return dict(sorted(found.items()))


def _identity(name: str, row: JudgedRow) -> tuple[str, str, str]:
    return name, row.index, row.answer_sha256


def _stratum(name: str, row: JudgedRow) -> Stratum:
    return row.task.value, row.modality or _NO_MODALITY, name


def _hash(seed: int, *parts: str) -> str:
    return sha256_text("\0".join((str(seed), *parts)))
