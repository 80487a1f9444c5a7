"""Names for the results of a prediction file that comes without a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.data import load_dataset, load_sample_file
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.records import SampleSet
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, SECOND_PASS_NAMES, Task, dataset_names, parse_dataset_name

CUSTOM = "custom"

# Prediction files of the kit's own classes carry their names; the data are the same.
_KITS_OWN = {
    "MedqbenchMCQ": Task.PERCEPTION,
    "MedqbenchCaption": Task.NO_REFERENCE,
    "MedqbenchPairedDescription": Task.COMPARATIVE,
}
_NAMES_IN_FILES = {name: name for name in (*ALL_DATASET_NAMES, *SECOND_PASS_NAMES)} | {
    f"{kits}{ending}": f"{next(iter(dataset_names(task)))}{ending}"
    for kits, task in _KITS_OWN.items()
    for ending in ("", "_dev", "_test")
}
# File systems take 255 bytes; the dataset's name and the ending need their share.
_LONGEST_NAME = 120


@dataclass(frozen=True)
class ResultNames:
    """The model's and the dataset's name in the results, and the stem of the result files."""

    model: str
    dataset: str
    stem: str


def sample_set_for(data: str, images: bool = False) -> SampleSet:
    """The samples behind a TSV's path or a dataset's name, with their images where wanted.

    Raises:
        BadInput: neither a file nor a known name.
    """
    if data in ALL_DATASET_NAMES:
        return load_dataset(parse_dataset_name(data), images=images)
    path = Path(data).expanduser()
    if not path.exists():
        raise BadInput(f"--data {data} is neither a file nor a dataset's name ('medqbench doctor' lists the names).")
    return load_sample_file(path, images=images)


def name_results(predictions: Path, model: str | None, sample_set: SampleSet | None) -> ResultNames:
    """Tell the names from ``MODEL_DATASET.EXT``; what is given by hand wins.

    A file whose name does not end in a dataset's name gives the dataset 'custom', or the data's own name.
    """
    stem = predictions.stem
    ending = max((name for name in _NAMES_IN_FILES if stem.endswith(f"_{name}")), key=len, default=None)
    dataset = _NAMES_IN_FILES[ending] if ending else None
    in_file = stem.removesuffix(f"_{ending}") if ending else stem
    if sample_set is not None and sample_set.name in ALL_DATASET_NAMES:
        dataset = sample_set.name
    named = model or in_file
    dataset = dataset or (sample_set.name if sample_set is not None else CUSTOM)
    safe = "".join(character if character.isprintable() else "_" for character in named)
    safe = safe.replace("/", "--").replace("\\", "--")[:_LONGEST_NAME]
    return ResultNames(named, dataset, f"{safe}_{dataset}")
