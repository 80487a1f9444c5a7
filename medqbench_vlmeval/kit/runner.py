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
import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput, MedQBenchError, MissingDependency, RunFailed
from medqbench_vlmeval.installed import InstalledKit, require_kit
from medqbench_vlmeval.judge import parse_judge_args
from medqbench_vlmeval.judge.extractor import extractor_name
from medqbench_vlmeval.judge.masking import masked_traceback
from medqbench_vlmeval.kit.extractors import extracting, extractor_in_environment, require_multiple_choice
from medqbench_vlmeval.kit.limits import LIMIT_OPTIONS, limit_in_environment, limit_of, limited, takes_limit
from medqbench_vlmeval.kit.redaction import Redaction, guard_kit, redacted
from medqbench_vlmeval.kit.second_pass import add_second_passes, finish, is_second_pass
from medqbench_vlmeval.kit.status import Job, Outcome, model_folder, outcome_of, run_folder
from medqbench_vlmeval.kit.uncut import check_predictions, nothing_lost
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, SECOND_PASS_NAMES, Task, parse_dataset_name

_OUR_PREFIX = "medqbench"
_OUR_CLASSES = ("MedQBenchPerception", "MedQBenchNoReference", "MedQBenchComparative", "MedQBenchReasoning")
# The kit's parser takes abbreviations; of options that may hold a key none must slip past this module.
_ABBREVIATED_KEY = re.compile(r"--(?:ke|judge-ke?|judge-arg?|judge-ar)(?:=|$)")


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
    rest, known = _take_ours(arguments)
    if not (known.config or (known.data and known.model) or {"-h", "--help"} & set(rest)):
        raise BadInput(
            "A run needs --data and --model, or --config; 'medqbench run --help' lists the kit's options. For a first "
            "try: --data MedQBench_Perception_mini --model MedQ-Classical."
        )
    entries, models = _entries(known)
    _check_names(list(entries) if known.config else known.data, entries)
    if known.robustness and (known.data or known.config):
        rest, known.data, entries, once = add_second_passes(rest, known.data, entries, known.config)
        for sentence in once:
            print(f"medqbench: {sentence}", file=sys.stderr)
    jobs = _jobs(known, entries, models)
    only_ours = bool(jobs) and all(_is_ours(job.dataset, entries) for job in jobs)
    _check_work_dir(Path(known.work_dir))
    work_dir = Path(os.environ.get("MMEVAL_ROOT") or known.work_dir)
    limit = known.limit if known.limit is not None else limit_in_environment()
    extractor_in_environment()
    require_multiple_choice(known.extractor, any(_is_multiple_choice(job.dataset, entries) for job in jobs))
    links = known.api_mode or _script(kit).parent != kit.package
    if limit is not None and not links:
        check_predictions(jobs, work_dir, limit)
    rest = _hide_keys(rest, only_ours)
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
    with limited(known.limit):
        outcomes = [_outcome(job, work_dir, started, entries, api_mode=known.api_mode) for job in jobs]
    _tell(jobs, outcomes, [_is_ours(job.dataset, entries) for job in jobs])
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
    from medqbench_vlmeval.report.render_robustness import robustness_tables
    from medqbench_vlmeval.report.text import terminal_text

    for job, outcome, is_ours in zip(jobs, outcomes, ours, strict=True):
        if outcome.failure:
            print(f"medqbench: {terminal_text(outcome.failure)}", file=sys.stderr)
        elif outcome.score and is_ours:
            print()
            show = robustness_tables if job.second_pass else run_summary
            show(json.loads(outcome.score.read_text(encoding="utf-8")))
            print(f"Results: {outcome.score.parent}")


def _take_ours(arguments: Sequence[str]) -> tuple[list[str], argparse.Namespace]:
    """Split off our own options, and read the kit's that this module needs to know about."""
    ours = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    ours.add_argument("--prompt-style")
    ours.add_argument(*LIMIT_OPTIONS)
    ours.add_argument("--extractor")
    ours.add_argument("--robustness", action="store_true")
    ours.add_argument("--dry-run", action="store_true")
    found, rest = ours.parse_known_args(arguments)
    if found.dry_run:
        raise BadInput(
            "A run has no --dry-run: what its judge costs depends on predictions that are yet to come. Make them with "
            "--mode infer, then 'medqbench score PREDICTIONS --judge NAME --dry-run' says what judging them costs."
        )
    limit = None if found.limit is None else limit_of(found.limit, "--limit")
    extractor = None if found.extractor is None else extractor_name(found.extractor)
    if found.prompt_style:
        from medqbench_vlmeval.prompts import check_style

        os.environ["MEDQBENCH_PROMPT_STYLE"] = check_style(found.prompt_style)
    kits = argparse.ArgumentParser(add_help=False)
    kits.add_argument("--data", nargs="+", default=[])
    kits.add_argument("--model", nargs="+", default=[])
    kits.add_argument("--config")
    kits.add_argument("--data-config")
    kits.add_argument("--base-url")
    kits.add_argument("--work-dir", default="./outputs")
    kits.add_argument("--mode", default="all")
    kits.add_argument("--api-mode", action="store_true")
    ours_read = argparse.Namespace(limit=limit, extractor=extractor, robustness=found.robustness)
    return rest, kits.parse_known_args(rest, ours_read)[0]


def _entries(known: argparse.Namespace) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """The dataset entries of ``--config`` or ``--data-config``, by name, and the models of the run.

    They are checked before anything is paid.

    Raises:
        BadInput: not JSON of that shape, or an entry that the kit would infer and then fail on.
    """
    option, text = "--data-config", known.data_config or "{}"
    if known.config:
        option = f"--config {known.config}"
        try:
            text = Path(known.config).read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{known.config} cannot be read: {error.strerror}.") from None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{option} is not JSON: {error}.") from None
    entries = config.get("data") if known.config and isinstance(config, dict) else config
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise BadInput(f"{option} must give a JSON object for each dataset's name.")
    if known.config and not isinstance(config.get("model"), dict):
        raise BadInput(f"{option} must have the objects 'model' and 'data'.")
    for name, entry in entries.items():
        # The kit's local mode writes predictions under one of the two names and reads them under the other.
        if entry.get("class") in _OUR_CLASSES and entry.get("dataset", name) != name and not known.api_mode:
            raise BadInput(
                f"{option} calls the dataset '{entry['dataset']}' by the name '{name}'; the kit's local mode needs the "
                "dataset's own name there (or use --api-mode)."
            )
    return entries, list(config["model"]) if known.config else known.model


def _is_ours(dataset: str, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    return (
        dataset in ALL_DATASET_NAMES
        or dataset in SECOND_PASS_NAMES
        or entries.get(dataset, {}).get("class") in _OUR_CLASSES
    )


def _is_multiple_choice(dataset: str, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    known = ALL_DATASET_NAMES.get(dataset)
    return (known is not None and known.task is Task.PERCEPTION) or (
        entries.get(dataset, {}).get("class") == "MedQBenchPerception"
    )


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


def _hide_keys(arguments: list[str], only_ours: bool) -> list[str]:
    """Move keys from the command line, which the kit writes into files, to the environment."""
    for word in arguments:
        if _ABBREVIATED_KEY.match(word):
            raise BadInput(f"Write '{word.partition('=')[0]}' out: --judge-key, --judge-args or --key.")
    keys = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    keys.add_argument("--key")
    keys.add_argument("--judge-key")
    keys.add_argument("--judge-args")
    found, rest = keys.parse_known_args(arguments)
    if found.key:
        # The kit's client for --base-url prefers this variable to its option.
        os.environ["LMDEPLOY_API_KEY"] = found.key
    judge_key = found.judge_key
    if found.judge_args:
        judge_args = parse_judge_args(found.judge_args)
        if only_ours:
            judge_key = judge_args.pop("key", None) or judge_key
        rest += ["--judge-args", json.dumps(judge_args)] if judge_args else []
    if judge_key and only_ours:
        os.environ["MEDQBENCH_JUDGE_KEY"] = judge_key
    elif judge_key:
        # Other datasets of the run get their judge from the kit, which knows no other way than its option.
        rest += ["--judge-key", judge_key]
    return rest


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
