"""Sums of drawn clusters, drawn as normal where there are very many kinds of clusters."""

import numpy as np
import pytest

from medqbench_vlmeval.scoring.intervals import MANY_KINDS, SumOfMeans, bootstrap, drawn_sums, sum_of_means_interval


def drawn(kinds, counts, seed=0, resamples=4000):
    return np.concatenate(list(drawn_sums(kinds, counts, resamples, np.random.default_rng(seed))))


def unlike(n, seed=1):
    """Clusters of which no two are alike: the sum of three scores and their number."""
    chance = np.random.default_rng(seed)
    return np.column_stack([chance.gamma(4, 0.5, n), chance.integers(2, 5, n).astype(float)])


def test_sums_of_many_kinds_have_the_mean_and_covariance_of_drawn_clusters():
    kinds = unlike(2 * MANY_KINDS)
    counts = np.ones(len(kinds), dtype=int)
    sums = drawn(kinds, counts)
    assert sums.mean(axis=0) == pytest.approx(kinds.sum(axis=0), rel=0.001)
    assert np.cov(sums.T) == pytest.approx(len(kinds) * np.cov(kinds.T, bias=True), rel=0.1, abs=400)


def test_what_few_clusters_decide_is_drawn_cluster_by_cluster():
    # The third term is the number of clusters of a rare group: twelve of 6,000, so that the number drawn is binomial.
    n = 2 * MANY_KINDS
    rare = (np.arange(n) < 12).astype(float)
    sums = drawn(np.column_stack([unlike(n), rare]), np.ones(n, dtype=int))
    assert (sums[:, 2] == sums[:, 2].round()).all()
    assert sums[:, 2].mean() == pytest.approx(12, abs=0.3)
    assert (sums[:, 2] == 12).mean() == pytest.approx(0.114, abs=0.02)  # Poisson's chance of 12 where 12 are expected


def test_a_term_that_is_one_for_every_cluster_stays_their_number():
    n = MANY_KINDS + 1
    sums = drawn(np.column_stack([unlike(n), np.ones(n)]), np.ones(n, dtype=int), resamples=50)
    assert sums[:, 2] == pytest.approx(np.full(50, n), abs=1e-3)


def test_the_interval_of_a_run_of_many_kinds_is_the_one_in_closed_form():
    chance = np.random.default_rng(4)
    columns = chance.integers(0, 7, size=(4, 12_000)) / 3
    clusters = [i // 3 for i in range(12_000)]
    drawn_ends = SumOfMeans(columns.tolist(), clusters).interval()
    closed = sum_of_means_interval(columns.tolist(), clusters)
    assert drawn_ends is not None
    assert closed is not None
    width = closed[1] - closed[0]
    assert drawn_ends == pytest.approx(closed, abs=0.06 * width)


def test_the_order_of_many_kinds_changes_no_digit():
    totals = unlike(MANY_KINDS + 500)

    def mean(sums):
        return sums[:, 0] / sums[:, 1]

    assert bootstrap(totals[::-1].copy(), mean) == bootstrap(totals, mean)
