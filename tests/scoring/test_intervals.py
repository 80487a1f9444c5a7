"""Intervals by hand, against scipy, and in simulations; samples that share an image are one cluster."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, sem
from scipy.stats import t as student

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring import mean_interval, wilson
from medqbench_vlmeval.scoring.intervals import (
    bootstrap,
    bootstrap_gap,
    bootstrap_sum_of_means,
    clipped,
    clusters_of,
    generator,
    means_and_sum_intervals,
    shared_images,
    totals_by_cluster,
)
from medqbench_vlmeval.types import Sample


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(counts):
    successes, n = counts
    low, high = wilson(successes, n)
    assert (low, high) == pytest.approx(binomtest(successes, n).proportion_ci(0.95, method="wilson"), abs=1e-9)
    assert 0 <= low <= successes / n <= high <= 1


def test_wilson_refuses_impossible_counts():
    for counts in ((0, 0), (3, 2), (-1, 4)):
        with pytest.raises(ValueError, match="wilson needs"):
            wilson(*counts)


def test_mean_intervals_by_hand():
    # values 0, 1, 2: mean 1, s = 1, Student's quantile for 2 degrees 4.302653, half width 4.302653 / sqrt(3) = 2.484138
    assert mean_interval([0, 1, 2]) == pytest.approx((1 - 2.484138, 1 + 2.484138), abs=1e-6)
    # Three images with two questions each: mean 4/3; the residuals add up to -2/3, -2/3 and 4/3 by image.
    # Variance 3/2 * (4/9 + 4/9 + 16/9) / 36 = 1/9, half width 4.302653 / 3 = 1.434218.
    values, images = [0, 2, 1, 1, 2, 2], [7, 7, 2, 2, 5, 5]
    assert mean_interval(values, images) == pytest.approx((4 / 3 - 1.434218, 4 / 3 + 1.434218), abs=1e-6)


def test_a_sum_with_gaps_by_hand():
    # Means 1 (0, 2, 1) and 1 (2, 0); influences -1/3 + 1/2, 1/3 - 1/2 and 0. Variance 3/2 * (1/36 + 1/36) = 1/12,
    # half width 4.302653 * sqrt(1/12) = 1.242069. In two clusters, the second row with the third: 2 * 2/36 = 1/9 and
    # the quantile for one degree is 12.706205, half width 4.235402.
    columns = [[0, 2, 1], [2, 0, None]]
    assert means_and_sum_intervals(columns)[1] == pytest.approx((2 - 1.242069, 2 + 1.242069), abs=1e-6)
    assert means_and_sum_intervals(columns, [0, 1, 1])[1] == pytest.approx((2 - 4.235402, 2 + 4.235402), abs=1e-6)
    assert clipped((-1.0, 3.0), 0, 2) == (0, 2)
    assert means_and_sum_intervals([[1, 2], [None, None]])[1] is None
    # A row without any value is no cluster.
    assert means_and_sum_intervals([[0, 2, 1, None], [2, 0, None, None]])[1] == means_and_sum_intervals(columns)[1]


@given(st.lists(st.integers(0, 2), min_size=2, max_size=30))
def test_without_shared_images_it_is_students_interval(values):
    spread = sem(values) * student.ppf(0.975, len(values) - 1)
    interval = mean_interval(values)
    assert mean_interval(values, list(range(len(values)))) == interval
    expected = pytest.approx((np.mean(values) - spread, np.mean(values) + spread), abs=1e-9)
    assert interval == (expected if spread else None)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=2, max_size=40))
def test_clustered_interval_equals_the_sandwich_in_matrices(rows):
    values, clusters = (np.array(column) for column in zip(*rows, strict=True))
    names = np.unique(clusters)
    interval = mean_interval(values.tolist(), clusters.tolist())
    if len(names) < 2:
        assert interval is None
        return
    design = np.ones((len(values), 1))
    bread = np.linalg.inv(design.T @ design)
    residuals = values - values.mean()
    scores = np.array([design[clusters == name].T @ residuals[clusters == name] for name in names])
    variance = (bread @ scores.T @ scores @ bread).item() * len(names) / (len(names) - 1)
    half = student.ppf(0.975, len(names) - 1) * np.sqrt(variance)
    expected = pytest.approx((values.mean() - half, values.mean() + half), abs=1e-9)
    assert interval == (None if half < 1e-9 else expected)


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


@pytest.mark.parametrize(
    ("values", "clusters"),
    [
        ([2.0], None),
        ([], None),
        ([2.0, 1.0, 0.0], [4, 4, 4]),
        ([2.0] * 30, None),
        ([0.1 + 0.2, 0.3, 0.3], None),
        ([0, 2, 2, 0], [1, 1, 2, 2]),  # every image has the same sum: nothing is known of how images differ
    ],
)
def test_values_without_spread_have_no_interval(values, clusters):
    assert mean_interval(values, clusters) is None


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=2, max_size=40))
def test_without_gaps_the_interval_of_a_sum_is_that_of_the_row_sums(rows):
    of_sum = means_and_sum_intervals(list(zip(*rows, strict=True)))[1]
    of_rows = mean_interval([sum(row) for row in rows])
    assert (of_sum is None) == (of_rows is None)
    assert of_sum is None or of_sum == pytest.approx(of_rows, abs=1e-9)


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=2), max_size=12), st.integers())
def test_two_samples_are_together_exactly_where_a_chain_leads_from_one_to_the_other(images, seed):
    clusters = clusters_of(images)
    reached = [{place} for place in range(len(images))]
    for _ in images:
        for place, there in enumerate(reached):
            names = {name for other in there for name in images[other]}
            reached[place] = there | {other for other, named in enumerate(images) if names & set(named)}
    assert clusters == [min(there) for there in reached]
    order = random.Random(seed).sample(range(len(images)), len(images))
    moved = clusters_of([images[place] for place in order])
    pairs = [(place, other) for place in range(len(order)) for other in range(len(order))]
    assert all((moved[a] == moved[b]) == (clusters[order[a]] == clusters[order[b]]) for a, b in pairs)


def sample(*refs):
    return Sample("1", Task.PERCEPTION, "?", image_refs=refs)


def test_what_was_known_of_the_images_is_said():
    named = shared_images([sample("a.png"), sample("a.png")])
    assert (list(named.clusters), named.words) == ([0, 0], "clusters are samples that share an image")
    assert "2 of 3 samples name no image" in shared_images([sample("a.png"), sample(), sample()]).words
    nothing = shared_images([sample(), sample()])
    assert list(nothing.clusters) == [0, 1]
    assert nothing.words == "no image is named, so that samples were taken as independent"


def share(sums):
    return sums[:, 0] / sums[:, 1]


def test_a_share_of_independent_samples_has_the_binomials_quantiles():
    terms = np.column_stack([np.arange(100) % 2, np.ones(100)])
    (interval,) = bootstrap(terms, share)
    # 40 and 60 of 100: the 2.5th and 97.5th percentile of a binomial with the observed share.
    expected = binom.ppf([0.025, 0.975], 100, 0.5) / 100
    assert interval == pytest.approx(expected, abs=0.011)


def test_a_share_of_clusters_is_as_uncertain_as_its_clusters():
    assert totals_by_cluster([9, 4, 9, 4], np.array([[1, 1], [0, 1], [1, 1], [1, 1]])).tolist() == [[1, 2], [2, 2]]
    right = [100.0 * (place % 2) for place in range(25) for _ in range(4)]
    low, high = bootstrap_sum_of_means([right], [place // 4 for place in range(100)])
    # 12 of 25 images are right: 7 and 17 of 25, 28% and 68%.
    assert (low, high) == (pytest.approx(28, abs=4.1), pytest.approx(68, abs=4.1))


def test_order_and_names_of_clusters_change_no_digit():
    chance = np.random.default_rng(4)
    columns, clusters = chance.integers(0, 11, (2, 300)) / 5, chance.integers(0, 90, 300)
    order = chance.permutation(300)
    shuffled, renamed = columns[:, order], (1000 - 3 * clusters[order]).tolist()
    interval = bootstrap_sum_of_means(columns, clusters)
    assert interval == bootstrap_sum_of_means(shuffled, renamed)
    places = np.argsort(order)
    moved = [[int(places[place]) for place in positions] for positions in (range(100), range(150, 300))]
    gap = bootstrap_gap(columns, clusters, range(100), range(150, 300))
    assert gap == bootstrap_gap(shuffled, renamed, *moved)


def test_resamples_without_a_value_are_left_out():
    # Two clusters in ten have the group: (8/10)^10 = 11% of the draws are without it. Of one there is no spread.
    assert bootstrap(np.array([[1.0, 1.0]] + [[0.0, 0.0]] * 9), share) == [None]
    assert bootstrap(np.array([[1.0, 1.0], [0.0, 1.0]] + [[0.0, 0.0]] * 8), share) == [(0, 1)]
    assert bootstrap(np.array([[0.0, 0.0]] * 3), share) == [None]


def test_several_statistics_come_from_the_same_draws():
    totals = np.array([[1.0, 1.0], [0.0, 1.0]] * 20)
    plain, doubled = bootstrap(totals, lambda sums: np.column_stack([share(sums), 2 * share(sums)]))
    assert doubled == (2 * plain[0], 2 * plain[1])
    (narrow,) = bootstrap(totals, share, level=0.5)
    assert plain[0] < narrow[0] < narrow[1] < plain[1]


def test_a_missing_verdict_is_left_out_of_its_mean_alone():
    # The second column is 2 wherever it is known, so that the sum varies with the first one only.
    first = [float(place % 3) for place in range(30)]
    second = [2.0 if place % 5 else None for place in range(30)]
    alone = bootstrap_sum_of_means([first], range(30))
    both = bootstrap_sum_of_means([first, second], range(30))
    assert both == pytest.approx((alone[0] + 2, alone[1] + 2), abs=0.12)
    assert bootstrap_sum_of_means([first], [0] * 30) is None
    assert bootstrap_sum_of_means([[1.0] * 30], range(30)) is None


def test_a_gap_is_as_uncertain_as_the_images_behind_it():
    # Three questions on each of 40 images: 15 of the first 20 images are right, 5 of the others.
    right = [100.0 * (image % 20 < (15 if image < 20 else 5)) for image in range(40) for _ in range(3)]
    clusters = [place // 3 for place in range(120)]
    # Of two independent means of 20: 1.96 * sqrt(2 * 0.75 * 0.25 / 20) = 26.8 points to each side.
    gap = bootstrap_gap([right], clusters, range(60), range(60, 120))
    assert gap == pytest.approx((50 - 26.8, 50 + 26.8), abs=4)
    # The normal quantile of 99% is 2.576: 35.3 points.
    wider = bootstrap_gap([right], clusters, range(60), range(60, 120), level=0.99)
    assert wider == pytest.approx((50 - 35.3, 50 + 35.3), abs=5)
    # The same clusters on both sides with the same answers: no resample tells the sides apart.
    assert bootstrap_gap([right + right], clusters * 2, range(120), range(120, 240)) is None


def test_every_numpy_draws_the_same():
    """The 2,000th draw of numpy 1.24 to 2.5; Generator.multinomial, since 2.5, gives [854, 1660, 2486]."""
    assert generator(0).multinomial(5000, [1 / 6, 2 / 6, 3 / 6], size=2000)[-1].tolist() == [860, 1583, 2557]


def test_a_bootstraps_ends_have_nine_decimals():
    low, high = bootstrap_sum_of_means([[0, 1 / 3, 2 / 3, 1, 0]], range(5))
    assert (low, high) == (round(low, 9), round(high, 9))
