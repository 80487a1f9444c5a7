"""MedQ-Bench for VLMEvalKit: medical image quality assessment by multimodal language models.

>>> import medqbench_vlmeval as mq
>>> run = mq.score("M_MedQBench_Perception_mini.jsonl", out="results", data="MedQBench_Perception_mini")
>>> run.result["perception"].measures["Overall"]
Cell(66.67, 95% interval 55.42 to 76.29, n=75)

Importing the package loads nothing heavy: each name below brings its own modules when it is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.options import JudgeOptions
    from medqbench_vlmeval.runs.comparison import RunComparison
    from medqbench_vlmeval.types import Cell, Prediction, Result, Run, Sample, SampleSet, Verdict

__version__ = "0.1.0"

__all__ = [
    "Cell",
    "JudgeOptions",
    "Prediction",
    "Result",
    "Run",
    "Sample",
    "Verdict",
    "__version__",
    "compare",
    "extract_choice",
    "load",
    "read_runs",
    "register",
    "score",
]

_TYPES = dict.fromkeys(("Cell", "Prediction", "Result", "Run", "Sample", "Verdict"), "medqbench_vlmeval.types")
_LAZY = {**_TYPES, "JudgeOptions": "medqbench_vlmeval.judge.options"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def register() -> None:
    """Put the datasets, model aliases and baselines into the installed VLMEvalKit; calling twice does no harm.

    Raises:
        medqbench_vlmeval.errors.MissingDependency: no VLMEvalKit is installed.
    """
    from medqbench_vlmeval.kit.registration import register as register_all

    register_all()


def load(data: str | Path, images: bool = False, columns: Mapping[str, str] | None = None) -> SampleSet:
    """The samples of a dataset, or of a data file of your own: a sequence that can also give a ``datasets.Dataset``.

    >>> samples = load("MedQBench_Perception_mini")
    >>> len(samples), samples[0].modality
    (75, 'CT')

    Args:
        data: a dataset's name (a test or dev split is fetched from the hub once) or a data file.
        images: whether images are found, checked and stored, so that ``Sample.images`` has their paths.
        columns: the file's columns by their meanings, where they have other names: ``{"severity": "grade"}``.

    Raises:
        medqbench_vlmeval.errors.BadInput: neither a name nor a file that can be used.
    """
    from medqbench_vlmeval.data import load as load_set
    from medqbench_vlmeval.data.columns import check_named

    named = None if columns is None else check_named(columns.items(), "columns")
    return load_set(str(data), images, named)


def extract_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """The option letter that a careful reader would record for a reply, None where it gives no answer.

    >>> extract_choice("It is noisy, so the answer is B.", {"A": "Sharp", "B": "Noisy"})
    'B'
    """
    from medqbench_vlmeval.answers import extract_choice as extract

    return extract(reply, options)


def score(
    predictions: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    model: str | None = None,
    judge: str | JudgeOptions | None = None,
    extractor: str | None = None,
    limit: int | None = None,
    leaderboard: bool = False,
) -> Run:
    """Score a prediction file without the kit and leave its result files in a folder.

    >>> run = score("M_MedQBench_Perception_mini.jsonl", out="results", data="MedQBench_Perception_mini")
    >>> run
    Run(75 samples, Result(M on MedQBench_Perception_mini, not comparable: TaskResult(perception, n=75: ...)))
    >>> run.to_frame().groupby("modality")["correct"].sum().to_dict()["CT"]
    10

    Args:
        predictions: xlsx, csv, tsv, json or jsonl; the task is told from its columns.
        out: the folder for the result files.
        data: a dataset's name or a data file; None takes the prediction file's own columns.
        model: its name in the results; None takes it from the file's name.
        judge: for reasoning, a judge's name ('gpt-4o', 'rules') or its options. What it was paid for is kept in the
            same cache that the command line uses.
        extractor: a model that reads multiple-choice replies which the rules leave open.
        limit: only so many samples, a stratified subset.
        leaderboard: whether the run enters the board in ``out``/leaderboard.

    Raises:
        medqbench_vlmeval.errors.MedQBenchError: something cannot be used, or the judge cannot be asked.
    """
    from medqbench_vlmeval.judge.options import keywords_of
    from medqbench_vlmeval.kit.judge import kit_client
    from medqbench_vlmeval.workflows.evaluate import evaluate, request_for

    folder = Path(out)
    keywords = {} if judge is None else {"model": judge} if isinstance(judge, str) else keywords_of(judge)
    request = request_for(
        Path(predictions),
        folder,
        None if data is None else str(data),
        model,
        keywords,
        keep_images=True,
        extractor=extractor,
        limit=limit,
        kit_client=kit_client,
        leaderboard=folder / "leaderboard" if leaderboard else None,
    )
    return evaluate(request)


def read_runs(*places: str | Path) -> list[Run]:
    """Read scored runs, each once: result files, prediction files with results beside them, folders, globs.

    >>> [run] = read_runs("results")
    >>> by_modality = run.result["perception"].groups["modality"]
    >>> by_modality["CT"].overall
    Cell(66.67, 95% interval 41.71 to 84.82, n=15)

    Raises:
        medqbench_vlmeval.errors.BadInput: a place holds no whole run.
    """
    from medqbench_vlmeval.runs.files import read_runs as read

    return read(Path(place) for place in places)


def compare(*runs: Run | str | Path, seed: int = 0, baseline: str | None = None) -> RunComparison:
    """Compare two runs or more on the samples that they have in common.

    >>> comparison = compare("results", "other")
    >>> comparison.parts[0].pairs[0].overall.cell
    Cell(16.00, 95% interval 0.00 to 32.00, n=75)

    Args:
        runs: runs, or what :func:`read_runs` takes.
        seed: of the bootstrap.
        baseline: the model, or the place of the run, with which alone all others are compared.

    Raises:
        medqbench_vlmeval.errors.BadInput: a run cannot be read, or they have no task or no sample in common.
    """
    from medqbench_vlmeval.types import Run
    from medqbench_vlmeval.workflows.compare import compare_runs

    return compare_runs([run if isinstance(run, Run) else Path(run) for run in runs], seed, baseline)
