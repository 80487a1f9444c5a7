import pytest

from medqbench_vlmeval.evaluation.rows import reasoning_row
from medqbench_vlmeval.records import JudgedSample, Prediction, Sample, Verdict
from medqbench_vlmeval.scoring import score_reasoning
from medqbench_vlmeval.tasks import DIMENSIONS, Task


def judged(index, scores, reason="no verdict in the reply"):
    verdicts = {
        dimension: Verdict(dimension, score, None if score is not None else reason, "", "0" * 64, "j", asks=1)
        for dimension, score in zip(DIMENSIONS, scores, strict=True)
    }
    return JudgedSample(index, verdicts)


def sample(index, modality="CT", difficulty=None):
    return Sample(index, Task.COMPARATIVE, "?", description="d", modality=modality, difficulty=difficulty)


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
    score = run([judged("0", (2, 2, 2, 2)), judged("1", (0, None, 0, 0)), JudgedSample("2", {}, "inference failed")])
    assert score["Completeness"] == 1.0
    assert score["Preciseness"] == 2.0
    assert (score["n"], score["n_scored"], score["n_unscored"]) == (3, 1, 2)
    assert score["unscored_reasons"] == {"preciseness: no verdict in the reply": 1, "inference failed": 1}


def test_nothing_scored_is_none_not_zero():
    score = run([JudgedSample("0", {}, "inference failed")])
    assert score["Overall"] is None
    assert score["Completeness"] is None
    assert score["intervals"]["Overall"] is None


def test_groups_by_modality_and_difficulty():
    samples = [sample("0", "CT", "coarse-grained"), sample("1", "MRI", "fine-grained")]
    groups = run([judged("0", (2, 2, 2, 2)), judged("1", (0, 0, 0, 0))], samples)["groups"]
    assert groups["modality"]["CT"]["Overall"] == 8
    assert groups["difficulty"]["fine-grained"] == {
        "Completeness": 0, "Preciseness": 0, "Consistency": 0, "Quality Accuracy": 0, "Overall": 0,
        "n": 1, "n_scored": 1, "n_unscored": 0,
    }  # fmt: skip


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
