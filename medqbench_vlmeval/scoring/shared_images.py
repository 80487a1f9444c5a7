"""Which samples of a run share an image, and in words what was known of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medqbench_vlmeval.data.imagerefs import image_keys
from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.scoring.clusters import clusters_of


@dataclass(frozen=True)
class SharedImages:
    """``clusters`` has a number a sample (see ``clusters_of``); ``words`` say what the clusters are."""

    clusters: Sequence[int]
    words: str

    def count(self, positions: Sequence[int]) -> int:
        """How many clusters the samples at some positions lie in."""
        return len({self.clusters[position] for position in positions})


def shared_images(samples: Sequence[Sample]) -> SharedImages:
    """The clusters of ``samples``; one that names no image is a cluster of its own."""
    keys = [image_keys(sample) for sample in samples]
    unnamed = sum(not found for found in keys)
    words = "clusters are samples that share an image"
    if unnamed == len(samples):
        words = "no image is named, so that samples were taken as independent"
    elif unnamed:
        words += f"; {unnamed} of {len(samples)} samples name no image and were taken as independent"
    return SharedImages(clusters_of(keys), words)
