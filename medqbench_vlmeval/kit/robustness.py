"""``--robustness`` of a run: each dataset a second time, with its options permuted or its images swapped.

The second pass is a dataset of its own for the kit, named ``DATASET_robustness``, behind the official one. It is
evaluated by joining its predictions with those of the first pass, which lie in the same run's folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, ROBUSTNESS, SECOND_PASS_NAMES, Task
from medqbench_vlmeval.errors import BadInput, MedQBenchError
from medqbench_vlmeval.files import read_object
from medqbench_vlmeval.kit.run_files import STATUS_FILE, Job, Outcome, locate_run
from medqbench_vlmeval.types import SampleSet
from medqbench_vlmeval.workflows.robustness import PassesRequest, compare_passes, robustness_paths

_FORMATS = (".xlsx", ".tsv", ".json")

Entries = Mapping[str, Mapping[str, Any]]


def is_second_pass(dataset: str, entries: Entries) -> bool:
    """Whether a name for ``--data`` stands for a second pass."""
    return str(entries.get(dataset, {}).get("dataset", dataset)) in SECOND_PASS_NAMES


def add_second_passes(
    words: Sequence[str], datasets: Sequence[str], entries: Entries, config: str | None
) -> tuple[list[str], list[str], dict[str, Mapping[str, Any]], list[str]]:
    """Put a second pass behind each dataset of ours that has one.

    Args:
        words: the kit's command line.
        datasets: its ``--data``.
        entries: its ``--data-config``.
        config: its ``--config``, which is a file of the user's and cannot be added to.

    Returns:
        The command line, its datasets and entries, and a sentence for each dataset that is not run a second time as a
        whole.

    Raises:
        BadInput: no dataset has a second pass, or ``config`` is given.
    """
    if config:
        raise BadInput(
            f"--robustness adds to --data and leaves {config} as it is; give second passes entries of their own there "
            f"('NAME{ROBUSTNESS}', with the same class and data_path)."
        )
    wanted, added, notes = [], dict(entries), []
    for name in datasets:
        wanted.append(name)
        official = str(entries.get(name, {}).get("dataset", name))
        known = ALL_DATASET_NAMES.get(official)
        if known is None:
            continue
        if known.task is Task.NO_REFERENCE:
            notes.append(
                f"{name} is run once: a no-reference sample has one image and no options, so no order to change."
            )
            continue
        if known.task is Task.REASONING:
            notes.append(f"Of {name} only the comparative part is run twice; the other has no order to change.")
        if name in entries:
            added[name + ROBUSTNESS] = {**entries[name], "dataset": official + ROBUSTNESS}
        if name + ROBUSTNESS not in (*datasets, *wanted):
            wanted.append(name + ROBUSTNESS)
    if not any(is_second_pass(name, added) for name in wanted):
        raise BadInput(
            "--robustness permutes the options of MedQBench_Perception and swaps the images of MedQBench_Reasoning_"
            f"Comparative; {', '.join(datasets)} has no order to change in a second pass."
        )
    return _with_datasets(words, wanted, added if entries else {}), wanted, added, notes


def _with_datasets(words: Sequence[str], datasets: Sequence[str], entries: Entries) -> list[str]:
    # Abbreviated as well, like the kit's: an option that stayed behind the new one would be the one that counts.
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", nargs="+")
    parser.add_argument("--data-config")
    _, rest = parser.parse_known_args(words)
    config = ["--data-config", json.dumps(entries)] if entries else []
    return ["--data", *datasets, *config, *rest]


def evaluate_second_pass(
    eval_file: Path, dataset: str, first_set: SampleSet, only: Set[str] | None = None
) -> dict[str, Any]:
    """Compare a second pass's predictions with the first pass's and return the headline numbers.

    Args:
        eval_file: the second pass's prediction file.
        dataset: its name.
        first_set: the official dataset.
        only: limits the comparison to these indexes.

    Raises:
        BadInput: the first pass's predictions are not there, or the two files do not belong together.
    """
    place = locate_run(eval_file, dataset)
    first = _first_pass_file(eval_file, place.model, dataset)
    request = PassesRequest(first, eval_file, place.model, dataset, eval_file.parent, first_set, only)
    return headline(compare_passes(request).result)


def headline(result: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a comparison for the kit's status file, under names that no result of the benchmark has."""
    if result["robustness_of"] == Task.PERCEPTION.value:
        found = {
            "Accuracy, first pass": result["first"]["percent"],
            "Accuracy, second pass": result["second"]["percent"],
            "Debiased accuracy": result["debiased"]["percent"],
            "Right in both": result["right_in_both"]["percent"],
            "Same option in both": result["consistency"]["percent"],
        }
    else:
        quality, preferred = result["quality_accuracy"], result["preferences"]
        found = {
            "Same image in both": preferred["consistent"]["percent"],
            "First place in both": preferred["first_place_twice"]["percent"],
            "Second place in both": preferred["second_place_twice"]["percent"],
            "Debiased quality accuracy, stated": quality["debiased"]["mean"],
        }
    return {**found, "n": result["n"], "comparable_with_published": 0}


def finish(job: Job, outcome: Outcome, folder: Path | None, entries: Entries, *, model: str) -> Outcome:
    """Compare the passes once more where the kit's api-mode evaluated the second one before the first was complete.

    Args:
        job: a job of a second pass.
        outcome: what the kit says of it.
        folder: the run's folder, None where there was no run.
        entries: dataset entries of the command line.
        model: the model's name in the files' names.
    """
    stem = f"{model}_{job.dataset}"
    if outcome.failure is None or job.mode == "infer" or folder is None:
        return outcome
    second = _existing(folder, stem)
    if second is None or _existing(folder, stem.removesuffix(ROBUSTNESS)) is None:
        return outcome
    import vlmeval.dataset as kit

    options = {"dataset": job.dataset, **entries.get(job.dataset, {})}
    name = options.pop("class", None)
    cls = getattr(kit, str(name)) if name else _class_of(kit, str(options["dataset"]))
    try:
        cls(**options).evaluate(str(second))
    except MedQBenchError as error:
        return Outcome(f"{job.dataset} with {job.model} failed: {error}")
    return Outcome(None, robustness_paths(second).numbers)


def _class_of(kit: Any, dataset: str) -> Any:
    return next(cls for cls in kit.DATASET_CLASSES if dataset in cls.supported_datasets())


def _first_pass_file(second: Path, model: str, dataset: str) -> Path:
    official = dataset.removesuffix(ROBUSTNESS)
    stems = [f"{model}_{official}"]
    if second.stem.endswith(ROBUSTNESS):
        # --data-config gives datasets names of its own, which the files' names then carry.
        stems.insert(0, second.stem.removesuffix(ROBUSTNESS))
    status = read_object(second.parent / STATUS_FILE) or {}
    in_this_run = any(stem.removeprefix(f"{model}_") in status.get("datasets", {}) for stem in stems)
    folders, above = [second.parent], second.absolute().parent.parent
    if above.name == model and not in_this_run:
        # A run of the second pass alone takes the model's latest first pass, which the kit links there.
        folders.append(above)
    for folder in folders:
        for stem in stems:
            if (found := _existing(folder, stem, second.suffix)) is not None:
                return found
    raise BadInput(
        f"The first pass's predictions are not there: {second.parent / stems[0]}{second.suffix} was expected. Run "
        f"{official} with the same model first, or both at once with --data {official} --robustness; 'medqbench "
        f"robustness FIRST {second.name} --out DIR' compares files that lie elsewhere."
    )


def _existing(folder: Path, stem: str, first_choice: str = _FORMATS[0]) -> Path | None:
    endings = sorted(_FORMATS, key=lambda ending: ending != first_choice)
    return next((path for ending in endings if (path := folder / f"{stem}{ending}").is_file()), None)
