import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, sem
from scipy.stats import t as student

from medqbench_vlmeval.scoring import mean_interval, wilson
from medqbench_vlmeval.scoring.intervals import clipped, means_and_sum_intervals, sum_of_means_interval


def test_wilson_by_hand():
    # p = 8/10, z = 1.95996: centre (0.8 + 3.84146/20) / 1.384146 = 0.71674, half width 0.22658
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.49016, abs=1e-5)
    assert high == pytest.approx(0.94332, abs=1e-5)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(counts):
    successes, n = counts
    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(successes, n)
    assert low == pytest.approx(theirs.low, abs=1e-9)
    assert high == pytest.approx(theirs.high, abs=1e-9)
    assert 0 <= low <= successes / n <= high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="wilson needs"):
        wilson(successes, n)


def test_mean_interval_by_hand():
    # values 0, 1, 2: mean 1, s = 1, Student's quantile for 2 degrees 4.302653, half width 4.302653 / sqrt(3) = 2.484138
    assert mean_interval([0, 1, 2]) == pytest.approx((1 - 2.484138, 1 + 2.484138), abs=1e-6)


def test_clustered_interval_by_hand():
    # Three images with two questions each: mean 4/3; the residuals add up to -2/3, -2/3 and 4/3 by image.
    # Variance 3/2 * (4/9 + 4/9 + 16/9) / 36 = 1/9, half width 4.302653 / 3 = 1.434218.
    values, images = [0, 2, 1, 1, 2, 2], [7, 7, 2, 2, 5, 5]
    assert mean_interval(values, images) == pytest.approx((4 / 3 - 1.434218, 4 / 3 + 1.434218), abs=1e-6)


def test_a_sum_with_gaps_by_hand():
    # Means 1 (0, 2, 1) and 1 (2, 0); influences -1/3 + 1/2, 1/3 - 1/2 and 0. Variance 3/2 * (1/36 + 1/36) = 1/12,
    # half width 4.302653 * sqrt(1/12) = 1.242069. In two clusters, the second row with the third: 2 * 2/36 = 1/9 and
    # the quantile for one degree is 12.706205, half width 4.235402.
    columns = [[0, 2, 1], [2, 0, None]]
    assert sum_of_means_interval(columns) == pytest.approx((2 - 1.242069, 2 + 1.242069), abs=1e-6)
    assert sum_of_means_interval(columns, [0, 1, 1]) == pytest.approx((2 - 4.235402, 2 + 4.235402), abs=1e-6)
    # A row without any value is no cluster.
    assert sum_of_means_interval([[0, 2, 1, None], [2, 0, None, None]]) == sum_of_means_interval(columns)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=30))
def test_without_shared_images_it_is_students_interval(values):
    spread = sem(values) * student.ppf(0.975, len(values) - 1)
    found = mean_interval(values)
    assert mean_interval(values, list(range(len(values)))) == found
    if not spread:
        assert found is None
        return
    assert found == pytest.approx((np.mean(values) - spread, np.mean(values) + spread), abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=2, max_size=40))
def test_clustered_interval_equals_the_sandwich_in_matrices(rows):
    values, clusters = (np.array(column) for column in zip(*rows, strict=True))
    names = np.unique(clusters)
    found = mean_interval(values.tolist(), clusters.tolist())
    if len(names) < 2:
        assert found is None
        return
    design = np.ones((len(values), 1))
    bread = np.linalg.inv(design.T @ design)
    residuals = values - values.mean()
    scores = np.array([design[clusters == name].T @ residuals[clusters == name] for name in names])
    variance = (bread @ scores.T @ scores @ bread).item() * len(names) / (len(names) - 1)
    half = student.ppf(0.975, len(names) - 1) * np.sqrt(variance)
    if half < 1e-9:
        assert found is None
        return
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-9)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(*[st.sampled_from([None, 0.1, 1 / 3, 0.7, 1.6, 2])] * 4, st.integers(0, 9)), min_size=2),
    st.randoms(),
)
def test_no_order_of_rows_and_no_numbering_of_clusters_changes_a_digit(rows, chance):
    shuffled = chance.sample(rows, len(rows))
    names = dict(zip(range(10), chance.sample(range(100), 10), strict=True))

    def intervals(of_rows, name):
        *columns, clusters = zip(*of_rows, strict=True)
        return means_and_sum_intervals(columns, [name(cluster) for cluster in clusters])

    assert intervals(rows, lambda cluster: cluster) == intervals(shuffled, names.__getitem__)


def test_a_clustered_interval_covers_where_one_of_independent_samples_does_not():
    chance = random.Random(5)
    clustered = independent = 0
    for _ in range(300):
        # Twenty images, whose five questions are all right or all wrong: an accuracy of a half.
        values = [float(right) for right in chance.choices((0, 1), k=20) for _ in range(5)]
        low, high = mean_interval(values, [place // 5 for place in range(100)])
        clustered += low <= 0.5 <= high
        low, high = mean_interval(values)
        independent += low <= 0.5 <= high
    # 95% and, with a width that is too short by sqrt(5), 62% are expected.
    assert clustered > 0.9 * 300
    assert independent < 0.75 * 300


def test_one_value_and_one_image_have_no_interval():
    assert mean_interval([2.0]) is None
    assert mean_interval([2.0, 1.0, 0.0], [4, 4, 4]) is None
    assert mean_interval([]) is None


def test_values_without_spread_have_no_interval():
    assert mean_interval([2.0] * 30) is None
    assert mean_interval([0.1 + 0.2, 0.3, 0.3]) is None
    # Every image has the same sum: nothing is known of how images differ.
    assert mean_interval([0, 2, 2, 0], [1, 1, 2, 2]) is None
    assert sum_of_means_interval([[2, 2, 2], [0, 1, 1]]) is not None


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=2, max_size=40))
def test_without_gaps_the_interval_of_a_sum_is_that_of_the_row_sums(rows):
    columns = [list(column) for column in zip(*rows, strict=True)]
    ours, theirs = sum_of_means_interval(columns), mean_interval([sum(row) for row in rows])
    assert (ours is None) == (theirs is None)
    assert ours is None or ours == pytest.approx(theirs, abs=1e-9)


def test_a_sum_with_an_empty_column_has_no_interval():
    assert sum_of_means_interval([[1, 2], [None, None]]) is None
    assert clipped((-1.0, 3.0), 0, 2) == (0, 2)
