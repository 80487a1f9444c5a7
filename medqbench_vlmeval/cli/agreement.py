"""``medqbench agreement``: a judge against people, and the sheet that people rate on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

_COMPARE = "compare"
_HELP_OPTIONS = ("--help",)


class _ComparesByDefault(TyperGroup):
    """A group whose first word is a command's name, or else the first file to compare."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in _HELP_OPTIONS:
            args = [_COMPARE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ComparesByDefault,
    no_args_is_help=True,
    subcommand_metavar="VERDICTS HUMAN... | COMMAND [ARGS]...",
    help="Judge against human ratings: 'medqbench agreement VERDICTS HUMAN' compares, 'medqbench agreement sample' "
    "draws a blinded sheet for raters.",
)


@app.command(_COMPARE)
def compare(
    verdicts: Annotated[
        Path,
        typer.Argument(
            metavar="VERDICTS", help="The '_samples.jsonl' of a judged reasoning run, or a folder with several."
        ),
    ],
    human: Annotated[
        list[Path],
        typer.Argument(
            metavar="HUMAN...",
            help="Filled rating sheet (one a rater, or one with a column 'rater'), a table with 'index' and the four "
            "dimensions (xlsx, csv, tsv, json, jsonl), or another run's '_samples.jsonl'.",
        ),
    ],
    key: Annotated[
        Path | None, typer.Option("--key", help="Key of the rating sheet; default: the one beside it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for agreement.json and agreement.xlsx (disagreements).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The default, 'agreement VERDICTS HUMAN': accuracy, quadratic weighted kappa and Spearman, each with a bootstrap
    interval, per dimension."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation.agreement import compare_ratings, write_comparison
    from medqbench_vlmeval.report.render_agreement import agreement_tables

    found = compare_ratings(verdicts, human, key, seed)
    paths = write_comparison(found, out) if out is not None else ()
    if as_json:
        print_json(found.result)
        return
    agreement_tables(found.result)
    for path in paths:
        print(path)


@app.command("sample")
def sample(
    verdicts: Annotated[
        list[Path],
        typer.Argument(
            metavar="VERDICTS...", help="'_samples.jsonl' files of judged reasoning runs, or folders with such files."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The sheet (.xlsx); its key is written beside it.")],
    n: Annotated[int, typer.Option("--n", help="How many answers.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws other answers.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw answers for people to rate: stratified by task, modality and run, shuffled and blinded."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation.rating import draw_ratings

    drawn = draw_ratings(verdicts, n, out, seed)
    if as_json:
        counts = {name: getattr(drawn, name) for name in ("n", "n_eligible", "n_too_long", "n_not_judged")}
        print_json({"sheet": str(drawn.sheet), "key": str(drawn.key), **counts, "n_strata": len(drawn.strata)})
        return
    print(f"{drawn.n} of {drawn.n_eligible} judged answers, {len(drawn.strata)} strata (task x modality x run)")
    if drawn.n_too_long:
        print(f"{drawn.n_too_long} answers were left out: no cell of a spreadsheet holds them")
    if drawn.n_not_judged:
        print(f"{drawn.n_not_judged} samples were left out: the judge gave them no score")
    print(f"{drawn.sheet} for the raters, a copy each")
    print(f"{drawn.key} for you alone: it says whose the answers are")
