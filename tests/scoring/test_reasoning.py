import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.runs.result import reasoning_row
from medqbench_vlmeval.scoring import score_reasoning
from medqbench_vlmeval.types import Judged, Prediction, Sample, Verdict


def judged(index, scores, reason="no verdict in the reply"):
    verdicts = {
        dimension: Verdict(dimension, score, None if score is not None else reason, "", "0" * 64, "j", asks=1)
        for dimension, score in zip(DIMENSIONS, scores, strict=True)
    }
    return Judged(index, verdicts)


def sample(index, modality="CT", difficulty=None, images=(), severity=None):
    return Sample(
        index,
        Task.COMPARATIVE,
        "?",
        description="d",
        modality=modality,
        severity=severity,
        difficulty=difficulty,
        image_refs=images,
    )


def run(rows, samples=None):
    samples = samples or [sample(str(i)) for i in range(len(rows))]
    return score_reasoning(samples, [Prediction(one.index, "text") for one in samples], rows)


def test_overall_is_the_sum_of_the_four_means():
    score = run([judged("0", (2, 1, 2, 2)), judged("1", (1, 1, 2, 0))])
    assert [score[key] for key in ("Completeness", "Preciseness", "Consistency", "Quality Accuracy")] == [1.5, 1, 2, 1]
    assert score["Overall"] == 1.5 + 1 + 2 + 1
    assert score["frequencies"]["Completeness"] == {"0": 0, "1": 1, "2": 1}
    assert score["usage"]["calls"] == 8


def test_sums_of_fractions_are_the_same_on_every_python():
    # As a sum from left to right 2 + 1.6 + 1 + 1.8 is 6.3999999999999995.
    assert run([judged("0", (2, 1.6, 1, 1.8))])["Overall"] == 6.4
    row = reasoning_row(sample("0"), Prediction("0", "text"), judged("0", (2, 1.6, 1, 1.8)))
    assert row["score"] == 6.4


def test_a_failed_judgement_is_no_number():
    score = run([judged("0", (2, 2, 2, 2)), judged("1", (0, None, 0, 0)), Judged("2", {}, "inference failed")])
    assert score["Completeness"] == 1.0
    assert score["Preciseness"] == 2.0
    assert (score["n"], score["n_scored"], score["n_unscored"]) == (3, 1, 2)
    assert score["unscored_reasons"] == {"preciseness: no verdict in the reply": 1, "inference failed": 1}


def test_nothing_scored_is_none_not_zero():
    score = run([Judged("0", {}, "inference failed")])
    assert score["Overall"] is None
    assert score["Completeness"] is None
    assert score["intervals"]["Overall"] is None


def test_groups_by_modality_and_difficulty():
    samples = [sample("0", "CT", "coarse-grained"), sample("1", "MRI", "fine-grained")]
    groups = run([judged("0", (2, 2, 2, 2)), judged("1", (0, 0, 0, 0))], samples)["groups"]
    assert groups["modality"]["CT"]["Overall"] == 8
    assert groups["difficulty"]["fine-grained"] == {
        "Completeness": 0, "Preciseness": 0, "Consistency": 0, "Quality Accuracy": 0, "Overall": 0,
        "n": 1, "n_scored": 1, "n_unscored": 0, "n_clusters": 1, "few": True,
        "intervals": dict.fromkeys(("Completeness", "Preciseness", "Consistency", "Quality Accuracy", "Overall")),
    }  # fmt: skip
    assert groups["modality_x_difficulty"]["CT"] == {"coarse-grained": groups["modality"]["CT"]}
    assert "modality_x_severity" not in groups


def test_every_cell_has_intervals_by_image():
    # Two pairs share an image and agree, the third has its own: sums of residuals by image 2 * -2/3 and 4/3 around 4/3.
    rows = [judged(str(i), (score, 2, 2, 2)) for i, score in enumerate((1, 1, 2))]
    samples = [sample("0", images=("a", "b")), sample("1", images=("b", "c")), sample("2", images=("d", "e"))]
    cell = run(rows, samples)["groups"]["modality"]["CT"]
    # Variance 2 * ((2/3)^2 + (2/3)^2) / 9 = 16/81, quantile for one degree 12.7062: 4/3 less and plus 5.65, cut to 0-2.
    assert cell["intervals"]["Completeness"] == [0, 2]
    assert cell["intervals"]["Consistency"] is None  # no spread, and no certainty
    assert (cell["n_clusters"], cell["n"]) == (2, 3)
    alone = run(rows)["groups"]["modality"]["CT"]
    # Without names: s = 1/sqrt(3), quantile for two degrees 4.302653: 4/3 less and plus 1.434218; the sum is 6 higher.
    assert alone["intervals"]["Completeness"] == [0, 2]
    assert alone["intervals"]["Overall"] == pytest.approx([22 / 3 - 1.434218, 8])
    assert alone["n_clusters"] == 3


def test_cells_with_few_scored_samples_are_marked():
    rows = [judged(str(i), (2, 2, 2, 2)) for i in range(10)]
    assert run(rows)["few"] is False
    score = run([*rows[:9], judged("9", (2, 2, None, 2))])
    assert (score["n"], score["few"], score["groups"]["modality"]["CT"]["few"]) == (10, True, True)


def test_the_runs_overall_is_drawn_by_image():
    # 40 pairs on 10 images, each image all 2 or all 0: as uncertain as ten samples of 0 or 8.
    rows = [judged(str(i), (2 * (i % 2),) * 4) for i in range(40)]
    samples = [sample(str(i), images=(str(i % 10),)) for i in range(40)]
    score = run(rows, samples)
    # 2 and 8 of 10 images are the binomial's 2.5th and 97.5th percentiles.
    assert score["intervals"]["Overall"] == pytest.approx([1.6, 6.4], abs=0.01)
    assert "bootstrap" in score["intervals"]["method"]
    assert "samples that share an image" in score["intervals"]["method"]
    assert "no image is named" in run(rows)["intervals"]["method"]
    one_image = run(rows, [sample(str(i), images=("a",)) for i in range(40)])
    assert one_image["intervals"]["Overall"] is None
    assert one_image["n_clusters"] == 1


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_no_order_of_rows_changes_a_digit(chance):
    n = 50
    samples = [
        sample(
            str(i), chance.choice(("CT", "MRI")), chance.choice(("coarse-grained", None)), (f"{chance.randrange(20)}",)
        )
        for i in range(n)
    ]
    marks = (0, 1 / 3, 0.6, 1, 1.4, 2, None)
    rows = [judged(str(i), [chance.choice(marks) for _ in DIMENSIONS]) for i in range(n)]
    order = chance.sample(range(n), n)
    assert run(rows, samples) == run([rows[i] for i in order], [samples[i] for i in order])


# Sums of points behind the published means: 221 no-reference and 133 comparative samples.
PUBLISHED = [
    (221, (264, 247, 406, 338), (1.195, 1.118, 1.837, 1.529, 5.679)),  # GPT-5, no-reference
    (221, (238, 205, 437, 285), (1.077, 0.928, 1.977, 1.290, 5.271)),  # Qwen2.5-VL-32B, no-reference
    (133, (172, 207, 256, 208), (1.293, 1.556, 1.925, 1.564, 6.338)),  # GPT-5, comparative
    (133, (131, 170, 239, 196), (0.985, 1.278, 1.797, 1.474, 5.534)),  # InternVL3-8B, comparative
]


def spread(points, n, even):
    """n verdicts that sum to ``points``, from 0 and 2 alone where the protocol knows no 1."""
    scores = [2] * (points // 2)
    scores += [] if even else [1] * (points % 2)
    return scores + [0] * (n - len(scores))


@pytest.mark.parametrize(("n", "points", "row"), PUBLISHED)
def test_published_rows_come_out_of_their_sums(n, points, row):
    columns = [spread(total, n, even=total % 2 == 0) for total in points]
    score = run([judged(str(i), scores) for i, scores in enumerate(zip(*columns, strict=True))])
    titles = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy", "Overall")
    assert [score[title] for title in titles] == pytest.approx(row, abs=0.0006)


def test_overall_lies_in_its_interval_where_verdicts_are_missing():
    score = run([judged(str(i), (2, 2, 2, 2)) for i in range(2)] + [judged(str(i), (0, 0, 0, None)) for i in (2, 3)])
    low, high = score["intervals"]["Overall"]
    assert score["Overall"] == 1 + 1 + 1 + 2
    assert low < score["Overall"] < high <= 8


def test_intervals_stay_on_the_scale():
    score = run([judged("0", (2, 2, 2, 2)), judged("1", (0, 2, 2, 2)), judged("2", (2, 2, 2, 2))])
    low, high = score["intervals"]["Completeness"]
    assert (low >= 0, high) == (True, 2)


def test_reasons_that_are_as_frequent_stand_in_one_order():
    rows = [judged("0", (None, 1, 1, 1), "z"), judged("1", (None, 1, 1, 1), "a"), judged("2", (1, None, 1, 1), "a")]
    found = [list(run(order)["unscored_reasons"]) for order in (rows, rows[::-1])]
    assert found == [["completeness: a", "completeness: z", "preciseness: a"]] * 2


def test_the_order_of_rows_changes_no_digit_of_means_of_three_rounds():
    chance = random.Random(3)
    rows = [
        (
            sample(
                str(i), chance.choice(["CT", "MRI"]), severity=chance.choice(["none", "mild"]), images=(f"{i // 3}",)
            ),
            judged(str(i), [None if chance.random() < 0.05 else chance.randrange(7) / 3 for _ in DIMENSIONS]),
        )
        for i in range(60)
    ]

    def text(some):
        samples, verdicts = zip(*some, strict=True)
        return json.dumps(run(verdicts, samples))

    assert {text(chance.sample(rows, len(rows))) for _ in range(4)} == {text(rows)}
