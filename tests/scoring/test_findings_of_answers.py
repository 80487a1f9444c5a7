"""Findings on what is answered: levels, letters, yes, the place of an image, no answers, lengths, kinds of error."""

import random

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring import spearman
from medqbench_vlmeval.scoring.findings import (
    perception_error_kinds,
    perception_findings,
    reasoning_error_kinds,
    reasoning_findings,
)
from medqbench_vlmeval.scoring.findings.biases import rank_correlation
from medqbench_vlmeval.scoring.findings.errors import level_choice
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample
from tests.scoring.finding_data import FIRST, SECOND, columns, described, level, question, unanswered

SEVERITY = {"A": "None", "B": "Mild", "C": "Severe"}
QUALITY = {"A": "Good", "B": "Usable", "C": "Reject"}


def perception(rows):
    return perception_findings(*columns(rows))


def reasoning(rows):
    return reasoning_findings(*columns(rows))


def how(answer, letter, options=SEVERITY):
    return question(True, options, answer, letter, question_type="How")


@pytest.mark.parametrize(
    ("texts", "scale", "levels"),
    [
        (("None", "Mild", "Severe"), "severity", "none mild severe"),
        (("Severe degradation", "No degradation", "Slight"), "severity", "severe none mild"),
        (("Good", "Usable", "Reject"), "quality", "good usable reject"),
        (("Good quality", "Rejected"), "quality", "good reject"),
        (("Low", "Moderate", "High"), None, ""),  # of what is not said
        (("Mild", "Slight", "Severe"), None, ""),  # two options are one level
        (("Good", "Not usable", "Reject"), None, ""),
        (("Mild blur", "Severe noise", "Motion"), None, ""),
        (("Mild",), None, ""),
    ],
)
def test_options_that_are_levels(texts, scale, levels):
    options = dict(zip("ABCD", texts, strict=False))
    found = [
        level_choice(
            Sample("1", Task.PERCEPTION, "?", options=options, answer=letter, question_type="How"),
            Answer(None, "refusal"),
        )
        for letter in options
    ]
    assert [None if one is None else (one.scale, one.right) for one in found] == (
        [None] * len(options) if scale is None else [(scale, level) for level in levels.split()]
    )


def test_level_confusion_by_hand():
    rows = [how("B", "B")] * 4 + [how("B", "C")] * 3 + [how("B", "A")] * 1 + [how("C", "A")] * 2 + [how("A", "A")] * 5
    rows += [how("B", "A", QUALITY)] * 2 + [(*how("B", "B")[:2], Answer(None, "refusal"))] * 2
    rows += [question(False)] * 7
    found = perception(rows)["level_confusion"]
    # 17 answered, 8 of them with another level.
    assert (found["value"], found["n"]) == (pytest.approx(800 / 17), 17)
    assert found["details"]["scales"] == {
        "severity": {
            "none": {"none": 5, "mild": 0, "severe": 0},
            "mild": {"none": 1, "mild": 4, "severe": 3},
            "severe": {"none": 2, "mild": 0, "severe": 0},
        },
        "quality": {"usable": {"good": 2, "usable": 0}},
    }
    mistakes = [(one["right"], one["chosen"], one["count"], one["of"]) for one in found["details"]["mistakes"]]
    assert mistakes == [
        ("mild", "severe", 3, 8),
        ("usable", "good", 2, 2),
        ("severe", "none", 2, 2),
        ("mild", "none", 1, 8),
    ]
    kinds = {name: one["count"] for name, one in found["details"]["kinds"].items()}
    assert kinds == {"adjacent level": 6, "opposite level": 2, "worse than right": 3, "better than right": 5}
    assert found["details"]["n_without_level"] == 2
    assert found["statement"].startswith("Of 17 answered How questions on a level, 8 (47.06%, 95% interval ")
    assert found["statement"].endswith("took one level for another, most often mild for severe: 3 of 8.")


def test_levels_that_descriptions_state():
    rows = [described(1, level("good"), level("usable"))] * 6 + [described(1, level("reject"), level("reject"))] * 6
    rows += [described(1, "A lung.", level("good")), described(1, level("good"), "A lung.")]
    found = reasoning(rows)["level_confusion"]
    assert (found["value"], found["n"], found["details"]["n_without_level"]) == (50, 12, 1)
    assert found["statement"].endswith("most often usable for good: 6 of 6.")


def test_letter_bias_by_hand():
    four = dict(zip("ABCD", "wxyz", strict=True))
    rows = [question(True, four, "ABCD"[at % 4], "ABCD"[at % 4]) for at in range(8)]
    rows += [question(False, four, "A", "D")] * 4
    rows += [question(True, answer="AB"[at % 2], letter="A") for at in range(20)]
    found = perception(rows)["letter_bias"]
    tables = found["details"]["by_options"]
    # Of 12 answers: A right in 6 and chosen in 2, D right in 2 and chosen in 6.
    assert {letter: row["difference"] for letter, row in tables["ABCD"]["letters"].items()} == {
        "A": pytest.approx(-100 / 3),
        "B": 0,
        "C": 0,
        "D": pytest.approx(100 / 3),
    }
    assert (tables["ABCD"]["distance"], tables["AB"]["distance"]) == (pytest.approx(100 / 3), 50)
    assert (found["value"], found["n"], found["details"]["letter"], found["details"]["options"]) == (50, 20, "A", "AB")
    assert found["statement"].startswith("Of 20 answers to questions with 2 options, A is chosen in 100.00% and ")
    assert found["statement"].endswith("widened for 5 letters).")
    fair = perception([question(True, answer="AB"[at % 2]) for at in range(20)])["letter_bias"]
    assert (fair["value"], fair["low"]) == (0, None)
    assert fair["statement"].startswith("No evidence that a letter is preferred")


def test_yes_bias_by_hand():
    other = {"A": "No", "B": "Yes"}
    rows = [question(True, answer="A", letter="A")] * 10 + [question(True, other, "A", "B")] * 8
    rows += [question(True, answer="B", letter="B")] * 2 + [question(True, QUALITY)] * 9 + [unanswered("refusal")] * 3
    found = perception(rows)["yes_bias"]
    assert (found["value"], found["n"]) == (40, 20)  # said in 18, right in 10
    assert found["low"] > 0
    details = found["details"]
    assert (details["right_where_yes"]["share"], details["right_where_no"]["share"]) == (100, 20)
    assert found["statement"].startswith("'Yes' is said too often: 'yes' is said in 90.00% and right in 50.00% of 20")


def test_position_bias_by_hand():
    pairs = [(FIRST, FIRST)] * 8 + [(FIRST, SECOND)] * 6 + [(SECOND, SECOND)] * 5 + [(SECOND, FIRST)] * 1
    pairs += [("Both images are of comparable quality.", FIRST)] * 3
    found = reasoning([described(1, *pair, task=Task.COMPARATIVE) for pair in pairs])["position_bias"]
    assert (found["value"], found["n"]) == (pytest.approx(100 * (14 - 9) / 20), 20)
    details = found["details"]
    assert (details["n_first_for_second"], details["n_second_for_first"], details["n_left_out"]) == (6, 1, 3)
    assert details["right_where_first_is_better"]["share"] == pytest.approx(100 * 8 / 9)
    assert details["right_where_second_is_better"]["share"] == pytest.approx(100 * 5 / 11)
    assert found["low"] < 25 < found["high"]
    assert "of 20 pairs the answers prefer the first image in 70.00%, the references in 45.00%" in found["statement"]
    perfect = reasoning([described(2, FIRST, FIRST, task=Task.COMPARATIVE)] * 12)["position_bias"]
    assert (perfect["value"], perfect["low"]) == (0, None)
    none = reasoning([described(2, "A lung.", FIRST, task=Task.COMPARATIVE)] * 12)
    assert none["not_found"]["position_bias"].startswith("fewer than 10 pairs")
    assert "position_bias" not in reasoning([described(1)] * 12)["not_found"]


def test_no_answers_by_their_reason():
    rows = [question(True)] * 14 + [unanswered("refusal")] * 3 + [unanswered("empty")] * 3
    rows += [
        unanswered("inference failed", PredictionStatus.INFERENCE_FAILED),
        unanswered("-", PredictionStatus.MISSING),
    ]
    found = perception(rows)["no_answer"]
    assert (found["value"], found["n"]) == (30, 20)
    assert {reason: one["count"] for reason, one in found["details"]["reasons"].items()} == {"empty": 3, "refusal": 3}
    assert found["details"]["refusal"]["share"] == 15
    assert (found["details"]["inference_failed"]["count"], found["details"]["missing"]["of"]) == (1, 22)
    assert found["statement"].endswith(
        "give no answer that can be read: empty 3, refusal 3. Without a reply (inference failed or prediction "
        "missing): 2 of 22."
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (" \n", "empty"),
        ("I'm sorry, but I can't help with medical images.", "refusal"),
        ("As an AI language model, no.", "refusal"),
        ("No image was provided.", "refusal"),
        ("I cannot evaluate this.", "refusal"),
        ("The lesion cannot be assessed because of insufficient contrast.", "description without a conclusion"),
    ],
)
def test_descriptions_without_a_conclusion(reply, reason):
    found = reasoning([described(1)] * 10 + [described(0, reply)])["no_answer"]
    assert list(found["details"]["reasons"]) == [reason]
    assert found["value"] == pytest.approx(100 / 11)


def test_length_against_score_by_hand():
    rows = [question(at < 10, text="x" * (5 if at < 10 else 9) + " " * at) for at in range(20)]
    found = perception(rows)["length_against_score"]
    assert (found["value"], found["low"]) == (pytest.approx(-1), None)  # blanks at the ends do not count
    mixed = [question(at % 2 == 0, text="x" * (at + 1)) for at in range(20)]
    found = perception(mixed)["length_against_score"]
    assert found["value"] == pytest.approx(spearman(range(20), [at % 2 == 0 for at in range(20)]))
    assert found["statement"].startswith("No evidence that the length of a reply goes with its score")
    assert found["details"]["characters"] == {"min": 1, "median": 10.5, "max": 20}
    same = perception([question(True, text="x" * at) for at in range(12)])["not_found"]
    assert same["length_against_score"] == "all replies have the same score"


def test_the_interval_of_a_rank_correlation():
    draw = random.Random(3)
    first = [draw.randrange(40) for _ in range(150)]
    second = [one / 20 + draw.gauss(0, 1) for one in first]
    alone = list(range(150))
    value, (low, high) = rank_correlation(first, second, alone)
    assert value == pytest.approx(spearman(first, second))
    # The bootstrap says the same.
    drawn = []
    for _ in range(300):
        at = draw.choices(alone, k=150)
        drawn.append(spearman([first[i] for i in at], [second[i] for i in at]))
    drawn.sort()
    assert (low, high) == (pytest.approx(drawn[7], abs=0.05), pytest.approx(drawn[-8], abs=0.05))
    # Every sample twice is no more data where the two share an image.
    twice = rank_correlation(first * 2, second * 2, alone * 2)
    assert twice == (pytest.approx(value), (pytest.approx(low), pytest.approx(high)))
    assert rank_correlation(first, [1] * 150, alone) is None
    assert rank_correlation(first, first, alone) == (pytest.approx(1), None)
    assert rank_correlation(first, second, [0] * 150) == (pytest.approx(value), None)


@pytest.mark.parametrize(
    ("answer", "letter", "options", "kind"),
    [
        ("A", "A", SEVERITY, []),
        ("A", "B", SEVERITY, ["adjacent level"]),
        ("C", "A", SEVERITY, ["opposite level"]),
        ("A", "B", {"A": "Mild", "B": "Severe"}, ["adjacent level"]),
        ("A", "B", {"A": "Blur", "B": "Noise"}, ["wrong answer"]),
        ("A", None, SEVERITY, ["no answer"]),
    ],
)
def test_error_kinds_of_choices(answer, letter, options, kind):
    sample = Sample("1", Task.PERCEPTION, "?", options, answer, question_type="How")
    assert perception_error_kinds(sample, Prediction("1", "x"), Answer(letter, "r")) == kind
    lost = Prediction("1", "x", PredictionStatus.MISSING)
    assert perception_error_kinds(sample, lost, Answer(None, "r")) == ["no reply"]


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (described(2), []),
        (described((0, 2, 2, 2)), ["incomplete description"]),
        (described((0.5, 0.4, 0, 2)), ["incomplete description", "imprecise description", "inconsistent"]),
        (described((2 / 3, 1, 1, 0)), []),
        (described(2, level("usable")), ["adjacent level"]),
        (described(2, level("reject")), ["opposite level"]),
        (described((0, 2, 2, 0), "A lung."), ["no conclusion", "incomplete description"]),
        (described(2, "A lung.", "A lung."), []),
        (described(2, FIRST, SECOND, Task.COMPARATIVE), ["wrong preference"]),
        (described(2, "Both images are of comparable quality.", SECOND, Task.COMPARATIVE), ["wrong preference"]),
    ],
)
def test_error_kinds_of_descriptions(row, kinds):
    assert reasoning_error_kinds(*row) == kinds


def test_error_kinds_are_counted():
    rows = [described(2)] * 6 + [described((0, 2, 2, 2), level("usable"))] * 4
    lost = described(2)
    rows.append((lost[0], Prediction("?", "", PredictionStatus.INFERENCE_FAILED), Judged("?", {}, "inference failed")))
    found = reasoning(rows)["error_kinds"]
    assert (found["value"], found["n"]) == (pytest.approx(500 / 11), 11)
    counts = {kind: one["count"] for kind, one in found["details"]["kinds"].items()}
    assert counts == {"adjacent level": 4, "incomplete description": 4, "no reply": 1}
    assert "medical knowledge cannot be told" in found["details"]["not_told"]
