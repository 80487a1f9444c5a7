"""What ``data info`` shows of a file: columns by their meaning, values, and scores without a look at an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import describe, load
from medqbench_vlmeval.data.info import blind_scores
from medqbench_vlmeval.provenance import ColumnUse, SourceFile
from medqbench_vlmeval.report.data_tables import info_tables
from medqbench_vlmeval.types import Sample, SampleSet
from tests.report.printed import printed

YES_NO = {"A": "Yes", "B": "No"}


def choice(index: str, kind: str, options: dict[str, str], answer: str, modality: str = "CT") -> Sample:
    refs = (f"{int(index) % 2}.png",)
    return Sample(
        index, Task.PERCEPTION, "Is it?", options, answer, question_type=kind, modality=modality, image_refs=refs
    )


SAMPLES = (
    choice("1", "Yes-or-No", YES_NO, "A"),
    choice("2", "Yes-or-No", YES_NO, "A"),
    choice("3", "How", {"A": "mild", "B": "moderate", "C": "none"}, "B"),
    choice("4", "How", {"A": "aa", "B": "b", "C": "c", "D": "d"}, "C", "[b]MRI"),
)


def test_scores_of_no_look_by_hand() -> None:
    scores = blind_scores(SAMPLES, "question_type")
    assert scores["always A"] == {"all": 50, "Yes-or-No": 100, "How": 0}
    assert scores["always B"] == {"all": 25, "Yes-or-No": 0, "How": 50}
    assert scores["always C"] == {"all": 25, "Yes-or-No": 0, "How": 50}
    assert scores["always D"] == {"all": 0, "Yes-or-No": 0, "How": 0}
    # A for Yes-or-No, for How the first of two that are right once each.
    assert scores["the most frequent of its question type"] == {"all": 75, "Yes-or-No": 100, "How": 50}
    # 'Yes', 'Yes', 'moderate' and 'aa', of which the last is wrong.
    assert scores["the longest option"] == {"all": 75, "Yes-or-No": 100, "How": 50}
    chances = {"all": (1 / 2 + 1 / 2 + 1 / 3 + 1 / 4) / 4, "Yes-or-No": 1 / 2, "How": (1 / 3 + 1 / 4) / 2}
    assert scores["chance"] == pytest.approx({value: 100 * share for value, share in chances.items()})


@pytest.mark.parametrize("width", [None, 80, 120])
def test_a_data_file_on_a_terminal(width: int | None) -> None:
    use = ColumnUse(
        {"index": "nr", "answer": "gold", "question_type": "type", "modality": "m"},
        {"severity": "nothing for 4 of 4 rows, whose values name no severity in words: '3'"},
        ("scope",),
        ("x", "y"),
        ("answer",),
    )
    source = SourceFile(Path("/data/x.tsv"), "ab" * 32, "0123" * 10, "hub", use, 4)
    info = describe(SampleSet("[b]x", Task.PERCEPTION, SAMPLES, {Task.PERCEPTION: source}))
    lines = printed(info_tables(info), width)
    assert max(map(len, lines)) <= (width or 999)
    assert lines[0] == "[b]x: Perception, 4 samples, 2 images"
    assert lines[1] == f"/data/x.tsv (hub, revision {'0123' * 10})"
    cells = {line.split()[0]: line.split()[1:] for line in lines if line.split()}
    assert cells["index"] == ["nr"]
    assert cells["answer"] == ["gold", "(named)", "A", "(2),", "B", "(1),", "C", "(1)"]
    assert cells["modality"] == ["m", "CT", "(3),", "[b]MRI", "(1)"]
    assert cells["severity"] == ["(inferred)"]
    assert cells["scope"] == ["(absent)"]
    assert cells["chance"] == ["39.6", "50.0", "29.2"]
    text = " ".join(" ".join(lines).split())
    assert (
        "! severity: nothing for 4 of 4 rows, whose values name no severity in words: '3' ! ignored columns: x, y"
        in text
    )


def test_many_values_are_cut_in_the_table_alone() -> None:
    many = tuple(choice(str(i), "How", YES_NO, "A", f"m{i}") for i in range(100))
    info = describe(SampleSet("x", Task.PERCEPTION, many, load("MedQBench_Perception_mini").sources))
    assert any("m39 (1) and 60 more" in line for line in printed(info_tables(info)))
    assert len(info.to_json()["parts"]["perception"]["counts"]["modality"]) == 100
