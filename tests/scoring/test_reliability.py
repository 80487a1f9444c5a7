"""Rounds of one judge and members of a panel, with figures worked out by hand."""

import pytest

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, Task
from medqbench_vlmeval.scoring import between_judges, between_rounds, pairwise, score_reasoning
from medqbench_vlmeval.types import Judged, Prediction, Sample, Verdict


def verdict(dimension, score, parts=None, judge="j"):
    return Verdict(
        dimension, score, None if score is not None else "no verdict", "", "0" * 64, judge, parts=parts or {}
    )


def sample_of(index, parts_of):
    """A judged sample whose every dimension has the same parts."""
    verdicts = {}
    for dimension in DIMENSIONS:
        parts = {name: verdict(dimension, score, judge=name) for name, score in parts_of.items()}
        known = [score for score in parts_of.values() if score is not None]
        score = sum(known) / len(known) if len(known) == len(parts_of) else None
        verdicts[dimension] = verdict(dimension, score, parts)
    return Judged(index, verdicts)


def test_rounds_by_hand():
    # Pairs (2, 2), (2, 1), (2, 1) of the first and (0, 0) of the second, whose third round failed.
    found = between_rounds([sample_of("1", {"1": 2, "2": 2, "3": 1}), sample_of("2", {"1": 0, "2": 0, "3": None})])
    assert list(found) == list(DIMENSION_TITLES.values())
    # In both orders: mean 10/8, mean square 18/8, so by chance 2 * (2.25 - 1.5625) = 1.375; mean square difference 1/2.
    assert found["Completeness"] == {
        "n_pairs": 4,
        "same": 50.0,
        "kappa": pytest.approx(1 - 0.5 / 1.375),
        "mean_absolute_difference": 0.5,
    }


def test_the_order_of_rounds_does_not_matter():
    one = between_rounds([sample_of("1", {"1": 2, "2": 1}), sample_of("2", {"1": 0, "2": 1})])
    other = between_rounds([sample_of("1", {"1": 1, "2": 2}), sample_of("2", {"1": 1, "2": 0})])
    assert one == other


def test_equal_rounds_have_no_kappa():
    found = between_rounds([sample_of("1", {"1": 2, "2": 2})])["Consistency"]
    assert (found["same"], found["kappa"]) == (100.0, None)


def test_one_round_or_no_verdict_has_no_retest():
    plain = Judged("1", {name: verdict(name, 2) for name in DIMENSIONS})
    assert between_rounds([plain, Judged("2", {}, "inference failed")]) is None
    assert between_judges([plain]) is None
    assert between_rounds([sample_of("1", {"1": 2, "2": None})]) is None


def test_judges_by_hand():
    judged = [
        sample_of("1", {"a": 2, "b": 2}),
        sample_of("2", {"a": 0, "b": 1}),
        sample_of("3", {"a": 1, "b": None}),
        Judged("4", {}, "inference failed"),
    ]
    found = between_judges(judged)
    assert found["means"]["a"] == {**dict.fromkeys(DIMENSION_TITLES.values(), 1.0), "Overall": 4.0}
    assert found["means"]["b"] == {**dict.fromkeys(DIMENSION_TITLES.values(), 1.5), "Overall": 6.0}
    # On the two that both scored: mean square difference 1/2, by chance 4/2 + 5/2 - 2 * 1 * 3/2 = 3/2.
    assert found["pairs"] == {
        "a": {
            "b": {title: {"n": 2, "same": 50.0, "kappa": pytest.approx(2 / 3)} for title in DIMENSION_TITLES.values()}
        }
    }
    assert between_rounds(judged) is None


def test_three_raters_make_three_pairs():
    columns = {name: {"x": scores} for name, scores in {"a": [0, 2], "b": [0, 2], "c": [None, None]}.items()}
    found = pairwise(columns)
    assert [(first, list(others)) for first, others in found.items()] == [("a", ["b", "c"]), ("b", ["c"])]
    assert found["a"]["b"]["x"] == {"n": 2, "same": 100.0, "kappa": 1.0}
    assert found["a"]["c"]["x"] == {"n": 0, "same": None, "kappa": None}


def test_a_panel_whose_judges_have_rounds_has_both():
    def member(dimension, rounds, name):
        parts = {str(i): verdict(dimension, score, judge=name) for i, score in enumerate(rounds, 1)}
        return verdict(dimension, sum(rounds) / len(rounds), parts, name)

    verdicts = {
        dimension: verdict(
            dimension, 1.25, {"a": member(dimension, (2, 2), "a"), "b": member(dimension, (0, 1), "b")}, "a, b"
        )
        for dimension in DIMENSIONS
    }
    judged = [Judged("1", verdicts)]
    assert between_rounds(judged)["Preciseness"]["n_pairs"] == 2
    assert between_rounds(judged)["Preciseness"]["same"] == 50.0
    assert between_judges(judged)["means"]["b"]["Preciseness"] == 0.5
    score = score_reasoning([Sample("1", Task.NO_REFERENCE, None)], [Prediction("1", "x")], judged)
    assert {"between_rounds", "between_judges"} <= set(score)
    assert score["frequencies"]["Preciseness"] == {"0": 1, "1": 1, "2": 2}
