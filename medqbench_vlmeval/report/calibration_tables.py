"""What a calibration to readers says, as tables: thresholds by degradation, faults seen, and how raters agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medqbench_vlmeval.report.table import Column, Table, columns, table
from medqbench_vlmeval.synth.calibration import SiteCalibration
from medqbench_vlmeval.synth.catalogue import GRADES

_SCALE = (
    "Thresholds: half of the ratings lie on either side; 0 is the strength of 'mild' before, 1 that of 'severe', on a "
    "logarithmic scale. Usable %, reject %: of ratings at the new mild and severe, those expected to say so."
)
_RATERS = (
    "Kappa: quadratic weighted, mean over pairs; alpha: Krippendorff's. The simulator's mark is 2 undegraded, 1 mild, "
    "0 severe, and between them by strength."
)


def calibration_tables(found: SiteCalibration) -> Iterator[Table | str]:
    """What a terminal shows: moved degradations, those that stay as they are with the reason, faults, raters."""
    moved = [row for row in found.calibrated if row.after is not None]
    heads = [
        Column("Degradation"),
        Column("n", "count", optional=2),
        Column("Good to usable", "percent", interval="95%"),
        Column("Usable to reject", "percent", interval="95%"),
        Column("Mild"),
        Column("Severe"),
        Column("Usable %", "share", optional=1),
        Column("Reject %", "share", optional=1),
    ]
    rows = [
        (
            *(row.key, row.n, row.usable_from, row.reject_from),
            *(_change(row.before[grade], (row.after or {})[grade]) for grade in GRADES),
            *(row.said_usable, row.said_reject),
        )
        for row in moved
    ]
    n_raters = len(found.raters)
    whom = f"{n_raters} rater{'s' * (n_raters != 1)}, {found.n} of {found.n_images} images"
    if rows:
        yield table(f"Strengths moved to the ratings of {whom}", heads, rows, [_SCALE])
    yield from (f"! {row.key}: {row.note}" for row in moved if row.note)
    if left := [(row.key, row.left) for row in found.calibrated if row.left]:
        yield table("Left as they are", columns("Degradation", "Why"), left)
    seen = [Column("Degradation"), *(Column(head, "share", interval="95%", n="n") for head in ("Seen %", "Right %"))]
    faults = [(key, fault.recall, fault.precision) for key, fault in found.faults.items()]
    note = "Seen: of ratings of images with the fault, those that tick it; right: of its ticks, those on such images."
    yield table("Faults seen", seen, faults, [note])
    cells = {"Raters with each other": found.among, "Raters with the simulator": found.with_simulator}
    heads = [Column("Agreement"), Column("Images", "count"), Column("Kappa", "score", interval="95%")]
    pairs = [(name, cell.n, cell) for name, cell in cells.items() if cell.value is not None]
    pairs += [("Alpha of all raters", found.alpha.n, found.alpha)] if found.alpha.value is not None else []
    each = [(f"{rater} with the simulator", of.n, of.kappa) for rater, of in found.by_rater.items() if n_raters > 1]
    yield table(f"Agreement of {whom}", heads, [*pairs, *each], [_RATERS])


def _change(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """'photons 40000 to 11270', of the parameters that change."""
    moved = [f"{name} {before[name]:g} to {after[name]:g}" for name in before if before[name] != after[name]]
    return ", ".join(moved) or "as before"
