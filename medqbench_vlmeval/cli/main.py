"""``medqbench``: entry point, error handling and the tree of commands.

Commands import what they need when they are called, so that ``medqbench --help`` and every command but a run
start without torch, the kit, pandas or the judge's client.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from medqbench_vlmeval import __version__
from medqbench_vlmeval.cli import analysis as agreement
from medqbench_vlmeval.cli import analysis as compare
from medqbench_vlmeval.cli import analysis as report
from medqbench_vlmeval.cli import analysis as robustness
from medqbench_vlmeval.cli import judge, leaderboard, score
from medqbench_vlmeval.cli import setup as data
from medqbench_vlmeval.cli import setup as patch
from medqbench_vlmeval.cli.options import INTERRUPTED
from medqbench_vlmeval.errors import MedQBenchError

app = typer.Typer(
    name="medqbench",
    help="Evaluate multimodal language models on MedQ-Bench: medical image quality assessment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(agreement.app, name="agreement")
app.add_typer(data.data_app, name="data")
app.add_typer(judge.app, name="judge")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(patch.patch_app, name="patch")
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("score")(score.score)
app.command("robustness")(robustness.robustness)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"medqbench-vlmeval {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options that stand before a command. ``--debug`` is read by :func:`main` from the whole command line."""


@app.command("run", add_help_option=False)
def _run() -> None:
    """Run a model on a dataset with the kit's own runner and options ('medqbench run --help' lists them)."""


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what is installed, which kit, which datasets are present and what is missing."""
    from medqbench_vlmeval.cli.setup import examine, show

    show(examine(), as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave the process with its exit code: 0, 1 for a failed run, 2 for bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Behind 'run', --debug is an option of the kit's.
    debug = "--debug" in words and words[:1] != ["run"]
    try:
        if words[:1] == ["run"] or words[:2] == ["--debug", "run"]:
            # The kit's parser owns every option behind 'run'; a second parser in front of it could only get in
            # its way.
            from medqbench_vlmeval.kit.runner import run

            sys.exit(run(words[words.index("run") + 1 :]))
        words = [word for word in words if word != "--debug"]
        app(words, prog_name="medqbench")
    except MedQBenchError as error:
        if debug:
            raise
        from medqbench_vlmeval.report.text import terminal_text

        print(f"medqbench: {terminal_text(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("medqbench: interrupted; verdicts that had come are kept.", file=sys.stderr)
        sys.exit(INTERRUPTED)
