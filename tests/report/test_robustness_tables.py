"""Two passes compared: tables of questions and of pairs of images, in the terminal and in the workbook."""

from dataclasses import replace

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.robustness_tables import robustness_tables, write_robustness
from medqbench_vlmeval.scoring import robustness
from medqbench_vlmeval.types import Sample
from tests.report.printed import printed


def questions():
    """Twelve questions, the first option right; the first ten are answered so twice, the others with 'A' twice."""
    sample = {"options": {"A": "Noise", "B": "Blur"}, "answer": "A", "modality": "CT"}
    samples = [Sample(str(i), Task.PERCEPTION, "Q", image_refs=(f"{i}.png",), **sample) for i in range(12)]
    answers, replies = ["B"] * 10 + ["A"] * 2, ("=A", "\x1b[2JB")
    pairs = [
        robustness.ChoicePair(sample, {"A": "B", "B": "A"}, "A", second, replies)
        for sample, second in zip(samples, answers, strict=True)
    ]
    return replace(robustness.score_choices(pairs), model="m", dataset="d", notes=["no result"])


def pairs_of_images():
    """Two pairs: the first place is preferred twice, and one reply cannot be read."""
    samples = [Sample(str(i), Task.COMPARATIVE, "Q", image_refs=(f"{i}.png",), difficulty="fine") for i in range(2)]
    replies = {"replies": ("first", "second")}
    pairs = [
        robustness.PreferencePair(samples[0], 1, 1, 1, **replies),
        robustness.PreferencePair(samples[1], 2, None, None, **replies),
    ]
    return replace(robustness.score_preferences(pairs), model="m", dataset="d")


def test_questions_in_a_pipe():
    lines = printed(robustness_tables(questions()))
    assert lines[0] == "m on d: 12 questions asked twice, the options permuted"
    # 12 and 10 of 12, so 11 of 12 in the mean.
    assert [line.split()[-1] for line in lines[2:8]] == ["12"] * 6
    assert "Debiased accuracy (mean of both)" in lines[4]
    assert "91.67" in lines[4]
    assert lines[5].startswith("Second less first, points         -16.67")
    modality = next(line for line in lines if line.startswith("CT")).split()
    assert modality[:5] == ["CT", "12", "100.00", "83.33", "91.67"]
    letter = next(line for line in lines if line.startswith("A ")).split()
    assert letter[:6] == ["A", "12", "100.00", "16.67", "12", "0"]
    assert "! no result" in lines
    assert "! answers drawn anew each time are the same in 50.00%, answers by the letter alone in none" in lines


def test_pairs_of_images_in_a_pipe():
    lines = printed(robustness_tables(pairs_of_images()))
    assert lines[0] == "m on d: 2 pairs shown twice, the images swapped"
    assert next(line for line in lines if line.startswith("First place in both")).split()[5:6] == ["*50.00"]
    same = next(line for line in lines if line.startswith("'Same'  ")).split()
    assert same == ["'Same'", "0.00", "0.00", "-", "-", "-"]
    assert "! 1 pairs whose reference states no preference have no quality accuracy" in lines


CHOICES = {
    "second:first": "A:B B:A", "right option": "Noise", "first": "Noise", "second": "Noise",
    "first right": "yes", "second right": "yes", "same option": "yes",
    "first reply": "=A", "second reply": "\ufffd[2JB",
}  # fmt: skip
IMAGES = {"better image": "1", "first": "1", "second, as in first order": "2", "kind": "first place twice"}


@pytest.mark.parametrize(
    ("comparison", "first_pair", "label"),
    [
        (questions(), CHOICES, "Second less first, points"),
        (pairs_of_images(), IMAGES, "First place in both orders"),
    ],
    ids=["questions", "images"],
)
def test_the_workbook(tmp_path, comparison, first_pair, label):
    write_robustness(tmp_path / "c.xlsx", comparison)
    book = load_workbook(tmp_path / "c.xlsx")
    assert book.sheetnames == ["Robustness", "Pairs"]
    heads, first, *_ = book["Pairs"].iter_rows(values_only=True)
    values = dict(zip(heads, first, strict=True))
    assert [(head, values[head]) for head in heads if head in first_pair] == list(first_pair.items())
    assert {cell.data_type for row in book["Pairs"].iter_rows() for cell in row} <= {"s", "n"}
    numbers = {row[0]: row[1] for row in book["Robustness"].iter_rows(values_only=True)}
    assert "NOT A RESULT of the benchmark: two passes compared" in numbers
    assert numbers[label] is not None
