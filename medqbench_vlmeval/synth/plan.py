"""What is to be made of a set of source pictures: pictures with degradations and seeds, and tables' rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from medqbench_vlmeval.synth.catalogue import Planned

# One row of a table: its columns in order.
Row: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """``pictures`` have different file names, and each can be made alone; ``tables`` maps a file's name to its rows,
    whose ``image_path`` is ``images/`` and a picture's file name, or a JSON list of two such."""

    seed: int
    pictures: tuple[Planned, ...]
    tables: Mapping[str, tuple[Row, ...]]
