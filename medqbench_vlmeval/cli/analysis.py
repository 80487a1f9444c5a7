"""The commands on what was scored: ``report``, ``compare``, ``agreement``, ``robustness`` and ``push``."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from medqbench_vlmeval.cli import options


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Scored runs: '_score.json' files, prediction files with results beside them, folders of any depth, "
            "globs.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the page, workbooks, figures, tables and cards.")],
    intervals: Annotated[bool, typer.Option("--intervals", help="Put intervals into the tables for papers.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print every run's tables and findings, and every file.")
    ] = False,
    images: Annotated[
        str,
        typer.Option(
            "--images",
            help="'full': thumbnails in the page, originals in the folder 'images' beside it; 'thumbnails'; 'none'.",
        ),
    ] = "full",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Data file or dataset's name that has the runs' images; may be repeated."),
    ] = None,
    wandb: options.Wandb = None,
    mlflow: options.Mlflow = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers and findings as JSON.")] = False,
) -> None:
    """Print what scored runs say, and write a page, workbooks, figures, tables and cards from their result files."""
    from medqbench_vlmeval.report.many_tables import report_summary
    from medqbench_vlmeval.report.run_tables import run_summary
    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.report import write_reports

    with progress_shown():
        reports = write_reports(paths, out, intervals, images, data or ())
    results = [report.run.result for report in reports.runs]
    parts, files = report_summary(results), [reports.page]
    if verbose:
        parts = chain.from_iterable(run_summary(result, findings=True) for result in results)
        books = [path for report in reports.runs for path in (report.workbook, report.card)]
        many = [reports.workbook] if reports.workbook is not None else []
        files = [*books, *many, *reports.tables, *reports.figures, reports.page]
    options.print_result(
        as_json, reports.to_json, lambda: chain(parts, [f"! {reports.warning}"] * bool(reports.warning)), files
    )
    options.track(lambda: [report.tracked for report in reports.runs], wandb, mlflow)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...",
            help="Two scored runs or more: '_score.json' files, prediction files with results beside them, folders of "
            "any depth, globs.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for compare.json and compare.xlsx (with every sample).")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="Compare all others with this one: a model's name or run's place.")
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            "--fail-under",
            help="Exit code 1 where a run is significantly below the baseline and by more than this, such as -2: "
            "points of accuracy, or percent of a sum's scale.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="--fail-under counts chance, too.")] = False,
    summary: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE", help="Write a summary in Markdown; '-' prints it.")
    ] = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Compare runs on the samples that they have in common: paired differences with intervals and tests, and the
    minimum detectable effect of so many samples."""
    from medqbench_vlmeval.errors import RunFailed
    from medqbench_vlmeval.report.compare_tables import compare_markdown, compare_tables
    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.compare import compare_runs, falls_below, write_comparison, write_summary

    with progress_shown():
        comparison = compare_runs(runs, seed, baseline)
    failed = falls_below(comparison, fail_under, strict) if fail_under is not None else []
    files = list(write_comparison(comparison, out)) if out is not None else []
    verdicts = [f"Failed: {sentence}." for sentence in failed]
    if fail_under is not None and not failed:
        verdicts = [f"Passed: nothing is below --fail-under {fail_under:g}."]
    if summary == "-":
        print(compare_markdown(comparison, verdicts), end="")
    else:
        if summary is not None:
            write_summary(Path(summary), compare_markdown(comparison, verdicts))
            files.append(Path(summary))
        options.print_result(as_json, comparison.to_json, lambda: compare_tables(comparison), files)
    if failed:
        raise RunFailed(f"Below the baseline {comparison.baseline}: {'; '.join(failed)}.")


app = typer.Typer(
    cls=options.group_with_default("compare"),
    no_args_is_help=True,
    subcommand_metavar="VERDICTS HUMAN... | COMMAND [ARGS]...",
    help="Judge against human ratings: 'medqbench agreement VERDICTS HUMAN' compares, 'medqbench agreement sample' "
    "draws a blinded page or sheet for raters.",
)


@app.command("compare")
def agreement_with(
    verdicts: Annotated[
        Path,
        typer.Argument(metavar="VERDICTS", help="A judged reasoning run's '_samples.jsonl', or a folder of any depth."),
    ],
    human: Annotated[
        list[Path],
        typer.Argument(
            metavar="HUMAN...",
            help="Exports of a rating page or filled sheets, one a rater; a table with 'index' and the four dimensions "
            "(xlsx, csv, tsv, json, jsonl); or another run's '_samples.jsonl'.",
        ),
    ],
    key: Annotated[
        Path | None, typer.Option("--key", help="Key of the rating page or sheet; default: the one beside HUMAN.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for agreement.json and agreement.xlsx (disagreements).")
    ] = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """The default, 'agreement VERDICTS HUMAN': accuracy, quadratic weighted kappa and Spearman, each with a bootstrap
    interval, per dimension."""
    from medqbench_vlmeval.report.agreement_tables import agreement_tables
    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.agreement import compare_ratings, write_comparison

    with progress_shown():
        comparison = compare_ratings(verdicts, human, key, seed)
    files = write_comparison(comparison, out) if out is not None else ()
    options.print_result(as_json, comparison.to_json, lambda: agreement_tables(comparison.ratings), files)


@app.command("sample")
def sample(
    verdicts: Annotated[
        list[Path],
        typer.Argument(
            metavar="VERDICTS...", help="Judged reasoning runs: '_samples.jsonl' files, folders of any depth, globs."
        ),
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Rating page: one file with the images, rated in a browser without a network."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Rating sheet (.xlsx), without images.")] = None,
    reference: Annotated[
        str,
        typer.Option("--reference", help="On the page: shown (as to the judge), hidden, or after an answer is rated."),
    ] = "shown",
    n: Annotated[int, typer.Option("--n", help="How many answers.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws other answers.", min=0)] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Draw answers for people to rate: stratified by task, modality and run, shuffled and blinded. The key of whose
    they are is written beside the page or sheet."""
    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.rating_sheets import draw_ratings

    with progress_shown():
        draw = draw_ratings(verdicts, n, out, seed, html, reference)
    if as_json:
        content = {name: str(value) if isinstance(value, Path) else value for name, value in vars(draw).items()}
        options.print_json(content | {"strata": len(draw.strata)})
        return
    print(f"{draw.n} of {draw.n_eligible} judged answers, {len(draw.strata)} strata (task x modality x run)")
    if draw.n_too_long:
        print(f"{draw.n_too_long} answers were left out: no cell of a spreadsheet holds them")
    if draw.n_not_judged:
        print(f"{draw.n_not_judged} samples were left out: the judge gave them no score")
    if draw.page:
        print(f"{draw.page} for the raters, {draw.page.stat().st_size / 1e6:.1f} MB")
    if draw.n_no_image:
        print(f"{draw.n_no_image} answers lack an image on it: 'medqbench score --data FILE' keeps them for it")
    if draw.sheet:
        print(f"{draw.sheet} for the raters, a copy each")
    print(f"{draw.key} for you alone: it says whose the answers are")


def robustness(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="Prediction file of the official dataset.")],
    second: Annotated[
        Path, typer.Argument(metavar="SECOND", help="Prediction file of the second pass (DATASET_robustness).")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the result files.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Data file or the official dataset's name; default: FIRST's own columns."),
    ] = None,
    model: options.Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compare two passes of a model: the official order, and options permuted or images swapped. No judge is asked."""
    from medqbench_vlmeval.benchmark import all_names
    from medqbench_vlmeval.data import load
    from medqbench_vlmeval.report.robustness_tables import robustness_tables
    from medqbench_vlmeval.runs.provenance import name_results
    from medqbench_vlmeval.workflows.robustness import compare_passes

    names = name_results(second, model, None)
    # The second pass's own name says as well which data are meant.
    known = all_names().get(data or "")
    sample_set = load(known.first_pass.text if known else data) if data is not None else None
    passes = compare_passes((first, second), names.model, names.dataset, out, sample_set, stem=names.stem)
    options.print_result(
        as_json,
        lambda: {**passes.result, "files": {name: str(path) for name, path in vars(passes.paths).items()}},
        lambda: robustness_tables(passes.comparison),
        vars(passes.paths).values(),
    )


def push(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Scored runs, as 'report' takes them.")],
    repo: Annotated[str, typer.Option("--repo", help="USER/NAME on the hub; made where it is absent.")],
    space: Annotated[bool, typer.Option("--space", help="A static Space with the page, instead of a dataset.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Name the files and send nothing.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Send predictions, results, cards and the page of scored runs to the Hugging Face hub; no image is sent."""
    from medqbench_vlmeval.workflows.push import push as send

    pushed = send(paths, repo, space=space, public=public, dry=dry_run)
    if pushed.without_predictions:
        names = ", ".join(pushed.without_predictions)
        print(f"Without their predictions, which do not lie beside the results: {names}", file=sys.stderr)
    if as_json:
        options.print_json(vars(pushed))
        return
    for name in pushed.files:
        print(name)
    print(f"{len(pushed.files)} files {'to be sent' if pushed.address is None else f'sent to {pushed.address}'}")
