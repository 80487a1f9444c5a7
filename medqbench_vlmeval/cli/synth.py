"""``medqbench synth``: a MedQ-style benchmark from a user's own images.

``medqbench synth IMAGES --out DIR`` makes a set; the other commands of the group stand behind ``synth`` by their names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from medqbench_vlmeval.cli import options

_MAKE = "make"


class _MakesByDefault(TyperGroup):
    """A group whose first word may be left out: what is no command's name begins the words of 'make'."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_MAKE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_MakesByDefault,
    help="A benchmark from your own clean images: 'medqbench synth IMAGES --out DIR' ('synth make --help').",
    no_args_is_help=True,
)


@app.command(_MAKE)
def make(
    images: Annotated[Path, typer.Argument(help="A folder of clean images: PNG, JPEG, TIFF, DICOM, NIfTI.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder, or the one that an earlier call left unfinished.")],
) -> None:
    """Degrade the images by known amounts and ask about them. The word 'make' may be left out."""
    from medqbench_vlmeval.workflows.synth import make_set

    make_set(images, out)


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
