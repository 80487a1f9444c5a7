"""What must hold for every judge on the embedded sets."""

from __future__ import annotations

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, parse_dataset_name
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.types import Prediction, Sample


@pytest.fixture(params=["MedQBench_Reasoning_NoReference_mini", "MedQBench_Reasoning_Comparative_mini"])
def samples(request: pytest.FixtureRequest) -> tuple[Sample, ...]:
    return load_dataset(parse_dataset_name(request.param), images=False).samples


def sums(samples: tuple[Sample, ...], replies: list[str]) -> list[int | None]:
    predictions = [Prediction(sample.index, reply) for sample, reply in zip(samples, replies, strict=True)]
    judged = build_judge(JudgeOptions("rules")).judge(samples, predictions)
    scores = [[one.verdicts[dimension].score for dimension in DIMENSIONS] for one in judged]
    return [None if None in four else sum(score or 0 for score in four) for four in scores]


def test_copies_of_the_embedded_references_score_eight(samples: tuple[Sample, ...]) -> None:
    assert sums(samples, [sample.description or "" for sample in samples]) == [8] * len(samples)


def test_empty_answers_to_the_embedded_references_score_zero(samples: tuple[Sample, ...]) -> None:
    assert sums(samples, [""] * len(samples)) == [0] * len(samples)


def test_someone_elses_reference_scores_less(samples: tuple[Sample, ...]) -> None:
    shifted = [*samples[1:], samples[0]]
    found = sums(samples, [sample.description or "" for sample in shifted])
    assert sum(score or 0 for score in found) < 0.75 * 8 * len(samples)
