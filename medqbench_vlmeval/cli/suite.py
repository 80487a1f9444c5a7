"""``medqbench suite``: many models on many datasets with many judges, from one file."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medqbench_vlmeval.cli import options
from medqbench_vlmeval.errors import BadInput, MedQBenchError, RunFailed

if TYPE_CHECKING:
    from medqbench_vlmeval.report.table import Table
    from medqbench_vlmeval.workflows.report import Reports
    from medqbench_vlmeval.workflows.suite import Planned
    from medqbench_vlmeval.workflows.suite_file import Suite
    from medqbench_vlmeval.workflows.suite_jobs import Job, State

_RUN, _DONE, _FAILED = "run", "done", "failed"

app = typer.Typer(
    cls=options.group_with_default(_RUN),
    help="Many models, datasets and judges, unattended: 'medqbench suite FILE.yaml' ('suite run --help').",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The suite's YAML file; 'suite init FILE' writes one.")]


@app.command()
def init(file: Annotated[Path, typer.Argument(metavar="FILE", help="The YAML file to write.")]) -> None:
    """Write a suite's file to begin with: what it holds runs as it is, and comments name the rest."""
    from medqbench_vlmeval.files import write_text, writing
    from medqbench_vlmeval.workflows.suite_file import TEMPLATE

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
    from medqbench_vlmeval.workflows.suite import Loop, alone, plan, wanted
    from medqbench_vlmeval.workflows.suite_engine import Engine
    from medqbench_vlmeval.workflows.suite_file import read_suite
    from medqbench_vlmeval.workflows.suite_jobs import jobs_of

    suite = read_suite(file)
    jobs = wanted(jobs_of(suite), only)
    _check_models(file, jobs)
    if dry_run:
        planned = plan(suite, jobs)
        options.print_result(as_json, lambda: _plan_json(planned), lambda: _plan_parts(planned))
        return
    with alone(suite):
        engine = Engine(suite, cluster)
        states = Loop(suite, jobs, engine, retry, keep_going, tell=_say).run()
        report = _report(suite, states)
    options.print_result(
        as_json,
        lambda: {**_states_json(states), "report": report.to_json() if report else None},
        lambda: _end(states, report),
    )
    if left := [state for state in states if state.status != _DONE]:
        raise RunFailed(
            f"{len(left)} of {len(states)} jobs are not done; the same call tries them again, and nothing else."
        )


@app.command()
def status(
    place: Annotated[Path, typer.Argument(metavar="FILE", help="The suite's YAML file, or its folder.")],
    as_json: options.AsJson = False,
) -> None:
    """Show how far a suite is, also while it runs; 'medqbench view FOLDER' shows its runs in the browser."""
    from medqbench_vlmeval.workflows.suite_file import read_suite
    from medqbench_vlmeval.workflows.suite_jobs import Store, jobs_of

    states = Store(place).all() if place.is_dir() else []
    if not place.is_dir():
        suite = read_suite(place)
        store = Store(suite.folder)
        states = [store.read(job) for job in jobs_of(suite)]
    elif not states:
        raise BadInput(f"{place} is no folder of a suite; name its file, or the 'folder' that the file names.")
    options.print_result(as_json, lambda: _states_json(states), lambda: _state_parts(states))


def _check_models(file: Path, jobs: Sequence[Job]) -> None:
    """Refuse models and options that the kit's runner would refuse, before anything begins."""
    from medqbench_vlmeval.kit.options import check_names, read_options
    from medqbench_vlmeval.kit_version import require_kit
    from medqbench_vlmeval.workflows.suite_file import line_of_model

    kit = require_kit()
    for job in jobs:
        if job.kind == "infer":
            try:
                check_names(read_options(job.words[1:])[1], kit)
            except MedQBenchError as error:
                raise BadInput(f"{file}, line {line_of_model(file, job.model)}: {error}") from None


def _say(state: State) -> None:
    """A line on stderr for each change."""
    why = f": {state.why}" if state.why else ""
    took = f" in {state.ended - state.began:,.0f} s" if state.ended and state.began else ""
    print(f"medqbench: {state.job.name}: {state.status}{took}{why}", file=sys.stderr, flush=True)


def _plan_json(planned: Sequence[Planned]) -> dict[str, Any]:
    costs = [each.cost_usd for each in planned]
    return {
        "dry_run": True,
        "jobs": [
            {
                **_state_json(each.state),
                "calls": each.calls,
                "cost_usd": each.cost_usd,
                "gpus": each.state.job.gpus * each.state.job.nodes,
                "basis": each.basis,
            }
            for each in planned
        ],
        "calls": sum(each.calls for each in planned),
        "cost_usd": None if None in costs else sum(cost or 0.0 for cost in costs),
    }


def _plan_parts(planned: Sequence[Planned]) -> Iterator[Table | str]:
    from medqbench_vlmeval.report.table import Column, columns, table
    from medqbench_vlmeval.report.terminal import dollars

    heads = columns("job", "state", ("calls", "count"), ("cost", "mark"), ("GPUs", "count"))
    rows = []
    for each in planned:
        job = each.state.job
        cost = dollars(each.cost_usd) if job.judge and each.calls else None
        command = " ".join(("medqbench", *job.words))
        rows.append((job.name, each.state.status, each.calls or None, cost, job.gpus * job.nodes or None, command))
    notes = ["cost is of judging, by estimate; where predictions are yet to come, of the reference answers as replies"]
    title = f"{len(planned)} jobs; nothing is asked, nothing is written"
    yield table(title, [*heads, Column("command", optional=4)], rows, notes)
    total = _plan_json(planned)
    cost = "not known: a price is missing" if total["cost_usd"] is None else dollars(total["cost_usd"])
    yield f"{total['calls']:,} calls; cost of judging: {cost}"


def _state_json(state: State) -> dict[str, Any]:
    job = state.job
    return {
        "job": job.name,
        "kind": job.kind,
        "model": job.model,
        "dataset": job.dataset,
        "judge": job.judge or None,
        "status": state.status,
        "why": state.why or None,
        "tries": state.tries,
        "seconds": state.ended - state.began if state.ended and state.began else None,
        "result": state.result,
        "command": ["medqbench", *job.words],
    }


def _states_json(states: Sequence[State]) -> dict[str, Any]:
    return {"counts": Counter(state.status for state in states), "jobs": [_state_json(state) for state in states]}


def _state_parts(states: Sequence[State]) -> Iterator[Table | str]:
    from medqbench_vlmeval.report.table import columns, table
    from medqbench_vlmeval.report.terminal import clock

    by_name = {state.job.name: state for state in states}
    rows = []
    for state in states:
        failed = [name for name in state.job.needs if name in by_name and by_name[name].status == _FAILED]
        why = state.why or (f"waits for '{failed[0]}', which failed" if failed else None)
        took = clock(state.ended - state.began) if state.ended and state.began else None
        rows.append((state.job.name, state.status, took, state.tries or None, why))
    counts = ", ".join(f"{n} {status}" for status, n in Counter(state.status for state in states).items())
    yield table(counts, columns("job", "state", ("took", "mark"), ("tries", "count"), "why"), rows)


def _report(suite: Suite, states: Sequence[State]) -> Reports | None:
    """The page, workbooks and figures on all that is scored; None where nothing is."""
    from medqbench_vlmeval.report.terminal import progress_shown
    from medqbench_vlmeval.workflows.report import write_reports

    scored = [Path(state.result) for state in states if state.job.kind == "judge" and state.result]
    with progress_shown():
        return write_reports(scored, suite.folder / "report") if scored else None


def _end(states: Sequence[State], report: Reports | None) -> Iterator[Table | str]:
    from medqbench_vlmeval.report.many_tables import report_summary

    if report is not None:
        yield from report_summary([of.run.result for of in report.runs])
    if left := [state for state in states if state.status != _DONE]:
        yield from _state_parts(left)
    yield f"{len(states) - len(left)} of {len(states)} jobs are done."
    if report is not None:
        yield f"Report: {report.page}"
