"""From a data file to samples: the three published shapes, local, embedded or from the hub."""

from __future__ import annotations

from medqbench_vlmeval.data.image_store import ImageStore
from medqbench_vlmeval.data.info import DataInfo, canonical_index, describe, samples_sha256, stratified
from medqbench_vlmeval.data.second_pass import make_second_pass
from medqbench_vlmeval.data.sources import load, load_dataset, load_file, where_is

__all__ = [
    "DataInfo",
    "ImageStore",
    "canonical_index",
    "describe",
    "load",
    "load_dataset",
    "load_file",
    "make_second_pass",
    "samples_sha256",
    "stratified",
    "where_is",
]
