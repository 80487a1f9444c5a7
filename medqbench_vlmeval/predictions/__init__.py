"""Prediction files of every format of the kit, read as the texts that the model wrote."""

from __future__ import annotations

from medqbench_vlmeval.predictions.files import SUFFIXES, PredictionTable, read_predictions
from medqbench_vlmeval.predictions.join import join, samples_from_table

__all__ = ["SUFFIXES", "PredictionTable", "join", "read_predictions", "samples_from_table"]
