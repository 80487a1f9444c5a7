"""``medqbench leaderboard``: the local board, and other boards that runs are merged into."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from medqbench_vlmeval.cli.options import AsJson, print_json
from medqbench_vlmeval.errors import BadInput

app = typer.Typer(help="The local leaderboard with the published rows beside your own.", no_args_is_help=True)

RunDir = Annotated[Path, typer.Argument(help="A folder with *_score.json files, or one such file.")]
Board = Annotated[Path, typer.Option("--board", help="The board's folder.")]
_DEFAULT = Path("outputs/leaderboard")
_TASK = typer.Option(
    "--task", help="Only this board: perception, no-reference, comparative (or reasoning for these two), degradation."
)


@app.command()
def show(
    folder: Annotated[
        Path | None, typer.Argument(help="A work folder, its 'leaderboard' folder or leaderboard.json.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Print the past results of own rows as well.")] = False,
    task: Annotated[str | None, _TASK] = None,
    as_json: AsJson = False,
) -> None:
    """Print the boards; without a folder (or where none was written yet in ./outputs) the published rows."""
    from medqbench_vlmeval.report import terminal
    from medqbench_vlmeval.report.leaderboard import board, tables

    entries = board.own_entries(folder or board.find_board(Path("outputs")))
    rows = board.chosen(board.rows_of(entries), task)
    entries = [entry for entry in entries if entry.task in rows]
    if as_json:
        content = board.rows_to_json(rows)
        print_json({**content, "history": board.histories_to_json(entries)} if history else content)
        return
    boards = [tables.terminal_board(of, of_task) for of, of_task in rows.items()]
    past = board.history_table(entries) if history else None
    terminal.show(chain.from_iterable((part, "") for part in (*boards, past) if part is not None))


@app.command()
def add(
    run_dir: RunDir,
    board: Board = _DEFAULT,
    category: Annotated[
        str | None,
        typer.Option(
            "--category", help="The model's: commercial, open-source, medical-specialized, human or baseline."
        ),
    ] = None,
) -> None:
    """Enter scored runs into a board; entering a run again changes nothing, a newer one replaces its row."""
    from medqbench_vlmeval.report.leaderboard.board import add as add_to_board
    from medqbench_vlmeval.runs.files import scored_runs

    print(add_to_board(board, [result for _, result in scored_runs(run_dir)], category))


@app.command()
def remove(
    model: Annotated[str, typer.Argument(help="The model whose own row goes.")],
    board: Board = _DEFAULT,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only rows of this dataset.")] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="Only rows of this judge.")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Only rows of this protocol.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All rows that are meant, where there are several.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take an own row off a board; the board before is kept as leaderboard.json.bak."""
    from medqbench_vlmeval.report.leaderboard.board import describe, remove_rows
    from medqbench_vlmeval.report.leaderboard.entries import entry_to_json
    from medqbench_vlmeval.report.text import terminal_text

    backup, removed = remove_rows(board, model, dataset=dataset, judge=judge, protocol=protocol, every=every)
    if as_json:
        print_json({"removed": [entry_to_json(entry) for entry in removed], "backup": str(backup)})
        return
    for entry in removed:
        print(terminal_text(f"removed: {describe(entry)}"))
    print(f"the board before: {backup}")


@app.command()
def export(
    run_dir: Annotated[
        Path, typer.Argument(help="A folder with *_score.json files or one such file; for tables also a board.")
    ],
    openvlm: Annotated[
        Path | None, typer.Option("--openvlm", help="Merge the runs into this OpenVLM-style JSON, in place.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model's name in the OpenVLM-style JSON.")] = None,
    open_source: Annotated[
        bool | None,
        typer.Option("--open-source/--closed-source", help="Whether the model's weights are public, for its META."),
    ] = None,
    update_time: Annotated[
        bool, typer.Option("--update-time", help="Set the OpenVLM-style JSON's 'time' to now.")
    ] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the board as CSV.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write the board as Markdown, into a README too.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the board as HTML tables.")] = None,
    task: Annotated[str | None, _TASK] = None,
) -> None:
    """Merge scored runs into an OpenVLM-style JSON, or write the board as a table."""
    from medqbench_vlmeval.benchmark import Comparable
    from medqbench_vlmeval.report.leaderboard import openvlm as merging
    from medqbench_vlmeval.report.leaderboard import tables as board_tables
    from medqbench_vlmeval.report.leaderboard.board import boards_at
    from medqbench_vlmeval.report.text import terminal_text
    from medqbench_vlmeval.runs.files import scored_runs

    files = {form: path for form, path in (("csv", csv), ("markdown", markdown), ("html", html)) if path is not None}
    if openvlm is None and not files:
        raise BadInput("Nothing to export: name a file with --openvlm, --csv, --markdown or --html.")
    if openvlm is None and (model is not None or open_source is not None or update_time):
        raise BadInput("--model, --open-source and --update-time belong to --openvlm; name its file.")
    targets = [path.resolve() for path in (openvlm, *files.values()) if path is not None]
    if len(set(targets)) < len(targets):
        raise BadInput("Two of --openvlm, --csv, --markdown and --html name one file; name one for each.")
    # Everything is read and made before anything is written.
    boards = boards_at(run_dir, task) if files else {}
    exports = {path: board_tables.exported(path, form, boards) for form, path in files.items()}
    if openvlm is not None:
        scores = scored_runs(run_dir)
        merged = merging.merge(openvlm, scores, model, open_source=open_source, stamp=update_time)
        for name, dataset in merged.members:
            print(terminal_text(f"{name}: {dataset}"))
        unsaid = "OpenSource of {} is not known: 'No' was written; say --open-source where weights are public"
        notes = [unsaid.format(name) for name in merged.taken_for_closed]
        for value in (Comparable.UNVERIFIED, Comparable.NO):
            if apart := [path.name for path, result in scores if result.comparable is value]:
                notes.append(f"{value.words} with the published rows, and marked so: {', '.join(apart)}")
        for note in notes:
            print(terminal_text(f"! {note}"), file=sys.stderr)
        print(f"{merged.path}{'' if merged.changed else ' (unchanged)'}")
        if merged.backup is not None:
            print(f"the file before: {merged.backup}")
    for path, content in exports.items():
        board_tables.write_export(path, content)
        print(path)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A board's folder, or its leaderboard.json.")], as_json: AsJson = False
) -> None:
    """Check a board's file without changing it; exit code 2 where something is wrong with it."""
    from medqbench_vlmeval.report.leaderboard.board import check_board, find_board
    from medqbench_vlmeval.report.text import terminal_text

    path = find_board(file) or file
    entries, ends = check_board(path)
    problems = [f"It {end}." for end in ends]
    if as_json:
        print_json({"file": str(path), "problems": problems, "runs": len(entries)})
    else:
        for problem in problems:
            print(terminal_text(problem))
    if problems:
        raise BadInput(f"{path} has {len(problems)} problem(s), listed above; repair them.")
    if not as_json:
        print(f"{path}: in order (own runs: {len(entries)}).")
