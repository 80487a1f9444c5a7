"""``medqbench robustness``: the two passes of a model compared, from their prediction files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medqbench_vlmeval.cli import judge_options as options


def robustness(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="Prediction file of the official dataset.")],
    second: Annotated[
        Path, typer.Argument(metavar="SECOND", help="Prediction file of the second pass (DATASET_robustness).")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the result files.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Data file (TSV) or the official dataset's name; default: FIRST's own columns."),
    ] = None,
    model: options.Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compare two passes of a model: the official order, and options permuted or images swapped. No judge is asked."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation.naming import name_results, sample_set_for
    from medqbench_vlmeval.evaluation.robustness import PassesRequest, compare_passes
    from medqbench_vlmeval.report.render_robustness import robustness_tables
    from medqbench_vlmeval.tasks import SECOND_PASS_NAMES

    names = name_results(second, model, None)
    # The second pass's own name says as well which data are meant.
    known = SECOND_PASS_NAMES.get(data or "")
    sample_set = sample_set_for(known.first_pass.text if known else data) if data is not None else None
    found = compare_passes(PassesRequest(first, second, names.model, names.dataset, out, sample_set, stem=names.stem))
    if as_json:
        print_json(found.result)
        return
    robustness_tables(found.result)
    for path in vars(found.paths).values():
        print(path)
