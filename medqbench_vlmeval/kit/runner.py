"""``medqbench run``: register, hand over to the kit's own runner with all its options, and tell the truth about how it
ended. The kit exits with 0 even where every dataset failed; the exit code here is read off its ``status.json``."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from medqbench_vlmeval.benchmark import ROBUSTNESS, Task, known_dataset
from medqbench_vlmeval.data.image_store import data_folder
from medqbench_vlmeval.errors import BadInput, MedQBenchError, MissingDependency, RunFailed
from medqbench_vlmeval.files import as_file_name
from medqbench_vlmeval.judge.secrets import masked_traceback
from medqbench_vlmeval.kit.earlier_runs import EarlierRuns
from medqbench_vlmeval.kit.guards import KitErrors, Redaction, guard_kit, redacted, replaced
from medqbench_vlmeval.kit.imports import importing_kit
from medqbench_vlmeval.kit.model_calls import missing_weights, on_record, refusing_models, spread
from medqbench_vlmeval.kit.model_use import written_at_the_end
from medqbench_vlmeval.kit.options import (
    OTHER_MODELS,
    RunOptions,
    check_names,
    extractor_in_environment,
    hide_keys,
    in_environment,
    limit_in_environment,
    read_options,
    refuse_unknown,
    with_whole_sets,
)
from medqbench_vlmeval.kit.ranks import RankFailed, ending_together, n_ranks, rank
from medqbench_vlmeval.kit.robustness import add_second_passes, finish
from medqbench_vlmeval.kit.run_files import Job, Outcome, outcome_of
from medqbench_vlmeval.kit_version import InstalledKit, require_kit


def run(arguments: Sequence[str]) -> int:
    """Run the kit on ``arguments``, its own and ours (see ``options.read_options``), keys masked in all that it writes
    meanwhile; returns the exit code. Raises MedQBenchError where there is no kit, a name is unknown or an option cannot
    be used; SystemExit where the kit's argument parser refused an option or printed its help."""
    with redacted(arguments) as redaction:
        return _run(arguments, redaction)


def _run(arguments: Sequence[str], redaction: Redaction) -> int:
    kit = require_kit()
    words, options = read_options(arguments)
    if not (options.config or (options.datasets and options.models) or {"-h", "--help"} & set(words)):
        raise BadInput(
            "A run needs --data and --model, or --config; 'medqbench run --help' lists the options. For a first "
            "try: --data MedQBench_Perception_mini --model MedQ-Classical."
        )
    check_names(options, kit)
    if os.environ.get("LMUData"):  # noqa: SIM112 - the kit spells it so
        os.environ["LMUData"] = str(data_folder())  # noqa: SIM112
    words, options, notes = with_whole_sets(words, options)
    if options.robustness and options.datasets:
        words, options, more = add_second_passes(words, options)
        notes += more
    for sentence in notes if rank() == 0 else ():
        print(f"medqbench: {sentence}", file=sys.stderr)
    jobs = options.jobs()
    only_own = bool(jobs) and all(job.own for job in jobs)
    _check_work_dir(options.work_dir)
    work_dir = options.work_dir
    if not options.api_mode:
        work_dir = Path(os.environ.get("MMEVAL_ROOT") or work_dir)
    limit = options.limit if options.limit is not None else limit_in_environment()
    extractor_in_environment()
    if options.extractor is not None and not any(options.is_multiple_choice(job.dataset) for job in jobs):
        raise BadInput(
            "--extractor reads multiple-choice replies, and no dataset of this run is MedQBench_Perception; leave it "
            "out. Reasoning replies are judged with --judge."
        )
    words = hide_keys(words, only_own)
    if options.limit is not None and not only_own:
        if not takes_limit(_script(kit)):
            raise BadInput(
                "The installed kit has no --limit for datasets of its own; run them apart from the MedQBench ones, "
                "without --limit."
            )
        # Other datasets of the run are cut by the kit itself; ours are not longer than that by then.
        words += ["--limit", str(options.limit)]

    checks = options.test_call and options.mode != "eval" and rank() == 0
    refused: dict[str, str] = {}
    if checks and not options.base_url:
        refused = missing_weights({**dict.fromkeys(options.models), **options.model_entries}, kit)
        _check_any_left(options, refused)

    with importing_kit():
        import_module("vlmeval.inference_api")  # which kits have not that are older than this runner knows
        from medqbench_vlmeval.kit.registration import register

        register()
        _check_registered(options)
    if checks:
        refused |= refusing_models(_script(kit), words, options, redaction)
        _check_any_left(options, refused)
    started = datetime.now(timezone.utc)
    with in_environment(options):
        stopped = {(model, name): why for model, why in refused.items() for name in options.datasets}
        stopped |= _run_models(kit, words, options, limit, redaction, refused.keys())
        if rank() != 0:
            return 0
        told = [outcome_of(job, work_dir, started, stopped.get((job.model, job.dataset))) for job in jobs]
        ended = [(job, finish(job, outcome, options.entries)) for job, outcome in zip(jobs, told, strict=True)]
    _show(ended)
    return 1 if any(outcome.failure for _, outcome in ended) else 0


def _check_any_left(options: RunOptions, refused: Mapping[str, str]) -> None:
    if options.models and set(options.models) <= refused.keys():
        raise RunFailed(" ".join(refused.values()))


def _run_models(
    kit: InstalledKit,
    words: list[str],
    options: RunOptions,
    limit: int | None,
    redaction: Redaction,
    without: Collection[str],
) -> dict[tuple[str, str], str]:
    """Hand over to the kit, one model after the other, so that one that fails does not stop the others. Returns by
    model and dataset the last error that the kit logged; one that stopped the only model is raised."""
    # Where the kit's runner takes its functions from: its own module, or one that a checkout's script imports.
    names = import_module("vlmeval.run" if _script(kit).parent == kit.package else "vlmeval.smp")
    models = {as_file_name(model): model for model in options.models if model not in without}
    # Processes of torchrun have to stay together.
    apart = len(models) > 1 and n_ranks() == 1
    runs: list[dict[str, str]] = [{name: model} for name, model in models.items()] if apart else [models]
    earlier = EarlierRuns(models, options, limit)
    reasons: dict[tuple[str, str], str] = {}
    told = {job.dataset if job.own else "" for job in options.jobs()}
    with guard_kit(redaction), on_record(redaction), written_at_the_end(), earlier.watch(names), ending_together(names):
        for of_run in runs:
            with _named(names, of_run, options.config), KitErrors(told if "" in told else {*told, None}) as errors:
                try:
                    _hand_over(kit, words if tuple(of_run) == options.models else _with_models(words, of_run))
                except MedQBenchError:
                    raise
                except RankFailed as error:
                    raise RunFailed(redaction(str(error))) from error
                except SystemExit as end:
                    # A kit with the patch 'exit-code' ends so where a dataset failed; its status file says which.
                    if end.code != 1:
                        raise
                except Exception as error:  # noqa: BLE001
                    # The kit is foreign code with errors of every kind; predictions that it had finished are on disk.
                    lines = redaction(str(error)).strip().splitlines() or ["no message"]
                    errors.stopped = (
                        f"VLMEvalKit stopped with {type(error).__name__}: {lines[0]}. Its log in {options.work_dir} "
                        "says more; 'medqbench --debug run ...' shows the traceback."
                    )
                    if not apart:
                        hidden = masked_traceback(error, redaction)
                        raise RunFailed(errors.stopped) from (error if hidden is None else RunFailed(hidden))
            for model in of_run.values():
                reasons |= {(model, name): redaction(why) for name in options.datasets if (why := errors.about(name))}
    return reasons


def _with_models(words: list[str], models: Iterable[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--model", nargs="+")
    given, rest = parser.parse_known_args(words)
    # Those of a configuration are named where it is read.
    return [*rest, "--model", *models] if given.model else words


@contextmanager
def _named(names: ModuleType, models: Mapping[str, str], config: str | None) -> Iterator[None]:
    """Let the kit know models by names that make one folder each, and ask servers for them by their true names."""
    import vlmeval.api
    from vlmeval.config import supported_VLM

    for name, model in models.items():
        if model in supported_VLM:
            supported_VLM.setdefault(name, supported_VLM[model])
    served, load = vlmeval.api.LMDeployAPI, names.load

    def serve(**words: Any) -> Any:
        if (name := words.get("model", "")) in models:
            words["model"] = models[name]
        return spread(served, **words)

    def load_config(path: Any, *args: Any, **words: Any) -> Any:
        loaded = load(path, *args, **words)
        if path == config:
            loaded["model"] = {name: loaded["model"][model] for name, model in models.items()}
        return loaded

    with ExitStack() as undo:
        for module in (vlmeval.api, names):
            if hasattr(module, "LMDeployAPI"):
                undo.enter_context(replaced(module, "LMDeployAPI", serve))
        undo.enter_context(replaced(names, "load", load_config))
        yield


def _show(ended: Sequence[tuple[Job, Outcome]]) -> None:
    """Print the results of this package's below the kit's own log, what failed, and where the results are."""
    from medqbench_vlmeval.report.robustness_tables import robustness_tables
    from medqbench_vlmeval.report.run_tables import run_summary
    from medqbench_vlmeval.report.table import columns, table
    from medqbench_vlmeval.report.terminal import show
    from medqbench_vlmeval.report.text import terminal_text
    from medqbench_vlmeval.runs.files import read_result
    from medqbench_vlmeval.workflows.robustness import read_comparison

    folders = []
    for job, outcome in ended:
        if outcome.failure is None and outcome.score and job.own:
            print()
            if job.second_pass:
                show(robustness_tables(read_comparison(outcome.score)))
            else:
                show(run_summary(read_result(outcome.score)))
            folders.append(outcome.score.parent)
    sys.stdout.flush()
    failed = []
    for job, outcome in ended:
        if outcome.failure:
            print(f"medqbench: {terminal_text(outcome.failure)}", file=sys.stderr, flush=True)
            failed.append((job.model, job.dataset, outcome.failure.removeprefix(f"{job.dataset} with {job.model} ")))
    if failed and len(ended) > 1:
        show(["", table(f"Failed: {len(failed)} of {len(ended)}", columns("model", "dataset", "why"), failed)])
    for folder in dict.fromkeys(folders):
        print(f"Results: {folder}", flush=True)


def _check_work_dir(folder: Path) -> None:
    """Find out before seconds of imports and hours of inference whether results can be written."""
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise BadInput(f"--work-dir {folder} cannot be made: {nearest} is no folder that may be written to.")


def _check_registered(options: RunOptions) -> None:
    """Refuse names that the kit's source does not spell and that its registries do not have either."""
    import vlmeval.dataset
    from vlmeval.config import supported_VLM
    from vlmeval.dataset.video_dataset_config import supported_video_datasets
    from vlmeval.smp import LMUDataRoot

    if options.of_zoo:
        refuse_unknown("model", options.models, supported_VLM, OTHER_MODELS)
        names = (options.official_name(name).removesuffix(ROBUSTNESS) for name in options.datasets)
        tasks = [part for name in names if (known := known_dataset(name)) for part in known.task.parts]
        pairs = options.mode != "eval" and Task.COMPARATIVE in tasks
        for model in filter(lambda name: pairs and _takes_one_image(supported_VLM[name]), options.models):
            raise BadInput(
                f"{model} would be shown only the first image of a pair: its class in the kit takes one image. "
                "Leave it out where pairs are compared; MedQBench_Reasoning_NoReference has one image a sample."
            )
    datasets = {*vlmeval.dataset.SUPPORTED_DATASETS, *supported_video_datasets, *options.entries}
    datasets |= {path.stem for path in Path(LMUDataRoot()).glob("*.tsv")}
    refuse_unknown(
        "dataset", options.datasets, datasets, "'medqbench doctor' lists ours, 'vlmutil dlist all' the kit's."
    )


def _takes_one_image(entry: Any) -> bool:
    """Whether a class in the kit's zoo takes one image by the kit's own function, which of two takes the first."""
    classes: tuple[type, ...] = getattr(getattr(entry, "func", None), "__mro__", ())
    codes = [getattr(each, "__code__", None) for base in classes for each in vars(base).values()]
    takes_first = any(code and "message_to_promptimg" in code.co_names for code in codes)
    return takes_first and not getattr(classes[0], "INTERLEAVE", True)


def takes_limit(runner: Path) -> bool:
    """Whether a kit's own runner has ``--limit`` (the PyPI kit's has, git HEAD's has not)."""
    return "'--limit'" in runner.read_text(encoding="utf-8")


def _script(kit: InstalledKit) -> Path:
    """The kit's own runner, inside its package (PyPI) or beside it (a checkout, which may be installed without it)."""
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
    if str(kit.root) not in sys.path:
        sys.path.insert(0, str(kit.root))
    runpy.run_path(str(script), run_name="__main__")
