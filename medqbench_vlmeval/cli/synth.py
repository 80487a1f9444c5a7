"""``medqbench synth``: a MedQ-style benchmark from a user's own images. ``medqbench synth IMAGES --out DIR`` makes a
set; the other commands of the group stand behind ``synth`` by their names."""

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
own_images = options.shared_options(
    "own",
    [
        options.shared_option(name, kind, typer.Option(f"--{name}", help=says))
        for name, kind, says in (
            ("table", Path, "CSV with 'path' below IMAGES and, as needed, modality, noun, frame, ..."),
            ("modality", str, "Of images that do not say it themselves."),
            ("frames", str, "Of files with several: first, middle, all, or a number from 1; default: middle."),
            ("plane", str, "NIfTI's cut: axial, coronal or sagittal."),
            ("crop", tuple[float, float, float, float], "What is kept: left, top, right, bottom, in pixels or shares."),
            ("mask", Path, "Image whose non-zero pixels are painted over, as text is."),
            ("strengths", Path, "What 'synth calibrate' found: readers' 'mild' and 'severe'."),
        )
    ],
)
Workers = Annotated[int, typer.Option("--workers", help="Processes; 0 takes all cores.", min=0)]


@app.command(_MAKE)
@own_images
def make(
    images: Images,
    out: Annotated[
        Path, typer.Option("--out", help="A new or empty folder, or the one that an earlier call left unfinished.")
    ],
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same set.", min=0)] = 0,
    per_image: Annotated[int, typer.Option("--per-image", help="Degraded pictures and questions of an image.")] = 6,
    dev_share: Annotated[
        float, typer.Option("--dev-share", help="Share of the images that go to the dev split.")
    ] = 0.2,
    degradations: Annotated[
        str | None, typer.Option("--degradations", metavar="KEY,...", help="Only these; default: all of a modality.")
    ] = None,
    together: Annotated[bool, typer.Option("--together", help="Two degradations on a picture.")] = False,
    name: Annotated[str, typer.Option("--name", help="The set's name, in its card and its rows.")] = "synth",
    workers: Workers = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse where an image cannot be used.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made; write nothing.")] = False,
    as_json: options.AsJson = False,
    *,
    own: options.Given,
) -> None:
    """Degrade images by known amounts, ask about them, and write data files that run. The word 'make' may be left out;
    a call that was ended goes on when it is made again. Nothing leaves this machine."""
    import os

    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.synth import SynthRequest, make_set

    request = SynthRequest(
        images,
        out,
        seed=seed,
        per_image=per_image,
        dev_share=dev_share,
        degradations=tuple(word.strip() for word in degradations.split(",")) if degradations else None,
        together=together,
        name=name,
        workers=workers or os.cpu_count() or 1,
        strict=strict,
        **own,
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
@own_images
def rate(
    images: Images,
    out: Annotated[Path, typer.Option("--out", help="Folder for the readers' page and for its key, which is yours.")],
    n: Annotated[int, typer.Option("--n", help="Images of each degradation.", min=1)] = 12,
    degradation: Annotated[
        list[str] | None,
        typer.Option("--degradation", help="Key of one to be rated, of all that are; may be repeated."),
    ] = None,
    workers: Workers = 0,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws other strengths.", min=0)] = 0,
    as_json: options.AsJson = False,
    *,
    own: options.Given,
) -> None:
    """Make a page on which readers rate degraded images: each degradation at many strengths, in random order, with
    nothing that tells which. Their exports go to 'synth calibrate'."""
    import os

    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.synth.originals import read_originals
    from medqbench_vlmeval.workflows.synth import OwnImages
    from medqbench_vlmeval.workflows.synth_rating import draw_image_ratings

    asked = OwnImages(images, **own)
    with progress_shown():
        taken, read = asked.catalogue(), read_originals(asked)
        draw = draw_image_ratings(read.sources, out, n, seed, workers or os.cpu_count() or 1, degradation, taken)
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
