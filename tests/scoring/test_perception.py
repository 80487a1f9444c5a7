import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import QUESTION_TYPES, Task
from medqbench_vlmeval.scoring import score_perception
from medqbench_vlmeval.types import Answer, Prediction, PredictionStatus, Sample


def sample(index, kind, modality="CT", severity=None, answer="A", images=()):
    return Sample(
        index,
        Task.PERCEPTION,
        "?",
        {"A": "Yes", "B": "No"},
        answer,
        modality=modality,
        question_type=kind,
        severity=severity,
        image_refs=images,
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
        [Answer(LETTERS[i], "bare letter" if LETTERS[i] else "no answer") for i in order],
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
    score = score_perception([SAMPLES[0]], [PREDICTIONS[0]], [Answer("A", "r")])
    assert score["What"] is None
    assert score["intervals"]["What"] == [None, None]


def test_order_of_rows_changes_no_number():
    order = list(range(5))
    random.Random(3).shuffle(order)
    ours, theirs = scored(), scored(order)
    ours.pop("rules"), theirs.pop("rules")
    assert ours == theirs


def test_cells_of_fewer_than_ten_questions_are_marked():
    def few(n):
        samples = [sample(str(i), "What", "CT" if i < n else "MRI") for i in range(n + 10)]
        score = score_perception(
            samples, [Prediction(one.index, "A") for one in samples], [Answer("A", "r")] * (n + 10)
        )
        cells = score["groups"]["modality"]
        return score["few"], cells["CT"]["few"], cells["MRI"]["few"]

    assert few(9) == (False, True, False)
    assert few(10) == (False, False, False)


def test_severity_is_crossed_with_modality_and_question_type():
    groups = scored()["groups"]
    assert list(groups["modality_x_severity"]["CT"]) == ["mild", "unknown"]
    assert groups["modality_x_severity"]["MRI"]["mild"]["n_correct"] == 1
    assert groups["question_type_x_severity"]["How"]["mild"]["n"] == 2
    unlabelled = score_perception([sample("1", "How")], [PREDICTIONS[0]], [Answer("A", "r")])["groups"]
    assert "modality_x_question_type" in unlabelled
    assert not {"modality_x_severity", "question_type_x_severity"} & set(unlabelled)


def of_images(n_images, per_image, is_right, modality=lambda image: "CT", severity=lambda image: None, named=True):
    """``per_image`` questions on each image; ``is_right`` takes the image's and the question's number."""
    samples, extractions = [], []
    for image in range(n_images):
        for question in range(per_image):
            names = (f"{image}.png",) if named else ()
            samples.append(sample(f"{image}-{question}", "What", modality(image), severity(image), images=names))
            extractions.append(Answer("A" if is_right(image, question) else "B", "bare letter"))
    return samples, [Prediction(one.index, "A") for one in samples], extractions


def test_overall_has_an_interval_by_image_beside_wilsons():
    # Ten images of five questions, all right or all wrong: mean 50, and the ten sums of residuals are 2.5 or -2.5.
    # Variance 10/9 * 10 * 6.25 / 2500 = 1/36, Student's quantile for 9 degrees 2.262157: 50 less and plus 37.70262.
    intervals = score_perception(*of_images(10, 5, lambda image, _: image % 2))["intervals"]
    assert intervals["clustered"]["n_clusters"] == 10
    assert intervals["clustered"]["Overall"] == pytest.approx([12.29738, 87.70262], abs=1e-5)
    # Wilson for 25 of 50: half width 1.959964 * sqrt(0.25/50 + 3.841459/10000) / 1.076829 = 13.3556.
    assert intervals["Overall"] == pytest.approx([36.6444, 63.3556], abs=1e-3)
    assert "samples that share an image" in intervals["method"]


def test_without_image_names_questions_count_as_independent():
    intervals = score_perception(*of_images(10, 5, lambda image, _: image % 2, named=False))["intervals"]
    assert intervals["clustered"]["n_clusters"] == 50
    # s/sqrt(n) = sqrt(0.25/49), quantile for 49 degrees 2.009575.
    assert intervals["clustered"]["Overall"] == pytest.approx([50 - 14.3541, 50 + 14.3541], abs=1e-3)
    assert "no image is named" in intervals["method"]


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_with_shared_images_too_no_order_changes_a_digit(chance):
    n = 80
    samples = []
    for i in range(n):
        images = (f"{chance.randrange(30)}.png",) if chance.random() < 0.9 else ()
        severity = chance.choice(("mild", "severe", None))
        kind, modality = chance.choice(QUESTION_TYPES), chance.choice(("CT", "MRI"))
        samples.append(sample(str(i), kind, modality, severity, images=images))
    extractions = [Answer(chance.choice("AB"), "bare letter") for _ in range(n)]
    order = chance.sample(range(n), n)
    predictions = [Prediction(one.index, "A") for one in samples]
    assert score_perception(samples, predictions, extractions) == score_perception(
        *([column[i] for i in order] for column in (samples, predictions, extractions))
    )


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
            extractions.append(Answer("A" if i < right else "B", "bare letter"))
    score = score_perception(samples, [Prediction(one.index, "A") for one in samples], extractions)
    assert tuple(round(score[key], 2) for key in ("Yes-or-No", "What", "How", "Overall")) == row
