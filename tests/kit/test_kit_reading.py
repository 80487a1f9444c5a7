"""Accuracy by the kit's own readers of replies, beside ours and never in it."""

import json

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.sentences import checks_of
from medqbench_vlmeval.runs.files import read_result
from medqbench_vlmeval.types import Prediction, Sample
from tests.commands import run as command

OPTIONS = {"A": "Noise", "B": "Blur", "C": "Motion artifacts", "D": "None of these"}


@pytest.mark.parametrize(
    ("reply", "by_can_infer", "by_its_class"),
    [
        ("B", "B", "B"),
        ("Motion artifacts", "C", None),
        ("A blurry image, so C.", "B", "A"),  # two letters stand there: the one takes the words, the other the article
        ("No idea.", None, None),
        ("Failed to obtain answer via API.", None, None),
    ],
)
def test_letters(kit, reply, by_can_infer, by_its_class):
    from medqbench_vlmeval.kit.datasets import kit_letters

    letters = kit_letters([Sample("1", Task.PERCEPTION, "Which?", OPTIONS, "C")], [Prediction("1", reply)])
    assert letters == {"can_infer": [by_can_infer], "MedqbenchMCQDataset": [by_its_class]}


def test_of_medq_deg_its_own_class_reads(kit):
    from medqbench_vlmeval.kit.datasets import kit_letters

    sample = Sample("1", Task.DEGRADATION, "Which?", {**OPTIONS, "E": "Streaks"}, "E")
    letters = kit_letters([sample] * 2, [Prediction("1", "E. Streaks"), Prediction("1", "A clean E")])
    assert letters == {"can_infer": ["E", None], "MedQDEGBenchDataset": ["E", "A"]}


def test_score_puts_it_beside_the_official_numbers(kit, tmp_path, capsys):
    """By hand: ours reads all four, and the last is wrong. The kit's readers find two other letters in the third, and
    its class finds none in the second."""
    replies = ("C", "Motion artifacts", "A blurry image, so C.", "B")
    rows = [f"{place},Which?,{','.join(OPTIONS.values())},C,{reply!r}" for place, reply in enumerate(replies)]
    text = "\n".join(["index,question,A,B,C,D,answer,prediction", *rows]).replace("'", '"')
    path = tmp_path / "Model.csv"
    path.write_text(text, encoding="utf-8")
    assert command(capsys, "score", path, "--out", tmp_path / "plain")[0] == 0
    code, out, _ = command(capsys, "score", path, "--out", tmp_path / "both", "--kit-reading")
    assert code == 0
    assert "by its can_infer 50.00% (2 of 4, no letter in 0)" in out
    plain, both = (
        json.loads((tmp_path / name / "Model_custom_score.json").read_text(encoding="utf-8"))
        for name in ("plain", "both")
    )
    reading = both.pop("kit_reading")
    assert {name: (group["accuracy"], group["n_unanswered"]) for name, group in reading.items()} == {
        "can_infer": (50.0, 0),
        "MedqbenchMCQDataset": (25.0, 1),
    }
    plain["settings"].pop("created"), both["settings"].pop("created")
    assert (plain, plain["Overall"]) == (both, 75.0)
    again = read_result(tmp_path / "both" / "Model_custom_score.json")
    assert any("by its MedqbenchMCQDataset 25.00% (1 of 4" in line for line in checks_of(again.tasks[0]))
