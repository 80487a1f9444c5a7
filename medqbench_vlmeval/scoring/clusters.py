"""Samples that share an image are not independent: they are taken together as one cluster."""

from __future__ import annotations

from collections.abc import Sequence


def clusters_of(images: Sequence[Sequence[str]]) -> list[int]:
    """The cluster of each sample: two samples are in one where a chain of shared images leads from one to the other.

    Args:
        images: one sequence a sample, with the names of the images that it shows (a pair has two); a sample without
            names is a cluster of its own.

    Returns:
        Cluster numbers parallel to ``images``; a cluster's number is the position of its first sample.
    """
    parent = list(range(len(images)))

    def root(sample: int) -> int:
        while parent[sample] != sample:
            parent[sample] = parent[parent[sample]]
            sample = parent[sample]
        return sample

    first_with: dict[str, int] = {}
    for position, names in enumerate(images):
        for name in names:
            one, other = root(first_with.setdefault(name, position)), root(position)
            parent[max(one, other)] = min(one, other)
    return [root(position) for position in range(len(images))]
