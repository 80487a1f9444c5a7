"""``medqbench``: entry point, error handling and the tree of commands. Commands import what they need when they are
called, so that ``medqbench --help`` and every command but a run start without torch, the kit, pandas or the judge's
client."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from medqbench_vlmeval import __version__
from medqbench_vlmeval.cli import analysis, judge, leaderboard, score, setup, suite, synth, view
from medqbench_vlmeval.cli.options import INTERRUPTED, TERMINATED, Terminated, completed
from medqbench_vlmeval.errors import MedQBenchError
from medqbench_vlmeval.judge.secrets import refuse_keys

app = typer.Typer(
    name="medqbench",
    help="Evaluate multimodal language models on MedQ-Bench and MedQ-Deg (quality of medical images).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(analysis.app, name="agreement")
app.add_typer(setup.data_app, name="data")
app.add_typer(judge.app, name="judge")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(setup.patch_app, name="patch")
app.add_typer(suite.app, name="suite")
app.add_typer(synth.app, name="synth")


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
def _run(
    data: Annotated[list[str] | None, typer.Option(autocompletion=completed("datasets"))] = None,
    model: Annotated[list[str] | None, typer.Option(autocompletion=completed("models"))] = None,
    judge: Annotated[str | None, typer.Option(autocompletion=completed("judges"))] = None,
    prompt_style: Annotated[str | None, typer.Option(autocompletion=completed("styles"))] = None,
) -> None:
    """Run models on datasets with the kit's own runner and options ('medqbench run --help' lists them)."""
    # The options are here for shells that complete them; _dispatch() takes every run to the kit's parser.


for _command in (score.score, view.view, analysis.compare, analysis.report, analysis.robustness, analysis.push):
    app.command()(_command)
app.command("import")(score.import_results)
app.command()(setup.doctor)
app.command("list")(setup.list_names)


@contextlib.contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, with which schedulers and containers end a process, keep what was answered as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    own = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != own:  # a worker that was forked off has nothing to keep
            os.kill(os.getpid(), number)
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave the process with its exit code: 0, 1 for a failed run, 2 for bad input, 130 after Ctrl-C,
    143 after SIGTERM."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Behind 'run', --debug is an option of the kit's.
    debug = "--debug" in words and words[:1] != ["run"]
    for stream in (sys.stdout, sys.stderr):
        # A command that has done its work does not fail of a character that the console's encoding has not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            refuse_keys(words)
            with _sigterm_like_ctrl_c():
                _dispatch(words)
        finally:
            sys.stdout.flush()
    except MedQBenchError as error:
        if debug:
            raise
        from medqbench_vlmeval.report.text import terminal_text

        print(f"medqbench: {terminal_text(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            raise
        if not isinstance(error, BrokenPipeError):
            place = "the output" if error.filename is None else error.filename
            print(f"medqbench: {place} cannot be used ({error.strerror or error}).", file=sys.stderr)
        # What is left in the buffer would fail again when Python ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt as end:
        is_terminated = isinstance(end, Terminated)
        how = "ended by SIGTERM" if is_terminated else "interrupted"
        kept = "replies that the kit had written, and verdicts," if words[:1] == ["run"] else "verdicts that had come"
        end_ = "" if words[:1] in (["view"], ["data"]) else f"; {kept} are kept and not asked for again"
        if words[:1] == ["synth"]:
            end_ = "; pictures that are made are kept, and the same call goes on from them"
        if words[:1] == ["suite"]:
            end_ = "; what is done stays, jobs of a cluster are still at work, and the same call goes on"
        print(f"medqbench: {how}{end_}.", file=sys.stderr)
        sys.exit(TERMINATED if is_terminated else INTERRUPTED)


def _dispatch(words: list[str]) -> None:
    if words[:1] == ["run"] or words[:2] == ["--debug", "run"]:
        rest = words[words.index("run") + 1 :]
        if {"-h", "--help"} & set(rest):
            print(Path(__file__).with_name("run_help.txt").read_text(encoding="utf-8"), end="")
            sys.exit(0)
        # The kit's parser owns every option behind 'run'; a second parser in front of it could only get in its way.
        from medqbench_vlmeval.kit.runner import run

        sys.exit(run(["--help" if word == "--help-kit" else word for word in rest]))
    try:
        app([word for word in words if word != "--debug"], prog_name="medqbench")
    except SystemExit as left:
        # typer leaves with an exit code of its own where a command is interrupted, and without a word.
        error: BaseException | None = left
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
        raise error or left from None
