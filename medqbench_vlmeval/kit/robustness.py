"""``--robustness`` of a run: each dataset in a second pass, with its options permuted or its images swapped. The second
pass is a dataset of its own for the kit, named ``DATASET_robustness``, behind the official one. It is evaluated by
joining its predictions with those of the first pass, which lie in the same run's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import ROBUSTNESS, Task, known_dataset
from medqbench_vlmeval.errors import BadInput, MedQBenchError
from medqbench_vlmeval.files import as_file_name, json_object
from medqbench_vlmeval.kit.options import Entries, RunOptions, with_datasets
from medqbench_vlmeval.kit.run_files import PREDICTION_SUFFIXES, STATUS_FILE, Job, Outcome, locate_run
from medqbench_vlmeval.types import SampleSet
from medqbench_vlmeval.workflows.robustness import compare_passes, robustness_paths


def add_second_passes(words: Sequence[str], options: RunOptions) -> tuple[list[str], RunOptions, list[str]]:
    """The kit's command line and its options with a second pass behind each dataset of ours that has one, and a
    sentence for each that is not run twice as a whole. BadInput where none is, or a configuration file is given."""
    if options.config:
        raise BadInput(
            f"--robustness adds to --data and leaves {options.config} as it is; give second passes entries of their "
            f"own there ('NAME{ROBUSTNESS}', with the same class and data_path)."
        )
    names: list[str] = []
    entries, notes = dict(options.entries), []
    for name in options.datasets:
        names.append(name)
        official = options.official_name(name)
        known = known_dataset(official)
        if known is None:
            continue
        if known.task is Task.NO_REFERENCE:
            why = "a no-reference sample has one image and no options, so no order to change"
            notes.append(f"{name} is run once: {why}.")
            continue
        if known.task is Task.REASONING:
            notes.append(f"Of {name} only the comparative part is run twice; the other has no order to change.")
        if name in entries:
            entries[name + ROBUSTNESS] = {**entries[name], "dataset": official + ROBUSTNESS}
        if name + ROBUSTNESS not in (*options.datasets, *names):
            names.append(name + ROBUSTNESS)
    both = replace(options, datasets=tuple(names), entries=entries)
    if not any(map(both.is_second_pass, names)):
        raise BadInput(
            "--robustness permutes the options of MedQBench_Perception and swaps the images of MedQBench_Reasoning_"
            f"Comparative; {', '.join(options.datasets)} has no order to change in a second pass."
        )
    return with_datasets(words, names, json.dumps(entries) if options.entries else None), both, notes


def evaluate_second_pass(
    eval_file: Path, dataset: str, first_set: SampleSet, only: Set[str] | None = None
) -> dict[str, float | None]:
    """The headline numbers of a second pass's predictions beside the first pass's, of the samples ``only`` where given.
    BadInput where the first pass's predictions are not there, or the two files do not belong together."""
    model, _ = locate_run(eval_file, dataset)
    first = _first_pass_file(eval_file, model, dataset)
    result = compare_passes((first, eval_file), model, dataset, eval_file.parent, first_set, only).result
    # Numbers for the kit's status file, under names that no result of the benchmark has.
    if result["robustness_of"] == Task.PERCEPTION.value:
        numbers = {
            "Accuracy, first pass": result["first"]["percent"],
            "Accuracy, second pass": result["second"]["percent"],
            "Debiased accuracy": result["debiased"]["percent"],
            "Right in both": result["right_in_both"]["percent"],
            "Same option in both": result["consistency"]["percent"],
        }
    else:
        quality, preferred = result["quality_accuracy"], result["preferences"]
        numbers = {
            "Same image in both": preferred["consistent"]["percent"],
            "First place in both": preferred["first_place_twice"]["percent"],
            "Second place in both": preferred["second_place_twice"]["percent"],
            "Debiased quality accuracy, stated": quality["debiased"]["mean"],
        }
    return {**numbers, "n": result["n"], "comparable_with_published": 0}


def finish(job: Job, outcome: Outcome, entries: Entries) -> Outcome:
    """Compare the passes once more where the kit's api-mode evaluated the second one before the first was complete."""
    if outcome.failure is None or job.mode == "infer" or outcome.folder is None or not job.second_pass:
        return outcome
    stem = f"{as_file_name(job.model)}_{job.dataset}"
    second = _existing(outcome.folder, stem)
    if second is None or _existing(outcome.folder, stem.removesuffix(ROBUSTNESS)) is None:
        return outcome
    from medqbench_vlmeval.kit.datasets import DATASET_CLASSES

    entry: dict[str, Any] = {"dataset": job.dataset, **entries.get(job.dataset, {})}
    entry.pop("class", None)
    of_class = next(cls for cls in DATASET_CLASSES if entry["dataset"] in cls.supported_datasets())
    try:
        of_class(**entry).evaluate(str(second))
    except MedQBenchError as error:
        return Outcome(f"{job.dataset} with {job.model} failed: {error}")
    return Outcome(None, robustness_paths(second).score)


def _first_pass_file(second: Path, model: str, dataset: str) -> Path:
    official = dataset.removesuffix(ROBUSTNESS)
    stems = [f"{model}_{official}"]
    if second.stem.endswith(ROBUSTNESS):
        # --data-config gives datasets names of its own, which the files' names then carry.
        stems.insert(0, second.stem.removesuffix(ROBUSTNESS))
    status = json_object(second.parent / STATUS_FILE) or {}
    in_this_run = any(stem.removeprefix(f"{model}_") in status.get("datasets", {}) for stem in stems)
    folders, above = [second.parent], second.absolute().parent.parent
    if above.name == model and not in_this_run:
        # A run of the second pass alone takes the model's latest first pass, which the kit links there.
        folders.append(above)
    for folder in folders:
        for stem in stems:
            if (first := _existing(folder, stem, second.suffix)) is not None:
                return first
    raise BadInput(
        f"The first pass's predictions are not there: {second.parent / stems[0]}{second.suffix} was expected. Run "
        f"{official} with the same model first, or both at once with --data {official} --robustness; 'medqbench "
        f"robustness FIRST {second.name} --out DIR' compares files that lie elsewhere."
    )


def _existing(folder: Path, stem: str, first_choice: str = PREDICTION_SUFFIXES[0]) -> Path | None:
    suffixes = sorted(PREDICTION_SUFFIXES, key=lambda suffix: suffix != first_choice)
    return next((path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()), None)
