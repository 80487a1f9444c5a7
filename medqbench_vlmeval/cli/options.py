"""The options that every command with a judge shares, each declared once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medqbench_vlmeval.errors import BadInput

if TYPE_CHECKING:
    from medqbench_vlmeval.judge import JudgeOptions
    from medqbench_vlmeval.judge.client import Asker
    from medqbench_vlmeval.workflows import Request


DEFAULTS = {"nproc": 32, "retry": 6, "timeout": 600.0}

Predictions = Annotated[Path, typer.Argument(help="Prediction file: xlsx, csv, tsv, json or jsonl.")]
Data = Annotated[
    str | None, typer.Option("--data", help="Data file (TSV) or a dataset's name; default: the file's own columns.")
]
Model = Annotated[str | None, typer.Option("--model", help="The model's name in the results.")]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", help="Judge model, several with commas for a panel, or 'rules' for the embedded one."),
]
BaseUrl = Annotated[str | None, typer.Option("--judge-base-url", help="http://host:port/v1")]
Key = Annotated[
    str | None, typer.Option("--judge-key", help="Better: the environment variable MEDQBENCH_JUDGE_KEY, or .env.")
]
Nproc = Annotated[int | None, typer.Option("--judge-nproc", min=1, help="Calls in flight [32].")]
Retry = Annotated[int | None, typer.Option("--judge-retry", min=0, help="Retries of a call [6].")]
Timeout = Annotated[float | None, typer.Option("--judge-timeout", min=0.001, help="Seconds for one call [600].")]
Args = Annotated[str | None, typer.Option("--judge-args", help="More judge options as JSON.")]
Protocol = Annotated[
    str | None,
    typer.Option("--protocol", help="official, official-5, rubric or rubric-joint; NAME-N asks in N rounds."),
]

Fresh = Annotated[bool, typer.Option("--fresh", help="Ask for verdicts that the cache holds, too.")]
NoCalls = Annotated[bool, typer.Option("--no-calls", help="Take verdicts from the cache alone.")]
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


@dataclass(frozen=True)
class JudgeChoice:
    """What the command line says about the judge, None where it says nothing."""

    judge: str | None = None
    base_url: str | None = None
    key: str | None = None
    nproc: int | None = None
    retry: int | None = None
    timeout: float | None = None
    args: str | None = None
    protocol: str | None = None
    fresh: bool = False
    no_calls: bool = False

    def keywords(self) -> dict[str, Any]:
        """The judge keywords of a request; an option of its own says more than the same one in --judge-args.

        Raises:
            BadInput: --judge-args is no JSON object, or --fresh and --no-calls come together.
        """
        from medqbench_vlmeval.judge import parse_judge_args

        given = {
            "model": self.judge,
            "api_base": self.base_url,
            "key": self.key,
            "nproc": self.nproc,
            "retry": self.retry,
            "timeout": self.timeout,
            "protocol": self.protocol,
            "fresh": self.fresh or None,
            "no_calls": self.no_calls or None,
        }
        given = {name: value for name, value in given.items() if value is not None}
        found = {**DEFAULTS, **parse_judge_args(self.args), **given}
        if found.get("fresh") and found.get("no_calls"):
            raise BadInput("--fresh leaves the cache aside and --no-calls asks nobody; together they leave no verdict.")
        return found


def request_of(
    predictions: Path, data: str | None, model: str | None, choice: JudgeChoice, out: Path, **more: Any
) -> Request:
    """A request for a prediction file that comes without a run; ``more`` holds further fields (``limit``, ...)."""
    from medqbench_vlmeval.data import load
    from medqbench_vlmeval.judge.cache import default_folder
    from medqbench_vlmeval.runs.provenance import name_results
    from medqbench_vlmeval.workflows import Request

    sample_set = load(data) if data is not None else None
    names = name_results(predictions, model, sample_set)
    return Request(
        prediction_file=predictions,
        model=names.model,
        dataset=names.dataset,
        sample_set=sample_set,
        judge=choice.keywords(),
        out=out,
        cache=default_folder(),
        kit_asker=_kit_asker,
        stem=names.stem,
        **more,
    )


def _kit_asker(options: JudgeOptions) -> Asker:
    from medqbench_vlmeval.kit.judge import kit_asker

    return kit_asker(options)


# A word on Ctrl-C.


INTERRUPTED = 130


@contextmanager
def leave_on_interrupt() -> Iterator[None]:
    """Turn Ctrl-C into one sentence and the shell's usual exit code."""
    try:
        yield
    except KeyboardInterrupt:
        print("medqbench: interrupted; verdicts that had come are kept and not asked for again.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


# Printing to a terminal or a pipe.


def print_json(value: Any) -> None:
    """Print strict JSON, readable by a person; what the output's encoding cannot say is escaped."""
    found = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        found.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        found = json.dumps(value, indent=2, allow_nan=False)
    print(found)
