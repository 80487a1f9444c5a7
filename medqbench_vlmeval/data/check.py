"""Everything that is wrong with a data file, not only the first."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.columns import Named
from medqbench_vlmeval.data.repeats import find_repeats
from medqbench_vlmeval.data.sources import load, other_splits
from medqbench_vlmeval.data.table import MAX_ROWS
from medqbench_vlmeval.errors import LISTENER, BadInput
from medqbench_vlmeval.types import SampleSet

MOST = 10_000  # a file is read until it has so many problems


@dataclass(frozen=True)
class Checked:
    """What is wrong with a file, in the order of its rows, and notes on what may be meant; so many samples and
    ``images`` can be used."""

    name: str
    n: int
    images: int
    errors: tuple[str, ...]
    notes: tuple[str, ...]


def check(place: str, named: Named | None = None) -> Checked:
    """Read a data file, or a dataset by its name, with its images, and collect what is wrong with rows, images, options
    and answers. What the file repeats, shares with its other split or leaves to be inferred is noted. BadInput
    where the file cannot be read at all."""
    errors: dict[str, None] = {}  # the first rows are read twice where the file has to tell its task

    def listen(problem: BadInput) -> None:
        errors[str(problem).removeprefix(place).lstrip(" ,:")] = None
        if len(errors) == MOST:
            raise BadInput(f"{place} has {MOST:,} problems or more; what follows was not read.")

    before = LISTENER.set(listen)
    try:
        loaded = load(place, True, named)
    except BadInput as problem:
        if not errors:
            raise
        errors[str(problem)], loaded = None, SampleSet(place, Task.REASONING, (), {})
    finally:
        LISTENER.reset(before)
    inferred = (pair for source in loaded.sources.values() for pair in source.columns.inferred.items())
    others = other_splits(loaded, False, named)
    notes = dict.fromkeys((*map(": ".join, inferred), *(f"compared with {other.name}" for other in others)))
    for sample in loaded.samples:
        texts = ["".join(text.casefold().split()) for text in sample.options.values()]
        if len(set(texts)) < len(texts):
            errors[f"index '{sample.index[:60]}': two options have the same text."] = None
    for repeat in find_repeats([loaded, *others]):
        told = (*(name[:60] for name in repeat.samples[:9]), *(repeat.samples[9:] and ["..."]))
        (errors if repeat.is_error else notes)[f"{' / '.join(told)}: {repeat.what}"] = None
    images = {path for sample in loaded.samples for path in sample.images}
    by_row = sorted(errors, key=lambda line: int((re.findall("^rows? ([0-9]+)", line) or [MAX_ROWS])[0]))
    return Checked(place, len(loaded.samples), len(images), tuple(by_row), tuple(notes))
