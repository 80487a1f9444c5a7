"""The second pass of a dataset (circular evaluation): the same questions with permuted options, the same pairs swapped.
A permutation maps each place of the second pass to the place in the first pass that its content comes from: option
letters for a question, '1' and '2' for the images of a pair. It is a derangement: no content stays at its place. So a
model that goes by the place alone never gives the same answer twice, and the right answer's letter always changes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

from medqbench_vlmeval.benchmark import ROBUSTNESS, Task
from medqbench_vlmeval.data.info import index_key
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.types import Sample, SampleSet

# The column of a second pass's prediction file that holds each row's permutation.
PERMUTATION_COLUMN = "permutation"

_SEED = "medqbench-second-pass-1"
# 'All of the above', 'Both A and C', 'Option B': a text that names places means something else at another one.
_NAMES_PLACES = re.compile(
    r"\b(?i:all|none|neither|both|any|each|either|some|two) (?i:of (?:the )?"
    r"(?:above|below|others?|these|options|choices))\b"
    r"|\b(?i:options?|choices?|answers?)\s+\(?[A-E]\b(?!\s?[-–])"
    r"|\(?\b[A-E]\)?\s*(?:,|and|or|nor|&|\+|/)\s*(?:and |or )?\(?[A-E]\b"
    r"|\b(?i:both|neither|either|only)\s+\(?[A-E]\b(?!\s+\w)"
    # A small 'a' alone is an article: two letters are wanted, or their brackets.
    r"|\b(?i:both|neither|either|options?|answers?)\s+[a-e]\s*(?:,|and|or|nor|&|\+|/)\s*[a-e]\b(?!\s+\w)"
    r"|\([a-e]\)\s*(?:,|and|or|nor|&|\+|/)\s*\([a-e]\)"
)
_TEXT = re.compile(r"[A-E1-2]:[A-E1-2](?: [A-E1-2]:[A-E1-2])+")


def permutation_of(sample: Sample) -> dict[str, str] | None:
    """The sample's permutation, None where it has none. It depends on the sample's index and content alone: not on the
    order of rows or files, the process or the machine. A no-reference sample has none, nor has a question one of whose
    options or whose own words name options by their place ('Both A and C', 'None of the above')."""
    if sample.task is Task.COMPARATIVE:
        return {"1": "2", "2": "1"}
    texts = [*sample.options.values(), sample.question or ""]
    if not sample.task.is_choice or any(map(_NAMES_PLACES.search, texts)):
        return None
    letters = sorted(sample.options)
    possible = [
        order for order in permutations(letters) if all(old != new for old, new in zip(order, letters, strict=True))
    ]
    content = [index_key(sample), sample.question, [sample.options[letter] for letter in letters]]
    place = int(sha256_text(f"{_SEED}:{json.dumps(content)}"), 16) % len(possible)
    return dict(zip(letters, possible[place], strict=True))


def permuted(sample: Sample) -> Sample | None:
    """The sample as the second pass shows it, None where it has no permutation. Texts stay as they are. A question's
    right letter moves with its text. A pair's question keeps its words, so that 'first' and 'second' are said of the
    swapped images. Its reference text speaks of the other order and is left out."""
    permutation = permutation_of(sample)
    if permutation is None:
        return None
    if sample.task is Task.COMPARATIVE:
        turned = {name: getattr(sample, name)[::-1] for name in ("images", "image_forms", "image_refs")}
        return replace(sample, **turned, description=None)
    came_from = {old: new for new, old in permutation.items()}
    answer = came_from[sample.answer] if sample.answer else None
    return replace(sample, options=moved(sample.options, permutation), answer=answer)


def moved(options: Mapping[str, str], permutation: Mapping[str, str]) -> dict[str, str]:
    """Option texts by their letters in the second pass."""
    return {new: options[old] for new, old in sorted(permutation.items())}


def make_second_pass(first: SampleSet) -> SampleSet:
    """The second pass of a dataset, without the samples that have no permutation; BadInput where none has one."""
    samples = tuple(again for sample in first.samples if (again := permuted(sample)) is not None)
    if not samples:
        raise BadInput(f"{first.name} has no sample with options or images whose order could be changed.")
    return SampleSet(f"{first.name}{ROBUSTNESS}", first.task, samples, first.sources)


def permutation_text(permutation: Mapping[str, str]) -> str:
    """A permutation as a cell: 'A:C B:A C:B' says that A shows what was C."""
    return " ".join(f"{new}:{old}" for new, old in sorted(permutation.items()))


def read_permutation(text: str) -> dict[str, str] | None:
    """The permutation in a cell, None where the cell holds none."""
    if not _TEXT.fullmatch(text.strip()):
        return None
    pairs = [(pair[0], pair[-1]) for pair in text.split()]
    permutation = dict(pairs)
    whole = len(permutation) == len(pairs) and set(permutation) == set(permutation.values())
    return permutation if whole and all(new != old for new, old in pairs) else None
