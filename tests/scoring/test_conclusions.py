"""Quality accuracy computed from stated conclusions, beside the judge's own."""

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.scoring import read_conclusion, score_conclusions, score_reasoning
from medqbench_vlmeval.types import Judged, Prediction, PredictionStatus, Sample, Verdict

FIRST, SECOND = (f"Overall, the {place} image is of higher quality." for place in ("first", "second"))
EQUAL = "Both images are of comparable quality."


def level(name):
    return f"Some noise is visible. The quality of this image is {name}."


def sample(index, description, task=Task.NO_REFERENCE):
    return Sample(index, task, None, description=description)


def judged(index, score, judge="j"):
    reason = None if score is not None else "no verdict in the reply"
    return Judged(index, {name: Verdict(name, score, reason, "", "0" * 64, judge, asks=1) for name in DIMENSIONS})


@pytest.mark.parametrize(
    ("answer", "reference", "stated", "score"),
    [
        ("good", "good", "good", 2),
        ("usable", "good", "usable", 1),
        ("usable", "reject", "usable", 1),
        ("reject", "good", "reject", 0),
        ("good", "reject", "good", 0),
    ],
)
def test_levels(answer, reference, stated, score):
    found = read_conclusion(sample("1", level(reference)), Prediction("1", level(answer)))
    assert (found.stated, found.reference, found.quality_accuracy) == (stated, reference, score)


@pytest.mark.parametrize(
    ("answer", "reference", "stated", "score"),
    [
        (FIRST, FIRST, 1, 2),
        (FIRST, SECOND, 1, 0),
        (SECOND, SECOND, 2, 2),
        (EQUAL, FIRST, "same", 0),
        (EQUAL, EQUAL, "same", 2),
    ],
)
def test_pairs_have_no_middle(answer, reference, stated, score):
    found = read_conclusion(sample("1", reference, Task.COMPARATIVE), Prediction("1", answer))
    assert (found.stated, found.quality_accuracy) == (stated, score)


def test_no_conclusion_scores_nothing_and_an_unread_reference_is_not_scored():
    assert read_conclusion(sample("1", level("good")), Prediction("1", "I see a lung.")).quality_accuracy == 0
    assert read_conclusion(sample("1", "A lung."), Prediction("1", level("good"))).quality_accuracy is None
    assert read_conclusion(sample("1", None), Prediction("1", level("good"))).quality_accuracy is None


@pytest.mark.parametrize("status", [PredictionStatus.INFERENCE_FAILED, PredictionStatus.MISSING])
def test_what_is_no_answer_states_nothing(status):
    found = read_conclusion(sample("1", level("good")), Prediction("1", level("good"), status))
    assert (found.stated, found.reference, found.quality_accuracy) == (None, "good", None)


def test_the_block_by_hand():
    samples = [sample(str(i), level("good")) for i in range(5)] + [sample("5", "A lung.")]
    answers = [level("good"), level("usable"), level("reject"), "A lung.", level("good"), level("good")]
    predictions = [Prediction(str(i), answer) for i, answer in enumerate(answers)]
    # Computed 2, 1, 0, 0, 2 and nothing for the last; the judge gives 2, 2, 0, 0, no verdict, 2.
    verdicts = [judged(str(i), score) for i, score in enumerate((2, 2, 0, 0, None, 2))]
    found = score_reasoning(samples, predictions, verdicts)["conclusions"]
    assert found == {
        "n": 5,
        "n_stated": 4,
        "Quality Accuracy": 1.0,
        "judge": 1.0,
        # On four: mean square difference 1/4; by chance 5/4 + 8/4 - 2 * 3/4 * 1 = 7/4.
        "agreement": {"n": 4, "accuracy": 75.0, "kappa": pytest.approx(1 - (1 / 4) / (7 / 4))},
        "n_disagreements": 1,
    }


def test_a_mean_of_rounds_disagrees_from_half_a_point_on():
    samples = [sample(str(i), level("good")) for i in range(2)]
    predictions = [Prediction(one.index, level("good")) for one in samples]
    found = score_conclusions(samples, predictions, [judged("0", 1.6), judged("1", 1.4)])
    assert (found["agreement"]["accuracy"], found["n_disagreements"]) == (50.0, 1)
    assert found["agreement"]["kappa"] is None  # all computed scores are 2


def test_nothing_to_compare_is_no_block():
    unread, read = sample("1", "A lung."), sample("1", level("good"))
    answer = Prediction("1", level("good"))
    assert score_conclusions([unread], [answer], [judged("1", 2)]) is None
    assert score_conclusions([read], [answer], [Judged("1", {}, "inference failed")]) is None
    none = score_conclusions([read], [answer], [judged("1", None)])
    assert (none["judge"], none["agreement"]["n"], none["Quality Accuracy"]) == (None, 0, 2.0)


def test_the_embedded_judge_is_not_compared_with_itself():
    samples = [sample(str(i), level("good")) for i in range(3)] + [sample("3", FIRST, Task.COMPARATIVE)]
    answers = [level("good"), level("usable"), "A lung.", SECOND]
    predictions = [Prediction(str(i), answer) for i, answer in enumerate(answers)]
    of_rules = build_judge(JudgeOptions("rules")).judge(samples, predictions)
    assert score_conclusions(samples, predictions, of_rules) is None
    # It would be the same: both apply the published rule to the same reading.
    ours = [read_conclusion(*one).quality_accuracy for one in zip(samples, predictions, strict=True)]
    assert [one.verdicts["quality_accuracy"].score for one in of_rules] == ours == [2, 1, 0, 0]
