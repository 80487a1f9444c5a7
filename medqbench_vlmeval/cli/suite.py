"""``medqbench suite``: many models on many datasets with many judges, from one file."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medqbench_vlmeval.cli import options
from medqbench_vlmeval.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from medqbench_vlmeval.report.table import Table
    from medqbench_vlmeval.workflows.suite import Planned
    from medqbench_vlmeval.workflows.suite_jobs import State

_RUN, _DONE, _FAILED = "run", "done", "failed"

app = typer.Typer(
    cls=options.group_with_default(_RUN),
    help="Many models, datasets and judges, unattended: 'medqbench suite FILE.yaml' ('suite run --help').",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The suite's YAML file; 'suite init FILE' writes one.")]


@app.command()
def init(file: File) -> None:
    """Write a suite's file to begin with: what it holds runs as it is, and comments name the rest."""
    from medqbench_vlmeval.files import write_text, writing
    from medqbench_vlmeval.workflows.suite_jobs import TEMPLATE

    if file.exists():
        raise BadInput(f"{file} is there already; name another file.")
    with writing(file, "choose another FILE"):
        write_text(file, TEMPLATE.read_text(encoding="utf-8"))
    print(f"{file}\n'medqbench suite {file} --dry-run' says what it would do")


@app.command(_RUN)
def run(
    file: File,
    cluster: Annotated[str, typer.Option("--cluster", help="local (this machine) or slurm.")] = "local",
    retry: Annotated[int, typer.Option("--retry", help="How often a failed job is tried again.", min=0)] = 0,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--stop", help="Go on after a failure, or begin no further job.")
    ] = True,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="PATTERN", help="Jobs of a model, dataset, judge or name such as 'Qwen*'."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print jobs, calls, cost and GPUs; ask nothing and write nothing.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Run what a file asks for, one job a model and dataset, and judging as jobs of its own; 'run' may be left out. The
    same call goes on where an earlier one ended: what is done is not done again, what failed is tried again."""
    from medqbench_vlmeval.report.many_tables import report_summary
    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.report import write_reports
    from medqbench_vlmeval.workflows.suite import Loop, alone, plan, wanted
    from medqbench_vlmeval.workflows.suite_engine import Engine
    from medqbench_vlmeval.workflows.suite_jobs import jobs_of, read_suite

    suite = read_suite(file)
    jobs = wanted(jobs_of(suite), only)
    if dry_run:
        planned = plan(suite, jobs)
        options.print_result(as_json, lambda: {"jobs": [asdict(each) for each in planned]}, lambda: _planned(planned))
        return
    with alone(suite):
        states = Loop(suite, jobs, Engine(suite, cluster), retry, keep_going, tell=_say).run()
        scored = [Path(state.result) for state in states if state.job.kind == "judge" and state.result]
        with progress_shown():
            report = write_reports(scored, suite.folder / "report") if scored else None
    left = [state for state in states if state.status != _DONE]

    def parts() -> Iterator[Table | str]:
        yield from report_summary([of.run.result for of in report.runs]) if report else ()
        yield from [_ended(left)] if left else ()
        yield f"{len(states) - len(left)} of {len(states)} jobs are done."
        yield from [f"Report: {report.page}"] if report else ()

    content = {"jobs": [asdict(state) for state in states], "report": report and report.to_json()}
    options.print_result(as_json, lambda: content, parts)
    if left:
        raise RunFailed(f"{len(left)} of {len(states)} jobs are not done; the same call tries these again.")


@app.command()
def status(
    place: Annotated[Path, typer.Argument(metavar="FILE", help="The suite's YAML file, or its folder.")],
    as_json: options.AsJson = False,
) -> None:
    """Show how far a suite is, also while it runs; 'medqbench view FOLDER' shows its runs in the browser."""
    from medqbench_vlmeval.workflows.suite_jobs import Store, jobs_of, read_suite

    if place.is_dir():
        states = Store(place).all()
    else:
        suite = read_suite(place)
        states = [Store(suite.folder).read(job) for job in jobs_of(suite)]
    if not states:
        raise BadInput(f"{place} is no folder of a suite; name its file, or the 'folder' that the file names.")
    options.print_result(as_json, lambda: {"jobs": [asdict(state) for state in states]}, lambda: [_ended(states)])


def _say(state: State) -> None:
    """A line on stderr for each change."""
    why = f": {state.why}" if state.why else ""
    took = f" in {state.seconds:,.0f} s" if state.seconds else ""
    print(f"medqbench: {state.job.name}: {state.status}{took}{why}", file=sys.stderr, flush=True)


def _planned(planned: Sequence[Planned]) -> Iterator[Table | str]:
    from medqbench_vlmeval.report.table import Column, columns, table
    from medqbench_vlmeval.report.terminal import dollars

    heads = columns("job", "state", ("calls", "count"), ("cost", "mark"), ("GPUs", "count"))
    rows = []
    for each in planned:
        job, cost = each.state.job, dollars(each.cost_usd) if each.state.job.judge and each.calls else None
        command = " ".join(("medqbench", *job.words))
        rows.append((job.name, each.state.status, each.calls or None, cost, job.gpus * job.nodes or None, command))
    notes = ["cost is of judging, by estimate; where predictions are yet to come, of the reference answers as replies"]
    title = f"{len(planned)} jobs; nothing is asked, nothing is written"
    yield table(title, [*heads, Column("command", optional=4)], rows, notes)
    costs = [each.cost_usd for each in planned]
    total = "not known: a price is missing" if None in costs else dollars(sum(cost or 0.0 for cost in costs))
    yield f"{sum(each.calls for each in planned):,} calls; cost of judging: {total}"


def _ended(states: Sequence[State]) -> Table:
    from medqbench_vlmeval.report.table import columns, table
    from medqbench_vlmeval.report.terminal import clock

    failed = {state.job.name for state in states if state.status == _FAILED}
    rows = []
    for state in states:
        lost = next((name for name in state.job.needs if name in failed), None)
        why = state.why or (f"waits for '{lost}', which failed" if lost else None)
        took = clock(state.seconds) if state.seconds else None
        rows.append((state.job.name, state.status, took, state.tries or None, why))
    counts = Counter(state.status for state in states)
    title = ", ".join(f"{n} {status}" for status, n in counts.items())
    return table(title, columns("job", "state", ("took", "mark"), ("tries", "count"), "why"), rows)
