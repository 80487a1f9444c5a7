"""Folders of their own, and a writer of data files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.data.rows import Write


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path_factory.mktemp("lmu")))
    for name in ("MEDQBENCH_DATA", "MEDQBENCH_REVISION", "MEDQBENCH_COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write_tsv(tmp_path: Path) -> Write:
    def write(rows: Sequence[Mapping[str, str]], name: str = "some.tsv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]), delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write
