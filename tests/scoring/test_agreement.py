"""Agreement of a judge with people: by hand, against scikit-learn and scipy, and where nothing can be said."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from medqbench_vlmeval.scoring import is_same, measure_agreement, share_same, spearman, weighted_kappa

JUDGE = [0, 1, 2, 2]
HUMAN = [0, 1, 1, 2]

marks = st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 2])), min_size=1, max_size=60)
between_marks = st.lists(
    st.tuples(st.integers(0, 10).map(lambda i: i / 5), st.integers(0, 4).map(lambda i: i / 2)), min_size=1, max_size=40
)


def sides(pairs):
    return [one for one, _ in pairs], [other for _, other in pairs]


def vary(pairs):
    return all(len(set(side)) > 1 for side in sides(pairs))


def test_all_statistics_by_hand():
    # Differences 0, 0, 1, 0: mean square 1/4. By chance 9/4 + 6/4 - 2 * 5/4 * 1 = 5/4.
    assert weighted_kappa(JUDGE, HUMAN) == pytest.approx(1 - (1 / 4) / (5 / 4))
    # Midranks 1, 2, 3.5, 3.5 and 1, 2.5, 2.5, 4; less 2.5: products 2.25 + 1.5, squares 4.5 and 4.5.
    assert spearman(JUDGE, HUMAN) == pytest.approx(3.75 / 4.5)
    found = measure_agreement(JUDGE, HUMAN)
    assert (found["n"], found["accuracy"], found["bias"]) == (4, 75.0, 0.25)
    assert (found["kappa"], found["spearman"]) == (pytest.approx(0.8), pytest.approx(3.75 / 4.5))
    assert found["confusion"] == {
        "0": {"0": 1, "1": 0, "2": 0},
        "1": {"0": 0, "1": 1, "2": 1},
        "2": {"0": 0, "1": 0, "2": 1},
    }


def test_opposite_ratings_have_negative_kappa():
    # Mean square difference 4, by chance 2 + 2 - 2 = 2.
    assert weighted_kappa([0, 2], [2, 0]) == -1
    assert spearman([0, 2], [2, 0]) == -1


@given(marks.filter(vary))
def test_kappa_is_cohens_with_quadratic_weights(pairs):
    theirs = cohen_kappa_score(*sides(pairs), labels=[0, 1, 2], weights="quadratic")
    assert weighted_kappa(*sides(pairs)) == pytest.approx(theirs, abs=1e-9)


@given(between_marks.filter(vary))
def test_spearman_is_scipys(pairs):
    assert spearman(*sides(pairs)) == pytest.approx(spearmanr(*sides(pairs)).statistic, abs=1e-9)


@given(between_marks)
def test_everything_is_in_range_and_json(pairs):
    found = measure_agreement(*sides(pairs))
    json.dumps(found, allow_nan=False)
    assert 0 <= found["accuracy"] <= 100
    assert found["kappa"] is None or found["kappa"] <= 1
    assert found["spearman"] is None or abs(found["spearman"]) <= 1 + 1e-12
    assert sum(sum(row.values()) for row in found["confusion"].values()) == len(pairs)
    assert (found["kappa"] is None) == (not vary(pairs))
    for name in ("accuracy", "kappa", "spearman"):
        interval = found["intervals"][name]
        assert interval is None or interval[0] <= interval[1]


def test_constant_ratings_leave_kappa_and_spearman_undefined():
    found = measure_agreement([2, 2, 2], [2, 2, 1])
    assert (found["kappa"], found["spearman"]) == (None, None)
    assert (found["intervals"]["kappa"], found["intervals"]["spearman"]) == (None, None)
    assert found["n_undefined"] == {"accuracy": 0, "kappa": 2000, "spearman": 2000}
    assert found["accuracy"] == pytest.approx(200 / 3)


def test_no_samples_is_no_number():
    assert measure_agreement([], []) == {"n": 0, "accuracy": None, "kappa": None, "spearman": None, "bias": None}
    with pytest.raises(ValueError, match="no samples"):
        share_same([], [])


def test_scores_between_marks_are_the_same_below_half_a_point():
    assert is_same(1.6, 2)
    assert not is_same(1.5, 2)
    assert not is_same(1.2, 0.7)  # 0.49999999999999994 in floating point
    assert measure_agreement([1.5, 0.4], [2, 0])["confusion"]["2"] == {"0": 0, "1": 0, "2": 1}  # halves go up


def test_resamples_without_a_value_are_counted():
    # A resample of four misses the one odd sample with 0.75^4 and holds it alone with 0.25^4: 0.320 together.
    found = measure_agreement([2, 2, 2, 1], [2, 2, 2, 1])
    assert 570 < found["n_undefined"]["kappa"] < 710
    assert found["intervals"]["kappa"] == [1.0, 1.0]


def naive_intervals(judge, human, resamples=4000):
    """The bootstrap as books describe it: draw samples, compute, take percentiles."""
    source = random.Random(5)
    values = {"accuracy": [], "kappa": [], "spearman": []}
    for _ in range(resamples):
        drawn = source.choices(range(len(judge)), k=len(judge))
        one, other = [judge[i] for i in drawn], [human[i] for i in drawn]
        values["accuracy"].append(share_same(one, other))
        values["kappa"].append(weighted_kappa(one, other))
        values["spearman"].append(spearman(one, other))
    ordered = {name: sorted(value for value in found if value is not None) for name, found in values.items()}
    return {name: (found[int(0.025 * len(found))], found[int(0.975 * len(found))]) for name, found in ordered.items()}


def test_intervals_are_the_percentile_bootstraps():
    source = random.Random(1)
    human = [source.choice([0, 1, 2, 2]) for _ in range(60)]
    judge = [mark if source.random() < 0.8 else source.choice([0, 1, 2]) for mark in human]
    found = measure_agreement(judge, human)["intervals"]
    for name, (low, high) in naive_intervals(judge, human).items():
        slack = 2.0 if name == "accuracy" else 0.03
        assert found[name] == [pytest.approx(low, abs=slack), pytest.approx(high, abs=slack)]


def test_intervals_depend_on_the_samples_and_the_seed_alone():
    one = measure_agreement(JUDGE * 5, HUMAN * 5)
    other = measure_agreement(JUDGE[::-1] * 5, HUMAN[::-1] * 5)
    assert one["intervals"] == other["intervals"]
    seeds = {str(measure_agreement(JUDGE * 5, HUMAN * 5, seed)["intervals"]) for seed in range(4)}
    assert len(seeds) > 1
