"""Names for a user's own sets: a folder of data files, as ``medqbench synth`` makes one, becomes ``--data NAME``. The
names stand in one file of the user's settings (``benchmark.registry``); the files stay where they are."""

from __future__ import annotations

import re
from pathlib import Path

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    ROBUSTNESS,
    SECOND_PASS_NAMES,
    RegisteredSet,
    Split,
    Task,
    registered_sets,
    registry,
)
from medqbench_vlmeval.data.formats import table_in
from medqbench_vlmeval.data.sources import hub_file, load_dataset
from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.files import held, json_object, write_json, writing
from medqbench_vlmeval.kit_version import find_kit, spells_dataset
from medqbench_vlmeval.types import SampleSet

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:_[A-Za-z0-9-]+)*", re.ASCII)
_MOST = 40


def register(folder: Path, name: str) -> list[SampleSet]:
    """Give ``folder`` a name, and return what is had under its names, one set a task and split, without images. A name
    that the same folder has is registered anew. Raises BadInput where the folder has no data file under a published
    name or one that cannot be loaded, or the name is another folder's, one of the benchmark's or the kit's, or no plain
    word; RunFailed where the settings cannot be written."""
    folder = folder.expanduser().absolute()
    tasks, splits = (Task.PERCEPTION, *Task.REASONING.parts), (Split.TEST, Split.DEV)
    files = {(task, split): hub_file(task, split).name for task in tasks for split in splits}
    parts = tuple(part for part, file in files.items() if folder.is_dir() and table_in(folder, file))
    if not parts:
        raise BadInput(f"{folder} is no folder with a data file under one of the names {', '.join(files.values())}.")
    new = RegisteredSet(name, folder, parts)
    _check_name(new)
    found = [load_dataset(of, None, False) for text, of in new.names.items() if text.endswith(f"_{of.split.value}")]
    entry = {"folder": str(folder), "parts": [[task.value, split.value] for task, split in parts]}
    _write(name, entry)
    return found


def unregister(name: str) -> Path:
    """Take a name away and return the folder that had it, which stays as it is. Raises BadInput where there is no such
    name; RunFailed where the settings cannot be written."""
    sets = registered_sets()
    if name not in sets:
        known = f"registered: {', '.join(sets)}" if sets else "nothing is registered"
        raise BadInput(f"'{name}' is no registered name ({known}).{did_you_mean(name, sets)}")
    _write(name, None)
    return sets[name].folder


def _check_name(new: RegisteredSet) -> None:
    if len(new.name) > _MOST or not _NAME.fullmatch(new.name) or new.name.casefold().endswith(ROBUSTNESS):
        raise BadInput(
            f"'{new.name}' cannot be a set's name: take at most {_MOST} letters, digits, '-' and single '_', a letter "
            f"first and no '{ROBUSTNESS}' at the end."
        )
    others = dict.fromkeys((*ALL_DATASET_NAMES, *SECOND_PASS_NAMES), "the benchmark's")
    for of in registered_sets().values():
        if of.name != new.name or of.folder != new.folder:
            others |= dict.fromkeys(of.names, f"{of.folder}'s ('medqbench data unregister {of.name}' frees it)")
    taken = {text.casefold(): whose for text, whose in others.items()}
    clash = next((text for text in new.names if text.casefold() in taken), None)
    if clash:
        raise BadInput(f"The name '{clash}' is {taken[clash.casefold()]}; choose another.")
    if new.name.casefold().startswith("medq"):
        raise BadInput(f"'{new.name}' would be taken for the benchmark's own data; put no 'medq' in front.")
    kit = find_kit()
    if kit is not None and spells_dataset(kit, new.name):
        raise BadInput(
            f"'{new.name}' may be a dataset of the installed kit, in whose source the word stands; choose another."
        )


def _write(name: str, entry: object) -> None:
    path = registry()
    with writing(path, "make it writable"), held(path.with_suffix(".lock")):
        content = json_object(path)
        if content is None and path.exists():
            raise BadInput(f"{path} is not the JSON object that it was written as; repair it, or move it away.")
        kept = {of: value for of, value in (content or {}).items() if of != name}
        write_json(path, kept if entry is None else {**kept, name: entry})
