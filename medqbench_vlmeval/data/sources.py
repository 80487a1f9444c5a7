"""Where a dataset's files are looked for: a path, a folder, this package, the Hugging Face hub."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TypeAlias

from medqbench_vlmeval.benchmark import REASONING_PREFIX, DatasetName, Split, Task, known_dataset, parse_dataset_name
from medqbench_vlmeval.data import download as hub
from medqbench_vlmeval.data.columns import IMAGE_MEANINGS, Named, find_columns
from medqbench_vlmeval.data.formats import SUFFIXES, open_data, table_in
from medqbench_vlmeval.data.image_cells import KeptImages
from medqbench_vlmeval.data.image_paths import COMMIT
from medqbench_vlmeval.data.image_store import ImageStore
from medqbench_vlmeval.data.samples import Origin, load_table
from medqbench_vlmeval.data.second_pass import make_second_pass
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.provenance import SourceFile
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.types import Sample, SampleSet

REPOSITORY = "jiyaoliufd/MedQ-Bench"
DATA_VARIABLE = "MEDQBENCH_DATA"

Images: TypeAlias = bool | KeptImages | ImageStore

# The published file of each single task; {} is the split.
_FILES = {
    Task.PERCEPTION: hub.HubFile(REPOSITORY, "medqbench_QA_{}.tsv"),
    Task.NO_REFERENCE: hub.HubFile(REPOSITORY, "medqbench_description_{}.tsv"),
    Task.COMPARATIVE: hub.HubFile(REPOSITORY, "medqbench_paired_description_{}.tsv"),
    Task.DEGRADATION: hub.HubFile("jiyaoliufd/MedQ-DEG-Bench", "MedQ-Robust-{}.tsv"),
}
_BY_DEFAULT = ("MedQBench_Perception", "MedQBench_Reasoning")


def hub_file(task: Task, split: Split) -> hub.HubFile:
    """A single task's file in its repository on the hub."""
    return replace(_FILES[task], name=_FILES[task].name.format(split.value.replace("_", "-")))


def embedded_folder() -> Path:
    """The folder of the embedded set inside this package."""
    return Path(__file__).parent / "mini"


def locate(task: Task, split: Split, data_path: Path | None = None) -> tuple[Path, Origin]:
    """Find the file of a single task: ``data_path``, else the folder in ``MEDQBENCH_DATA``, else the hub. ``data_path``
    is the file, or a folder that holds it under its published name. Without it the embedded split comes from this
    package. BadInput where a named place does not have the file; RunFailed where the hub cannot be reached."""
    wanted = hub_file(task, split)
    name = wanted.name
    if data_path is not None:
        if not data_path.is_dir():
            return data_path, Origin("file")
        if (file := table_in(data_path, name)) is None:
            raise BadInput(f"the folder {data_path} has no file {name}; {_tables_in(data_path)}.")
        return file, Origin("folder")
    if split is Split.MINI:
        return embedded_folder() / name, Origin("embedded")
    if folder := os.environ.get(DATA_VARIABLE):
        if (file := table_in(Path(folder).expanduser(), name)) is None:
            raise BadInput(
                f"{name} is not in the folder '{folder}' that the environment variable {DATA_VARIABLE} names; put it "
                "there, as 'medqbench data download' does, or correct or unset the variable."
            )
        return file, Origin("folder")
    revision = hub.revision_for(wanted.repository)
    here = hub.cached(wanted, revision) if COMMIT.fullmatch(revision) else None
    if here is None:
        with hub.alone(None):
            here, revision = hub.fetch(wanted, revision)
    return here, _from_hub(wanted, revision)


def _from_hub(table: hub.HubFile, commit: str, folder: Path | None = None) -> Origin:
    fetch = partial(hub.fetch, revision=commit, folder=folder)
    return Origin("hub", commit, lambda image: fetch(replace(table, name=image))[0], table.repository)


def _store(images: Images) -> ImageStore | KeptImages | None:
    return ImageStore.default() if images is True else images or None


def load_dataset(
    name: DatasetName, data_path: Path | None = None, images: Images = True, named: Named | None = None
) -> SampleSet:
    """The samples of one dataset; of a second pass, the official ones in their other order. ``data_path`` is a TSV file
    (or its folder), for the combined reasoning set the folder that holds both files. Without ``images`` samples have
    what the file calls them (``image_refs``) and nothing more; nor have they with ``KeptImages``, which takes those
    that can be used. ``named``: columns that the user names (see ``load_table``). BadInput where a file is absent or
    cannot be used; RunFailed where one has to come from the hub, and the hub cannot be reached."""
    if name.second_pass:
        return make_second_pass(load_dataset(name.first_pass, data_path, images, named))
    store = _store(images)
    if data_path is None and (data_path := name.folder) and not data_path.is_dir():
        raise BadInput(
            f"'{name.text}' was registered in {data_path}, which is not there any more; 'medqbench data register DIR "
            "NAME' says where it is now."
        )
    combined = name.task is Task.REASONING
    if combined and data_path is not None and data_path.is_file():
        raise BadInput(
            f"{data_path} is one file, but {name.text} is made of two: give the folder that holds "
            f"{' and '.join(hub_file(part, name.split).name for part in name.task.parts)}."
        )
    if combined and data_path is not None and not data_path.is_dir():
        raise BadInput(f"the folder {data_path} does not exist.")
    joined: list[Sample] = []
    sources: dict[Task, SourceFile] = {}
    places = [(part, *locate(part, name.split, data_path)) for part in name.task.parts]
    for part, path, origin in places:
        samples, sources[part] = _load_locked(path, part, store, origin, named)
        if combined:
            samples = [replace(sample, index=f"{REASONING_PREFIX[part]}:{sample.index}") for sample in samples]
        joined += samples
    return SampleSet(name.text, name.task, tuple(joined), sources)


def _load_locked(
    path: Path, task: Task | None, store: ImageStore | KeptImages | None, origin: Origin, named: Named | None
) -> tuple[list[Sample], SourceFile]:
    """Load a table, and see that it is still what the lock file of its folder or of the hub's cache says."""
    folder = None if origin.repository else path.absolute().parent
    if known := hub.locked_file(folder, path.name, origin.revision):
        origin = replace(origin, revision=known.commit)
    try:
        samples, source = load_table(path, task, store, origin, named)
    except BadInput:
        if known:
            known.check(path, sha256_of(path))
        raise
    if known:
        known.check(path, source.sha256)
    elif origin.repository and origin.revision:
        new = hub.LockedFile(origin.repository, path.name, origin.revision, path.stat().st_size, source.sha256)
        with suppress(RunFailed):  # nothing is lost where nothing can be recorded
            hub.record(None, new)
    return samples, source


def load_file(path: Path, images: Images = False, named: Named | None = None) -> SampleSet:
    """The samples of a TSV, or of a folder with both reasoning files of one split; the set is named after it.
    Errors are those of :func:`load_dataset`."""
    if not path.is_dir():
        samples, source = _load_locked(path, None, _store(images), Origin(), named)
        single = samples[0].task
        return SampleSet(path.stem, single, tuple(samples), {single: source})
    parts = Task.REASONING.parts
    both = [split for split in Split if all(table_in(path, hub_file(part, split).name) for part in parts)]
    if len(both) != 1:
        raise BadInput(
            f"the folder {path} must hold both reasoning files of exactly one split "
            f"({' and '.join(_FILES[part].name.format('*') for part in parts)}), "
            f"and {_tables_in(path)}; name one file instead."
        )
    return load_dataset(DatasetName(path.name, Task.REASONING, both[0]), path, images, named)


def load(data: str, images: Images = False, named: Named | None = None) -> SampleSet:
    """The samples behind a TSV's path or a dataset's name; BadInput where it is neither."""
    path = Path(data).expanduser()
    if name := known_dataset(data):
        loaded = load_dataset(name, None, images, named)
    elif path.exists():
        loaded = load_file(path, images, named)
    else:
        raise BadInput(f"{data} is neither a file nor a dataset's name ('medqbench list datasets' prints these).")
    return loaded if images else replace(loaded, with_images=partial(load, data, True, named))


def other_splits(sample_set: SampleSet, images: Images, named: Named | None = None) -> list[SampleSet]:
    """The dev files beside a set's test files, and the other way round, as far as they can be read."""
    found = []
    for path in (source.path for source in sample_set.sources.values()):
        other = re.sub(r"(?<=[_-])(test|dev)(?=\.)", lambda split: "test" if split[0] == "dev" else "dev", path.name)
        if other != path.name and path.with_name(other).is_file():
            with suppress(BadInput):
                found.append(load_file(path.with_name(other), images, named))
    return found


def place_of(task: Task, split: Split, registered: Path | None = None) -> tuple[Path, str] | None:
    """A single task's file that would be read without the network and what kind of place it lies in, or None where it
    has to be fetched; ``registered`` is the folder of a set of the user's."""
    file, folder = hub_file(task, split), os.environ.get(DATA_VARIABLE)
    path: Path | None
    if registered is not None:
        path, place = table_in(registered, file.name), "registered"
    elif split is Split.MINI:
        path, place = embedded_folder() / file.name, "embedded"
    elif folder:
        path, place = table_in(Path(folder).expanduser(), file.name), DATA_VARIABLE
    else:
        path, place = hub.cached(file, hub.revision_for(file.repository)), "hub cache"
    return (path, place) if path and path.is_file() else None


def hub_revision_of(sha256: str) -> str | None:
    """The commit of the hub's file with these bytes, as far as this machine has met it; the network is not asked."""
    return next((file.commit for file in hub.read_lock(None) if file.sha256 == sha256), None)


def _tables_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*") if path.suffix in SUFFIXES)
    return f"its tables are {', '.join(names[:10])}" if names else f"it holds no {', '.join(SUFFIXES)} file at all"


def download(
    names: Sequence[str], folder: Path | None = None, revision: str | None = None
) -> list[tuple[Path, hub.LockedFile]]:
    """Fetch the files of datasets, and check what is there already; each is recorded in the lock file. No names mean
    MedQ-Bench's three test files, no folder ``MEDQBENCH_DATA``, else the hub client's cache, and no revision (a commit,
    branch or tag) what :func:`.download.revision_for` says. Errors are those of :func:`.download.fetch`; BadInput also
    where a file is not what was fetched before."""
    asked = [parse_dataset_name(text) for text in names or _BY_DEFAULT]
    asked = [name for name in asked if name.split is not Split.MINI and name.folder is None]
    wanted = [(part, name.split) for name in asked for part in name.task.parts]
    place = folder or os.environ.get(DATA_VARIABLE)
    folder = Path(place).expanduser().absolute() if place else None
    done = []
    commits: dict[str, str] = {}
    with hub.alone(folder):
        for file in dict.fromkeys(starmap(hub_file, wanted)):
            # All files of a repository are of one commit, where its main branch moves meanwhile too.
            at = commits.get(file.repository) or revision or hub.revision_for(file.repository, folder)
            path, commit = hub.fetch(file, at, folder)
            commits[file.repository] = commit
            step(f"checking {file.name}")
            locked = hub.LockedFile(file.repository, file.name, commit, path.stat().st_size, sha256_of(path))
            (hub.locked_file(folder, file.name, commit) or locked).check(path, locked.sha256)
            hub.record(folder, locked)
            done.append((path, locked))
            with open_data(path) as table:
                paths = find_columns(table.header, [name for name in IMAGE_MEANINGS if "path" in name]).names
            if paths:  # loading fetches and checks the images
                load_table(path, None, ImageStore.default(), _from_hub(file, commit, folder))
    return done
