import random

import pytest

from medqbench_vlmeval.records import Extraction, Prediction, PredictionStatus, Sample
from medqbench_vlmeval.scoring import score_perception
from medqbench_vlmeval.tasks import Task


def sample(index, kind, modality="CT", severity=None, answer="A"):
    return Sample(
        index,
        Task.PERCEPTION,
        "?",
        {"A": "Yes", "B": "No"},
        answer,
        modality=modality,
        question_type=kind,
        severity=severity,
    )


SAMPLES = [
    sample("1", "Yes-or-No", "CT", "mild"),
    sample("2", "Yes-or-No", "MRI", "severe"),
    sample("3", "What", "CT"),
    sample("4", "How", "MRI", "mild"),
    sample("5", "How", "MRI", "mild"),
]
LETTERS = ["A", "B", None, "A", None]
PREDICTIONS = [
    Prediction("1", "A"),
    Prediction("2", "B"),
    Prediction("3", "hm"),
    Prediction("4", "A"),
    Prediction("5", "Failed to obtain answer via API.", PredictionStatus.INFERENCE_FAILED),
]


def scored(order=range(5)):
    order = list(order)
    return score_perception(
        [SAMPLES[i] for i in order],
        [PREDICTIONS[i] for i in order],
        [Extraction(LETTERS[i], "bare letter" if LETTERS[i] else "no answer") for i in order],
    )


def test_headline_is_the_micro_average():
    score = scored()
    assert score["Overall"] == 100 * 2 / 5
    assert (score["Yes-or-No"], score["What"], score["How"]) == (50.0, 0.0, 50.0)
    assert (score["n"], score["n_correct"], score["n_unanswered"], score["n_inference_failed"]) == (5, 2, 2, 1)
    assert score["rules"] == {"bare letter": 3, "no answer": 2}


def test_every_axis_has_counts_and_unknown_is_named():
    groups = scored()["groups"]
    assert groups["modality"]["MRI"]["n"] == 3
    assert groups["modality"]["MRI"]["accuracy"] == pytest.approx(100 / 3)
    assert groups["modality_x_question_type"]["MRI"]["How"]["n_correct"] == 1
    assert "What" not in groups["modality_x_question_type"]["MRI"]
    assert list(groups["severity"]) == ["mild", "severe", "unknown"]
    assert groups["severity"]["mild"]["n"] == 3
    assert "scope" not in groups


def test_interval_is_wilson_in_percent():
    low, high = scored()["intervals"]["Overall"]
    # 2 of 5: centre (0.4 + 3.84146/10) / 1.768292 = 0.44345, half width 0.32588
    assert (low, high) == (pytest.approx(11.76, abs=0.01), pytest.approx(76.93, abs=0.01))


def test_a_type_without_questions_has_no_accuracy():
    score = score_perception([SAMPLES[0]], [PREDICTIONS[0]], [Extraction("A", "r")])
    assert score["What"] is None
    assert score["intervals"]["What"] == [None, None]


def test_order_of_rows_changes_no_number():
    order = list(range(5))
    random.Random(3).shuffle(order)
    ours, theirs = scored(), scored(order)
    ours.pop("rules"), theirs.pop("rules")
    assert ours == theirs


# Correct answers behind published/perception_test.csv, of 558, 258 and 489 questions.
PUBLISHED = {
    "GPT-5": ((459, 156, 285), (82.26, 60.47, 58.28, 68.97)),
    "Grok-4": ((409, 126, 289), (73.30, 48.84, 59.10, 63.14)),
    "Qwen2.5-VL-72B": ((439, 109, 276), (78.67, 42.25, 56.44, 63.14)),
    "InternVL3-8B": ((402, 123, 259), (72.04, 47.67, 52.97, 60.08)),
    "MedGemma-27B": ((374, 124, 248), (67.03, 48.06, 50.72, 57.16)),
    "Qwen2.5-VL-7B": ((323, 125, 266), (57.89, 48.45, 54.40, 54.71)),
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_rows_come_out_of_their_counts(model):
    correct, row = PUBLISHED[model]
    samples, extractions = [], []
    for kind, n, right in zip(("Yes-or-No", "What", "How"), (558, 258, 489), correct, strict=True):
        for i in range(n):
            samples.append(sample(f"{kind}{i}", kind))
            extractions.append(Extraction("A" if i < right else "B", "bare letter"))
    score = score_perception(samples, [Prediction(one.index, "A") for one in samples], extractions)
    assert tuple(round(score[key], 2) for key in ("Yes-or-No", "What", "How", "Overall")) == row
