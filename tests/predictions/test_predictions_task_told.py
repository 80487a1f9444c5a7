"""Which task a prediction file of somebody else's belongs to."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions import read_predictions, samples_from_table


def write(path: Path, head: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([head, *rows])
    return path


@pytest.mark.parametrize(
    ("references", "task"),
    [
        (["Noisy. Overall, the quality of this image is reject.", "Sharp. Quality: good."], Task.NO_REFERENCE),
        (["Image A is sharper than image B.", "Overall, the first image is of higher quality."], Task.COMPARATIVE),
        (["Of the two images the quality of the second image is good."], Task.COMPARATIVE),
        (["The left image is blurred; the quality is usable.", "The right one is better."], Task.COMPARATIVE),
    ],
)
def test_references_tell_where_images_were_dropped(tmp_path: Path, references: list[str], task: Task) -> None:
    rows = [[str(i), text, "reply"] for i, text in enumerate(references)]
    table = read_predictions(write(tmp_path / "p.csv", ["index", "description", "prediction"], rows))
    assert samples_from_table(table)[0] is task


def test_references_that_tell_nothing_are_no_ground_to_guess_on(tmp_path: Path) -> None:
    rows = [["1", "There is some noise.", "reply"]]
    table = read_predictions(write(tmp_path / "p.csv", ["index", "description", "prediction"], rows))
    with pytest.raises(BadInput, match="--data"):
        samples_from_table(table)
