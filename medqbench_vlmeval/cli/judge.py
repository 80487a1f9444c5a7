"""``medqbench judge``: judging in batches, and the cache of replies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medqbench_vlmeval.cli import options
from medqbench_vlmeval.cli.options import AsJson, print_json
from medqbench_vlmeval.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.batch_api import BatchState
    from medqbench_vlmeval.judge.batch_files import ImportReport

app = typer.Typer(help="Judge in batches, and look after the cache of verdicts.", no_args_is_help=True)
cache = typer.Typer(help="The cache of verdicts that all runs share.", no_args_is_help=True)
app.add_typer(cache, name="cache")

_MOST_SHOWN = 10

Calls = Annotated[list[Path], typer.Argument(help="Files of calls that 'judge export' wrote.")]


@app.command()
@options.judge_options("name", "base_url", options.ARGS, "protocol")
def export(
    predictions: Annotated[list[Path], typer.Argument(help="Prediction files: xlsx, csv, tsv, json or jsonl.")],
    out: Annotated[Path, typer.Option("--out", help="File of calls to write (JSONL).")],
    data: options.Data = None,
    limit: options.Limit = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    model: options.Model = None,
    as_json: AsJson = False,
    *,
    judge: options.Given,
) -> None:
    """Write the judge calls that the cache holds no answer to, for OpenAI's Batch API or 'vllm run-batch'.

    --model and --judge-base-url are taken as 'score' takes them and change no call.
    """
    from dataclasses import replace

    from medqbench_vlmeval.workflows.batch import export_calls

    first = options.request_of(predictions[0], data, model, judge, out.parent, limit=limit)
    exported = export_calls([replace(first, prediction_file=path) for path in predictions], out, force=force)
    if as_json:
        files = [{"path": str(path), "judge": name, "calls": n} for path, name, n in exported.files]
        print_json({"files": files, "in_cache": exported.known})
        return
    for path, name, n in exported.files:
        print(f"{path}: {_calls(n)} to {_safe(name)}")
    if not exported.files:
        print(f"Nothing is pending: the cache holds all {_calls(exported.known)}. No file was written.")
    elif exported.known:
        print(f"{_calls(exported.known)} were left out: the cache holds them.")


@app.command("import")
def import_answers(
    answers: Annotated[list[Path], typer.Argument(help="Output and error files of batches, in any order.")],
    judge: Annotated[
        str | None, typer.Option("--judge", help="The judge's name for 'cache info'; default: the server's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace verdicts that the cache has already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take the answers of a batch into the cache, where 'score' and 'run' find them."""
    from medqbench_vlmeval.judge import JudgeOptions, batch_files
    from medqbench_vlmeval.judge.cache import ReplyCache
    from medqbench_vlmeval.judge.secrets import Mask

    batch_files.require_answers(answers)
    with ReplyCache() as replies:
        report = batch_files.import_answers(answers, replies, Mask(JudgeOptions().secrets()), judge, replace=force)
    if as_json:
        print_json(vars(report))
    else:
        _show_report(report)
    if not report.imported and not report.already_there:
        raise RunFailed(
            "No verdict was imported; the calls stay pending, and 'medqbench judge export' writes them again."
        )


@app.command()
@options.judge_options("base_url", "key")
def submit(
    calls: Calls,
    again: Annotated[bool, typer.Option("--again", help="Submit files that were submitted before.")] = False,
    as_json: AsJson = False,
    *,
    judge: options.Given,
) -> None:
    """Upload files of calls and make a batch of each; NAME.batch.json beside a file names its batch."""
    from medqbench_vlmeval.judge import JudgeOptions, batch_api
    from medqbench_vlmeval.judge.batch_files import read_call_file

    files = [read_call_file(path) for path in dict.fromkeys(calls)]
    for file in files:
        if not again:
            batch_api.require_new(file.path)
    with _printed_at_the_end("batches", as_json) as batches:
        for file in files:
            submission = batch_api.submit(file, JudgeOptions(file.model, **judge))
            batches.append(
                {"file": str(file.path), "batch": submission.batch_id, "calls": submission.n}
                | {"judge": file.model, "base_url": submission.base_url}
            )
            if not as_json:
                place = f"{_safe(file.model)} at {submission.base_url}"
                print(f"{file.path}: batch {_safe(submission.batch_id)}, {_calls(submission.n)} to {place}")


@app.command()
@options.judge_options("base_url", "key")
def status(calls: Calls, as_json: AsJson = False, *, judge: options.Given) -> None:
    """Say how far the batches of files of calls are."""
    from medqbench_vlmeval.judge.batch_api import states_of

    states = []
    for path in dict.fromkeys(calls):
        for state in states_of(path, **judge):
            states.append({"file": str(path), **_state(state)})
            if not as_json:
                _show_state(path, state)
    if as_json:
        print_json({"batches": states})


@app.command("collect")
@options.judge_options("base_url", "key")
def collect_answers(calls: Calls, as_json: AsJson = False, *, judge: options.Given) -> None:
    """Download the answers of batches that have ended, import them and say what is still pending."""
    from medqbench_vlmeval.judge.batch_api import collect

    problems = []
    with _printed_at_the_end("files", as_json) as files:
        for path in dict.fromkeys(calls):
            collection = collect(path, **judge)
            files.append(
                {
                    "file": str(path),
                    "batches": [_state(state) for state in collection.states],
                    "answers": [str(answers) for answers in collection.paths],
                    "imported": None if collection.report is None else vars(collection.report),
                    "pending": collection.pending,
                }
            )
            if collection.problem is not None:
                problems.append(_safe(collection.problem))
            if as_json:
                continue
            for state in collection.states:
                _show_state(path, state)
            for answers in collection.paths:
                print(answers)
            if collection.report is not None:
                _show_report(collection.report)
            if collection.pending and not collection.running:
                pending = f"{collection.pending:,} of {_calls(collection.n)}"
                print(f"{pending} stay pending for the next 'medqbench judge export'.")
    if problems:
        raise RunFailed(f"Not all is collected: {'; '.join(problems)}.")


@cache.command()
def info(as_json: AsJson = False) -> None:
    """Say where the cache is, how large it is, and what it holds by protocol and judge."""
    from medqbench_vlmeval.judge.cache import ReplyCache

    with ReplyCache(read_only=True) as replies:
        held = replies.info()
    if as_json:
        print_json({**vars(held), "path": str(held.path), "groups": [group._asdict() for group in held.groups]})
        return
    print(f"{held.path}: {held.bytes / 2**20:.1f} MiB")
    if not held.n:
        print("The cache is empty.")
    for group in held.groups:
        tokens = f"{group.prompt_tokens:>12,} + {group.completion_tokens:>11,} tokens"
        print(f"{_safe(group.protocol):14}  {_safe(group.judge):30}  {group.n:>9,} answers  {tokens}")


@cache.command()
def clear(
    judge: Annotated[str | None, typer.Option("--judge", help="Only this judge's, as 'info' names it.")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Only this protocol's, in all rounds.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete verdicts from the cache; they were paid for, and are asked for again when they are needed."""
    from medqbench_vlmeval.judge.cache import ReplyCache
    from medqbench_vlmeval.judge.protocols import asked_by

    with ReplyCache(read_only=True) as replies:
        held = replies.info()
    n = sum(group.n for group in held.groups if asked_by(group.protocol, protocol) and judge in (None, group.judge))
    if n and not yes:
        if as_json or not sys.stdin.isatty():
            raise BadInput(f"{n:,} answers would be deleted from {held.path}; say so with --yes.")
        typer.confirm(f"Delete {n:,} answers from {held.path}?", abort=True)
    deleted = 0
    if n:
        with ReplyCache() as replies:
            deleted = replies.clear(judge, protocol)
    if as_json:
        print_json({"path": str(held.path), "deleted": deleted})
    elif n:
        print(f"{deleted:,} answers were deleted from {held.path}.")
    else:
        print(f"Nothing to delete: {held.path} holds no such answer." if held.n else "The cache is empty.")


@contextmanager
def _printed_at_the_end(name: str, as_json: bool) -> Iterator[list[dict[str, Any]]]:
    """A list that is printed as JSON where that is wanted, also where a later file is refused."""
    entries: list[dict[str, Any]] = []
    try:
        yield entries
    finally:
        if as_json:
            print_json({name: entries})


def _show_report(report: ImportReport) -> None:
    print(f"{report.imported} imported, {report.already_there} already there")
    for title, reasons in (("without a verdict", report.without_a_verdict), ("failed", report.failed)):
        if reasons:
            print(f"{reasons.total()} {title}:")
        for reason, n in reasons.most_common(_MOST_SHOWN):
            print(f"  {n} x {_safe(reason)}")
        if len(reasons) > _MOST_SHOWN:
            print(f"  and {len(reasons) - _MOST_SHOWN} more reasons")
    for path, numbers in report.unreadable.items():
        lines = ", ".join(map(str, numbers[:_MOST_SHOWN])) + (", ..." if len(numbers) > _MOST_SHOWN else "")
        print(f"{len(numbers)} unreadable: {path}, line{'s' if len(numbers) > 1 else ''} {lines}")
    if report.foreign:
        print(f"{report.foreign} foreign: no call of this package has their custom_id")


def _show_state(path: Path, state: BatchState) -> None:
    counts = f"{state.completed} completed and {state.failed} failed of {state.total}"
    reason = f" ({_safe(state.reason)})" if state.reason else ""
    print(f"{path}: batch {_safe(state.batch)} is {_safe(state.status)}, {counts}{reason}")


def _state(state: BatchState) -> dict[str, Any]:
    return {name: value for name, value in vars(state).items() if name not in ("answers", "errors")}


def _calls(n: int) -> str:
    return f"{n:,} call{'' if n == 1 else 's'}"


def _safe(text: str) -> str:
    from medqbench_vlmeval.report.text import terminal_text

    return terminal_text(text)
