"""``medqbench run``: register, hand over to the kit's own runner with all its options, and tell the truth
about how it ended.

The kit's process ends with 0 even where every dataset failed; the exit code here is read off the kit's own
``status.json``. Keys given as options are moved to the environment first, since the kit writes its command
line and its judge's settings into files and logs.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import parse_dataset_name
from medqbench_vlmeval.errors import BadInput, MedQBenchError, MissingDependency, RunFailed
from medqbench_vlmeval.judge.secrets import masked_traceback
from medqbench_vlmeval.kit.guards import Redaction, check_predictions, guard_kit, nothing_lost, redacted
from medqbench_vlmeval.kit.options import (
    STYLE_VARIABLE,
    dataset_entries,
    extracting,
    extractor_in_environment,
    hide_keys,
    is_multiple_choice,
    is_ours,
    limit_in_environment,
    limited,
    require_multiple_choice,
    take_ours,
    takes_limit,
    variable,
)
from medqbench_vlmeval.kit.robustness import add_second_passes, finish, is_second_pass
from medqbench_vlmeval.kit.run_files import Job, Outcome, model_folder, outcome_of, run_folder
from medqbench_vlmeval.kit_version import InstalledKit, require_kit

_OUR_PREFIX = "medqbench"


def run(arguments: Sequence[str]) -> int:
    """Run the kit on ``arguments`` and return the exit code.

    They are the kit's own, and ``--prompt-style``, ``--limit``, ``--extractor`` and ``--robustness``.

    Keys are masked in all that the kit logs, prints and writes into its status file meanwhile.

    Raises:
        MedQBenchError: no kit, an unknown dataset or model, an unknown prompt style.
        SystemExit: the kit's argument parser refused an option or printed its help.
    """
    with redacted(arguments) as redaction:
        return _run(arguments, redaction)


def _run(arguments: Sequence[str], redaction: Redaction) -> int:
    kit = require_kit()
    rest, known = take_ours(arguments)
    if not (known.config or (known.data and known.model) or {"-h", "--help"} & set(rest)):
        raise BadInput(
            "A run needs --data and --model, or --config; 'medqbench run --help' lists the kit's options. For a first "
            "try: --data MedQBench_Perception_mini --model MedQ-Classical."
        )
    entries, models = dataset_entries(known)
    _check_names(list(entries) if known.config else known.data, entries)
    if known.robustness and (known.data or known.config):
        rest, known.data, entries, once = add_second_passes(rest, known.data, entries, known.config)
        for sentence in once:
            print(f"medqbench: {sentence}", file=sys.stderr)
    jobs = _jobs(known, entries, models)
    only_ours = bool(jobs) and all(is_ours(job.dataset, entries) for job in jobs)
    _check_work_dir(Path(known.work_dir))
    work_dir = Path(os.environ.get("MMEVAL_ROOT") or known.work_dir)
    limit = known.limit if known.limit is not None else limit_in_environment()
    extractor_in_environment()
    require_multiple_choice(known.extractor, any(is_multiple_choice(job.dataset, entries) for job in jobs))
    links = known.api_mode or _script(kit).parent != kit.package
    if limit is not None and not links:
        check_predictions(jobs, work_dir, limit)
    rest = hide_keys(rest, only_ours)
    if known.limit is not None and not only_ours:
        if not takes_limit(_script(kit)):
            raise BadInput(
                "The installed kit has no --limit for datasets of its own; run them apart from the MedQBench ones, "
                "without --limit."
            )
        # Other datasets of the run are cut by the kit itself; ours are not longer than that by then.
        rest += ["--limit", str(known.limit)]

    from medqbench_vlmeval.kit.registration import register

    register()
    if not known.base_url and not known.config:
        _check_models(known.model or [])
    started = datetime.now(timezone.utc)
    try:
        with (
            variable(STYLE_VARIABLE, known.prompt_style),
            limited(known.limit),
            extracting(known.extractor),
            nothing_lost(jobs, work_dir, limit, api_mode=known.api_mode, links=links),
            guard_kit(redaction),
        ):
            _hand_over(kit, rest)
    except MedQBenchError:
        raise
    except Exception as error:  # noqa: BLE001
        # The kit is foreign code with errors of every kind; predictions that it had finished are on the disk.
        words = redaction(str(error)).strip().splitlines() or ["no message"]
        hidden = masked_traceback(error, redaction)
        raise RunFailed(
            f"VLMEvalKit stopped with {type(error).__name__}: {words[0]}. Its log in {known.work_dir} says more; "
            "'medqbench --debug run ...' shows the traceback."
        ) from (error if hidden is None else RunFailed(hidden))
    if int(os.environ.get("RANK", "0")) != 0:
        return 0
    with variable(STYLE_VARIABLE, known.prompt_style), limited(known.limit):
        outcomes = [_outcome(job, work_dir, started, entries, api_mode=known.api_mode) for job in jobs]
    _tell(jobs, outcomes, [is_ours(job.dataset, entries) for job in jobs])
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def _outcome(
    job: Job, work_dir: Path, started: datetime, entries: Mapping[str, Mapping[str, Any]], *, api_mode: bool
) -> Outcome:
    outcome = outcome_of(job, work_dir, started, api_mode=api_mode)
    if not job.second_pass:
        return outcome
    folder = run_folder(job, work_dir, started, api_mode=api_mode)
    return finish(job, outcome, folder, entries, model=model_folder(job, work_dir, api_mode=api_mode).name)


def _tell(jobs: Sequence[Job], outcomes: Sequence[Outcome], ours: Sequence[bool]) -> None:
    """Print each result of ours below the kit's own log, and a sentence for each failure."""
    from medqbench_vlmeval.report import run_summary
    from medqbench_vlmeval.report.agreement_tables import robustness_tables
    from medqbench_vlmeval.report.text import terminal_text

    for job, outcome, of_ours in zip(jobs, outcomes, ours, strict=True):
        if outcome.failure:
            print(f"medqbench: {terminal_text(outcome.failure)}", file=sys.stderr)
        elif outcome.score and of_ours:
            print()
            show = robustness_tables if job.second_pass else run_summary
            show(json.loads(outcome.score.read_text(encoding="utf-8")))
            print(f"Results: {outcome.score.parent}")


def _jobs(known: argparse.Namespace, entries: Mapping[str, Mapping[str, Any]], models: Sequence[str]) -> list[Job]:
    """The model x dataset pairs that this run is asked for."""
    datasets = list(entries) if known.config else known.data
    return [
        Job(model, dataset, known.mode, is_second_pass(dataset, entries)) for model in models for dataset in datasets
    ]


def _check_names(datasets: Sequence[str], entries: Mapping[str, Mapping[str, Any]]) -> None:
    for dataset in datasets:
        if dataset.lower().startswith(_OUR_PREFIX) and dataset not in entries and not _is_of_the_kit(dataset):
            parse_dataset_name(dataset)


def _check_work_dir(folder: Path) -> None:
    """Find out before seconds of imports and hours of inference whether results can be written."""
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise BadInput(f"--work-dir {folder} cannot be made: {nearest} is no folder that may be written to.")


def _is_of_the_kit(dataset: str) -> bool:
    # The kit's own classes are spelled MedqbenchMCQ_dev and the like.
    return dataset.startswith("Medqbench")


def _check_models(models: Sequence[str]) -> None:
    from vlmeval.config import supported_VLM

    for model in models:
        if model not in supported_VLM:
            near = difflib.get_close_matches(model, list(supported_VLM), n=3, cutoff=0.5)
            hint = f" Nearest names: {', '.join(near)}." if near else ""
            raise BadInput(
                f"The installed kit has no model '{model}'.{hint} 'vlmutil mlist all' lists them; a served model is "
                "named freely together with --base-url."
            )


def _script(kit: InstalledKit) -> Path:
    """The kit's own runner, inside its package (PyPI) or beside it (a checkout).

    Raises:
        MissingDependency: a checkout was installed without it.
    """
    script = next((found for folder in (kit.package, kit.root) if (found := folder / "run.py").is_file()), None)
    if script is None:
        raise MissingDependency(
            f"The VLMEvalKit in {kit.root} was installed without its run.py; install the checkout with 'pip install -e "
            "PATH_OF_THE_CHECKOUT', or take the kit from PyPI with 'pip install ms-vlmeval'."
        )
    return script


def _hand_over(kit: InstalledKit, arguments: list[str]) -> None:
    script = _script(kit)
    sys.argv = [str(script), *arguments]
    if script.parent == kit.package:
        import vlmeval.run

        vlmeval.run.main()
        return
    sys.path.insert(0, str(kit.root))
    runpy.run_path(str(script), run_name="__main__")
