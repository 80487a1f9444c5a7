"""What commands share: options, each declared once, and how a result is printed."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, own_names
from medqbench_vlmeval.data.columns import Named, read_named
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.options import OPTIONS, JudgeOptions, parse_judge_args

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.client import JudgeClient
    from medqbench_vlmeval.report.table import Table
    from medqbench_vlmeval.workflows import Request
    from medqbench_vlmeval.workflows.evaluate import KitReader
    from medqbench_vlmeval.workflows.trackers import Tracked


INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the command ends as after Ctrl-C."""


# What a command asks with where it is told nothing else; the kit's runner has the same numbers.
DEFAULTS = {"nproc": 32, "retry": 6, "timeout": 600.0}
ARGS = "args"
_KINDS = {"name": "judges", "protocol": "protocols"}


def completed(kind: str) -> Callable[[str], list[str]]:
    """What a shell offers for a value: the names of a kind of the catalogue; for a dataset also files."""

    def names(incomplete: str) -> list[str]:
        from medqbench_vlmeval.report.catalogue import catalogue

        if kind == "datasets":
            return [*ALL_DATASET_NAMES, *own_names(), *glob(f"{incomplete}*")]  # noqa: PTH207 - as it was typed
        return [str(row.entries[0]) for row in catalogue(kind).rows]

    return names


Predictions = Annotated[Path, typer.Argument(help="Prediction file: xlsx, csv, tsv, json or jsonl.")]
_DATA = "Data file or a dataset's name; default: the file's own columns."
Data = Annotated[str | None, typer.Option("--data", help=_DATA, autocompletion=completed("datasets"))]
_COLUMNS = "Which column of the data holds what: 'severity=grade,question=Frage'; else MEDQBENCH_COLUMNS."
_MEANING = "MEANING=COLUMN,..."
Columns = Annotated[Named | None, typer.Option("--columns", metavar=_MEANING, help=_COLUMNS, parser=read_named)]
_MODEL = "The model's name in the results."
Model = Annotated[str | None, typer.Option("--model", help=_MODEL, autocompletion=completed("models"))]
Extractor = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        help="Model that reads the multiple-choice replies which the rules leave open; asked as the judge is "
        "(--judge-base-url, --judge-key, ...).",
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", help="Only so many samples: a stratified subset, the same for every model.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print calls, tokens and cost; ask nothing and write nothing.")]
Prices = Annotated[
    Path | None, typer.Option("--prices", help="Your price table (JSON); its prices go over the packaged ones.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wandb = Annotated[
    str | None, typer.Option("--wandb", metavar="PROJECT", help="Log numbers and files to Weights & Biases.")
]
Mlflow = Annotated[str | None, typer.Option("--mlflow", metavar="EXPERIMENT", help="Log numbers and files to MLflow.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the bootstrap.", min=0)]

Given = Mapping[str, Any]
"""What a command line says about the judge: values of options by their fields' names, and --judge-args as 'args'."""


def judge_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options of the judge; it takes their values as the argument ``judge`` (see :data:`Given`). The
    names are fields of ``JudgeOptions`` that have an option on the command line, and 'args' for --judge-args."""
    return shared_options("judge", [_parameter(name) for name in names])


def shared_options(
    argument: str, parameters: Sequence[inspect.Parameter]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options that others have, too; it takes those that were given as the mapping ``argument``, by
    their names without the argument's."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = {**inspect.signature(command, eval_str=True).parameters}
        own.pop(argument)
        every = [*own.values(), *parameters]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            shared = {each.name.removeprefix(f"{argument}_"): values.pop(each.name) for each in parameters}
            command(**values, **{argument: {name: value for name, value in shared.items() if value is not None}})

        run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
        return run

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    """One option of the judge as typer reads it."""
    if name == ARGS:
        kind: Any = str
        option = typer.Option("--judge-args", help="More judge options as JSON.")
    else:
        declared = OPTIONS[name]
        default = JudgeOptions.__dataclass_fields__[name].default
        kind = str if default is None else type(default)
        help_ = f"{declared.help} [{DEFAULTS[name]:g}]" if name in DEFAULTS else declared.help
        names = completed(_KINDS[name]) if name in _KINDS else None
        option = typer.Option(declared.flag, min=declared.low, max=declared.high, help=help_, autocompletion=names)
    return shared_option(f"judge_{name}", kind, option)


def shared_option(name: str, kind: Any, option: Any) -> inspect.Parameter:
    """One option of :func:`shared_options`, None where it is not given."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def judge_keywords(judge: Given) -> dict[str, object]:
    """The judge keywords of a request; an option of its own says more than the same one in --judge-args. Raises
    BadInput where --judge-args is no JSON object, or --fresh and --no-calls come together."""
    own = {OPTIONS[name].keywords[0]: value for name, value in judge.items() if name != ARGS}
    keywords = {**DEFAULTS, **parse_judge_args(judge.get(ARGS)), **own}
    if keywords.get("fresh") and keywords.get("no_calls"):
        raise BadInput("--fresh leaves the cache aside and --no-calls asks nobody; together they leave no verdict.")
    return keywords


def request_of(predictions: Path, data: str | None, model: str | None, judge: Given, out: Path, **more: Any) -> Request:
    """A request for a prediction file that comes without a run; ``more`` holds further fields (``limit``, ...)."""
    from medqbench_vlmeval.workflows.evaluate import request_for

    return request_for(predictions, out, data, model, judge_keywords(judge), kit_client=_kit_client, **more)


def _kit_client(options: JudgeOptions) -> JudgeClient:
    from medqbench_vlmeval.kit.judge import kit_client

    return kit_client(options)


def kit_reader() -> KitReader:
    """What reads replies as the installed kit does; loads the kit, which takes some seconds. Raises MissingDependency
    where there is none."""
    from medqbench_vlmeval.kit.imports import importing_kit
    from medqbench_vlmeval.kit_version import require_kit

    require_kit()
    with importing_kit():
        # The kit's package comes first: its base class imported alone would make the import circular.
        from medqbench_vlmeval.kit.datasets import kit_letters

    return kit_letters


def print_result(
    as_json: bool, content: Callable[[], Any], parts: Callable[[], Iterable[Table | str]], files: Iterable[Path] = ()
) -> None:
    """Print a result: its content as JSON, or its tables and lines and below them the files that were written."""
    if as_json:
        print_json(content())
        return
    from medqbench_vlmeval.report.terminal import show

    show([*parts(), *map(str, files)])


def track(tracked: Callable[[], Sequence[Tracked]], wandb: str | None, mlflow: str | None) -> None:
    """Log what was scored to the trackers that are named, and say on stderr where it is."""
    if wandb is None and mlflow is None:
        return
    from medqbench_vlmeval.workflows.trackers import log_to_mlflow, log_to_wandb

    for log, place in ((log_to_wandb, wandb), (log_to_mlflow, mlflow)):
        for line in log(tracked(), place) if place is not None else ():
            print(line, file=sys.stderr)


def group_with_default(name: str) -> type[TyperGroup]:
    """A group in which the word ``name`` may be left out: what is no command's name begins that command's words."""

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
                args = [name, *args]
            return super().parse_args(ctx, args)

    return Group


def print_json(value: Any) -> None:
    """Print strict JSON, readable by a person; what the output's encoding cannot say is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, allow_nan=False)
    print(text)
