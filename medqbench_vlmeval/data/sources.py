"""Where a dataset's files are looked for: a path, a folder, this package, the Hugging Face hub."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    REASONING_PREFIX,
    DatasetName,
    Split,
    Task,
    parse_dataset_name,
)
from medqbench_vlmeval.data.columns import Named
from medqbench_vlmeval.data.formats import SUFFIXES, table_in
from medqbench_vlmeval.data.image_cells import COMMIT, KeptImages
from medqbench_vlmeval.data.image_store import ImageStore
from medqbench_vlmeval.data.samples import Origin, load_table
from medqbench_vlmeval.data.second_pass import make_second_pass
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.provenance import SourceFile
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.types import Sample, SampleSet

REPOSITORY = "jiyaoliufd/MedQ-Bench"
REVISION_VARIABLE = "MEDQBENCH_REVISION"
DATA_VARIABLE = "MEDQBENCH_DATA"

Images: TypeAlias = bool | KeptImages

_FILE_STEMS = {
    Task.PERCEPTION: "medqbench_QA",
    Task.NO_REFERENCE: "medqbench_description",
    Task.COMPARATIVE: "medqbench_paired_description",
}


def file_name(task: Task, split: Split) -> str:
    """The published name of a single task's file."""
    if task is Task.DEGRADATION:
        return f"MedQ-Robust-{split.value.replace('_', '-')}.tsv"
    return f"{_FILE_STEMS[task]}_{split.value}.tsv"


def embedded_folder() -> Path:
    """The folder of the embedded set inside this package."""
    return Path(__file__).parent / "mini"


def locate(task: Task, split: Split, data_path: Path | None = None) -> tuple[Path, Origin]:
    """Find the file of a single task: ``data_path``, else the folder in ``MEDQBENCH_DATA``, else the hub.

    ``data_path`` is the file, or a folder that holds it under its published name. Without it the embedded split comes
    from this package.

    Raises:
        BadInput: a named place does not have the file.
        RunFailed: the hub cannot be reached.
    """
    name = file_name(task, split)
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
                "there, correct the variable, or unset it to fetch the file from the hub."
            )
        return file, Origin("folder")
    step(f"downloading {name}")
    path = download(name)
    # The hub client's cache has a folder for each commit.
    folders = pairwise(path.parts)
    revision = next((name for above, name in folders if above == "snapshots" and COMMIT.fullmatch(name)), None)
    return path, Origin("hub", revision, lambda image: download(image, revision))


def _store(images: Images) -> ImageStore | KeptImages | None:
    return ImageStore.default() if images is True else images or None


def load_dataset(
    name: DatasetName, data_path: Path | None = None, images: Images = True, named: Named | None = None
) -> SampleSet:
    """The samples of one dataset; of a second pass, the official ones in their other order.

    ``data_path`` is a TSV file (or its folder), for the combined reasoning set the folder that holds both files.
    Without ``images`` samples have what the file calls them (``image_refs``) and nothing more; nor have they with
    ``KeptImages``, which takes those that can be used. ``named``: columns that the user names (see ``load_table``).

    Raises:
        BadInput: a file is absent or cannot be used.
        RunFailed: a file has to come from the hub, and the hub cannot be reached.
    """
    if name.second_pass:
        return make_second_pass(load_dataset(name.first_pass, data_path, images, named))
    store = _store(images)
    combined = name.task is Task.REASONING
    if combined and data_path is not None and data_path.is_file():
        raise BadInput(
            f"{data_path} is one file, but {name.text} is made of two: give the folder that holds "
            f"{' and '.join(file_name(part, name.split) for part in name.task.parts)}."
        )
    if combined and data_path is not None and not data_path.is_dir():
        raise BadInput(f"the folder {data_path} does not exist.")
    joined: list[Sample] = []
    sources: dict[Task, SourceFile] = {}
    places = [(part, *locate(part, name.split, data_path)) for part in name.task.parts]
    for part, path, origin in places:
        samples, sources[part] = load_table(path, part, store, origin, named)
        prefix = f"{REASONING_PREFIX[part]}:" if combined else ""
        joined += [replace(sample, index=f"{prefix}{sample.index}") for sample in samples]
    return SampleSet(name.text, name.task, tuple(joined), sources)


def load_file(path: Path, images: Images = False, named: Named | None = None) -> SampleSet:
    """The samples of a TSV, or of a folder with both reasoning files of one split; the set is named after it.
    Errors are those of :func:`load_dataset`."""
    if not path.is_dir():
        samples, source = load_table(path, None, _store(images), named=named)
        single = samples[0].task
        return SampleSet(path.stem, single, tuple(samples), {single: source})
    both = [split for split in Split if all(table_in(path, file_name(part, split)) for part in Task.REASONING.parts)]
    if len(both) != 1:
        raise BadInput(
            f"the folder {path} must hold both reasoning files of exactly one split "
            f"({_FILE_STEMS[Task.NO_REFERENCE]}_*.tsv and {_FILE_STEMS[Task.COMPARATIVE]}_*.tsv), "
            f"and {_tables_in(path)}; name one file instead."
        )
    return load_dataset(DatasetName(path.name, Task.REASONING, both[0]), path, images, named)


def load(data: str, images: Images = False, named: Named | None = None) -> SampleSet:
    """The samples behind a TSV's path or a dataset's name; BadInput where it is neither."""
    if data in ALL_DATASET_NAMES:
        return load_dataset(parse_dataset_name(data), None, images, named)
    path = Path(data).expanduser()
    if not path.exists():
        raise BadInput(f"--data {data} is neither a file nor a dataset's name ('medqbench doctor' lists the names).")
    return load_file(path, images, named)


def other_splits(sample_set: SampleSet, images: Images, named: Named | None = None) -> list[SampleSet]:
    """The dev files beside a set's test files, and the other way round; errors are those of :func:`load_file`."""
    paths = [source.path for source in sample_set.sources.values()]
    swaps = (("_test.", "_dev."), ("_dev.", "_test."))
    places = [path.with_name(path.name.replace(a, b)) for path in paths for a, b in swaps if a in path.name]
    return [load_file(place, images, named) for place in places if place.is_file()]


def place_of(task: Task, split: Split) -> tuple[Path, str] | None:
    """A single task's file that would be read without the network and what kind of place it lies in, or None where it
    has to be fetched."""
    from huggingface_hub import try_to_load_from_cache

    file, folder = file_name(task, split), os.environ.get(DATA_VARIABLE)
    path: str | object
    if split is Split.MINI:
        path, place = str(embedded_folder() / file), "embedded"
    elif folder:
        path, place = str(Path(folder).expanduser() / file), DATA_VARIABLE
    else:
        wanted = os.environ.get(REVISION_VARIABLE) or None
        path, place = try_to_load_from_cache(REPOSITORY, file, repo_type="dataset", revision=wanted), "hub cache"
    return (Path(path), place) if isinstance(path, str) and Path(path).is_file() else None


def hub_revision_of(task: Task, sha256: str) -> str | None:
    """The commit of the hub's repository whose test file of a single task has these bytes, as far as the hub client's
    cache on this machine knows; the network is not asked."""
    from huggingface_hub.constants import HF_HUB_CACHE

    repository = Path(HF_HUB_CACHE) / f"datasets--{REPOSITORY.replace('/', '--')}"
    for path in sorted(repository.glob(f"snapshots/*/{file_name(task, Split.TEST)}")):
        # The cache names large files by their sha256, and links snapshots to them.
        name = path.resolve().name
        if COMMIT.fullmatch(path.parent.name) and sha256 == (name if len(name) == len(sha256) else sha256_of(path)):
            return path.parent.name
    return None


def _tables_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*") if path.suffix in SUFFIXES)
    return f"its tables are {', '.join(names[:10])}" if names else f"it holds no {', '.join(SUFFIXES)} file at all"


def download(filename: str, revision: str | None = None) -> Path:
    """Fetch one file of the repository into the hub client's cache, or find it there.

    It is of the commit, branch or tag ``revision``, else of what ``MEDQBENCH_REVISION`` names, else of the main branch.

    Raises:
        BadInput: the repository, the revision or the file does not exist.
        RunFailed: the hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    wanted = revision or os.environ.get(REVISION_VARIABLE) or None
    at = f" at revision '{wanted}'" if wanted else ""
    repository = f"the hub's repository {REPOSITORY}"
    ways_out = (
        "put the file into a folder and name the folder in the environment variable MEDQBENCH_DATA, or give the file "
        "itself as data_path (score: --data)"
    )
    # The transport's base class: requests, httpx and its successors each have their own.
    transport = HfHubHTTPError.__mro__[1]
    # The client tells each of its retries at length; what matters is said once, below.
    client = logging.getLogger("huggingface_hub")
    level = client.level
    client.setLevel(logging.ERROR)
    # Its bars, one an image, would run through ours.
    has_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        path = hf_hub_download(repo_id=REPOSITORY, repo_type="dataset", filename=filename, revision=wanted)
    except LocalEntryNotFoundError as error:
        raise RunFailed(
            f"{filename} is not in the local cache and the hub cannot be reached ({_cause(error)}): {ways_out}."
        ) from None
    except RevisionNotFoundError:
        problem = f"{repository} has no revision '{wanted}' for {filename}: correct {REVISION_VARIABLE}, or {ways_out}."
    except RepositoryNotFoundError:
        problem = f"{repository}, which holds {filename}, does not exist or is not open to you: {ways_out}."
    except EntryNotFoundError:
        problem = f"{repository}{at} has no file {filename}: {ways_out}."
    except (OSError, ValueError, transport) as error:  # type: ignore[misc]
        raise RunFailed(f"{filename} could not be fetched from the hub ({_cause(error)}): {ways_out}.") from None
    else:
        return Path(path)
    finally:
        client.setLevel(level)
        if has_bars:
            enable_progress_bars()
    raise BadInput(problem)


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}".rstrip(".: ")
