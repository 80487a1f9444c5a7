"""Accuracies and judge means of constructed runs, with values worked out by hand."""

import random
from dataclasses import replace

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.scoring import score_questions, score_reasoning
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample
from tests.make import NO_VERDICT, verdict

TITLES = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy", "Overall")


def values(measures):
    return {name: cell.value for name, cell in measures.items()}


def question(index, kind, modality="CT", severity=None, images=()):
    options = {"A": "Yes", "B": "No"}
    axes = {"modality": modality, "question_type": kind, "severity": severity}
    return Sample(index, Task.PERCEPTION, "?", options, "A", image_refs=images, **axes)


def perception(samples, letters):
    answers = [Answer(letter, "bare letter" if letter else "no answer") for letter in letters]
    return score_questions(samples, [Prediction(sample.index, "x") for sample in samples], answers)


SAMPLES = [
    question("1", "Yes-or-No", "CT", "mild"),
    question("2", "Yes-or-No", "MRI", "severe"),
    question("3", "What", "CT"),
    question("4", "How", "MRI", "mild"),
    question("5", "How", "MRI", "mild"),
]
LETTERS = ["A", "B", None, "A", None]


def test_accuracy_is_the_micro_average_with_wilsons_interval():
    predictions = [Prediction(str(i), "x") for i in range(4)] + [Prediction("4", "", PredictionStatus.INFERENCE_FAILED)]
    result = score_questions(SAMPLES, predictions, [Answer(letter, f"rule {letter}") for letter in LETTERS])
    assert values(result.measures) == {"Overall": 40, "Yes-or-No": 50, "What": 0, "How": 50}
    assert result.counts == {
        "n": 5, "n_correct": 2, "n_unanswered": 2, "n_inference_failed": 1, "n_missing": 0, "n_cut": 0
    }  # fmt: skip
    assert list(result.rules.items()) == [("rule A", 2), ("rule None", 2), ("rule B", 1)]
    # 2 of 5: centre (0.4 + 3.84146/10) / 1.768292 = 0.44345, half width 0.32588
    assert result.overall.interval == pytest.approx((11.76, 76.93), abs=0.01)


def test_every_axis_has_counts_and_unknown_is_named():
    result = perception(SAMPLES, LETTERS)
    mri = result.groups["modality"]["MRI"]
    assert (mri.counts["n"], mri.overall.value) == (3, pytest.approx(100 / 3))
    assert list(result.groups["severity"]) == ["mild", "severe", "unknown"]
    assert "scope" not in result.groups
    by_type = result.crossed["modality_x_question_type"]["MRI"]
    assert (by_type["How"].counts["n_correct"], "What" in by_type) == (1, False)
    assert list(result.crossed["modality_x_severity"]["CT"]) == ["mild", "unknown"]
    assert result.crossed["question_type_x_severity"]["How"]["mild"].counts["n"] == 2
    assert list(perception([question("1", "How")], "A").crossed) == ["modality_x_question_type"]

    what = perception(SAMPLES[:1], "A").measures["What"]
    assert (what.value, what.interval, what.n) == (None, None, 0)


def test_groups_of_fewer_than_ten_samples_are_marked():
    samples = [question(str(i), "What", "CT" if i < 9 else "MRI") for i in range(19)]
    result = perception(samples, "A" * len(samples))
    groups = result.groups["modality"]
    assert (result.few, groups["CT"].few, groups["CT"].overall.few, groups["MRI"].few) == (False, True, True, False)
    rows = [judged(str(i), (2, 2, 2, 2)) for i in range(10)]
    assert reasoning(rows).few is False
    result = reasoning([*rows[:9], judged("9", (2, 2, None, 2))])
    assert (result.n, result.few, result.groups["modality"]["CT"].few) == (10, True, True)


@pytest.mark.parametrize(
    ("named", "n_clusters", "interval", "words"),
    [
        # Ten images of five questions, all right or all wrong: mean 50, and the ten sums of residuals are 2.5 or -2.5.
        # Variance 10/9 * 10 * 6.25 / 2500 = 1/36, quantile for 9 degrees 2.262157: 50 less and plus 37.70262.
        (True, 10, (12.29738, 87.70262), "samples that share an image"),
        # s/sqrt(n) = sqrt(0.25/49), quantile for 49 degrees 2.009575.
        (False, 50, (35.6459, 64.3541), "no image is named"),
    ],
)
def test_overall_has_an_interval_by_image_beside_wilsons(named, n_clusters, interval, words):
    samples = [question(str(i), "What", images=(f"{i // 5}.png",) if named else ()) for i in range(50)]
    result = perception(samples, ["AB"[i // 5 % 2] for i in range(50)])
    assert (result.clustered.value, result.clustered.n_clusters) == (50, n_clusters)
    assert result.clustered.interval == pytest.approx(interval, abs=1e-4)
    assert words in result.interval_method
    # Wilson for 25 of 50: half width 1.959964 * sqrt(0.25/50 + 3.841459/10000) / 1.076829 = 13.3556.
    assert result.overall.interval == pytest.approx((36.6444, 63.3556), abs=1e-3)


def judged(index, scores, reason=NO_VERDICT):
    verdicts = [verdict(*pair) for pair in zip(DIMENSIONS, scores, strict=True)]
    return Judged(
        index, {verdict.dimension: replace(verdict, reason=verdict.reason and reason) for verdict in verdicts}
    )


def pair(index, modality="CT", difficulty=None, images=(), severity=None):
    axes = {"modality": modality, "severity": severity, "difficulty": difficulty}
    return Sample(index, Task.COMPARATIVE, "?", description="d", image_refs=images, **axes)


def reasoning(rows, samples=None):
    samples = samples or [pair(str(i)) for i in range(len(rows))]
    return score_reasoning(samples, [Prediction(sample.index, "text") for sample in samples], rows)


def test_overall_is_the_sum_of_the_four_means():
    result = reasoning([judged("0", (2, 1, 2, 2)), judged("1", (1, 1, 2, 0))])
    assert values(result.measures) == dict(zip(TITLES, (1.5, 1, 2, 1, 5.5), strict=True))
    assert result.frequencies["Completeness"] == {"0": 0, "1": 1, "2": 1}
    assert result.task is Task.COMPARATIVE
    # As a sum from left to right 2 + 1.6 + 1 + 1.8 is 6.3999999999999995.
    assert reasoning([judged("0", (2, 1.6, 1, 1.8))]).overall.value == 6.4


def test_a_failed_judgement_is_no_number():
    result = reasoning([judged("0", (2, 2, 2, 2)), judged("1", (0, None, 0, 0)), Judged("2", {}, "inference failed")])
    assert (result.measures["Completeness"].value, result.measures["Completeness"].n) == (1.0, 2)
    assert (result.measures["Preciseness"].value, result.measures["Preciseness"].n) == (2.0, 1)
    assert [result.counts[name] for name in ("n", "n_scored", "n_unscored")] == [3, 1, 2]
    assert result.unscored_reasons == {"preciseness: no verdict in the reply": 1, "inference failed": 1}
    nothing = reasoning([Judged("0", {}, "inference failed")])
    assert {(cell.value, cell.interval) for cell in nothing.measures.values()} == {(None, None)}


def test_groups_by_modality_and_difficulty():
    samples = [pair("0", "CT", "coarse-grained"), pair("1", "MRI", "fine-grained")]
    result = reasoning([judged("0", (2, 2, 2, 2)), judged("1", (0, 0, 0, 0))], samples)
    fine = result.groups["difficulty"]["fine-grained"]
    assert values(fine.measures) == dict.fromkeys(TITLES, 0)
    assert {cell.interval for cell in fine.measures.values()} == {None}
    assert (fine.counts, fine.few) == ({"n": 1, "n_scored": 1, "n_unscored": 0, "n_clusters": 1}, True)
    assert result.crossed == {"modality_x_difficulty": {
        "CT": {"coarse-grained": result.groups["modality"]["CT"]}, "MRI": {"fine-grained": fine}
    }}  # fmt: skip
    assert result.groups["modality"]["CT"].overall.value == 8


def test_every_group_has_intervals_by_image():
    # Two pairs share an image and agree, the third has its own: sums of residuals by image 2 * -2/3 and 4/3 around 4/3.
    rows = [judged(str(i), (score, 2, 2, 2)) for i, score in enumerate((1, 1, 2))]
    samples = [pair("0", images=("a", "b")), pair("1", images=("b", "c")), pair("2", images=("d", "e"))]
    group = reasoning(rows, samples).groups["modality"]["CT"]
    # Variance 2 * ((2/3)^2 + (2/3)^2) / 9 = 16/81, quantile for one degree 12.7062: 4/3 less and plus 5.65, cut to 0-2.
    assert group.measures["Completeness"].interval == (0, 2)
    assert group.measures["Consistency"].interval is None  # no spread, and no certainty
    assert (group.counts["n_clusters"], group.counts["n"]) == (2, 3)
    alone = reasoning(rows).groups["modality"]["CT"]
    # Without names: s = 1/sqrt(3), quantile for two degrees 4.302653: 4/3 less and plus 1.434218; the sum is 6 higher.
    assert alone.measures["Completeness"].interval == (0, 2)
    assert alone.overall.interval == pytest.approx((22 / 3 - 1.434218, 8))
    assert alone.counts["n_clusters"] == 3


def test_the_runs_overall_is_drawn_by_image():
    # 40 pairs on 10 images, each image all 2 or all 0: as uncertain as ten samples of 0 or 8.
    rows = [judged(str(i), (2 * (i % 2),) * 4) for i in range(40)]
    result = reasoning(rows, [pair(str(i), images=(str(i % 10),)) for i in range(40)])
    # 2 and 8 of 10 images are the binomial's 2.5th and 97.5th percentiles.
    assert result.overall.interval == pytest.approx((1.6, 6.4), abs=0.01)
    assert "bootstrap" in result.interval_method
    assert "samples that share an image" in result.interval_method
    assert "no image is named" in reasoning(rows).interval_method
    one_image = reasoning(rows, [pair(str(i), images=("a",)) for i in range(40)])
    assert (one_image.overall.interval, one_image.counts["n_clusters"]) == (None, 1)


def test_verdicts_that_are_missing():
    rows = [judged(str(i), (2, 2, 2, 2)) for i in range(2)] + [judged(str(i), (0, 0, 0, None)) for i in (2, 3)]
    overall = reasoning(rows).overall
    assert overall.value == 1 + 1 + 1 + 2
    assert overall.low < overall.value < overall.high <= 8
    # Reasons that are as frequent stand in one order.
    rows = [judged("0", (None, 1, 1, 1), "z"), judged("1", (None, 1, 1, 1), "a"), judged("2", (1, None, 1, 1), "a")]
    orders = [list(reasoning(order).unscored_reasons) for order in (rows, rows[::-1])]
    assert orders == [["completeness: a", "completeness: z", "preciseness: a"]] * 2


def test_the_order_of_rows_changes_no_digit_of_means_of_rounds():
    chance = random.Random(3)
    marks = (*(i / 3 for i in range(7)), 0.6, 1.4, None)
    samples = [
        pair(str(i), chance.choice(["CT", "MRI"]), severity=chance.choice(["none", None]), images=(f"{i // 3}",))
        for i in range(60)
    ]
    rows = [judged(str(i), [chance.choice(marks) for _ in DIMENSIONS]) for i in range(60)]
    expected = reasoning(rows, samples)
    for _ in range(6):
        order = chance.sample(range(60), 60)
        result = reasoning([rows[i] for i in order], [samples[i] for i in order])
        assert (result, repr(result)) == (expected, repr(expected))
