"""``medqbench synth``: a MedQ-style benchmark from a user's own images.

``medqbench synth IMAGES --out DIR`` makes a set; the other commands of the group stand behind ``synth`` by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medqbench_vlmeval.cli import options

if TYPE_CHECKING:
    from medqbench_vlmeval.synth.originals import Skipped

_MAKE = "make"
_MOST_SHOWN = 10


app = typer.Typer(
    cls=options.group_with_default(_MAKE),
    help="A benchmark from your own clean images: 'medqbench synth IMAGES --out DIR' ('synth make --help').",
    no_args_is_help=True,
)

Images = Annotated[
    Path, typer.Argument(help="Clean images: a folder with PNG, JPEG, TIFF, DICOM or NIfTI, or a CSV file of paths.")
]
Table = Annotated[
    Path | None, typer.Option("--table", help="CSV with 'path' below IMAGES and, as needed, modality, noun, frame, ...")
]
Modality = Annotated[str | None, typer.Option("--modality", help="Of images that do not say it themselves.")]
Frames = Annotated[str, typer.Option("--frames", help="Of files with several: first, middle, all, or a number from 1.")]
Plane = Annotated[str | None, typer.Option("--plane", help="NIfTI's cut: axial, coronal or sagittal.")]
Crop = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option("--crop", help="What is kept: left, top, right and bottom, in pixels or as shares."),
]
Mask = Annotated[Path | None, typer.Option("--mask", help="Image whose non-zero pixels are painted over, as text is.")]
Strengths = Annotated[
    Path | None, typer.Option("--strengths", help="What 'synth calibrate' found: readers' 'mild' and 'severe'.")
]
Workers = Annotated[int, typer.Option("--workers", help="Processes; 0 takes all cores.", min=0)]


@app.command(_MAKE)
def make(
    images: Images,
    out: Annotated[
        Path, typer.Option("--out", help="A new or empty folder, or the one that an earlier call left unfinished.")
    ],
    table: Table = None,
    modality: Modality = None,
    frames: Frames = "middle",
    plane: Plane = None,
    crop: Crop = None,
    mask: Mask = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same set.", min=0)] = 0,
    per_image: Annotated[int, typer.Option("--per-image", help="Degraded pictures and questions of an image.")] = 6,
    dev_share: Annotated[
        float, typer.Option("--dev-share", help="Share of the images that go to the dev split.")
    ] = 0.2,
    degradations: Annotated[
        str | None, typer.Option("--degradations", metavar="KEY,...", help="Only these; default: all of a modality.")
    ] = None,
    together: Annotated[bool, typer.Option("--together", help="Two degradations on a picture.")] = False,
    strengths: Strengths = None,
    name: Annotated[str, typer.Option("--name", help="The set's name, in its card and its rows.")] = "synth",
    workers: Workers = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse where an image cannot be used.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made; write nothing.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Degrade images by known amounts, ask about them, and write data files that run. The word 'make' may be left out;
    a call that was ended goes on when it is made again. Nothing leaves this machine."""
    import os

    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.synth import SynthRequest, make_set

    request = SynthRequest(
        images,
        out,
        table=table,
        modality=modality,
        frames=frames,
        plane=plane,
        crop=crop,
        mask=mask,
        seed=seed,
        per_image=per_image,
        dev_share=dev_share,
        degradations=tuple(word.strip() for word in degradations.split(",")) if degradations else None,
        together=together,
        strengths=strengths,
        name=name,
        workers=workers or os.cpu_count() or 1,
        strict=strict,
    )
    with progress_shown():
        made = make_set(request, dry_run)
    rows = [f"{file}  {len(of):,} rows" for file, of in made.plan.tables.items()]
    lines = [f"{len(made.plan.pictures):,} images of {len(made.originals.sources):,} clean ones", *rows]
    if made.produced:
        lines.append(f"{made.produced.made:,} made now, {made.produced.kept:,} kept from before")
        lines.append(f"{request.private} says where each came from: for you alone")
        lines.append(f"'medqbench data register {out} NAME' lets it run as --data NAME")
    warnings = [*_left_out(made.originals.skipped), *(f"! {text}" for text in made.originals.warnings)]
    options.print_result(as_json, made.to_json, lambda: [*warnings, *lines], made.files)


def _left_out(skipped: Sequence[Skipped]) -> list[str]:
    lines = [f"! {one.path} {one.why}; it is left out" for one in skipped[:_MOST_SHOWN]]
    return [*lines, *([f"! {more:,} more are left out"] if (more := len(skipped) - len(lines)) else [])]


@app.command()
def rate(
    images: Images,
    out: Annotated[Path, typer.Option("--out", help="Folder for the readers' page and for its key, which is yours.")],
    n: Annotated[int, typer.Option("--n", help="Images of each degradation.", min=1)] = 12,
    degradation: Annotated[
        list[str] | None,
        typer.Option("--degradation", help="Key of one to be rated, of all that are; may be repeated."),
    ] = None,
    table: Table = None,
    modality: Modality = None,
    frames: Frames = "middle",
    plane: Plane = None,
    crop: Crop = None,
    mask: Mask = None,
    strengths: Strengths = None,
    workers: Workers = 0,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws other strengths.", min=0)] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Make a page on which readers rate degraded images: each degradation at many strengths, in random order, with
    nothing that tells which. Their exports go to 'synth calibrate'."""
    import os

    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.synth import OwnImages
    from medqbench_vlmeval.workflows.synth_rating import rate_images

    own = OwnImages(
        images, table=table, modality=modality, frames=frames, plane=plane, crop=crop, mask=mask, strengths=strengths
    )
    with progress_shown():
        read, draw = rate_images(own, out, n, seed, workers or os.cpu_count() or 1, degradation)
    lines = [
        f"{draw.n} images of {len(read.sources)} sources, {draw.n_clean} undegraded; {draw.n_degradations} faults",
        f"{draw.page} for the readers, {draw.page.stat().st_size / 1e6:.1f} MB",
        f"{draw.key} for you alone: it says what was done to each",
    ]
    content = {name: str(value) if isinstance(value, Path) else value for name, value in vars(draw).items()}
    content |= {"n_skipped": len(read.skipped), "warnings": list(read.warnings)}
    options.print_result(
        as_json, lambda: content, lambda: [*_left_out(read.skipped), *(f"! {text}" for text in read.warnings), *lines]
    )


@app.command()
def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that 'synth rate' wrote, with its key.")],
    ratings: Annotated[
        list[Path], typer.Argument(metavar="RATINGS...", help="Exports of its page, JSON or CSV, one a rater.")
    ],
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Move 'mild' and 'severe' to where readers' ratings turn from good to usable and from usable to reject: writes
    DIR/strengths.json for 'synth --strengths', and says how raters agree with each other and with the simulator."""
    from medqbench_vlmeval.errors import RunFailed
    from medqbench_vlmeval.report.calibration_tables import calibration_tables
    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.synth_rating import REPORT, STRENGTHS, calibrate_to_readers

    with progress_shown():
        found = calibrate_to_readers(folder, ratings, seed)
    files = [folder / name for name in ((REPORT, STRENGTHS) if found.strengths else (REPORT,))]
    options.print_result(as_json, found.to_json, lambda: calibration_tables(found), files)
    if not found.strengths:
        raise RunFailed(f"No degradation's ratings carry new strengths; {folder / REPORT} says why for each.")
