"""From a data file to samples: the three published shapes, local, embedded or from the hub."""

from __future__ import annotations

from medqbench_vlmeval.benchmark import PublishedRow, published_rows
from medqbench_vlmeval.data.image_store import ImageStore
from medqbench_vlmeval.data.info import canonical_index, describe, published_counts, samples_sha256, stratified
from medqbench_vlmeval.data.samples import Origin, load_table
from medqbench_vlmeval.data.second_pass import (
    PERMUTATION_COLUMN,
    make_second_pass,
    moved,
    permutation_of,
    permutation_text,
    permuted,
    read_permutation,
)
from medqbench_vlmeval.data.sources import (
    DATA_VARIABLE,
    embedded_folder,
    file_name,
    load_dataset,
    load_sample_file,
    locate,
    where_is,
)

__all__ = [
    "DATA_VARIABLE",
    "PERMUTATION_COLUMN",
    "ImageStore",
    "Origin",
    "PublishedRow",
    "canonical_index",
    "describe",
    "embedded_folder",
    "file_name",
    "load_dataset",
    "load_sample_file",
    "load_table",
    "locate",
    "make_second_pass",
    "moved",
    "permutation_of",
    "permutation_text",
    "permuted",
    "published_counts",
    "published_rows",
    "read_permutation",
    "samples_sha256",
    "stratified",
    "where_is",
]
