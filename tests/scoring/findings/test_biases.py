"""Findings on letters, yes, the place of an image, replies without an answer and lengths of replies."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.scoring.findings.biases import rank_correlation
from medqbench_vlmeval.types import Judged, PredictionStatus
from tests.make import verdict
from tests.scoring.finding_data import FIRST, SECOND, described, perception, question, reasoning, unanswered

QUALITY = {"A": "Good", "B": "Usable", "C": "Reject"}


def spearman(*columns):
    return spearmanr(*columns).statistic


def test_letter_bias_by_hand():
    four = dict(zip("ABCD", "wxyz", strict=True))
    rows = [question(True, four, "ABCD"[at % 4], "ABCD"[at % 4]) for at in range(8)]
    rows += [question(False, four, "A", "D")] * 4
    rows += [question(True, answer="AB"[at % 2], letter="A") for at in range(20)]
    finding = perception(rows).findings["letter_bias"]
    tables = finding.details.by_options
    # Of 12 answers: A right in 6 and chosen in 2, D right in 2 and chosen in 6.
    assert {letter: use.difference for letter, use in tables["ABCD"].letters.items()} == {
        "A": pytest.approx(-100 / 3),
        "B": 0,
        "C": 0,
        "D": pytest.approx(100 / 3),
    }
    assert (tables["ABCD"].distance, tables["AB"].distance) == (pytest.approx(100 / 3), 50)
    assert (finding.cell.value, finding.cell.n, finding.details.facts) == (50, 20, {"letter": "A", "options": "AB"})
    assert finding.statement.startswith("Of 20 answers to questions with 2 options, A is chosen in 100.00% and ")
    assert finding.statement.endswith("widened for 5 letters).")
    fair = perception([question(True, answer="AB"[at % 2]) for at in range(20)]).findings["letter_bias"]
    assert (fair.cell.value, fair.cell.low) == (0, None)
    assert fair.statement.startswith("No evidence that a letter is preferred")


def test_yes_bias_by_hand():
    other = {"A": "No", "B": "Yes"}
    rows = [question(True, answer="A", letter="A")] * 10 + [question(True, other, "A", "B")] * 8
    rows += [question(True, answer="B", letter="B")] * 2 + [question(True, QUALITY)] * 9 + [unanswered("refusal")] * 3
    finding = perception(rows).findings["yes_bias"]
    assert (finding.cell.value, finding.cell.n) == (40, 20)  # said in 18, right in 10
    assert finding.cell.low > 0
    shares = finding.details.shares
    assert (shares["right_where_yes"].value, shares["right_where_no"].value) == (100, 20)
    assert finding.statement.startswith("'Yes' is said too often: 'yes' is said in 90.00% and right in 50.00% of 20")


@pytest.mark.parametrize(
    ("n_alike", "n", "chance"),
    [
        (14, 14, 0.8**14),
        (20, 20, 0.8**20),
        (29, 30, 0.8**30 + 30 * 0.8**29 * 0.2),
        (58, 60, 0.8**60 + 60 * 0.8**59 * 0.2 + 60 * 59 / 2 * 0.8**58 * 0.2**2),
    ],
)
def test_a_judge_that_scores_nearly_all_alike_by_hand(n_alike, n, chance):
    usual, other = (2, 1, 2, 0), (2, 1, 2, 2)
    rows = [described(usual)] * n_alike + [described(other)] * (n - n_alike)
    finding = reasoning(rows).findings["same_scores"]
    assert (finding.cell.value, finding.cell.n, finding.cell.few) == (pytest.approx(100 * n_alike / n), n, False)
    facts = finding.details.facts
    assert facts["chance"] == pytest.approx(chance, rel=1e-9)
    assert facts["scores"] == "Completeness 2, Preciseness 1, Consistency 2, Quality Accuracy 0"
    assert f"chance of {100 * chance:.2g}%." in finding.statement
    assert finding.statement.startswith(f"The judge gives {n_alike} of {n} samples (")


VARY, TOO_FEW = "the samples' scores vary", "fewer than 10 samples with scores on two dimensions"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([described(2)] * 13, VARY),  # 0.8 to the power of 13 is 5.5%
        ([described(2)] * 9, TOO_FEW),
        # 27 of 30: 0.8**30 + 30 * 0.8**29 * 0.2 + 435 * 0.8**28 * 0.04 + 4060 * 0.8**27 * 0.008 = 12.3%
        ([described(2)] * 27 + [described(1)] * 3, VARY),
        # The best published model could have full marks so often on Consistency alone.
        ([described((at % 3, at % 2, 2, 1)) for at in range(60)], VARY),
        ([described((None, None, 2, None))] * 60, TOO_FEW),
        # 30 samples of 10 images are 10 trials: 0.8 to the power of 10 is 10.7%.
        ([described(2, images=(Path(f"/i/{at % 10}.png"),)) for at in range(30)], VARY),
    ],
)
def test_scores_that_may_be_alike_by_chance_are_no_finding(rows, reason):
    assert reasoning(rows).not_found["same_scores"] == reason


def test_of_a_panel_the_judge_that_scores_all_alike_is_named():
    rows = []
    for at in range(20):
        sample, prediction, _ = described(1)
        parts = {"a": 2, "b": at % 3}
        verdicts = {
            name: replace(verdict(name, 1), parts={judge: verdict(name, score) for judge, score in parts.items()})
            for name in DIMENSIONS
        }
        rows.append((sample, prediction, Judged("?", verdicts)))
    finding = reasoning(rows).findings["same_scores"]
    assert finding.statement.startswith("Judge a gives 20 of 20 samples")
    assert finding.details.facts["chance"] == pytest.approx(2 * 0.8**20)
    # Where one judge gives 14 alike, two may be so with 2 * 4.4%.
    assert reasoning(rows[:14]).not_found["same_scores"] == VARY


def test_position_bias_by_hand():
    pairs = [(FIRST, FIRST)] * 8 + [(FIRST, SECOND)] * 6 + [(SECOND, SECOND)] * 5 + [(SECOND, FIRST)] * 1
    pairs += [("Both images are of comparable quality.", FIRST)] * 3
    finding = reasoning([described(1, *pair, task=Task.COMPARATIVE) for pair in pairs]).findings["position_bias"]
    assert (finding.cell.value, finding.cell.n) == (pytest.approx(100 * (14 - 9) / 20), 20)
    assert finding.details.facts == {"n_first_for_second": 6, "n_second_for_first": 1, "n_left_out": 3}
    shares = finding.details.shares
    assert shares["right_where_first_is_better"].value == pytest.approx(100 * 8 / 9)
    assert shares["right_where_second_is_better"].value == pytest.approx(100 * 5 / 11)
    assert finding.cell.low < 25 < finding.cell.high
    assert "of 20 pairs the answers prefer the first image in 70.00%, the references in 45.00%" in finding.statement
    perfect = reasoning([described(2, FIRST, FIRST, task=Task.COMPARATIVE)] * 12).findings["position_bias"]
    assert (perfect.cell.value, perfect.cell.low) == (0, None)
    none = reasoning([described(2, "A lung.", FIRST, task=Task.COMPARATIVE)] * 12)
    assert none.not_found["position_bias"].startswith("fewer than 10 pairs")
    assert "position_bias" not in reasoning([described(1)] * 12).not_found


def test_no_answers_by_their_reason():
    rows = [question(True)] * 14 + [unanswered("refusal")] * 3 + [unanswered("empty")] * 3
    rows += [
        unanswered("inference failed", PredictionStatus.INFERENCE_FAILED),
        unanswered("-", PredictionStatus.MISSING),
    ]
    finding = perception(rows).findings["no_answer"]
    assert (finding.cell.value, finding.cell.n) == (30, 20)
    assert {name: cell.counts["count"] for name, cell in finding.details.reasons.items()} == {"empty": 3, "refusal": 3}
    shares = finding.details.shares
    assert (shares["refusal"].value, shares["inference_failed"].counts, shares["missing"].n) == (15, {"count": 1}, 22)
    assert finding.statement.endswith(
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
    finding = reasoning([described(1)] * 10 + [described(0, reply)]).findings["no_answer"]
    assert list(finding.details.reasons) == [reason]
    assert finding.cell.value == pytest.approx(100 / 11)


def test_length_against_score_by_hand():
    rows = [question(at < 10, text="x" * (5 if at < 10 else 9) + " " * at) for at in range(20)]
    perfect = perception(rows).findings["length_against_score"]
    assert (perfect.cell.value, perfect.cell.low) == (pytest.approx(-1), None)  # blanks at the ends do not count
    mixed = [question(at % 2 == 0, text="x" * (at + 1)) for at in range(20)]
    finding = perception(mixed).findings["length_against_score"]
    assert finding.cell.value == pytest.approx(spearman(range(20), [at % 2 == 0 for at in range(20)]))
    assert finding.statement.startswith("No evidence that the length of a reply goes with its score")
    assert finding.details.characters == {"min": 1, "median": 10.5, "max": 20}
    same = perception([question(True, text="x" * at) for at in range(12)]).not_found
    assert same["length_against_score"] == "all replies have the same score"


def test_equal_sums_of_thirds_are_ties():
    # 4/3 + 2/3 + 2/3 + 1/3 is 2.9999999999999996 or 3, by the order of the four.
    orders = [(4 / 3, 2 / 3, 2 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3, 4 / 3), (1.0, 1.0, 1.0, 0.0)]
    rows = [described(orders[i % 3], reply="x" * (i + 1)) for i in range(12)]
    assert reasoning(rows).not_found["length_against_score"] == "all replies have the same score"


def test_the_interval_of_a_rank_correlation():
    draw = random.Random(3)
    first = [draw.randrange(40) for _ in range(150)]
    second = [value / 20 + draw.gauss(0, 1) for value in first]
    alone = list(range(150))
    value, (low, high) = rank_correlation(first, second, alone)
    assert value == pytest.approx(spearman(first, second))
    # The bootstrap says the same.
    resamples = [draw.choices(alone, k=150) for _ in range(300)]
    drawn = sorted(spearman([first[i] for i in at], [second[i] for i in at]) for at in resamples)
    assert (low, high) == (pytest.approx(drawn[7], abs=0.05), pytest.approx(drawn[-8], abs=0.05))
    # Every sample twice is no more data where the two share an image.
    twice = rank_correlation(first * 2, second * 2, alone * 2)
    assert twice == (pytest.approx(value), (pytest.approx(low), pytest.approx(high)))
    assert rank_correlation(first, [1] * 150, alone) is None
    assert rank_correlation(first, first, alone) == (pytest.approx(1), None)
    assert rank_correlation(first, second, [0] * 150) == (pytest.approx(value), None)
