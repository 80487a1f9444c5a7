"""Where a dataset's files are looked for: a path, a folder, this package, the hub."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from medqbench_vlmeval.data import hub
from medqbench_vlmeval.data.images import ImageStore
from medqbench_vlmeval.data.loading import Origin, load_table
from medqbench_vlmeval.data.permuted import second_pass
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.records import Sample, SampleSet, SourceFile
from medqbench_vlmeval.tasks import REASONING_PREFIX, DatasetName, Split, Task

DATA_VARIABLE = "MEDQBENCH_DATA"

_FILE_STEMS = {
    Task.PERCEPTION: "medqbench_QA",
    Task.NO_REFERENCE: "medqbench_description",
    Task.COMPARATIVE: "medqbench_paired_description",
}


def file_name(task: Task, split: Split) -> str:
    """The published name of a single task's file."""
    return f"{_FILE_STEMS[task]}_{split.value}.tsv"


def embedded_folder() -> Path:
    """The folder of the embedded set inside this package."""
    return Path(__file__).parent / "mini"


def locate(task: Task, split: Split, data_path: Path | None = None) -> tuple[Path, Origin]:
    """Find the file of a single task: ``data_path``, else the folder in ``MEDQBENCH_DATA``, else the hub.

    The embedded split comes from this package unless ``data_path`` says otherwise.

    Args:
        data_path: the file itself, or a folder that holds it under its published name.

    Raises:
        BadInput: a named place does not have the file.
        RunFailed: the hub cannot be reached.
    """
    name = file_name(task, split)
    if data_path is not None:
        if not data_path.is_dir():
            return data_path, Origin("file")
        if not (data_path / name).is_file():
            raise BadInput(f"the folder {data_path} has no file {name}; {_tables_in(data_path)}.")
        return data_path / name, Origin("folder")
    if split is Split.MINI:
        return embedded_folder() / name, Origin("embedded")
    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        path = Path(folder).expanduser() / name
        if not path.is_file():
            raise BadInput(
                f"{name} is not in the folder '{folder}' that the environment variable {DATA_VARIABLE} names; put it "
                "there, correct the variable, or unset it to fetch the file from the hub."
            )
        return path, Origin("folder")
    fetched = hub.download(name)
    return fetched.path, Origin("hub", fetched.revision, lambda image: hub.download(image, fetched.revision).path)


def load_dataset(name: DatasetName, data_path: Path | None = None, images: bool = True) -> SampleSet:
    """The samples of one dataset; of a second pass, the official ones in their other order.

    Args:
        name: from :func:`medqbench_vlmeval.tasks.parse_dataset_name`.
        data_path: a TSV file (or its folder); for the combined reasoning set the folder that holds both files.
        images: False opens no image: samples have what the file calls them (``image_refs``) and nothing more.

    Raises:
        BadInput: a file is absent or cannot be used.
        RunFailed: a file has to come from the hub, and the hub cannot be reached.
    """
    if name.second_pass:
        return second_pass(load_dataset(name.first_pass, data_path, images))
    store = ImageStore.default() if images else None
    if name.task is not Task.REASONING:
        path, origin = locate(name.task, name.split, data_path)
        samples, source = load_table(path, name.task, store, origin)
        return SampleSet(name.text, name.task, tuple(samples), {name.task: source})
    if data_path is not None and data_path.is_file():
        raise BadInput(
            f"{data_path} is one file, but {name.text} is made of two: give the folder that holds "
            f"{' and '.join(file_name(part, name.split) for part in name.task.parts)}."
        )
    if data_path is not None and not data_path.is_dir():
        raise BadInput(f"the folder {data_path} does not exist.")
    joined: list[Sample] = []
    sources: dict[Task, SourceFile] = {}
    places = [(part, *locate(part, name.split, data_path)) for part in name.task.parts]
    for part, path, origin in places:
        samples, sources[part] = load_table(path, part, store, origin)
        joined += [replace(sample, index=f"{REASONING_PREFIX[part]}:{sample.index}") for sample in samples]
    return SampleSet(name.text, name.task, tuple(joined), sources)


def load_sample_file(path: Path, task: Task | None = None, images: bool = False) -> SampleSet:
    """The samples of a file that is no named dataset; the set is named after the file.

    Args:
        path: a TSV, or a folder that holds both reasoning files of one split.
        task: its single task, or None to tell it from the columns.
        images: whether images are found, checked and stored.

    Raises:
        BadInput: as :func:`load_dataset`.
    """
    if not path.is_dir():
        samples, source = load_table(path, task, ImageStore.default() if images else None)
        single = samples[0].task
        return SampleSet(path.stem, single, tuple(samples), {single: source})
    both = [split for split in Split if all((path / file_name(part, split)).is_file() for part in Task.REASONING.parts)]
    if len(both) != 1:
        raise BadInput(
            f"the folder {path} must hold both reasoning files of exactly one split "
            f"({_FILE_STEMS[Task.NO_REFERENCE]}_*.tsv and {_FILE_STEMS[Task.COMPARATIVE]}_*.tsv), "
            f"and {_tables_in(path)}; name one file instead."
        )
    return load_dataset(DatasetName(path.name, Task.REASONING, both[0]), path, images)


def where_is(name: DatasetName) -> str | None:
    """Where a single task's file would be read from without the network, or None where it has to be fetched."""
    file = file_name(name.task, name.split)
    if name.split is Split.MINI:
        path = embedded_folder() / file
        return f"{path} (embedded)" if path.is_file() else None
    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        path = Path(folder).expanduser() / file
        return f"{path} ({DATA_VARIABLE})" if path.is_file() else None
    cached = hub.cached(file)
    return f"{cached} (hub cache)" if cached else None


def _tables_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.tsv"))
    return f"its tables are {', '.join(names[:10])}" if names else "it holds no .tsv file at all"
