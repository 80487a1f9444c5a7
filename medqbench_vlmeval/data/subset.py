"""A subset of a dataset that stands for the whole, and is the same for every model."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.tasks import own_index

# From the coarsest to the finest; an axis that a data file does not give makes one stratum.
_STRATA = ("task", "modality", "question_type", "severity", "difficulty")


def stratified(samples: Sequence[Sample], n: int, seed: int = 0) -> frozenset[str]:
    """The indexes of ``n`` samples in the proportions of all.

    The subset depends on the samples' indexes and axes, ``n`` and ``seed`` alone, not on their order; a smaller one is
    part of every larger one. In it each task has its share of all samples to within less than one sample, each
    modality its share of its task, and so on through question type, severity and difficulty. What a combined
    dataset's subset has of one task is a subset of that task's own dataset, too.

    Args:
        samples: of one dataset, with unique indexes.
        n: how many; as many as there are, or more, gives all.
        seed: another one gives another subset.

    Raises:
        BadInput: ``n`` is less than 1.
    """
    if n < 1:
        raise BadInput(f"The limit is {n}; it must be 1 sample or more.")
    return frozenset(sample.index for sample in _ordered(samples, _STRATA, seed)[:n])


def _ordered(samples: Sequence[Sample], axes: Sequence[str], seed: int) -> list[Sample]:
    """The samples in an order whose every beginning has the proportions of the whole."""
    if not axes:
        return sorted(samples, key=lambda sample: _hash(_own_index(sample), seed))
    strata: dict[str, list[Sample]] = {}
    for sample in samples:
        strata.setdefault(str(getattr(sample, axes[0])), []).append(sample)
    names = sorted(strata, key=lambda name: _hash(f"{axes[0]}={name}", seed))
    return _merged([_ordered(strata[name], axes[1:], seed) for name in names])


def _own_index(sample: Sample) -> str:
    """A combined set's prefixes left out: its parts have the order of their own datasets."""
    return canonical_index(own_index(sample.index, sample.task))


def _merged(orders: Sequence[list[Sample]]) -> list[Sample]:
    """Orders woven into one whose every beginning holds each order's share, to within less than one sample.

    This is the quota method of apportionment (Balinski and Young, 1975): the next sample is of the order whose next
    one is due first, among those that have less than their share.
    """
    total = sum(map(len, orders))
    taken = [0] * len(orders)
    merged: list[Sample] = []
    for step in range(1, total + 1):
        behind = [i for i, order in enumerate(orders) if taken[i] * total < len(order) * step]
        first = min(behind, key=lambda i: ((taken[i] + 1) / len(orders[i]), i))
        merged.append(orders[first][taken[first]])
        taken[first] += 1
    return merged


def _hash(text: str, seed: int) -> str:
    return sha256_text(f"{seed}:{text}")
