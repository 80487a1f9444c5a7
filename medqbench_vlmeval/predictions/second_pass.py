"""Telling the prediction file of a second pass from an official one."""

from __future__ import annotations

from medqbench_vlmeval.data.permuted import PERMUTATION_COLUMN, read_permutation
from medqbench_vlmeval.predictions.reading import PredictionTable
from medqbench_vlmeval.tasks import SECOND_PASS_NAMES


def is_second_pass(table: PredictionTable) -> bool:
    """Whether a file has anything of a second pass.

    A permutation in one row is enough, since that row's reply is none to the official question; so is the file's name,
    where somebody took the column away.
    """
    if any(table.path.stem.endswith(f"_{name}") for name in SECOND_PASS_NAMES):
        return True
    columns = [name for name in table.columns if name.lower() == PERMUTATION_COLUMN]
    return any(read_permutation(row[name]) is not None for row in table.rows for name in columns)
