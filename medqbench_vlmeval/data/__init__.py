"""From a data file to samples: the three published shapes, local, embedded or from the hub."""

from __future__ import annotations

from medqbench_vlmeval.data.image_store import ImageStore
from medqbench_vlmeval.data.info import describe, samples_sha256, stratified
from medqbench_vlmeval.data.second_pass import make_second_pass
from medqbench_vlmeval.data.sources import load, load_dataset

__all__ = ["ImageStore", "describe", "load", "load_dataset", "make_second_pass", "samples_sha256", "stratified"]
