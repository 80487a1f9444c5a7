"""``medqbench run``: register, hand over to the kit's own runner with all its options, and tell the truth
about how it ended.

The kit's process ends with 0 even where every dataset failed; the exit code here is read off the kit's own
``status.json``. Keys given as options are moved to the environment first, since the kit writes its command
line and its judge's settings into files and logs.
"""

from __future__ import annotations

import difflib
import json
import os
import runpy
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from medqbench_vlmeval.benchmark import parse_dataset_name
from medqbench_vlmeval.errors import BadInput, MedQBenchError, MissingDependency, RunFailed
from medqbench_vlmeval.judge.secrets import masked_traceback
from medqbench_vlmeval.kit.guards import Redaction, check_predictions, guard_kit, preserve_earlier_files, redacted
from medqbench_vlmeval.kit.options import (
    extractor_in_environment,
    hide_keys,
    in_environment,
    limit_in_environment,
    read_options,
)
from medqbench_vlmeval.kit.robustness import add_second_passes, finish
from medqbench_vlmeval.kit.run_files import Job, Outcome, model_folder, outcome_of
from medqbench_vlmeval.kit_version import InstalledKit, require_kit


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
    words, options = read_options(arguments)
    if not (options.config or (options.datasets and options.models) or {"-h", "--help"} & set(words)):
        raise BadInput(
            "A run needs --data and --model, or --config; 'medqbench run --help' lists the kit's options. For a first "
            "try: --data MedQBench_Perception_mini --model MedQ-Classical."
        )
    for dataset in options.datasets:
        # The kit's own classes are spelled MedqbenchMCQ_dev and the like.
        looks_own = dataset.lower().startswith("medqbench") and not dataset.startswith("Medqbench")
        if looks_own and dataset not in options.entries:
            parse_dataset_name(dataset)
    if options.robustness and options.datasets:
        words, options, notes = add_second_passes(words, options)
        for sentence in notes:
            print(f"medqbench: {sentence}", file=sys.stderr)
    jobs = options.jobs()
    only_own = bool(jobs) and all(job.own for job in jobs)
    _check_work_dir(options.work_dir)
    work_dir = Path(os.environ.get("MMEVAL_ROOT") or options.work_dir)
    limit = options.limit if options.limit is not None else limit_in_environment()
    extractor_in_environment()
    if options.extractor is not None and not any(options.is_multiple_choice(job.dataset) for job in jobs):
        raise BadInput(
            "--extractor reads multiple-choice replies, and no dataset of this run is MedQBench_Perception; leave it "
            "out. Reasoning replies are judged with --judge."
        )
    script = _script(kit)
    links = options.api_mode or script.parent != kit.package
    if limit is not None and not links:
        check_predictions(jobs, work_dir, limit)
    words = hide_keys(words, only_own)
    if options.limit is not None and not only_own:
        if not takes_limit(script):
            raise BadInput(
                "The installed kit has no --limit for datasets of its own; run them apart from the MedQBench ones, "
                "without --limit."
            )
        # Other datasets of the run are cut by the kit itself; ours are not longer than that by then.
        words += ["--limit", str(options.limit)]

    from medqbench_vlmeval.kit.registration import register

    register()
    if not options.base_url and not options.config:
        _check_models(options.models)
    started = datetime.now(timezone.utc)
    with in_environment(options):
        try:
            with (
                preserve_earlier_files(jobs, work_dir, limit, api_mode=options.api_mode, links=links),
                guard_kit(redaction),
            ):
                _hand_over(kit, words)
        except MedQBenchError:
            raise
        except Exception as error:  # noqa: BLE001
            # The kit is foreign code with errors of every kind; predictions that it had finished are on the disk.
            lines = redaction(str(error)).strip().splitlines() or ["no message"]
            hidden = masked_traceback(error, redaction)
            raise RunFailed(
                f"VLMEvalKit stopped with {type(error).__name__}: {lines[0]}. Its log in {options.work_dir} says more; "
                "'medqbench --debug run ...' shows the traceback."
            ) from (error if hidden is None else RunFailed(hidden))
        if int(os.environ.get("RANK", "0")) != 0:
            return 0
        outcomes = [outcome_of(job, work_dir, started, api_mode=options.api_mode) for job in jobs]
        for place, job in enumerate(jobs):
            if job.second_pass:
                model = model_folder(job, work_dir, api_mode=options.api_mode).name
                outcomes[place] = finish(job, outcomes[place], options.entries, model=model)
    for job, outcome in zip(jobs, outcomes, strict=True):
        _show(job, outcome)
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def _show(job: Job, outcome: Outcome) -> None:
    """Print a result of this package's below the kit's own log, or a sentence for a failure."""
    from medqbench_vlmeval.report.robustness_tables import robustness_tables
    from medqbench_vlmeval.report.run_tables import run_summary
    from medqbench_vlmeval.report.terminal import show
    from medqbench_vlmeval.report.text import terminal_text
    from medqbench_vlmeval.runs.result import result_from_json
    from medqbench_vlmeval.workflows.robustness import read_comparison

    if outcome.failure:
        print(f"medqbench: {terminal_text(outcome.failure)}", file=sys.stderr)
    elif outcome.score and job.own:
        print()
        if job.second_pass:
            show(robustness_tables(read_comparison(outcome.score)))
        else:
            show(run_summary(result_from_json(json.loads(outcome.score.read_text(encoding="utf-8")))))
        print(f"Results: {outcome.score.parent}")


def _check_work_dir(folder: Path) -> None:
    """Find out before seconds of imports and hours of inference whether results can be written."""
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise BadInput(f"--work-dir {folder} cannot be made: {nearest} is no folder that may be written to.")


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


def takes_limit(runner: Path) -> bool:
    """Whether a kit's own runner has ``--limit`` (the PyPI kit's has, git HEAD's has not)."""
    return "'--limit'" in runner.read_text(encoding="utf-8")


def _script(kit: InstalledKit) -> Path:
    """The kit's own runner, inside its package (PyPI) or beside it (a checkout).

    Raises:
        MissingDependency: a checkout was installed without it.
    """
    for script in (kit.package / "run.py", kit.root / "run.py"):
        if script.is_file():
            return script
    raise MissingDependency(
        f"The VLMEvalKit in {kit.root} was installed without its run.py; install the checkout with 'pip install -e "
        "PATH_OF_THE_CHECKOUT', or take the kit from PyPI with 'pip install ms-vlmeval'."
    )


def _hand_over(kit: InstalledKit, arguments: list[str]) -> None:
    script = _script(kit)
    sys.argv = [str(script), *arguments]
    if script.parent == kit.package:
        import vlmeval.run

        vlmeval.run.main()
        return
    sys.path.insert(0, str(kit.root))
    runpy.run_path(str(script), run_name="__main__")
