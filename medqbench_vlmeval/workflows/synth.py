"""``medqbench synth``: from a folder of clean images to a set that runs."""

from __future__ import annotations

from pathlib import Path

from medqbench_vlmeval.errors import RunFailed


def make_set(images: Path, out: Path) -> None:
    """Make a set of ``images`` in ``out``."""
    raise RunFailed(f"{images} cannot be made into {out} yet.")
